"""How long it takes from just before a frame is written until it is in the log.

Measured alike for all: a thread that does nothing else reads the log as any consumer
does (XREAD BLOCK), and notes when each entry came. The n-th entry is the n-th event.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any, Final

import redis
import trio

from benching.feed.feeder import Feeder, Gone
from benching.measures.throughput import written
from benching.measures.work import logged
from benching.turn import Turn

WARM: Final = 500  # events at first: who compiles while it runs has done so
REST: Final = 0.5  # s between two loads
LATE: Final = 10.0  # s after which an event will not come any more
BLOCK: Final = 100  # ms of one XREAD

Loads = Mapping[int, int]  # events a second -> how many


async def latency(turn: Turn, loads: Loads) -> dict[str, float]:
    """Return median and 99 % in ms, for each rate."""
    await turn.feeder("flood", turn.stream, 0, WARM)
    await written(turn.client, turn.log, WARM, turn.process)
    found, first = dict[str, float](), WARM
    for rate, count in loads.items():
        await trio.sleep(REST)
        asked = ("pace", turn.stream, first, count, float(rate))
        found |= await _measured(turn.feeder, turn.client, turn.log, asked)
        first += count
    return found


async def floor(feeder: Feeder, client: Any, loads: Loads) -> dict[str, float]:
    """Return the same of an XADD without anybody between: what the measuring costs."""
    place = client.connection_pool.connection_kwargs
    log, found = "bz:ratings:events", dict[str, float]()
    for rate, count in loads.items():
        address = (place["host"], place["port"], log)
        asked = ("floor", address, count, float(rate))
        found |= await _measured(feeder, client, log, asked)
    return found


async def _measured(
    feeder: Feeder, client: Any, log: str, asked: tuple[Any, ...]
) -> dict[str, float]:
    *_, count, rate = asked
    sent, seen = list[float](), list[float]()
    last = _last(client, log)
    until = time.perf_counter() + count / rate + LATE

    async def watch() -> None:
        seen.extend(
            await trio.to_thread.run_sync(
                _watch, client, log, last, count, until, abandon_on_cancel=True
            )
        )

    lost: Gone | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        try:
            sent.extend(await feeder(*asked))
        except Gone as gone:  # not out of the nursery: it would come in a group
            lost = gone
            nursery.cancel_scope.cancel()
    if lost is not None:
        raise lost
    if len(seen) < count:
        raise Gone(f"{len(seen)} of {count} events came within {LATE:.0f} s")
    took = sorted(1e3 * (b - a) for a, b in zip(sent, seen, strict=False))
    name = f"{rate:.0f}_per_s"
    p99 = took[min(count - 1, int(count * 0.99))]
    return {f"{name}_p50_ms": statistics.median(took), f"{name}_p99_ms": p99}


def _last(client: Any, log: str) -> bytes:
    if not logged(client, log):
        return b"0-0"
    return bytes(client.xinfo_stream(log)["last-generated-id"])


def _watch(client: Any, log: str, last: bytes, count: int, until: float) -> list[float]:
    """Return when each entry came; fewer than `count` where they did not."""
    seen = list[float]()
    # Below redis-py's commands: what they make of an answer is not to be measured.
    wire = client.connection_pool.make_connection()
    try:
        while len(seen) < count and time.perf_counter() < until:
            wire.send_command("XREAD", "BLOCK", BLOCK, "STREAMS", log, last)
            answer = wire.read_response()
            now = time.perf_counter()
            for entry, _ in _entries(answer):
                seen.append(now)
                last = entry
    except redis.ConnectionError:
        return seen
    finally:
        wire.disconnect()
    return seen


def _entries(answer: Any) -> Any:
    """Return the entries of the one stream, as RESP2 or RESP3 say it; () for none."""
    if not answer:
        return ()
    if isinstance(answer, dict):
        return next(iter(answer.values()))
    return answer[0][1]
