"""What must not be taken on trust: answers, clocks, disks, and what stands in Redis."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from random import Random

import attrs
import pytest
import trio
from fakes import (
    CONSENSUS,
    EPOCH,
    RATINGS,
    UPDATED,
    Database,
    FakeRest,
    Rig,
    Said,
    Session,
    frame,
    frames,
    now,
)
from trio.testing import MockClock

from bzredis.backlog import queue
from bzredis.backlog.spool import Spool
from bzredis.bridge.backfill import Backfill
from bzredis.bridge.lookups import Lookups
from bzredis.bridge.retry import Retry
from bzredis.errors import FeedLost, SpoolFull
from bzredis.ports import Item
from bzredis.streams.stream import Table

Ask = Callable[[], Awaitable[None]]
LOST = FeedLost("upstream went away")
SLEPT = 7_200_000  # ms
NONSENSE = {"ok": "true", "errors": [{"code": "down"}]}  # under HTTP 200


async def nobody() -> Sequence[str]:
    await trio.lowlevel.checkpoint()
    return ()


def backfilled(rig: Rig, rest: FakeRest) -> Ask:
    rig.rest = True

    async def ask() -> None:
        retry, table = Retry("rest", rig.intake.rest_trouble, Random(3)), RATINGS.rows
        assert table is not None
        await Backfill(rig.intake, table, rest, retry, nobody).run()

    return ask


def looked_up(rig: Rig, rest: FakeRest, rated: list[str]) -> Ask:
    rig.rest = True

    async def symbols() -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        return [*rated]

    async def ask() -> None:
        retry, table = (
            Retry("rest", rig.intake.rest_trouble, Random(3)),
            CONSENSUS.lookup,
        )
        assert table is not None
        await Lookups(rig.intake, table, rest, retry, symbols, refresh=9_999.0).run()

    return ask


@attrs.define(eq=False)
class OddRest(FakeRest):
    """Answers with what is none."""

    async def rows(
        self, _: Table, since: int, __: Sequence[str] = (), /
    ) -> AsyncGenerator[list[str], None]:
        self.asked.append((trio.current_time(), since, ()))
        await trio.lowlevel.checkpoint()
        yield [json.dumps(NONSENSE)]

    async def lookup(
        self, _: Table, ticker: str, __: Mapping[str, str], /
    ) -> str | None:
        self.looked_up.append((trio.current_time(), ticker))
        await trio.sleep(0.1)
        return json.dumps(NONSENSE)


async def test_what_the_machine_slept_through_is_not_fresh(
    rig: Rig, autojump_clock: MockClock
) -> None:
    offset = 0
    rig.clock = lambda: now() + offset
    async with rig.running():
        await trio.sleep(20)
        assert rig.store.is_alive()
        offset, before = SLEPT, len(rig.store.statuses)
        await trio.sleep(3)
        later = rig.store.statuses[before + 1 :]
        assert later
        assert not any(is_alive for *_, is_alive in later)
        await trio.sleep(60)  # upstream has answered a ping that went out since
        assert rig.store.is_alive()


async def test_an_upstream_that_answers_no_more_is_not_fresh_and_is_left(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """Its protocol may still be answering: a proxy's, say, whose back end is gone."""
    async with rig.running():
        await trio.sleep(31)
        rig.upstream.links[-1].session.answers = "no"
        await trio.sleep(28)
        assert rig.store.is_alive()
        await trio.sleep(13)  # the ping after 60 s has no answer
        assert not rig.store.is_alive()
        await trio.sleep(45)
        assert len(rig.upstream.links) == 1
        await trio.sleep(10)
        assert len(rig.upstream.links) == 2
        await trio.sleep(70)
        assert rig.store.is_alive()


async def test_a_late_answer_is_one(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running():
        await trio.sleep(31)
        rig.upstream.links[-1].session.answers = "no"
        await trio.sleep(41)
        assert not rig.store.is_alive()
        rig.upstream.say("pong")
        await trio.sleep(2)
        assert rig.store.is_alive()


@pytest.mark.parametrize("said", [frame(1), '{"status":"ok"}'])
async def test_who_says_something_is_there_without_a_pong(
    rig: Rig, said: str, autojump_clock: MockClock
) -> None:
    async with rig.running():
        await trio.sleep(31)
        rig.upstream.links[-1].session.answers = "no"
        for _ in range(60):
            await trio.sleep(5)
            rig.upstream.say(said)
            assert rig.store.is_alive()
        assert len(rig.upstream.links) == 1


async def test_who_never_answered_a_ping_is_not_left_for_it(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.append(Session(answers="no"))
    async with rig.running():
        await trio.sleep(3_600)
        assert len(rig.upstream.links) == 1
        assert rig.store.is_alive()


async def test_a_new_connection_of_who_used_to_answer_has_to_as_well(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.append(Session([31.0, LOST]))
    rig.upstream.sessions.append(Session(answers="no"))
    async with rig.running():
        await trio.sleep(600)
        assert len(rig.upstream.links) == 2, "perhaps it was taught not to answer"
        assert not rig.store.is_alive()
        rig.upstream.say("pong")
        await trio.sleep(5)
        assert rig.store.is_alive()


async def test_a_page_of_rejected_rows_is_no_answer(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rest = OddRest()
    ask = backfilled(rig, rest)
    async with rig.running() as bridge:
        bridge.ask = ask
        await trio.sleep(1)
        rig.upstream.say(*frames(1))
        await trio.sleep(60)
    async with rig.running() as bridge:
        bridge.ask = ask
        await trio.sleep(100)
        assert rest.asked
    assert rig.store.gaps()


async def test_an_error_that_is_looked_up_is_no_answer(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rest = OddRest()
    ask = looked_up(rig, rest, ["A", "B"])
    for _ in range(2):
        async with rig.running("consensus") as bridge:
            bridge.ask = ask
            await trio.sleep(120)
            assert rest.looked_up
    assert rig.store.gaps("consensus")


async def test_an_emptied_redis_does_not_shorten_a_round(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Whose ratings were seen it says no more; this process heard of them."""
    monkeypatch.setattr(queue, "HELD", 1)  # more was confirmed than is held
    rest, rated = FakeRest(delay=0.1), ["A", "B", "C"]
    ask = looked_up(rig, rest, rated)
    async with rig.running("consensus") as bridge:
        bridge.ask = ask
        await trio.sleep(120)
        rest.looked_up.clear()
        rig.store.db = Database()
        rated[:] = ["A"]
        await trio.sleep(120)
        assert {symbol for _, symbol in rest.looked_up} == {"A", "B", "C"}


async def test_a_message_that_is_dated_ahead_hides_nothing(
    rig: Rig, autojump_clock: MockClock
) -> None:
    ahead = json.loads(frame(1))
    ahead["data"]["content"]["updated"] = EPOCH // 1_000 + 1_800
    missed = EPOCH // 1_000 - UPDATED + 100  # whose `updated` is just now
    rest = FakeRest(held=[missed])
    ask = backfilled(rig, rest)
    async with rig.running() as bridge:
        bridge.ask = ask
        await trio.sleep(1)
        rig.upstream.say(json.dumps(ahead))
        await trio.sleep(60)
    async with rig.running() as bridge:
        bridge.ask = ask
        await trio.sleep(100)
    records = {each["record"] for each in rig.store.db.of("ratings").log}
    assert f"{missed:024x}" in records


async def test_a_coverage_key_that_is_gone_is_no_proof(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """What is remembered of messages does not tell what the key did."""
    kept = rig.store.db.of("ratings")
    rig.rest = True  # nobody asks it: what is open stays so for a minute
    rig.upstream.cache = frames(3)
    async with rig.running():
        await trio.sleep(1)
        rig.upstream.say(*frames(3))
        await trio.sleep(60)
        kept.since = kept.until = kept.reached = None
        kept.newest, kept.stamp, kept.holes = 0, 0, []
        kept.subscription = kept.upstream = kept.reader = ""
        kept.proving = False
        rig.upstream.say(rig.lost)
        await trio.sleep(120)
        assert rig.store.is_alive()
    assert rig.store.gaps()


async def test_a_full_disk_does_not_hide_what_an_emptied_redis_lost(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    real = Spool.since

    def full(self: Spool, stream: str, at: int | None = None) -> int | None:
        if at is not None:
            raise SpoolFull("disk full")
        return real(self, stream)

    monkeypatch.setattr(Spool, "since", full)
    monkeypatch.setattr(queue, "HELD", 5)
    async with rig.running():
        for number in range(20):
            await trio.sleep(1)
            rig.upstream.say(frame(number))
        await trio.sleep(1)
        rig.store.db = Database()
        await trio.sleep(30)
        assert rig.store.is_alive()
        assert rig.store.gaps()


async def test_a_disk_that_gives_nothing_is_asked_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    real, is_broken = Spool.oldest, True

    def broken(self: Spool, stream: str, limit: int) -> list[Item]:
        if is_broken:
            raise SpoolFull("disk I/O error")
        return real(self, stream, limit)

    monkeypatch.setattr(Spool, "oldest", broken)
    async with rig.running():
        await trio.sleep(1)
        rig.store.trouble = "LOADING"
        rig.upstream.say(*frames(1, 2))
        await trio.sleep(5)
        rig.store.trouble = ""
        await trio.sleep(5)
        is_broken = False
        await trio.sleep(5)
        assert rig.store.numbers() == [1, 2]


async def test_a_slow_redis_and_a_busy_disk_are_no_older_redis(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    async with rig.running():
        await trio.sleep(1)
        for number in range(400):
            rig.store.delay = (0.05, 0.9, 0.3)[number % 3]
            rig.upstream.say(frame(number))
            await trio.sleep(0.1)
        await trio.sleep(30)
        assert rig.store.numbers() == list(range(400))
    assert not [each for each in said if "lost what" in each["event"]]
