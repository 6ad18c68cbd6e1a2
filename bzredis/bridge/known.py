"""Whose messages Redis holds: asked until it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from random import Random
from typing import Final, Protocol

import trio

from bzredis.backoff import delays
from bzredis.errors import StoreDown

AGAIN_FIRST: Final = 0.5  # s until Redis is asked again for the symbols, …
AGAIN_LAST: Final = 5.0  # … and at the most


class Symbols(Protocol):
    """Return the symbols that a stream has brought; raises StoreDown."""

    def __call__(self) -> Awaitable[Sequence[str]]: ...


async def known(symbols: Symbols, rng: Random) -> Sequence[str]:
    """Return the symbols, however long Redis is away."""
    for delay in delays(AGAIN_FIRST, AGAIN_LAST, rng=rng):
        try:
            return await symbols()
        except StoreDown:
            pass  # the writer tells of it
        await trio.sleep(delay)
    raise AssertionError  # there is always one more delay
