"""Redis answers, but takes nothing, or not this, or its answer is lost."""

from __future__ import annotations

import trio
from faults import model
from faults.checker import Keys, Tally
from faults.proxy import Proxy
from faults.rig import Rig, until
from redis import Redis


async def waits(rig: Rig, word: str) -> None:
    """Wait until Redis has refused for a while, for this reason."""
    await until(lambda: word in rig.bridge.said())
    await trio.sleep(0.9)  # long enough for the disk


async def test_no_memory_left(rig: Rig) -> None:
    await rig.start()
    async with rig.talking():
        with rig.redis() as redis:
            redis.config_set("maxmemory", 100_000)
            await waits(rig, "maxmemory")
            redis.config_set("maxmemory", 0)
    await rig.without_gaps()


async def test_a_permission_that_is_withdrawn_and_given_back(rig: Rig) -> None:
    with rig.redis() as redis:
        redis.execute_command("ACL SETUSER bz on >s3cr3t ~bz:* &bz:* +@all")
        url = rig.server.url.replace("//", "//bz:s3cr3t@")
        rig.bridge = rig.another("user", redis=url)
        await rig.start()
        async with rig.talking():
            redis.execute_command("ACL SETUSER bz -copy")
            await waits(rig, "COPY on")
            redis.execute_command("ACL SETUSER bz +copy")
    await rig.without_gaps()


async def test_scripts_are_flushed(rig: Rig) -> None:
    await rig.start()
    with rig.redis() as redis:
        async with rig.talking():
            for _ in range(10):
                await trio.sleep(rig.rng.random() / 5)
                redis.script_flush()
    await rig.without_gaps()


async def test_a_replica_cannot_be_written(rig: Rig) -> None:
    await rig.start()
    with rig.redis() as redis:
        async with rig.talking():
            redis.replicaof("127.0.0.1", "1")
            await waits(rig, "read only")
            redis.replicaof("NO", "ONE")
    await rig.without_gaps()


async def test_answers_are_lost_after_the_batch_was_applied(rig: Rig) -> None:
    proxy = Proxy(rig.server.port)
    await rig.nursery.start(proxy.serve)
    rig.bridge = rig.another("far", redis=f"redis://127.0.0.1:{proxy.port}")
    await rig.start()
    async with rig.talking():
        await trio.sleep(0.3)
        proxy.swallow_answers = True  # each connection that learns of it is dead
        await until(lambda: proxy.swallowed)
        await trio.sleep(0.2)
        proxy.swallow_answers = False
        proxy.swallow = True
        await trio.sleep(0.5)
        proxy.swallow = False
        proxy.delay = 0.05
        await trio.sleep(4.5)  # as long as an answer may take
        proxy.cut()
    await rig.without_gaps()


async def test_one_poisonous_key(rig: Rig) -> None:
    rig.press.symbols = 8  # so that it comes up often
    with rig.redis() as redis:
        redis.set("bz:ratings:latest:T3", "poison")
        await rig.start()
        rig.publish(300)

        def everything(tally: Tally) -> bool:
            return tally.logged + tally.refused == tally.sent

        await rig.settled(everything)
        redis.delete("bz:ratings:latest:T3")
        tally = await rig.settled(lambda t: t.is_sound and everything(t))
        assert tally.refused > 0
        assert set(refused_symbols(redis)) == {"T3"}
        await until(lambda: rig.status()["error"].startswith("refused WRONGTYPE"))


def refused_symbols(redis: Redis) -> list[str]:
    entries = Keys(redis, "bz:ratings").entries("rejected")
    return [model.message(fields["raw"]).symbol for _, fields in entries]
