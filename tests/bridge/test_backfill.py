"""What REST owes a stream, in virtual time: when it is asked, and what is announced."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import attrs
import pytest
import trio
from fakes import EPOCH, RATINGS, Rig, Said, Session, frame, frames, now
from trio.testing import MockClock

from bzredis.backlog.backlog import Backlog
from bzredis.bridge.backfill import Backfill
from bzredis.bridge.recovery import Recovery
from bzredis.bridge.retry import Asking
from bzredis.changes.read import unpack
from bzredis.errors import FeedLost, RestDown, RestRefused, StoreDown
from bzredis.messages.times import rfc3339
from bzredis.ports import Removal

LOST = FeedLost("upstream went away")
DAY = 86_400
UPDATED = 1_728_069_666  # as in fakes.frame


def row(number: int, isin: str = "") -> str:
    """Return REST's copy of `fakes.frame`."""
    found: dict[str, Any] = json.loads(frame(number))["data"]["content"]
    return json.dumps(found | {"ptpo": "", "isin": isin})


@attrs.define(eq=False)
class FakeRest:
    """REST, with what it holds, in whatever state it is."""

    held: list[int] = attrs.field(factory=list)
    isins: dict[int, str] = attrs.field(factory=dict)
    gone: list[Removal] = attrs.field(factory=list)
    trouble: Exception | None = None
    delay: float = 0.0
    asked: list[tuple[float, int, tuple[str, ...]]] = attrs.field(factory=list)

    async def rows(
        self, since: int, tickers: Sequence[str] = ()
    ) -> AsyncGenerator[str, None]:
        self.asked.append((trio.current_time(), since, tuple(tickers)))
        await trio.sleep(self.delay)
        if self.trouble is not None:
            raise self.trouble
        for number in sorted(self.held, reverse=True):
            if UPDATED + number >= since:
                yield row(number, self.isins.get(number, ""))

    async def removed(self, since: int) -> AsyncGenerator[Removal, None]:
        await trio.lowlevel.checkpoint()
        for one in self.gone:
            if (one.updated or since) >= since:
                yield one


def ready(rig: Rig, rest: FakeRest, **options: Any) -> None:
    """Make a process that asks `rest`."""
    rig.process()
    rig.ledger.recovery = Recovery(DAY)
    asking = Asking("ratings", rig.ledger.note_rest, Random(3))
    rig.bridge.ask = Backfill(
        rig.ledger, rig.ledger.recovery, asking, rest.rows, rest.removed, **options
    ).run


@asynccontextmanager
async def running(rig: Rig, rest: FakeRest, **options: Any) -> AsyncIterator[None]:
    ready(rig, rest, **options)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.bridge.run)
        yield
        rig.bridge.stop.set()
        nursery.cancel_scope.deadline = trio.current_time() + 5
    assert not nursery.cancel_scope.cancelled_caught, "did not stop within 5 s"


@asynccontextmanager
async def killed(rig: Rig, rest: FakeRest, **options: Any) -> AsyncIterator[None]:
    ready(rig, rest, **options)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.bridge.run)
        yield
        nursery.cancel_scope.cancel()


def logged(rig: Rig) -> list[tuple[str, int]]:
    """Return source and number of each message in the log."""
    return [
        (change["source"], int(change["record"], 16))
        for _, change in rig.store.db.log[RATINGS.name]
        if change["kind"] == "message"
    ]


async def test_the_first_start_asks_for_the_window_and_owes_nothing_after(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rest = FakeRest([3, 1, 2])
    began = trio.current_time()
    async with running(rig, rest):
        await trio.sleep(20)
    [(at, since, _)] = rest.asked
    assert at - began < 1
    assert since == EPOCH // 1_000 - DAY - 5
    assert rig.store.status()["fetched"] == "0", "all that it holds is older"
    assert not rig.store.db.owed
    assert not rig.store.gaps()


async def test_a_reconnect_asks_from_the_newest_less_5_s_oldest_first(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.extend([Session([*frames(10), 100.0, LOST]), Session([])])
    rest = FakeRest([4, 5, 9, 10, 11, 13, 12])
    async with running(rig, rest):
        await trio.sleep(150)
    assert [since for _, since, _ in rest.asked][1:] == [UPDATED + 10 - 5]
    assert logged(rig) == [
        ("replay", 10), ("rest", 5), ("rest", 9), ("rest", 11), ("rest", 12),
        ("rest", 13),
    ]  # fmt: skip
    assert rig.store.status()["fetched"] == "5"
    assert rig.store.status()["gaps"] == "0"
    assert rig.store.db.newest["ratings"] == 1_000 * (UPDATED + 13)


async def test_what_comes_after_the_connection_hides_nothing(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """The resume point is from before, however long REST takes, also after a crash."""
    async with running(rig, FakeRest()):
        await trio.sleep(1)
        rig.upstream.say(*frames(10))
        await trio.sleep(10)
    rest = FakeRest([11, 12], delay=1_000.0)
    async with killed(rig, rest):
        await trio.sleep(5)
        rig.upstream.say(*frames(20))
        await trio.sleep(5)
    assert rig.store.db.newest["ratings"] == 1_000 * (UPDATED + 20)
    rest.delay = 0.0
    async with running(rig, rest):
        await trio.sleep(10)
    assert [since for _, since, _ in rest.asked] == [UPDATED + 5] * 2
    assert ("rest", 11) in logged(rig)
    assert not rig.store.db.owed


async def test_a_new_connection_while_fetching_begins_anew(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.extend([Session([*frames(10), 30.0, LOST]), Session([])])
    rest = FakeRest([11], delay=29.0)
    async with running(rig, rest):
        await trio.sleep(1)
        rest.delay = 50.0
        await trio.sleep(80)
        assert ("rest", 11) not in logged(rig)
        await trio.sleep(10)
    assert len(rest.asked) == 2
    assert ("rest", 11) in logged(rig)


async def lose_a_night(rig: Rig) -> None:
    """Leave a Redis that has known better, and a replay that proves nothing."""
    rig.upstream.sessions.append(Session(frames(1)))
    async with rig.running():
        await trio.sleep(10)
    await trio.sleep(3_600)
    rig.upstream.sessions.append(Session(replay=frames(50, 51)))


@pytest.mark.parametrize(("delay", "gaps"), [(0.0, 0), (55.0, 0), (65.0, 1)])
async def test_rest_has_a_minute_to_close_a_gap(
    rig: Rig, autojump_clock: MockClock, *, delay: float, gaps: int
) -> None:
    await lose_a_night(rig)
    rest = FakeRest([2, 3, 50], delay=delay)
    async with running(rig, rest):
        began = now()
        await trio.sleep(59)
        assert not rig.store.gaps()
        await trio.sleep(60)
    assert len(rig.store.gaps()) == gaps
    assert rig.store.status()["gaps"] == str(gaps)
    assert {("rest", 2), ("rest", 3)} <= {*logged(rig)}
    for gap in rig.store.gaps():
        assert (gap["cause"], gap["recovered"]) == ("restart", 2)
        assert gap["end"] == rfc3339(began)


async def test_what_is_doubtful_is_announced_before_the_debt_is_paid(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A kill in between would leave neither a debt nor a gap."""
    kept: list[str] = []
    put = Backlog.put

    def noting(self: Backlog, packed: bytes) -> int:
        kept.append(type(unpack(packed)).__name__)
        return put(self, packed)

    await lose_a_night(rig)
    monkeypatch.setattr(Backlog, "put", noting)
    # Connected a while after the start: else the look of each second comes in between.
    rig.upstream.sessions.insert(0, LOST)
    async with running(rig, FakeRest([2, 3]), **listed("T2")):
        await trio.sleep(90)
    assert kept.index("Gap") < kept.index("Paid")


@pytest.mark.parametrize("delay", [50.0, 1e6])
async def test_not_alive_until_it_is_fetched_or_announced(
    rig: Rig, autojump_clock: MockClock, delay: float
) -> None:
    await lose_a_night(rig)
    async with running(rig, FakeRest([2, 3], delay=delay)):
        await trio.sleep(48)
        assert ("rest", 2) not in logged(rig)
        assert rig.store.status()["state"] == "live"
        assert not rig.store.is_alive()
        await trio.sleep(15)
        assert ("rest", 2) in logged(rig) or len(rig.store.gaps()) == 1
        assert rig.store.is_alive()


LISTED, FOREIGN = "US0378331005", "US5949181045"


def listed(*known: str, **options: Any) -> dict[str, Any]:
    """Return the options of a watch-list of one ISIN; Redis knows these symbols."""
    tries = 0

    async def symbols() -> list[str]:
        nonlocal tries
        tries += 1
        await trio.lowlevel.checkpoint()
        if tries == 1:
            raise StoreDown("not yet")
        return list(known)

    return {"isins": frozenset({LISTED}), "symbols": symbols, **options}


@pytest.mark.parametrize(
    ("isins", "options", "fetched", "gaps"),
    [
        ({2: LISTED, 3: LISTED}, listed(), {2, 3}, 0),
        ({2: LISTED, 3: FOREIGN}, listed("T3"), {2}, 0),
        # Of those that name no ISIN, whoever Redis knows, …
        ({}, listed("T1", "T2", "T3"), {2, 3}, 0),
        ({2: "us0378331005 "}, listed("T3"), {2, 3}, 0),
        # … or is on the watch-list, …
        ({}, listed("T2", tickers=("T3",)), {2, 3}, 0),
        # … or is named with its ISIN in another row.
        ({10: LISTED}, listed("T2"), {2, 3, 10}, 0),
        ({10: FOREIGN}, listed("T2"), {2}, 0),
        ({10: FOREIGN, 17: LISTED}, listed("T2"), {2, 3, 17}, 0),
        # Nobody knows whose the third is.
        ({}, listed("T2"), {2}, 1),
        ({}, listed("T2", "TSX:T3"), {2}, 1),
        ({2: LISTED}, listed(), {2}, 1),
    ],
)
async def test_of_isins_what_may_have_been_wanted_is_fetched_or_announced(  # noqa: PLR0913 - fixtures
    rig: Rig,
    autojump_clock: MockClock,
    *,
    isins: dict[int, str],
    options: dict[str, Any],
    fetched: set[int],
    gaps: int,
) -> None:
    await lose_a_night(rig)
    rest = FakeRest([2, 3, *(n for n in isins if n > 3)], isins=isins)
    async with running(rig, rest, **options):
        await trio.sleep(30)
        assert {n for how, n in logged(rig) if how == "rest"} == fetched
        assert bool(rig.store.db.owed) == bool(gaps), "until it is announced"
        await trio.sleep(60)
        assert len(rig.store.gaps()) == gaps
        assert not rig.store.db.owed
        rig.upstream.say(LOST)
        await trio.sleep(90)
    assert len(rest.asked) == 2
    assert rest.asked[1][1] > rest.asked[0][1]
    assert rest.asked[0][2] == ()


@pytest.mark.parametrize("end", [running, killed])
async def test_what_may_have_been_wanted_is_announced_by_the_next_process_too(
    rig: Rig, autojump_clock: MockClock, end: Any
) -> None:
    await lose_a_night(rig)
    rest = FakeRest([2, 3])
    async with end(rig, rest, **listed("T2")):
        await trio.sleep(30)
    assert not rig.store.gaps()
    rig.upstream.sessions.append(Session(replay=frames(51)))
    async with running(rig, rest, **listed("T2")):
        await trio.sleep(90)
    assert len(rig.store.gaps()) == 1
    assert not rig.store.db.owed


async def test_a_replay_that_proves_whole_needs_no_isins(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.append(Session(frames(1)))
    async with rig.running():
        await trio.sleep(10)
    rig.upstream.sessions.append(Session(replay=frames(1, 50)))
    async with running(rig, FakeRest([3]), **listed("T1")):
        await trio.sleep(90)
        assert not rig.store.gaps()
        assert not rig.store.db.owed


async def test_a_gap_that_waits_for_rest_outlives_the_process(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await lose_a_night(rig)
    rest = FakeRest([2], trouble=RestDown("down"))
    async with running(rig, rest):
        await trio.sleep(30)
    assert not rig.store.gaps()
    rig.upstream.sessions.append(Session(replay=frames(51)))
    async with running(rig, rest):
        await trio.sleep(90)
    assert [gap["recovered"] for gap in rig.store.gaps()] == [2]


@pytest.mark.parametrize("away", [0, 1])
async def test_a_gap_that_rest_closes_for_the_next_process_is_none(
    rig: Rig, autojump_clock: MockClock, away: int
) -> None:
    """It stays open for REST until there is a connection to fetch after."""
    await lose_a_night(rig)
    rest = FakeRest([2], trouble=RestDown("down"))
    async with running(rig, rest):
        await trio.sleep(30)
    rest.trouble = None
    rig.upstream.sessions.extend([rig.lost] * away)
    rig.upstream.sessions.append(Session(replay=frames(51)))
    async with running(rig, rest):
        await trio.sleep(90)
    assert {number for _, number in logged(rig)} == {1, 2, 50, 51}
    assert not rig.store.gaps()


async def test_a_gap_left_open_is_announced_without_a_connection_too(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await lose_a_night(rig)
    rest = FakeRest([2], trouble=RestDown("down"))
    async with running(rig, rest):
        await trio.sleep(30)
    rig.upstream.sessions.extend([rig.lost] * 100)
    async with running(rig, rest):
        await trio.sleep(59)
        assert not rig.store.gaps()
        await trio.sleep(5)
        assert len(rig.store.gaps()) == 1


@pytest.mark.parametrize(
    ("trouble", "words", "most"),
    [(RestDown("no host"), "no host", 300), (RestRefused("401"), "BENZINGA_TOKEN", 3)],
)
async def test_trouble_is_told_once_and_ends(  # noqa: PLR0913 - fixtures
    rig: Rig,
    autojump_clock: MockClock,
    said: Said,
    *,
    trouble: Exception,
    words: str,
    most: int,
) -> None:
    rest = FakeRest([2], trouble=trouble)
    rig.upstream.sessions.append(Session(frames(1)))
    async with running(rig, rest):
        await trio.sleep(1_850)
        assert words in rig.store.status()["error"]
        assert 3 <= len(rest.asked) <= most
        rest.trouble = None
        await trio.sleep(910)
        told = [entry for entry in said if "REST" in entry["event"]]
        assert [entry["log_level"] for entry in told] == ["warning", "info"]
        assert not rig.store.db.owed
        assert len(rig.upstream.links) == 1, "the stream was not disturbed"


async def test_what_waits_on_disk_does_not_hide_what_redis_lost(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """Redis came back older while no bridge was there to notice."""
    rig.upstream.sessions.append(Session(frames(1)))
    rest = FakeRest()
    async with killed(rig, rest):
        await trio.sleep(10)
        saved = rig.store.saved()
        rig.upstream.say(frame(5))
        await trio.sleep(10)
        rig.store.trouble = "LOADING"
        rig.upstream.say(frame(20))
        await trio.sleep(10)
    rig.store.db, rig.store.trouble = saved, ""
    rest.held = [1, 5, 20]
    rig.upstream.sessions.append(Session(replay=frames(20)))
    async with running(rig, rest):
        await trio.sleep(10)
        assert {number for _, number in logged(rig)} == {1, 5, 20}
        assert not rig.store.gaps()


async def test_what_redis_lost_is_announced_by_the_next_process_too(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """A kill while REST still has time for it costs no gap."""
    rig.upstream.sessions.append(Session(frames(1)))
    rest = FakeRest()
    async with running(rig, rest):
        await trio.sleep(10)
        saved = rig.store.saved()
        rig.upstream.say(frame(5))
        await trio.sleep(10)
    rig.upstream.sessions.append(Session(replay=frames(5)))
    async with killed(rig, rest):
        await trio.sleep(70)
        rest.trouble = RestDown("down")
        rig.upstream.say(frame(8))
        await trio.sleep(1_000)
        rig.store.db = saved
        await trio.sleep(20)
        assert not rig.store.gaps()
    rig.upstream.sessions.append(Session(replay=frames(8)))
    async with running(rig, rest):
        await trio.sleep(80)
    assert [gap["cause"] for gap in rig.store.gaps()] == ["redis-rollback"]


async def test_a_redis_that_comes_back_older_gets_what_it_lost(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.append(Session(frames(1)))
    rest = FakeRest()
    async with running(rig, rest):
        await trio.sleep(10)
        saved = rig.store.saved()
        rig.upstream.say(*frames(5, 6))
        await trio.sleep(10)
    async with running(rig, rest):
        await trio.sleep(10)
        rig.upstream.say(*frames(8))
        await trio.sleep(10)
        rig.store.db = saved
        rest.held = [1, 5, 6, 8]
        await trio.sleep(20)
        assert rest.asked[-1][1] == UPDATED + 1 - 5
        assert {number for _, number in logged(rig)} == {1, 5, 6, 8}
        await trio.sleep(60)
    assert not rig.store.gaps()
    assert not rig.store.db.owed
