"""Our own clock: behind what Redis has, or stepping back while we run."""

from __future__ import annotations

import pytest
import trio
from fakes import Rig, Session, frame, frames, now
from trio.testing import MockClock

from bzredis.changes.kinds import Change, unpack


@pytest.mark.parametrize("delay", [0.0, 0.5, 4.0])
async def test_a_start_before_what_redis_has_is_told_again(
    rig: Rig, delay: float, autojump_clock: MockClock
) -> None:
    """The first `Opened` is late; without another nothing would be alive, or told."""
    kept = rig.store.db.of("ratings")
    async with rig.running():
        await trio.sleep(70)
    until = kept.until
    assert until is not None
    rig.clock = lambda: now() - 20_000  # before `until`
    rig.store.delay = delay
    rig.upstream.cache = frames(7)
    async with rig.running():
        await trio.sleep(0.1)
        assert kept.reader != "me2"
        assert rig.line.presence() != ("fresh", "")
        await trio.sleep(100)
        assert kept.reader == "me2"
        assert rig.line.presence() == ("fresh", "")
        assert kept.until is not None
        assert kept.until > until, "its pings count"
    [gap] = rig.store.gaps()
    assert gap["begin"] == until
    assert rig.store.numbers() == [7]


async def test_it_is_told_again_once_only(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running():
        await trio.sleep(70)
    rig.clock = lambda: now() - 20_000
    async with rig.running():
        await trio.sleep(10)
        rig.store.batches.clear()
        await trio.sleep(10)
        assert sum(rig.store.batches) == 0


async def test_what_is_read_after_a_step_back_is_not_earlier_than_what_was(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """Where some of it is lost, its time tells until when something is missing."""
    async with rig.running():
        await trio.sleep(5)
        rig.store.hangs = True
        rig.upstream.say(frame(1))
        await trio.sleep(0.1)
        rig.intake.clock = lambda: now() - 10_000
        rig.upstream.say(frame(2))
        await trio.sleep(0.1)
        one, two = [unpack(item.packed) for item in rig.backlog.queue.fresh(9)]
        assert isinstance(one, Change)
        assert isinstance(two, Change)
        assert one.t <= two.t
        assert one.received > two.received, "as the clock said"
        rig.store.hangs = False


async def test_a_clock_that_steps_back_writes_no_time_twice(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """Else an `Opened` after it would be late, and hide what was missed."""
    kept = rig.store.db.of("ratings")
    rig.upstream.sessions.extend([Session(), Session(replay=frames(9))])
    async with rig.running():
        await trio.sleep(70)
        rig.upstream.say(frame(1))
        await trio.sleep(1)
        until = kept.until
        rig.intake.clock = lambda: now() - 10_000
        rig.upstream.say(frame(2))
        await trio.sleep(1)
        assert kept.until == until
        rig.upstream.say(rig.lost)
        await trio.sleep(30)
        assert rig.line.presence() == ("fresh", "")
    assert rig.store.numbers() == [1, 2, 9]
    [gap] = rig.store.gaps()
    assert gap["begin"] == until
    assert gap["begin"] < gap["end"]


async def test_who_sleeps_before_redis_ever_answered_is_not_fresh_as_it_wakes(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """Nobody had looked at the clocks of that connection yet, which died meanwhile."""
    rig.upstream.sessions.extend([Session(answers="no")])
    rig.store.trouble = "LOADING"
    async with rig.running():
        await trio.sleep(5)
        rig.intake.clock = lambda: now() + 600_000
        rig.store.trouble = ""
        await trio.sleep(10)
        assert rig.line.presence() == ("connected", "silent")
