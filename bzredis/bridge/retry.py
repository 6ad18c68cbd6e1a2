"""How it goes with REST, for one stream, and when to ask again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from random import Random
from typing import Final, Literal

import attrs
import trio

from bzredis.backoff import delays
from bzredis.errors import RestDown, RestRefused, StoreDown
from bzredis.troubles import Kind

RETRY_FIRST: Final = (
    5.0  # s; a call has made a few attempts of its own by then (rest.py)
)
RETRY_LAST: Final = 120.0  # s
REFUSED: Final = 15 * 60.0  # s until who was refused asks again
TOLD_REFUSED: Final = (
    "check that BENZINGA_TOKEN (or the token file) holds the right key and that the "
    "key is entitled to it over REST; tried again in 15 min; --no-rest asks no more"
)
SYMBOLS_FIRST: Final = 0.5  # s until Redis is asked again for its symbols, …
SYMBOLS_LAST: Final = 5.0  # … and at the most

Symbols = Callable[[], Awaitable[Sequence[str]]]


async def known(symbols: Symbols, rng: Random) -> Sequence[str]:
    for delay in delays(SYMBOLS_FIRST, SYMBOLS_LAST, rng=rng):
        with suppress(StoreDown):  # the writer tells of it
            return await symbols()
        await trio.sleep(delay)
    raise AssertionError  # there is always one more delay


@attrs.define(eq=False)
class Retry:
    """One stream's requests, or those for removed records.

    `on_trouble` is told what is wrong, once, and the same without what was asked for;
    at its end "".
    """

    kind: Literal["rest", "removals"]
    on_trouble: Callable[[Kind, str, str], None]
    rng: Random
    _told: str = ""
    _again: Iterator[float] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._again = delays(RETRY_FIRST, RETRY_LAST, rng=self.rng)

    def failed(self, error: RestDown | RestRefused) -> float:
        """Tell of a failure, unless it is the last one again; return the s to wait."""
        words, gist = str(error), error.gist
        if isinstance(error, RestRefused):
            words, gist = (f"{each}: {TOLD_REFUSED}" for each in (words, gist))
            delay = REFUSED
        else:
            delay = max(next(self._again), error.retry_after or 0.0)
        if words != self._told:
            self._told = words
            self.on_trouble(self.kind, words, gist)
        return delay

    def answered(self) -> None:
        if self._told:
            self.__attrs_post_init__()
            self._told = ""
            self.on_trouble(self.kind, "", "")
