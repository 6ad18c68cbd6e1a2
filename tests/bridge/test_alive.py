"""What the status says, and when `alive` may be there."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from fakes import (
    BY_NAME,
    EPOCH,
    Database,
    Disk,
    FakeStore,
    Rig,
    Said,
    Session,
    frame,
    frames,
    now,
)
from trio.testing import MockClock

from bzredis.bridge import bridge
from bzredis.errors import FeedLost, StoreDown
from bzredis.messages.times import milliseconds
from bzredis.ports import Applied, Batch, Behind
from bzredis.streams import Stream

LOST = FeedLost("upstream went away")
NAMES = tuple(BY_NAME)


def refuse_changes(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """Have Redis take a status, and no changes."""
    apply = FakeStore.apply

    async def refusing(
        self: FakeStore, stream: Stream, batch: Batch, _: Batch | None = None, /
    ) -> Applied | Behind:
        if batch.packed:
            raise StoreDown(words)
        return await apply(self, stream, batch)

    monkeypatch.setattr(FakeStore, "apply", refusing)


# ------------------------------------------------------------------------------- status


@pytest.mark.parametrize("delay", [0.15, 0.25])
async def test_no_status_is_a_second_behind_though_redis_is_far_away(
    rig: Rig, autojump_clock: MockClock, delay: float
) -> None:
    """What a reader sees was true when its write began, until the next arrives."""
    rig.store.delay = delay
    async with rig.running(*NAMES):
        await trio.sleep(30)
    for name in NAMES:
        arrived = [at for at, of, *_ in rig.store.statuses if of == name]
        behind = [later - (at - delay) for at, later in pairwise(arrived)]
        assert 0.5 < max(behind) <= 1.0 + 1e-6


async def test_a_farewell_does_not_add_up(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running(*NAMES):
        await trio.sleep(5)
        rig.store.delay = 0.3
        await trio.sleep(5)
    assert {rig.store.status(name)["state"] for name in NAMES} == {"stopped"}


async def test_a_status_is_whole_and_at_most_a_second_old(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running(*NAMES):
        await trio.sleep(3.3)
        rig.upstream.say(*frames(1, 2, 2))
        await trio.sleep(1)
        status = rig.store.status()
        assert (status["events"], status["duplicates"]) == ("2", "1")
        assert (status["state"], status["contract"]) == ("live", "1")
        assert milliseconds(status["last_event_at"]) == EPOCH + 3300
        await trio.sleep(20)
    for name in NAMES:
        times = [at for at, stream, *_ in rig.store.statuses if stream == name]
        assert all(b - a <= 1 for a, b in pairwise(times[:-1]))
        fields = [set(f) for _, of, f, _ in rig.store.statuses if of == name]
        assert all(a <= b for a, b in pairwise(fields[:-1])), "what is known stays so"


async def test_news_does_not_wait_for_its_second(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.append(Session([7.77, LOST]))
    async with rig.running():
        await trio.sleep(7.78)
        assert rig.store.status()["state"] == "retrying"
        assert rig.store.status()["error"] == str(LOST)
        assert not rig.store.is_alive()


async def test_a_status_comes_again_after_redis_lost_it(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running():
        await trio.sleep(2)
        before = rig.store.status()
        rig.store.trouble = "LOADING"
        await trio.sleep(5)
        rig.store.db, rig.store.trouble = Database(), ""
        await trio.sleep(1.1)
        assert rig.store.status().keys() - {"error"} == before.keys()
        assert rig.store.status()["state"] == "live"


async def test_in_the_end_it_says_that_it_stopped(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running(*NAMES):
        await trio.sleep(5)
        assert all(rig.store.is_alive(name) for name in NAMES)
    assert [rig.store.status(name)["state"] for name in NAMES] == ["stopped"] * 3
    assert not any(map(rig.store.is_alive, NAMES))


async def test_it_tells_until_when_all_is_here_and_what_is_missing(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.rest = True
    async with rig.running():
        await trio.sleep(40)  # two pings are answered
    kept = rig.store.db.of("ratings")
    async with rig.running():
        await trio.sleep(10)
        status = rig.store.status()
        [hole] = kept.holes
        assert milliseconds(status["covered_until"]) == kept.until
        begin, _, end = status["missing"].partition("/")
        assert (milliseconds(begin), milliseconds(end)) == (hole.begin, hole.end)
        assert hole.begin == EPOCH + 30_000, "what the last ping tells"
        assert not rig.store.is_alive()


# ----------------------------------------------------------------- when it is not alive


async def test_who_listens_hears_why_nothing_is_fresh(
    rig: Rig, autojump_clock: MockClock
) -> None:
    slept = 0
    rig.clock = lambda: now() + slept
    async with rig.running():
        await trio.sleep(20)
        rig.upstream.say(rig.lost)
        await trio.sleep(60)
        slept = 7_200_000
        await trio.sleep(60)
        rig.store.poison = "Some Company"  # it hangs over this
        rig.upstream.say(frame(1))
        await trio.sleep(3)
        rig.store.poison = ""
        await trio.sleep(60)
    gone = ("disconnected", "silent", "behind", "stopped")
    assert rig.store.fresh == [word for why in gone for word in ("1", f"0 {why}")]


async def test_not_alive_while_it_says_goodbye_to_a_lost_connection(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.goodbye = 2.0
    rig.upstream.sessions.append(Session([5.0, LOST]))
    async with rig.running():
        await trio.sleep(6.5)
        assert not rig.store.is_alive()


async def test_not_alive_with_a_backlog(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running():
        await trio.sleep(5)
        rig.store.poison = "Some Company"  # writes hang, statuses do not
        rig.upstream.say(frame(1))
        await trio.sleep(3)
        status = rig.store.status()
        assert (status["backlog"], status["spooled"]) == ("1", "1")
        assert not rig.store.is_alive()
        rig.store.poison = ""
        await trio.sleep(20)
        assert rig.store.status()["backlog"] == "0"
        assert rig.store.is_alive()


async def test_not_alive_while_a_replay_is_read_that_may_bring_what_is_missing(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(5)
    async with rig.running():
        await trio.sleep(1.5)  # the status has been written since
        assert rig.store.status()["state"] == "live"
        assert not rig.store.is_alive()
        await trio.sleep(4)
        assert not rig.store.gaps()
        assert rig.store.is_alive()


async def test_not_alive_with_old_changes_in_memory_alone(
    rig: Rig, disk: Disk, autojump_clock: MockClock
) -> None:
    async with rig.running():
        await trio.sleep(5)
        rig.store.poison = "Some Company"
        disk.delay = 10
        rig.upstream.say(frame(1))
        await trio.sleep(bridge.STALE + 2)
        assert rig.store.status()["spooled"] == "0"
        assert rig.store.status()["state"] == "live"
        assert not rig.store.is_alive()
        rig.store.poison, disk.delay = "", 0
        await trio.sleep(30)
        assert rig.store.is_alive()


async def test_not_alive_while_it_takes_long_though_all_of_it_works(
    rig: Rig, disk: Disk, autojump_clock: MockClock
) -> None:
    async with rig.running():
        await trio.sleep(5)
        rig.store.delay, disk.delay = 2.0, 30
        rig.upstream.say(*frames(*range(1_000)))
        await trio.sleep(bridge.STALE + 2)
        assert rig.intake.status.error == ""
        assert rig.backlog.disk.count == 0
        assert rig.line.presence() == ("connected", "behind")
        rig.store.delay = disk.delay = 0
        await trio.sleep(100)
        assert rig.line.presence() == ("fresh", "")


@pytest.mark.parametrize("takes_changes", [True, False])
async def test_not_alive_while_redis_may_have_come_back_older(
    rig: Rig,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    *,
    takes_changes: bool,
) -> None:
    """Out of memory, say, it takes a status and no changes."""
    async with rig.running():
        await trio.sleep(5)
        saved = rig.store.saved()
        rig.upstream.say(frame(1))
        await trio.sleep(6.2)
        assert rig.store.is_alive()
        rig.store.trouble = "down"
        await trio.sleep(20)
        with monkeypatch.context() as patch:
            if not takes_changes:
                refuse_changes(patch, "Redis refused: OOM")
            rig.store.db, rig.store.trouble = saved, ""
            rig.store.statuses.clear()
            await trio.sleep(60)
            alive_at = [at for at, _, _, alive in rig.store.statuses if alive]
            assert rig.store.numbers() == [1] * takes_changes
            assert bool(alive_at) == rig.store.is_alive() == takes_changes
        await trio.sleep(10)
        assert rig.store.numbers() == [1]
        assert rig.store.is_alive()


async def test_not_alive_before_redis_knows_of_the_connection(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    refuse_changes(monkeypatch, "NOPERM")
    async with rig.running():
        await trio.sleep(10)
        assert rig.store.status()["state"] == "live"
        assert "NOPERM" in rig.store.status()["error"]
        assert not rig.store.is_alive()


async def test_not_alive_while_anything_goes_back(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """What Redis lost is old, though it waits since just now."""
    async with rig.running():
        await trio.sleep(5)
        rig.upstream.say(frame(1))
        await trio.sleep(5)
        queue = rig.backlog.queue
        assert rig.line.presence() == ("fresh", "")
        queue.go_back(queue.batch([], None), queue.next - 2)
        assert queue.goes_back
        assert rig.line.presence() == ("connected", "behind")
        await trio.sleep(10)
        assert rig.line.presence() == ("fresh", "")


async def test_not_alive_once_nothing_is_heard_of_redis(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running():
        await trio.sleep(10)
        assert rig.line.presence() == ("fresh", "")
        rig.store.hangs = True
        await trio.sleep(16)  # the next ping is not due, so nothing waits
        assert not len(rig.backlog)
        assert rig.line.presence() == ("connected", "missing")
        rig.store.hangs = False


async def test_a_server_that_evicts_is_told_of_once(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    async with rig.running(*NAMES):
        await trio.sleep(10)
        rig.store.evicts = "set maxmemory-policy noeviction"
        await trio.sleep(30)
        assert not any(map(rig.store.is_alive, NAMES))
        for name in NAMES:
            assert rig.store.status(name)["error"] == rig.store.evicts
        rig.store.evicts = ""
        await trio.sleep(1)
        assert all(map(rig.store.is_alive, NAMES))
        told = [each for each in said if each["log_level"] == "warning"]
        assert [each["error"] for each in told] == ["set maxmemory-policy noeviction"]
        rig.store.evicts = "set it again"
        await trio.sleep(30)
    told = [each for each in said if each["log_level"] == "warning"]
    assert [each["error"] for each in told][1:] == ["set it again"]
