"""How long to wait before trying again: pure, the caller does the waiting."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

# A dropped connection holds its slot upstream for a few seconds, and until then a new
# one is refused with 429 (upstream.md, 1).
FIRST = 2.0  # s
LAST = 15.0  # s


def delays(first: float = FIRST, last: float = LAST, *, rng: Random) -> Iterator[float]:
    """Yield delays in seconds without end: jittered, doubling, at most `last`.

    Each lies between half its ceiling and the whole, so that bridges that were dropped
    together do not come back together.
    """
    ceiling = first
    while True:
        yield rng.uniform(ceiling / 2, ceiling)
        ceiling = min(2 * ceiling, last)
