"""One stream's part of the spool: one call at a time, each in a thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import attrs
import trio

from bzredis.ports import Item, Spool

T = TypeVar("T")


@attrs.define(eq=False)
class Disk:
    """What of one stream waits on disk. All but `count` may raise SpoolFull."""

    stream: str
    spool: Spool
    lock: trio.Lock = attrs.field(factory=trio.Lock)  # whoever calls holds it
    count: int = attrs.field()
    since: int | None = attrs.field()
    _is_counted: bool = True  # False: a call was left to itself, and may have worked
    _leaving: bool = False
    _working: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    @count.default
    def _count_what_an_earlier_process_left(self) -> int:
        return self.spool.count(self.stream)

    @since.default
    def _read_since(self) -> int | None:
        return self.spool.since(self.stream)

    async def append(self, items: Sequence[Item]) -> None:
        def put() -> int:
            self.spool.append(self.stream, items)
            return len(items)

        await self._counted(put)

    async def oldest(self, limit: int) -> list[Item]:
        return await self._work(partial(self.spool.oldest, self.stream, limit))

    async def remove(self, log: str, last: int) -> None:
        await self._counted(lambda: -self.spool.remove(self.stream, log, last))

    async def note_since(self, at: int) -> None:
        """Keep from when on the stream is followed: an emptied Redis does not know."""
        await self._work(partial(self.spool.since, self.stream, at))
        self.since = at

    async def _counted(self, call: Callable[[], int]) -> None:
        """Have the disk do what changes its count, by what the call returns."""
        was_counted = self._is_counted

        def done() -> int:
            by = call()
            return self.count + by if was_counted else self.spool.count(self.stream)

        self._is_counted = False
        try:
            self.count = await self._work(done)
        except Exception:  # then it did nothing; what is cancelled may go on
            self._is_counted = was_counted
            raise
        self._is_counted = True

    def leave(self) -> None:
        """Wait for the disk no longer than those who call may wait."""
        self._leaving = True
        self._working.shield = False

    async def _work(self, call: Callable[[], T]) -> T:
        """Have the disk do something, and wait, or nobody would know whether it did.

        Only as we leave that may be cancelled: a disk may hang for ever.
        """
        with trio.CancelScope(shield=not self._leaving) as self._working:
            return await trio.to_thread.run_sync(call, abandon_on_cancel=True)
        raise AssertionError  # nobody cancels just this
