"""A kill costs the last second at the most, and hides nothing."""

from __future__ import annotations

import pytest
import trio
from fakes import Rig, frame, frames, now
from trio.testing import MockClock


def until(rig: Rig) -> int | None:
    """Return until when Redis has all."""
    return rig.store.db.of("ratings").until


@pytest.mark.parametrize("more", range(0, 10, 2))  # whenever it comes
async def test_a_kill_costs_the_last_second_at_the_most(
    rig: Rig, more: int, autojump_clock: MockClock
) -> None:
    count = 100 + more
    async with rig.killed():
        await trio.sleep(1)
        rig.store.trouble = "LOADING"
        for n in range(count):
            rig.upstream.say(frame(n))
            await trio.sleep(0.1)
    rig.store.trouble = ""
    rig.upstream.cache = frames(*range(80, count))
    async with rig.running():
        await trio.sleep(10)
        assert rig.store.numbers() == list(range(count))
        assert not rig.store.gaps()
        assert rig.store.is_alive()
    sources = [c["source"] for c in rig.store.db.of("ratings").log]
    # The first ones came while the first connection's replay might have gone on.
    assert sources[50:].count("replay") <= 10


async def test_a_kill_and_a_replay_that_holds_what_was_known_leave_no_gap(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.killed():
        await trio.sleep(5)
        rig.upstream.say(*frames(1, 2))
        await trio.sleep(5)
    rig.upstream.cache = frames(2, 3)
    async with rig.running():
        await trio.sleep(10)
        assert rig.store.is_alive()
    assert rig.store.numbers() == [1, 2, 3]
    assert not rig.store.gaps()


async def test_a_kill_does_not_hide_a_gap(rig: Rig, autojump_clock: MockClock) -> None:
    """The next replay knows what the killed process read, and that proves nothing."""
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(5)
    heard = until(rig)
    rig.store.trouble = "LOADING"
    rig.upstream.cache = frames(7, 8)
    async with rig.killed():
        await trio.sleep(20)
    rig.store.trouble = ""
    async with rig.running():
        await trio.sleep(20)
        assert rig.store.numbers() == [1, 7, 8]
        [gap] = rig.store.gaps()
        assert (gap["begin"], gap["recovered"]) == (heard, 2)
    async with rig.running():
        await trio.sleep(20)
        assert len(rig.store.gaps()) == 1


@pytest.mark.parametrize("moment", [0.0, 0.1, 0.5, 2.0, 2.5, 4.0])
async def test_a_kill_soon_after_redis_is_back_does_not_hide_a_gap(
    rig: Rig, moment: float, autojump_clock: MockClock
) -> None:
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(5)
    heard = until(rig)
    rig.upstream.cache = frames(7, 8)
    rig.store.trouble, rig.store.delay = "LOADING", 0.05
    async with rig.killed():
        await trio.sleep(20.05)
        rig.store.trouble = ""
        await trio.sleep(moment)
    async with rig.running():
        await trio.sleep(20)
    assert rig.store.numbers() == [1, 7, 8]
    assert [gap["begin"] for gap in rig.store.gaps()] == [heard]


@pytest.mark.parametrize("ends", ["killed", "running"])
async def test_an_answer_lost_before_the_end_does_not_hide_a_gap(
    ends: str, rig: Rig, autojump_clock: MockClock
) -> None:
    """Redis took a replayed message and nobody heard: the next process sends it too."""
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(5)
    heard = until(rig)
    rig.upstream.cache = frames(7, 8)
    rig.store.lost_answers = 1
    async with getattr(rig, ends)():
        while rig.store.lost_answers:
            await trio.sleep(0.01)
        rig.store.trouble = "LOADING"
        await trio.sleep(20)
    rig.store.trouble = ""
    async with rig.running():
        await trio.sleep(20)
    assert rig.store.numbers() == [1, 7, 8]
    assert [gap["begin"] for gap in rig.store.gaps()] == [heard]


async def test_a_gap_after_a_kill_holds_what_the_kill_cost(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """A status may tell of a frame that neither Redis nor the disk has."""
    async with rig.killed():
        await trio.sleep(9.9)
        rig.store.most = -1  # no batch goes through, but the status does
        rig.upstream.say(frame(1))
        read_at = now()
        await trio.sleep(0.3)
    rig.store.most = 10**9
    rig.upstream.cache = frames(7)
    async with rig.running():
        await trio.sleep(20)
        assert rig.store.numbers() == [7]
        assert rig.store.gaps_over(read_at) == rig.store.gaps()
        assert len(rig.store.gaps()) == 1


@pytest.mark.parametrize("moment", [59.9, 60.1, 60.5, 60.9, 61.2, 61.8])
async def test_a_kill_as_a_gap_is_announced_does_not_hide_it(
    rig: Rig, moment: float, autojump_clock: MockClock
) -> None:
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(5)
    heard = until(rig)
    rig.upstream.cache = frames(7)
    rig.rest = True
    async with rig.killed():
        await trio.sleep(30)
        rig.store.hangs = True
        await trio.sleep(moment - 30)
    rig.store.hangs, rig.rest = False, False
    async with rig.running():
        await trio.sleep(20)
    assert [gap["begin"] for gap in rig.store.gaps()] == [heard]


@pytest.mark.parametrize("moment", [60.0, 60.3, 60.6, 61.0, 62.0, 70.0])
async def test_a_gap_is_announced_once_however_the_answer_is_lost(
    rig: Rig, moment: float, autojump_clock: MockClock
) -> None:
    """The next process sees it announced, or finds its mark on disk."""
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(5)
    heard = until(rig)
    rig.upstream.cache = frames(7)
    rig.rest = True
    async with rig.killed():
        await trio.sleep(40)
        rig.store.is_mute = True
        await trio.sleep(moment - 40)
    rig.store.is_mute = False
    for _ in range(2):
        async with rig.running():
            await trio.sleep(80)
            assert rig.store.is_alive()
    assert [gap["begin"] for gap in rig.store.gaps()] == [heard]
