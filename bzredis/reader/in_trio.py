"""The same for trio, for which redis-py has no client: each call runs in a thread."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Literal, Self, TypeVar, overload

import attrs
import trio

from bzredis.reader.asking import Redis
from bzredis.reader.error import ReaderError
from bzredis.reader.following import NOW, Follower
from bzredis.reader.reader import Reader
from bzredis.reader.values import (
    Consensus,
    Entry,
    Gap,
    Hash,
    Insight,
    Rating,
    Status,
)

T = TypeVar("T")


async def _in_thread(
    call: Callable[[], T], limiter: trio.CapacityLimiter | None = None
) -> T:
    """Make a call; one that is cancelled is left to itself, and ends soon."""
    return await trio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=limiter)


@attrs.define(eq=False)
class Events(AsyncIterator[Entry | Gap]):
    """What comes in a log, one by one.

    No generator: that would end where a wait for the next one is cancelled. Here
    nothing is lost by it.
    """

    _reader: Reader = attrs.field(repr=False)
    _at: Follower
    _told: deque[Entry | Gap] = attrs.field(init=False, repr=False, factory=deque)
    # Its own, since it holds a thread all the time, and trio gives 40 to all.
    _limiter: trio.CapacityLimiter = attrs.field(
        init=False, repr=False, factory=partial(trio.CapacityLimiter, 1)
    )

    async def __anext__(self) -> Entry | Gap:
        """Wait for the next one. Raises ReaderError where waiting would not help."""
        await trio.lowlevel.checkpoint()
        self._at.look()
        while not self._told:
            if self._at.ended:
                raise StopAsyncIteration
            wait = 0.0
            # Only the asking: a thread that was left to itself must move nothing.
            ask = partial(self._reader.ask, *self._at.ask())
            try:
                answers = await _in_thread(ask, self._limiter)
            except ReaderError as error:
                wait = self._at.lost(error)
            else:
                self._told.extend(self._at.answer(answers))
            await trio.sleep(wait)
        return self._told.popleft()


class TrioReader:
    """A Reader whose methods do not hold up trio; what they give and raise: there."""

    def __init__(self, url: str | Redis, prefix: str = "bz") -> None:
        self._reader = Reader(url, prefix)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(prefix={self._reader.prefix!r})"

    @overload
    async def latest(
        self, stream: Literal["ratings"], symbol: str
    ) -> Rating | None: ...
    @overload
    async def latest(
        self, stream: Literal["insights"], symbol: str
    ) -> Insight | None: ...
    @overload
    async def latest(
        self, stream: Literal["consensus"], symbol: str
    ) -> Consensus | None: ...
    @overload
    async def latest(self, stream: str, symbol: str) -> Hash | None: ...

    async def latest(self, stream: str, symbol: str) -> Hash | None:
        return await _in_thread(partial(self._reader.latest, stream, symbol))

    async def symbols(self, stream: str) -> tuple[str, ...]:
        return await _in_thread(partial(self._reader.symbols, stream))

    async def opinions(self, symbol: str) -> tuple[Rating, ...]:
        return await _in_thread(partial(self._reader.opinions, symbol))

    async def history(
        self, stream: str, symbol: str, count: int = 50
    ) -> tuple[Entry, ...]:
        return await _in_thread(partial(self._reader.history, stream, symbol, count))

    async def recent(self, stream: str, count: int = 50) -> tuple[Entry | Gap, ...]:
        return await _in_thread(partial(self._reader.recent, stream, count))

    async def read(self, call: Callable[[Reader], T]) -> T:
        """Read what takes several questions, in one thread: `call` is given a Reader.

        It has to return what it read, no iterator that would go on to read.
        """
        return await _in_thread(partial(call, self._reader))

    def events(self, stream: str, after: str = NOW, *, follow: bool = True) -> Events:
        return Events(self._reader, self._reader.follower(stream, after, follow=follow))

    async def status(self, stream: str) -> Status:
        return await _in_thread(partial(self._reader.status, stream))

    async def fresh(self, stream: str) -> bool:
        return await _in_thread(partial(self._reader.fresh, stream))

    def close(self) -> None:
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
