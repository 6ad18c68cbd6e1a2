"""What one process read of one stream, as far as memory holds it. Pure.

    back   what Redis had, lost, and gets once more
    disk   (the spool's; here it is only known that it lies between)
    fresh  what was read last

and behind them what Redis confirmed, held in case that it comes back older.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

import attrs

from bzredis.ports import Batch, Item, Log

HELD: Final = 10_000  # confirmed changes kept for a Redis that comes back older, …
HELD_BYTES: Final = 20 * 2**20  # … as long as they are no more than this


@attrs.define
class Queue:
    """One log, numbered as it is put."""

    log: Log
    next: int = 0
    size: int = 0  # bytes of what is fresh
    _back: deque[Item] = attrs.field(factory=deque)
    _fresh: deque[tuple[float, Item]] = attrs.field(factory=deque)
    _held: deque[Item] = attrs.field(factory=deque)
    _held_bytes: int = 0
    # Before this change of this log something is lacking in Redis that nobody holds.
    _lacking: tuple[str, int] | None = None

    def put(self, packed: bytes, at: float) -> int:
        """Keep a packed change that came at a time (s); return its number."""
        number = self.next
        self.next += 1
        self._fresh.append((at, Item(self.log, number, packed)))
        self.size += len(packed)
        return number

    def back(self, limit: int) -> list[Item]:
        return list(islice(self._back, limit))

    def fresh(self, limit: int, after: int = 0) -> list[Item]:
        """Return the oldest of what is fresh, but for so many."""
        return [item for _, item in islice(self._fresh, after, after + limit)]

    @property
    def goes_back(self) -> bool:
        """Whether Redis lacks something that it had."""
        return bool(self._back)

    def unsaved(self) -> list[Item]:
        """Return all that waits in memory alone; on disk its numbers order it."""
        return [*self._back, *(item for _, item in self._fresh)]

    def oldest_at(self) -> float | None:
        """Return when (s) the oldest fresh change came."""
        return self._fresh[0][0] if self._fresh else None

    def __len__(self) -> int:
        return len(self._back) + len(self._fresh)

    def batch(self, items: Sequence[Item], since: int | None) -> Batch:
        """Make changes of one log into a batch; without any, into a question."""
        log, first = (items[0].log, items[0].number) if items else (self.log, self.next)
        packed = [item.packed for item in items]
        may_hold = self._lacking != (log.id, first)
        return Batch(log, first, packed, since, may_hold)

    def let_go(self, items: Sequence[Item]) -> None:
        """Let go of changes, as far as they wait here: the disk has them, or Redis."""
        first, last = items[0].number, items[-1].number
        went_back = []  # while the disk was at work: that stays
        while self._back and self._back[0].number < first:
            went_back.append(self._back.popleft())
        while self._back and self._back[0].number <= last:
            self._back.popleft()
        while self._fresh and self._fresh[0][1].number <= last:
            self.size -= len(self._fresh.popleft()[1].packed)
        self._back.extendleft(reversed(went_back))

    def confirmed(self, items: Sequence[Item]) -> None:
        """Let go of these: Redis has them. Those of our own log are held on to."""
        self._lacking = None
        if not items or items[0].log.id != self.log.id:
            return
        self.let_go(items)
        self._held.extend(items)
        self._held_bytes += sum(len(item.packed) for item in items)
        while len(self._held) > HELD or (
            self._held_bytes > HELD_BYTES and len(self._held) > 1
        ):
            self._held_bytes -= len(self._held.popleft().packed)

    def go_back(self, batch: Batch, at: int) -> int:
        """Put what is held between `at` and a batch in front; return how many.

        Redis has the batch's log only up to number `at`. Where more is lacking than is
        held, the next attempt will say so.
        """
        again = []
        is_own = batch.log.id == self.log.id
        while is_own and self._held and self._held[-1].number > at:
            again.append(self._held.pop())
            self._held_bytes -= len(again[-1].packed)
        again = [item for item in reversed(again) if item.number < batch.first]
        self._back.extendleft(reversed(again))
        first = again[0].number if again else batch.first
        if first > at + 1:
            self._lacking = (batch.log.id, first)
        return len(again)
