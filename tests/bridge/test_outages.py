"""Redis away, or slow, or refusing."""

from __future__ import annotations

import random

import pytest
import trio
from fakes import (
    BY_NAME,
    Database,
    Disk,
    Rig,
    Said,
    frame,
    frames,
)
from trio.testing import MockClock

from bzredis.backlog import backlog
from bzredis.errors import FeedLost

LOST = FeedLost("upstream went away")
NAMES = tuple(BY_NAME)


# ------------------------------------------------------------------------ away, or slow


async def test_redis_is_not_there_at_the_start(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    rig.store.trouble = "cannot reach Redis: refused"
    rig.upstream.cache = frames(1, 2)
    async with rig.running(*NAMES):
        await trio.sleep(100)
        rig.upstream.say(frame(3))
        await trio.sleep(1)
        assert rig.spool.count("ratings") >= 3
        assert rig.intake.status.error == rig.store.trouble
        rig.store.trouble = ""
        await trio.sleep(5)
        assert rig.store.numbers() == [1, 2, 3]
        assert rig.store.is_alive()
        assert not rig.store.gaps(), "a first start has none"
        assert len(rig.upstream.asked) == 1
    told = [e for e in said if "stopp" not in e["event"] and e["log_level"] != "debug"]
    assert [e["log_level"] for e in told] == ["warning", "info", "info"]
    assert told[0]["error"] == "cannot reach Redis: refused"
    assert told[1]["seconds"] == pytest.approx(101, abs=5)
    assert told[1]["waited"] > 2 * len(NAMES), "also what was connected, and heard"
    assert "fresh" in told[2]["event"]


async def overtake(rig: Rig, disk: Disk, seconds: float) -> None:
    """Have Redis take at last what is on its way to a disk that hangs."""
    disk.delay = seconds
    rig.store.trouble = "LOADING"
    rig.upstream.say(*frames(1, 2, 3))
    await trio.sleep(3)
    rig.store.trouble = ""
    await trio.sleep(5)


@pytest.mark.parametrize("wait", [0.05, 20.0])
async def test_a_disk_that_hangs_holds_up_nothing_while_redis_takes_all(
    rig: Rig, disk: Disk, autojump_clock: MockClock, wait: float
) -> None:
    """Also where Redis was away just as long as to make something go to disk."""
    async with rig.running():
        await trio.sleep(wait)
        await overtake(rig, disk, 3_600)
        rig.upstream.say(*frames(4, 5))
        await trio.sleep(5)
        assert rig.store.numbers() == [1, 2, 3, 4, 5]
        assert rig.store.is_alive()
        disk.delay = 0  # at last
        await trio.sleep(3_600)
        assert rig.spool.count("ratings") == len(rig.backlog) == 0
        assert rig.store.is_alive()
        rig.upstream.say(frame(6))
        await trio.sleep(5)
        assert rig.store.numbers() == [1, 2, 3, 4, 5, 6]


async def test_what_overtook_the_disk_and_went_back_is_not_removed_from_it(
    rig: Rig, disk: Disk, autojump_clock: MockClock
) -> None:
    async with rig.running():
        await trio.sleep(20)
        await overtake(rig, disk, 50)
        assert rig.store.numbers() == [1, 2, 3]
        rig.store.db = Database()
        await trio.sleep(300)
        assert rig.store.numbers() == [1, 2, 3]
        assert rig.spool.count("ratings") == len(rig.backlog) == 0
        assert rig.store.is_alive()


async def test_a_flood_while_redis_is_away_is_bounded_and_all_arrives(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(backlog, "MEMORY", 100_000)
    rng = random.Random(1)
    async with rig.running():
        await trio.sleep(1)
        rig.store.trouble = "LOADING"
        peak = 0
        for n in range(3000):
            rig.upstream.say(frame(n, 300))
            if rng.random() < 0.5:
                await trio.sleep(0.002)
            peak = max(peak, rig.backlog.queue.size)
        assert 90_000 < peak < 100_000 + 0.2 * 1000 * 2000
        await trio.sleep(1)
        assert rig.backlog.queue.size == 0
        assert rig.backlog.disk.count >= 3000
        rig.store.trouble = ""
        rig.upstream.say(frame(3000))
        await trio.sleep(10)
        assert rig.store.numbers() == list(range(3001))
        assert rig.spool.count("ratings") == 0
    assert len(rig.upstream.asked) == 1


@pytest.mark.parametrize("seed", range(8))
async def test_order_holds_through_whatever_redis_does(
    rig: Rig, disk: Disk, seed: int, autojump_clock: MockClock
) -> None:
    rng = random.Random(seed)
    disk.delay = rng.choice([0, 0.01, 0.2])
    saved = rig.store.saved()
    async with rig.running():
        await trio.sleep(1)
        for n in range(400):
            rig.upstream.say(frame(n))
            await trio.sleep(rng.choice([0, 0, 0, 0.05, 0.4]))
            match rng.randrange(80):
                case 0:
                    rig.store.trouble = "LOADING"
                case 1:
                    rig.store.trouble = ""
                case 2:
                    rig.store.lost_answers += 1
                case 3:
                    saved = rig.store.saved()
                case 4:
                    rig.store.db = saved
                    saved = rig.store.saved()
                case 5:
                    rig.store.delay = rng.choice([0, 0.01, 1.0])
        rig.store.trouble, rig.store.delay = "", 0
        await trio.sleep(30)
        assert rig.store.numbers() == list(range(400))
        assert not rig.store.gaps()
        assert len(rig.backlog) == 0
        assert rig.spool.count("ratings") == 0


async def test_whose_records_changed_is_known_though_the_answer_was_lost(
    rig: Rig, autojump_clock: MockClock
) -> None:
    concerned: list[str] = []
    async with rig.running():
        rig.intake.on_symbols = concerned.extend
        await trio.sleep(3)
        rig.store.lost_answers = 1
        rig.upstream.say(frame(1))
        await trio.sleep(20)
        assert rig.store.numbers() == [1]
        rig.upstream.say(frame(1))
        await trio.sleep(5)
    assert concerned == ["T1"]


async def test_what_redis_refuses_is_told(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    rig.store.refuses = f"{2:024x}"
    async with rig.running():
        await trio.sleep(1)
        rig.upstream.say(*frames(1, 2, 3))
        await trio.sleep(2)
        status = rig.store.status()
        assert (status["events"], status["rejected"]) == ("2", "1")
        assert "WRONGTYPE" in status["error"]
    assert len([e for e in said if e["log_level"] == "error"]) == 1
