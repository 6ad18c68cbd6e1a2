"""The sampler catches a lie: else its zeros would tell nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from faults import sampler
from faults.rig import Rig, until
from faults.sampler import Sampler
from faults.worker import Worker
from redis import Redis


async def test_it_catches_a_lie(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "BOUND", 1.5)
    found = Sampler(rig, rest=False)
    await rig.start()
    rig.publish(30)
    await rig.settled()  # what is on its way for longer than that would be a lie, too
    async with trio.open_nursery() as nursery:
        nursery.start_soon(found.run)
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


@pytest.mark.parametrize("trouble", ["", "upstream_drops", "redis_out_of_reach"])
async def test_alive_may_outlive_who_cannot_take_it_away(
    rig: Rig, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler, "BOUND", 1.0)
    found = Sampler(rig, rest=False, troubles=lambda: f"clock_jumps, {trouble}")
    await rig.start()
    rig.publish(30)
    await rig.settled()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(found.run)
        await rig.bridge.stop()
        rig.publish(3, "ratings")
        with rig.redis() as redis:
            redis.set("bz:ratings:alive", "somebody")
        await until(lambda: sum(found.lateness.values()) > 1.5)
        assert bool(found.lies) == (trouble != "redis_out_of_reach")
        nursery.cancel_scope.cancel()


def empty(redis: Redis) -> None:
    redis.flushall()
    redis.set("bz:ratings:alive", "somebody")


def make_latest_older(redis: Redis) -> None:
    for key in redis.keys("bz:ratings:latest:*"):
        redis.hset(key, "_version", "1")


def take_latest_away(redis: Redis) -> None:
    redis.delete(*redis.keys("bz:ratings:latest:*"))


def put_something_else_there(redis: Redis) -> None:
    for key in redis.keys("bz:ratings:latest:*"):
        redis.set(key, "mine")


@pytest.mark.parametrize(
    "harm", [empty, make_latest_older, take_latest_away, put_something_else_there]
)
async def test_what_is_gone_or_older_is_a_lie_at_once(
    rig: Rig, harm: Callable[[Redis], None], monkeypatch: pytest.MonkeyPatch
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
            await until(lambda: found.fresh > 1)
            assert found.lies == 0
            harm(redis)
        await until(lambda: found.lies > 0)
        nursery.cancel_scope.cancel()
    assert "latest:" in found.first or harm is empty


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
        await until(lambda: not rig.redis_length("ratings:events"))
        await until(lambda: found.fresh > 1)
        assert found.lies == 0
        nursery.cancel_scope.cancel()
    assert "older" not in rig.bridge.said()
