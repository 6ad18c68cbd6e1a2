"""The sampler catches a lie: else its zeros would tell nothing."""

from __future__ import annotations

import pytest
import trio
from faults import sampler
from faults.rig import Rig, until
from faults.sampler import Sampler
from faults.worker import Worker


async def test_it_catches_a_lie(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "BOUND", 1.5)
    found = Sampler(rig, rest=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(found.run)
        await rig.start()
        rig.publish(30)
        await rig.settled()
        await until(lambda: found.fresh > 1)
        assert found.lies == 0
        await rig.bridge.stop()
        fresh = found.fresh
        rig.publish(3, "ratings")
        with rig.redis() as redis:
            redis.set("bz:ratings:alive", "somebody")
        await until(lambda: found.lies > 0)
        assert found.fresh > fresh
        assert "ratings was fresh" in found.first
        # Once it is there it is no lie any more.
        await rig.bridge.start()
        await rig.settled()
        await until(rig.is_fresh)
        fresh = found.fresh
        await until(lambda: found.fresh > fresh + 1)
        fresh, lies = found.fresh, found.lies
        await until(lambda: found.fresh > fresh + 1)
        assert found.lies == lies
        nursery.cancel_scope.cancel()


async def test_an_emptied_redis_is_a_lie_at_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler, "BOUND", 1.0)
    found = Sampler(rig, rest=False)
    await rig.start()
    rig.publish(30)
    await rig.settled()
    await rig.bridge.stop()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(found.run)
        with rig.redis() as redis:
            redis.set("bz:ratings:alive", "somebody")
            await until(lambda: found.fresh > 0.3)
            assert found.lies == 0
            redis.flushall()
            redis.set("bz:ratings:alive", "somebody")
        await until(lambda: found.lies > 0)
        nursery.cancel_scope.cancel()


async def test_a_latest_that_is_older_is_a_lie_at_once(rig: Rig) -> None:
    found = Sampler(rig, rest=False)
    await rig.start()
    rig.publish(30)
    await rig.settled()
    await rig.bridge.stop()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(found.run)
        with rig.redis() as redis:
            redis.set("bz:ratings:alive", "somebody")
            await until(lambda: found.fresh > 1)
            assert found.lies == 0
            for key in redis.keys("bz:ratings:latest:*"):
                redis.hset(key, "_version", "1")
            await until(lambda: found.lies > 0)
        nursery.cancel_scope.cancel()
    assert "latest:" in found.first


async def test_a_worker_takes_nothing_from_who_asks_whether_all_is_there(
    rig: Rig,
) -> None:
    """A work queue: XREADGROUP, XACK, XDEL. It is no Redis that came back older."""
    worker = Worker(rig.server.url, "ratings")
    rig.taken["ratings"] = worker.taken
    found = Sampler(rig, rest=False, taken=rig.taken)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(found.run)
        nursery.start_soon(worker.run)
        await rig.start()
        rig.publish(40)
        await until(lambda: len(worker.taken) == 40)
        await rig.settled()
        await until(rig.is_fresh)
        assert rig.redis_length("ratings:events") == 0
        await until(lambda: found.fresh > 1)
        assert found.lies == 0
        nursery.cancel_scope.cancel()
    assert "older" not in rig.bridge.said()
