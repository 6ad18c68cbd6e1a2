"""Events at full speed: how many a second, and what each of them costs."""

from __future__ import annotations

import time
from typing import Any, Final

import trio

from benching.feed.feeder import Gone
from benching.measures.work import logged, resident, worked
from benching.turn import Turn

LIMIT: Final = 120.0  # s for one load
LOOK: Final = 0.02  # s between looks at the log's length


async def load(
    turn: Turn, first: int, count: int, symbols: int = 0
) -> dict[str, float]:
    """Send these events at full speed, and wait until all stand in the log."""
    client, log, pid = turn.client, turn.log, turn.process.pid
    await turn.feeder("make", turn.stream, first, count, symbols)
    had = logged(client, log)
    before = worked(client, pid)
    began = await turn.feeder("flood", turn.stream, first, count, symbols)
    await written(client, log, had + count, turn.process)
    took = time.perf_counter() - began
    work = worked(client, pid).since(before, count)
    work["both_us"] = sum(work.values())
    return {"events_per_s": count / took, **work, "rss_mb": resident(pid)}


async def written(client: Any, log: str, count: int, process: trio.Process) -> None:
    """Wait until a side has written so many entries to its log."""
    with trio.move_on_after(LIMIT) as limit:
        while logged(client, log) < count:
            if process.poll() is not None:
                raise Gone("ended by itself")
            await trio.sleep(LOOK)
    if limit.cancelled_caught:
        there = logged(client, log)
        raise Gone(f"{there:,} of {count:,} were written within {LIMIT:.0f} s")
