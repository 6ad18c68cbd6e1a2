"""Whether the cost of an event stays the same: with more symbols, and more events."""

from __future__ import annotations

from typing import Final

from benching.measures.throughput import load
from benching.measures.work import used_memory
from benching.turn import Turn

WARM: Final = 10_000  # events before it counts
WINDOW: Final = 10_000  # events of one look
FEW: Final = 60  # symbols
MANY: Final = 6_000


async def of_symbols(turn: Turn, symbols: int) -> dict[str, float]:
    """Return the work for an event among so many symbols."""
    await load(turn, 0, WARM, symbols)
    return await load(turn, WARM, WINDOW, symbols)


async def of_events(turn: Turn, events: int) -> dict[str, float]:
    """Return work and memory around 10⁴ events, and after many more."""
    before, between = WARM - WINDOW // 2, events - WARM - 3 * WINDOW // 2
    found = dict[str, float]()
    await load(turn, 0, before, MANY)
    for name, first in (("early", before), ("late", events - WINDOW)):
        told = await load(turn, first, WINDOW, MANY)
        told["redis_mb"] = used_memory(turn.client)
        found |= {f"{name}_{key}": value for key, value in told.items()}
        if name == "early" and between > 0:
            await load(turn, before + WINDOW, between, MANY)
    return found
