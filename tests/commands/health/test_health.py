"""What counts as hanging, and what a restart would not mend."""

from __future__ import annotations

import pytest
import trio
from fakes import Disk, Rig, frames
from trio.testing import MockClock

from bzredis.backlog import backlog
from bzredis.commands.health.health import HUNG, Health
from bzredis.errors import FeedLost, FeedRefused

NAMES = ("ratings", "insights")


async def hung_in(health: Health, seconds: float) -> float | None:
    """Return after how many s it first said that something hangs."""
    began = trio.current_time()
    while trio.current_time() - began < seconds:
        if health.hangs():
            return trio.current_time() - began
        await trio.sleep(1)
    return None


async def test_a_bridge_to_which_nothing_comes_works(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running(*NAMES) as bridge:
        assert await hung_in(Health(bridge), 600) is None


async def test_a_redis_that_is_away_is_nothing_that_hangs(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running(*NAMES) as bridge:
        await trio.sleep(10)
        rig.store.trouble = "connection refused"
        rig.upstream.say(*frames(1, 2, 3))
        assert await hung_in(Health(bridge), 600) is None
        rig.store.trouble, rig.store.delay = "", 11  # nearly as long as a call may take
        assert await hung_in(Health(bridge), 600) is None
        rig.store.delay = 0


async def test_an_upstream_that_is_away_is_nothing_that_hangs(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running(*NAMES) as bridge:
        for upstream in rig.upstreams.values():
            upstream.sessions.extend([FeedLost("no route")] * 1_000)
        await trio.sleep(1)
        assert await hung_in(Health(bridge), 600) is None


@pytest.mark.parametrize("call", ["apply", "write_status"])
async def test_what_never_comes_back_hangs(
    rig: Rig,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    """Each call has a limit: what waits for longer would do so for ever."""

    async def never(*_: object) -> None:
        await trio.sleep_forever()

    async with rig.running(*NAMES) as bridge:
        await trio.sleep(60)
        health = Health(bridge)
        with monkeypatch.context() as patch:
            patch.setattr(type(rig.store), call, never)
            after = await hung_in(health, 600)
            assert after is not None
            assert HUNG - 10 < after < HUNG + 10
            words = health.hangs()
            for name in NAMES:
                assert name in words
            assert ("status" in words) == (call == "write_status")
            bridge.stop.set()
            await trio.sleep(5)


async def test_a_disk_that_is_waited_for_is_nothing_that_a_restart_would_mend(
    rig: Rig, disk: Disk, autojump_clock: MockClock
) -> None:
    async with rig.running(*NAMES) as bridge:
        await trio.sleep(5)
        rig.store.trouble = "connection refused"
        rig.upstream.say(*frames(1, 2, 3))
        await trio.sleep(backlog.SPILL_AFTER * 3)
        assert rig.backlog.disk.count
        disk.delay = 200
        rig.store.trouble = ""
        assert await hung_in(Health(bridge), 390) is None
        await trio.sleep(60)
        disk.delay = 0
        await trio.sleep(1_000)
        assert rig.store.numbers() == [1, 2, 3]


async def test_how_it_is_stands_in_words(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running(*NAMES) as bridge:
        health = Health(bridge)
        assert health.summary() == "all streams: not fresh: not connected yet"
        await trio.sleep(30)
        assert health.is_fresh()
        assert health.summary() == "all is fresh"
        rig.upstream.sessions.append(FeedRefused("HTTP 403"))
        rig.upstream.say(FeedLost("it went away"))
        await trio.sleep(1)
        assert [*health.words()] == [
            "ratings: not fresh: no connection to upstream (it went away)",
            "insights: fresh",
        ]
        assert not health.is_fresh()
        rig.store.trouble = "NOAUTH"
        await trio.sleep(30)
        assert "ratings: not fresh: upstream refuses us (" in health.summary()
        assert "insights: not fresh: what was read waits" in health.summary()
        assert "NOAUTH" in health.summary()
