"""What REST is asked for a stream's holes, in virtual time, and what comes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
import trio
from fakes import EPOCH, RATINGS, UPDATED, FakeRest, Rig, Said, Session, frame, frames
from trio.testing import MockClock

from bzredis.bridge.backfill import Backfill
from bzredis.bridge.coverage import REST_HAS
from bzredis.bridge.retry import Retry
from bzredis.errors import FeedLost, RestDown, RestRefused, StoreDown
from bzredis.ports import Removal
from bzredis.streams.stream import Table

LOST = FeedLost("upstream went away")
DAY = 86_400
HOUR = 3_600
RIPE = REST_HAS + 1.0  # s until REST is asked


async def nobody() -> Sequence[str]:
    await trio.lowlevel.checkpoint()
    return ()


def table(of: Table | None) -> Table:
    assert of is not None
    return of


def ready(rig: Rig, rest: FakeRest, **options: Any) -> Callable[[], Awaitable[None]]:
    """Have the process that is made next ask `rest`."""
    rig.rest, rig.window = True, 1_000 * DAY

    async def ask() -> None:
        retry = Retry("rest", rig.intake.rest_trouble, Random(3))
        given = {"symbols": nobody, **options}
        await Backfill(rig.intake, table(RATINGS.rows), rest, retry, **given).run()

    return ask


@asynccontextmanager
async def running(rig: Rig, rest: FakeRest, **options: Any) -> AsyncIterator[None]:
    ask = ready(rig, rest, **options)
    async with rig.running() as bridge:
        bridge.ask = ask
        yield


@asynccontextmanager
async def killed(rig: Rig, rest: FakeRest, **options: Any) -> AsyncIterator[None]:
    ask = ready(rig, rest, **options)
    async with rig.killed() as bridge:
        bridge.ask = ask
        yield


def logged(rig: Rig) -> list[tuple[str, int]]:
    """Return source and number of each message in the log."""
    log = rig.store.db.of("ratings").log
    return [
        (change["source"], int(change["record"], 16))
        for change in log
        if change["kind"] == "message"
    ]


def holes(rig: Rig) -> list[Any]:
    return rig.store.db.of("ratings").holes


async def lose_a_night(rig: Rig) -> None:
    """Leave a Redis that has known better, and a replay that proves nothing."""
    rig.upstream.sessions.append(Session(frames(1)))
    async with rig.running():
        await trio.sleep(10)
    await trio.sleep(HOUR)
    rig.upstream.sessions.append(Session(replay=frames(50, 51)))


# ----------------------------------------------------------------- from where, and when


async def test_the_first_start_asks_for_the_window_and_lacks_nothing_after(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rest = FakeRest([3, 1, 2])
    async with running(rig, rest):
        await trio.sleep(REST_HAS - 0.5)
        assert not rest.asked
        assert not rig.store.is_alive()
        await trio.sleep(15)
        assert rig.store.is_alive()
    [(_, since, _)] = rest.asked
    assert since == EPOCH // 1_000 - DAY - HOUR - 5, "two clocks differ an hour"
    assert rig.store.status()["fetched"] == "0", "all that it holds is older"
    assert not holes(rig)
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
    assert not holes(rig)


async def test_what_rest_brings_does_not_hide_what_came_before_it(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """Rows come out of order: the next hole resumes from what the stream said."""
    rig.upstream.sessions.extend([Session([*frames(10), 100.0, LOST]), Session([])])
    rest = FakeRest([30])
    async with running(rig, rest):
        await trio.sleep(150)
        assert ("rest", 30) in logged(rig)
        rig.upstream.say(LOST)
        await trio.sleep(20)
    assert [since for _, since, _ in rest.asked][1:] == [UPDATED + 10 - 5] * 2


async def test_what_comes_after_the_connection_hides_nothing(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """Where REST resumes is from before, however long it takes, also after a kill."""
    async with running(rig, FakeRest()):
        await trio.sleep(1)
        rig.upstream.say(*frames(10))
        await trio.sleep(10)
    rest = FakeRest([11, 12], delay=1_000.0)
    async with killed(rig, rest):
        await trio.sleep(5)
        rig.upstream.say(*frames(20))
        await trio.sleep(5)
    assert rig.store.db.of("ratings").newest == 1_000 * (UPDATED + 20)
    rest.delay = 0.0
    async with running(rig, rest):
        await trio.sleep(10)
    assert [since for _, since, _ in rest.asked] == [UPDATED + 5] * 2
    assert ("rest", 11) in logged(rig)
    assert not holes(rig)


async def test_the_watch_list_is_asked_for(rig: Rig, autojump_clock: MockClock) -> None:
    rest = FakeRest()
    async with running(rig, rest, tickers=("AAPL", "TSX:T")):
        await trio.sleep(10)
    assert [tickers for *_, tickers in rest.asked] == [("AAPL", "TSX:T")]


async def test_removals_come_after_the_rows(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await lose_a_night(rig)
    gone = [Removal(f"{n:024x}", UPDATED + n, "{}") for n in (0, 2)]
    rest = FakeRest([2, 3], gone=gone)
    async with running(rig, rest):
        await trio.sleep(10)
    log = [c for c in rig.store.db.of("ratings").log if c.get("source") == "rest"]
    assert [(c["action"], int(c["record"], 16)) for c in log] == [
        ("updated", 2), ("updated", 3), ("deleted", 0), ("deleted", 2),
    ]  # fmt: skip


# ------------------------------------------------------------------- only whole answers


async def test_a_connection_lost_while_it_is_asked_costs_nothing(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """What it closes is what it was asked about; the new hole is another question."""
    rest = FakeRest([11])
    rig.upstream.sessions.append(Session([*frames(10), 30.0, LOST]))
    async with running(rig, rest):
        await trio.sleep(34)
        [first] = holes(rig)
        rest.delay = 15.0  # of rows, and of removals
        await trio.sleep(20)
        assert len(rest.asked) == 2
        rig.upstream.say(LOST)
        await trio.sleep(4)
        assert holes(rig)[0].id == first.id
        await trio.sleep(15)
        assert ("rest", 11) in logged(rig)
        [second] = holes(rig)
        assert second.id != first.id
        await trio.sleep(35)
        assert not holes(rig)
    assert len(rest.asked) == 3
    assert not rig.store.gaps()


async def test_a_hole_that_changed_its_id_meanwhile_is_asked_for_again(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """It may be more than it was: two became one, or Redis came back older."""
    await lose_a_night(rig)
    rest = FakeRest([2], delay=5.0)
    async with running(rig, rest):
        await trio.sleep(RIPE)
        holes(rig)[0].id = "another"
        await trio.sleep(12)
        assert ("rest", 2) in logged(rig)
        assert [hole.id for hole in holes(rig)] == ["another"]
        await trio.sleep(20)
        assert not holes(rig)
    assert len(rest.asked) == 2
    assert not rig.store.gaps()


async def test_rows_are_kept_though_removals_are_refused(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """A key may be entitled to the one and not to the other."""
    await lose_a_night(rig)
    gone = table(RATINGS.removals).path
    rest = FakeRest([2, 3], troubles={gone: RestRefused("HTTP 403")})
    async with running(rig, rest):
        await trio.sleep(29)
        assert {("rest", 2), ("rest", 3)} <= {*logged(rig)}
        assert len(holes(rig)) == 1
        assert "HTTP 403" in rig.store.status()["error"]
        await trio.sleep(60)
        assert len(rig.store.gaps()) == 1, "what was removed, nobody knows"
        rest.troubles.clear()
        await trio.sleep(900)
        assert not holes(rig)
    assert len(rest.asked) == 1


# ---------------------------------------------------------------------- within a minute


@pytest.mark.parametrize(("delay", "gaps"), [(0.0, 0), (50.0, 0), (65.0, 1)])
async def test_rest_has_a_minute_to_close_a_gap(
    rig: Rig, autojump_clock: MockClock, *, delay: float, gaps: int
) -> None:
    await lose_a_night(rig)
    rest = FakeRest([2, 3, 50], delay=delay / 2)  # rows, and removals
    async with running(rig, rest):
        began = EPOCH + 1_000 * trio.current_time()
        await trio.sleep(59)
        assert not rig.store.gaps()
        await trio.sleep(60)
    assert len(rig.store.gaps()) == gaps
    assert rig.store.status()["gaps"] == str(gaps)
    assert {("rest", 2), ("rest", 3)} <= {*logged(rig)}
    assert not holes(rig), "it fills what was announced as well"
    for gap in rig.store.gaps():
        assert gap["cause"] == "restart"
        assert gap["end"] == pytest.approx(began, abs=20)


@pytest.mark.parametrize("delay", [20.0, 1e6])
async def test_not_alive_until_it_is_fetched_or_announced(
    rig: Rig, autojump_clock: MockClock, delay: float
) -> None:
    await lose_a_night(rig)
    async with running(rig, FakeRest([2, 3], delay=delay)):
        await trio.sleep(24)
        assert ("rest", 2) not in logged(rig)
        assert rig.store.status()["state"] == "live"
        assert rig.store.status()["missing"]
        assert not rig.store.is_alive()
        await trio.sleep(39)
        assert ("rest", 2) in logged(rig) or len(rig.store.gaps()) == 1
        assert rig.store.is_alive()


async def test_a_hole_that_waits_for_rest_outlives_the_process(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await lose_a_night(rig)
    rest = FakeRest([2], trouble=RestDown("down"))
    async with running(rig, rest):
        await trio.sleep(29)
    assert not rig.store.gaps()
    rig.upstream.sessions.append(Session(replay=frames(51)))
    async with running(rig, rest):
        await trio.sleep(90)
    assert [gap["recovered"] for gap in rig.store.gaps()] == [2]


@pytest.mark.parametrize("away", [0, 1])
async def test_a_hole_that_rest_fills_for_the_next_process_is_no_gap(
    rig: Rig, autojump_clock: MockClock, away: int
) -> None:
    """It stays open for REST until there is a connection to fetch after."""
    await lose_a_night(rig)
    rest = FakeRest([2], trouble=RestDown("down"))
    async with running(rig, rest):
        await trio.sleep(29)
    rest.trouble = None
    rig.upstream.sessions.extend([LOST] * away)
    rig.upstream.sessions.append(Session(replay=frames(51)))
    async with running(rig, rest):
        await trio.sleep(90)
    assert {number for _, number in logged(rig)} == {1, 2, 50, 51}
    assert not rig.store.gaps()


async def test_a_hole_left_open_waits_for_the_next_connection(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """Until then `alive` is not there, and `missing` tells."""
    await lose_a_night(rig)
    rest = FakeRest([2], trouble=RestDown("down"))
    async with running(rig, rest):
        await trio.sleep(29)
    rig.upstream.sessions.extend([LOST] * 10)
    before = len(rest.asked)
    async with running(rig, rest):
        await trio.sleep(70)
        assert rig.store.status()["missing"]
        assert not rig.store.gaps()
        assert not rig.store.is_alive()
        assert len(rest.asked) == before
        await trio.sleep(70)
        assert len(rig.store.gaps()) == 1, "it was seen long ago"


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
        assert not holes(rig)
        assert len(rig.upstream.links) == 1, "the stream was not disturbed"


# ----------------------------------------------------------------------- lists of ISINs


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
        assert len(holes(rig)) == gaps, "until it is announced"
        await trio.sleep(60)
        assert len(rig.store.gaps()) == gaps
        assert not holes(rig), "nobody gives back what was left"
        rig.upstream.say(LOST)
        await trio.sleep(90)
        assert len(rig.store.gaps()) == gaps
    assert len(rest.asked) == 2
    assert rest.asked[1][1] > rest.asked[0][1]
    assert rest.asked[0][2] == ()


async def test_what_was_left_does_not_keep_a_later_hole_open(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """Each is asked about from where it resumes, also before the first is announced."""
    await lose_a_night(rig)
    rest = FakeRest([2, 3])
    async with running(rig, rest, **listed("T2")):
        await trio.sleep(20)
        rig.upstream.sessions.append(Session(replay=()))
        rig.upstream.say(LOST)
        await trio.sleep(3)
        assert len(holes(rig)) == 2
        await trio.sleep(12)
        assert len(holes(rig)) == 1
        await trio.sleep(60)
        assert not holes(rig)
    assert len(rest.asked) == 2
    assert len(rig.store.gaps()) == 1


@pytest.mark.parametrize("end", [running, killed])
async def test_what_may_have_been_wanted_is_announced_by_the_next_process_too(
    rig: Rig, autojump_clock: MockClock, end: Any
) -> None:
    await lose_a_night(rig)
    rest = FakeRest([2, 3])
    async with end(rig, rest, **listed("T2")):
        await trio.sleep(29)
    assert not rig.store.gaps()
    rig.upstream.sessions.append(Session(replay=frames(51)))
    async with running(rig, rest, **listed("T2")):
        await trio.sleep(90)
    assert len(rig.store.gaps()) == 1
    assert not holes(rig)


async def test_a_replay_that_proves_whole_needs_no_isins(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.append(Session(frames(1)))
    async with rig.running():
        await trio.sleep(10)
    rig.upstream.sessions.append(Session(replay=frames(1, 50)))
    rest = FakeRest([3])
    async with running(rig, rest, **listed("T1")):
        await trio.sleep(90)
    assert not rig.store.gaps()
    assert not holes(rig)
    assert len(rest.asked) == 1, "and nobody waits for that"


async def test_what_is_newer_is_fetched_though_a_replay_proves_that_all_is_here(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """That a replay has no hole in it, nobody has published."""
    rig.upstream.sessions.extend(
        [Session([*frames(10), 100.0, LOST]), Session(replay=frames(10, 12))]
    )
    rest = FakeRest([4, 11, 12])
    async with running(rig, rest):
        await trio.sleep(100 + RIPE)
        assert rig.store.is_alive()
        assert ("rest", 11) not in logged(rig)
        await trio.sleep(40)
        assert rig.store.is_alive()
    assert [since for _, since, _ in rest.asked][1:] == [UPDATED + 10 - 5]
    assert logged(rig)[-2:] == [("replay", 12), ("rest", 11)]
    assert not rig.store.gaps()


# -------------------------------------------------------- a Redis that comes back older


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
        await trio.sleep(12)
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
    # What the second process read, it had still; what came before it is lost.
    assert [gap["cause"] for gap in rig.store.gaps()] == ["restart"]


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
    assert not holes(rig)


async def test_what_is_newer_is_asked_for_until_rest_answers(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.extend(
        [Session([*frames(10), 100.0, LOST]), Session(replay=frames(10, 12))]
    )
    rest = FakeRest([4, 11, 12])
    async with running(rig, rest):
        await trio.sleep(90)
        rest.trouble = RestDown("down")
        await trio.sleep(60)
        assert ("rest", 11) not in logged(rig)
        assert rig.store.is_alive(), "and nobody waits for that"
        rest.trouble = None
        await trio.sleep(130)
    assert ("rest", 11) in logged(rig)
