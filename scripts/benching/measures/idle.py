"""What a side holds and works while nothing happens but PING."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

import trio

from benching.feed.feeder import Feeder
from benching.feed.frames import Stream
from benching.measures.work import of_process, proportional, resident
from benching.sides import Place, Side, started
from benching.turn import connected, server

SETTLE: Final = 3.0  # s from the connection on
ALL: Final[tuple[Stream, ...]] = ("ratings", "insights", "consensus")


async def idle(
    feeder: Feeder, sides: Sequence[Side], seconds: float
) -> dict[str, dict[str, float]]:
    """Run sides beside each other for so long; return MB and per cent of a core.

    The bridge with its three streams, as it runs by default, each peer with one.
    """
    async with AsyncExitStack() as stack:
        running, _, folder = await stack.enter_async_context(server())
        port = await feeder("listen")
        processes, wires = {}, 0
        for side in sides:
            streams = ALL if side.name == "bridge" else ALL[:1]
            its = (folder / side.name, side.name, streams)
            place = Place(port, running.url, *its)
            wires += len(streams)
            processes[side.name] = await stack.enter_async_context(started(side, place))
        await connected(feeder, wires, *processes.values())
        await trio.sleep(SETTLE)
        before = {name: of_process(each.pid) for name, each in processes.items()}
        began = trio.current_time()
        await feeder("ping", seconds)
        took = trio.current_time() - began
        found = {
            name: {
                "rss_mb": resident(each.pid),
                "pss_mb": proportional(each.pid),
                "cpu_percent": 100 * (of_process(each.pid) - before[name]) / took,
            }
            for name, each in processes.items()
        }
        await feeder("close")
    return found
