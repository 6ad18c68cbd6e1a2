"""What was read and is not yet in Redis, in one order across memory and disk.

Putting never waits: while a reader waits, nobody answers upstream's PINGs. What Redis
has not confirmed within a second goes to the spool, so that neither memory nor a crash
bounds how long Redis may be away.

    put ──▶ memory ──(1 s)──▶ spool ──▶ batch ──▶ confirm
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Final, NoReturn, Protocol

import attrs
import structlog
import trio

from bzredis.errors import SpoolFull

log = structlog.get_logger(__name__)

PATIENCE: Final = 1.0  # s until what Redis has not confirmed goes to disk
LOOK: Final = 0.25  # s between looks at the oldest change
# In a flood, memory alone would grow by some 50 MB within that second.
MEMORY: Final = 8 * 2**20  # bytes of packed changes
ROOM: Final = 4 * 2**20  # bytes that must be free before a closed stream opens again
ROOM_LOOK: Final = 1.0  # s between looks whether there is room again

Row = tuple[int, bytes]


class Spool(Protocol):
    """Changes on disk; blocking. See `bzredis.spool`."""

    def append(self, stream: str, rows: Sequence[Row], /) -> None:
        """Add changes at the end; raises SpoolFull."""

    def oldest(self, stream: str, limit: int, /) -> list[Row]:
        """Return the oldest changes."""

    def remove(self, stream: str, last: int, /) -> int:
        """Remove the changes up to a number; return how many they were."""

    @property
    def room(self) -> int:
        """Bytes that still fit."""


@attrs.frozen
class Item:
    """A packed change, and its number in the stream's order."""

    number: int
    packed: bytes


@attrs.define
class Backlog:
    """One stream's changes, kept until Redis has confirmed them."""

    stream: str
    spool: Spool
    spooled: int = 0  # changes on disk …
    _last: int = -1  # … and the number of the last of them
    full: bool = False
    _next: int = 0
    _memory: deque[tuple[float, Item]] = attrs.field(factory=deque)
    _bytes: int = 0
    _confirmed: int = -(2**62)
    _closed: bool = False
    _news: trio.Event = attrs.field(factory=trio.Event)
    on_disk: trio.Lock = attrs.field(factory=trio.Lock)

    def resume(self, spool: Spool, count: int, last: int) -> None:
        """Begin, or go on, with what stands on disk."""
        self.spool, self.spooled, self._last = spool, count, last
        self._next = max(self._next, last + 1)
        self._news.set()

    def put(self, packed: bytes) -> int:
        """Keep a packed change; return its number."""
        number = self._next
        self._next += 1
        self._memory.append((trio.current_time(), Item(number, packed)))
        self._bytes += len(packed)
        self._news.set()
        return number

    async def arrival(self) -> None:
        """Wait until something is here, or nothing will come any more."""
        while not len(self) and not self._closed:
            self._news = trio.Event()
            await self._news.wait()

    @property
    def drained(self) -> bool:
        """Whether nothing is here, and nothing will come."""
        return self._closed and not len(self)

    async def batch(self, limit: int) -> list[Item]:
        """Return the oldest changes, `limit` at the most, [] where there are none.

        They stay until `confirm`: what a call returned, the next returns again.
        """
        if self.spooled:
            async with self.on_disk:
                read = partial(self.spool.oldest, self.stream, limit)
                return [Item(*row) for row in await trio.to_thread.run_sync(read)]
        await trio.lowlevel.checkpoint()
        return [item for _, item in islice(self._memory, limit)]

    async def confirm(self, last: int) -> None:
        """Let go of the changes up to number `last`: Redis has them."""
        self._confirmed = last
        while self._memory and self._memory[0][1].number <= last:
            self._bytes -= len(self._memory.popleft()[1].packed)
        if self.spooled or self.on_disk.locked():
            async with self.on_disk:
                await self._forget()

    async def _forget(self) -> None:
        """Remove from disk what Redis has."""
        if self.spooled:
            remove = partial(self.spool.remove, self.stream, self._confirmed)
            self.spooled -= await trio.to_thread.run_sync(remove)

    async def spill(self) -> NoReturn:
        """Move to disk what Redis has not confirmed in time, until cancelled."""
        while True:
            await trio.sleep(LOOK)
            if self.age() > PATIENCE or self._bytes > MEMORY:
                await self.flush()

    async def flush(self) -> None:
        """Move to disk all that is in memory; where it does not fit, note `full`."""
        async with self.on_disk:
            items = [item for _, item in self._memory]
            if not items:
                return
            rows = [(item.number, item.packed) for item in items]
            try:
                append = partial(self.spool.append, self.stream, rows)
                await trio.to_thread.run_sync(append)
            except SpoolFull as error:
                if not self.full:
                    log.error("the spool is full", stream=self.stream, error=str(error))  # noqa: TRY400 - its traceback tells nothing
                self.full = True
                return
            self.spooled += len(rows)
            self._last = items[-1].number
            while self._memory and self._memory[0][1].number <= self._last:
                self._bytes -= len(self._memory.popleft()[1].packed)
            if self._confirmed >= items[0].number:  # meanwhile, by the writer
                await self._forget()

    async def has_room(self) -> None:
        """Wait until what is read can be kept again."""
        while self.full:
            await trio.sleep(ROOM_LOOK)
            if self._bytes + ROOM < self.spool.room or not self.spooled:
                self.full = False

    def close(self) -> None:
        """Take nothing more; `drained` tells when all is confirmed."""
        self._closed = True
        self._news.set()

    def __len__(self) -> int:
        """Return how many changes wait, in memory and on disk."""
        return self.spooled + len(self._memory)

    def age(self) -> float:
        """Return for how many seconds memory's oldest change has waited."""
        return trio.current_time() - self._memory[0][0] if self._memory else 0.0
