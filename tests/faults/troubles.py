"""What can happen to a rig: each a coroutine that ends when all is well again."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Final

import attrs
import trio
from faults.press import STREAMS
from faults.process import Bridge
from faults.proxy import Proxy
from faults.rig import Rig, text_frame, until
from hurt import freeze, restart, thaw
from redis import Redis

from bzredis.simulator.faults import (
    HALF_FRAME,
    INVALID_UTF8,
    RESERVED_BITS,
    RING_BALANCER,
    Refusal,
    RestFaults,
)

LARGE: Final = 5 * 2**20  # bytes of a frame that the bridge takes for too large
SILENCE: Final = 50.0  # s after which a half-open connection has to be given up
FORGOTTEN: Final = 2 * 2**20  # bytes of Redis' AOF, at the most: some 500 messages
BALLAST: Final = 64 * 2**20  # bytes
AWAKE: Final = 60.0  # s within which a bridge has started, on a busy machine too
JUMP: Final = 0.8  # s
LET_GO: Final = 45.0  # s; upstream lets go of who answers no PING for 30
AT_ONCE: Final = 5.0  # s that an orderly stop may take
NONSENSE: Final = ("{", "[1]", '{"a": 1}', "4711", "pong", '{"type": "error"}')


@attrs.define
class Scene:
    """A rig, the line from each bridge to its Redis, and what chance decides."""

    rig: Rig
    lines: Sequence[Proxy]
    rng: Random

    async def some(self, most: float) -> None:
        """Wait for up to so many seconds."""
        await trio.sleep(self.rng.uniform(0.1, most))

    def stream(self) -> str:
        return self.rng.choice(STREAMS)

    def line(self) -> Proxy:
        return self.rng.choice(self.lines)

    def bridge(self) -> Bridge:
        """Return one of them."""
        both = [self.rig.bridge, self.rig.standby or self.rig.bridge]
        return self.rng.choice(both)

    def redis(self) -> Redis:
        return self.rig.redis()

    def rest(self) -> RestFaults:
        """Return what can go wrong with one of REST's paths."""
        faults = self.rig.simulator.rest_faults
        return faults[self.rng.choice(sorted(faults))]

    def forget(self) -> None:
        """Cut off the end of what Redis, which is dead just now, has on disk."""
        [path] = self.rig.server.folder.glob("appendonlydir/*.incr.aof")
        size = path.stat().st_size
        os.truncate(path, max(0, size - self.rng.randrange(FORGOTTEN)))


Trouble = Callable[[Scene], Awaitable[None]]

# ---- Redis, one at a time


async def redis_killed(scene: Scene) -> None:
    await scene.rig.server.kill()
    await scene.some(10)
    await scene.rig.server.start()


async def redis_killed_for_a_moment(scene: Scene) -> None:
    await restart(scene.rig.server)


async def redis_frozen(scene: Scene) -> None:
    freeze(scene.rig.server)
    await scene.some(10)
    thaw(scene.rig.server)


async def redis_without_memory(scene: Scene) -> None:
    with scene.redis() as redis:
        redis.config_set("maxmemory", 100_000)
        await scene.some(6)
        redis.config_set("maxmemory", 0)


async def redis_read_only(scene: Scene) -> None:
    with scene.redis() as redis:
        redis.replicaof("127.0.0.1", "1")
        await scene.some(6)
        redis.replicaof("NO", "ONE")


async def redis_may_evict(scene: Scene) -> None:
    """Let it be about to, and not so long that it does."""
    with scene.redis() as redis:
        # What is left has to be more than what comes meanwhile.
        redis.setrange("ballast", BALLAST - 1, b"\0")
        used = int(redis.info("memory")["used_memory"])
        redis.config_set("maxmemory-policy", "allkeys-lru")
        redis.config_set("maxmemory", int(used / 0.93))
        await scene.some(2)
        redis.config_set("maxmemory", 0)
        redis.config_set("maxmemory-policy", "noeviction")
        assert not redis.info("stats")["evicted_keys"]
        redis.delete("ballast")


async def redis_without_script(scene: Scene) -> None:
    with scene.redis() as redis:
        redis.script_flush()


async def redis_hangs_up(scene: Scene) -> None:
    scene.line().cut()
    await scene.some(1)


async def redis_out_of_reach(scene: Scene) -> None:
    line = scene.line()
    line.shut()
    await scene.some(8)
    await scene.rig.nursery.start(line.serve)


async def redis_answers_get_lost(scene: Scene) -> None:
    line = scene.line()
    line.swallow_answers = True
    await scene.some(2)
    line.swallow_answers = False


async def redis_in_a_black_hole(scene: Scene) -> None:
    line = scene.line()
    line.swallow = True
    await scene.some(8)
    line.swallow = False


async def redis_far_away(scene: Scene) -> None:
    line = scene.line()
    line.delay = scene.rng.uniform(0.01, 0.3)
    await scene.some(6)
    line.delay = 0.0


# ---- the bridges, one at a time


async def bridge_killed(scene: Scene) -> None:
    bridge = scene.bridge()
    await bridge.kill()
    await scene.some(3)
    await bridge.start()
    await until(bridge.is_awake, AWAKE)


async def bridge_stopped(scene: Scene) -> None:
    await _end(scene, signal.SIGTERM)


async def bridge_hung_up_on(scene: Scene) -> None:
    """Close the terminal that it runs in."""
    await _end(scene, signal.SIGHUP)


async def _end(scene: Scene, number: signal.Signals) -> None:
    bridge = scene.bridge()
    took = await bridge.stop(number)
    assert took < AT_ONCE, f"the bridge took {took:.1f} s to stop"
    await scene.some(3)
    await bridge.start()
    await until(bridge.is_awake, AWAKE)


async def bridge_frozen(scene: Scene) -> None:
    bridge = scene.bridge()
    os.kill(bridge.pid, signal.SIGSTOP)
    # So long that upstream lets the other one in, or not.
    await scene.some(scene.rng.choice((8, LET_GO)))
    os.kill(bridge.pid, signal.SIGCONT)


async def bridge_log_stalls(scene: Scene) -> None:
    """Have nobody read what it logs, until the next start."""
    bridge = scene.bridge()
    await bridge.stop()
    bridge.stalls = True
    await bridge.start()
    bridge.stalls = False
    await until(bridge.is_awake, AWAKE)


async def clock_jumps(scene: Scene) -> None:
    """Set the bridge's clock wrong, by less than what a gap may be inexact."""
    if (file := scene.rig.bridge.clock) is not None:
        file.write_text(f"{scene.rng.uniform(-JUMP, JUMP):.3f}", encoding="utf-8")


# ---- upstream


async def upstream_drops(scene: Scene) -> None:
    is_reset = scene.rng.random() < 0.5
    scene.rig.simulator.drop(scene.stream(), reset=is_reset)


async def upstream_drops_all(scene: Scene) -> None:
    for stream in STREAMS:
        scene.rig.simulator.drop(stream)


async def upstream_says_goodbye(scene: Scene) -> None:
    code = scene.rng.choice((1000, 1001, 1011, 4000))
    scene.rig.simulator.close(scene.stream(), code)


async def upstream_breaks_off(scene: Scene) -> None:
    scene.rig.simulator.send_raw(scene.stream(), HALF_FRAME, cut=True)


async def upstream_garbles(scene: Scene) -> None:
    garbage = scene.rng.choice(
        (INVALID_UTF8, RESERVED_BITS, text_frame(b"x" * LARGE), b"\x82\x02\xff\xfe")
    )
    scene.rig.simulator.send_raw(scene.stream(), garbage)


async def upstream_talks_nonsense(scene: Scene) -> None:
    stream = scene.stream()
    for text in NONSENSE:
        scene.rig.simulator.publish(stream, text)


async def upstream_bursts(scene: Scene) -> None:
    scene.rig.publish(scene.rng.randrange(300), scene.stream())


async def upstream_refuses(scene: Scene) -> None:
    stream = scene.stream()
    faults = scene.rig.simulator.faults[stream]
    faults.refuse = scene.rng.choice((Refusal(502), RING_BALANCER, Refusal(429)))
    scene.rig.simulator.drop(stream)
    await scene.some(15)
    faults.refuse = None


async def upstream_hangs_up(scene: Scene) -> None:
    stream = scene.stream()
    faults = scene.rig.simulator.faults[stream]
    faults.hang_up = True
    scene.rig.simulator.drop(stream)
    await scene.some(15)
    faults.hang_up = False


async def upstream_half_open(scene: Scene) -> None:
    scene.rig.simulator.freeze(scene.stream())
    await trio.sleep(SILENCE)


async def upstream_answers_no_close(scene: Scene) -> None:
    faults = scene.rig.simulator.faults[scene.stream()]
    faults.ignore_close = True
    await scene.some(10)
    faults.ignore_close = False


# ---- REST


async def redis_forgets(scene: Scene) -> None:
    """Bring Redis back as it was a moment ago: its last commands never got to disk."""
    await scene.rig.server.kill()
    scene.forget()
    await scene.rig.server.start()


async def rest_refuses(scene: Scene) -> None:
    faults = scene.rest()
    faults.refuse = scene.rng.choice((Refusal(503), RING_BALANCER, Refusal(429)))
    await scene.some(20)
    faults.refuse = None


async def rest_hangs_up(scene: Scene) -> None:
    faults = scene.rest()
    faults.hang_up = True
    await scene.some(20)
    faults.hang_up = False


async def rest_takes_its_time(scene: Scene) -> None:
    faults = scene.rest()
    faults.delay = scene.rng.uniform(0.5, 15)
    await scene.some(20)
    faults.delay = 0.0


async def rest_breaks_off(scene: Scene) -> None:
    faults = scene.rest()
    faults.truncated = True
    await scene.some(20)
    faults.truncated = False


async def rest_is_a_web_page(scene: Scene) -> None:
    faults = scene.rest()
    faults.html = True
    await scene.some(20)
    faults.html = False


async def rest_pages_are_ragged(scene: Scene) -> None:
    """Count pages from 1, or make them of odd sizes."""
    assert scene.rig.archive is not None
    scene.rig.archive.ragged = scene.rng.choice(("from 1", "odd", "again"))
    await scene.some(20)
    scene.rig.archive.ragged = ""


Rows = tuple[tuple[Trouble, ...], ...]

# What cannot happen twice at the same time stands in one row.
TROUBLES: Final[Rows] = (
    (
        redis_killed,
        redis_killed_for_a_moment,
        redis_frozen,
        redis_without_memory,
        redis_read_only,
        redis_without_script,
        redis_may_evict,
    ),
    (
        redis_hangs_up,
        redis_out_of_reach,
        redis_answers_get_lost,
        redis_in_a_black_hole,
        redis_far_away,
    ),
    (
        bridge_killed,
        bridge_stopped,
        bridge_hung_up_on,
        bridge_frozen,
        bridge_log_stalls,
    ),
    (clock_jumps,),
    (upstream_drops, upstream_drops_all, upstream_says_goodbye, upstream_bursts),
    (upstream_breaks_off, upstream_garbles, upstream_talks_nonsense),
    (upstream_refuses, upstream_hangs_up, upstream_answers_no_close),
    (upstream_half_open,),
)
WITH_REST: Final[Rows] = (
    (*TROUBLES[0], redis_forgets),
    *TROUBLES[1:],
    (rest_refuses, rest_hangs_up, rest_takes_its_time),
    (rest_breaks_off, rest_is_a_web_page),
    (rest_pages_are_ragged,),
)
