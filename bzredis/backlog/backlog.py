"""What was read and is not yet in Redis, in one order across memory and disk.

Putting never waits: while a reader waits, nobody answers upstream's PINGs. What Redis
has not confirmed within a second goes to the spool, so that neither memory nor a crash
bounds how long Redis may be away.

    put ──▶ memory ──(1 s)──▶ spool ──▶ batch ──▶ confirm
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Final, NoReturn, Protocol, TypeVar

import attrs
import structlog
import trio

from bzredis.backlog.notes import EARLIEST, ENTRY, LOST
from bzredis.errors import SpoolFull, SpoolLocked

log = structlog.get_logger(__name__)

# A kill may cost the last second (contract.md, 5): these two together are less.
PATIENCE: Final = 0.7  # s until what Redis has not confirmed goes to disk
LOOK: Final = 0.1  # s between looks at the oldest change
# A flood brings some 20 MB within that second, and goes on while the disk is at work:
# so many bytes of packed changes go at once …
MEMORY: Final = 8 * 2**20
CROWDED: Final = 2 * MEMORY  # … and from so many on a reader waits for the disk
# s that another process, a backup say, may keep us from the disk until a stream is
# closed for it; so long memory holds what comes, if it is no more than CROWDED.
LOCKED: Final = 3.0
AHEAD: Final = 2 * 2**20  # bytes: some five batches that a reader may be ahead …
BREATH: Final = 0.5  # … and s that it waits: upstream's PINGs can be answered so late
# Bytes, or half the limit, that must be free before a closed stream opens again.
ROOM: Final = 4 * 2**20
BEFORE_ALL: Final = -(2**62)  # a number below that of any change
ROOM_LOOK: Final = 1.0  # s between looks whether there is room again

T = TypeVar("T")

Row = tuple[int, bytes]


class Spool(Protocol):
    """Changes on disk; blocking. See `bzredis.backlog.spool`."""

    def append(
        self, stream: str, rows: Sequence[Row], notes: Mapping[str, str], /
    ) -> None:
        """Add changes at the end, and notes, in one step; raises SpoolFull."""

    def oldest(self, stream: str, limit: int, /) -> list[Row]:
        """Return the oldest changes."""

    def remove(self, stream: str, last: int, /) -> int:
        """Remove the changes up to a number; return how many they were."""

    def note(self, name: str, value: str | None = None, /) -> str:
        """Return, or set, what is noted under a name."""

    @property
    def room(self) -> int:
        """Bytes that still fit, as far as the limit goes."""

    @property
    def limit(self) -> int:
        """Bytes that it may hold."""


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
    # The log's newest entry that Redis has acknowledged. Beside what waits on disk, so
    # that the next process notices a Redis that comes back older, too.
    entry: str = ""
    earliest: int | None = None  # ms: how far back goes what Redis acknowledged
    lost: int | None = None  # ms: since when Redis lost something; being repaired
    # Whether Redis has taken a batch, or none, since it last failed: it may have come
    # back older, and only then that is noticed.
    assured: bool = True
    # What else the next process has to know, as notes.
    others: Callable[[], Mapping[str, str]] = dict
    _noted: dict[str, str] = attrs.field(factory=dict)
    _next: int = 0
    _memory: deque[tuple[float, Item]] = attrs.field(factory=deque)
    _bytes: int = 0
    _confirmed: int = BEFORE_ALL
    announced: int = BEFORE_ALL  # up to here stand gaps, which nothing else tells of
    sent: int = BEFORE_ALL  # up to here changes are on their way to it, or were
    _closed: bool = False
    _news: trio.Event = attrs.field(factory=trio.Event)
    _progress: trio.Event = attrs.field(factory=trio.Event)
    _progressed_at: float = -BREATH
    _trouble: trio.Event = attrs.field(factory=trio.Event)
    _told: str = ""  # the trouble with the disk that a person was told of
    on_disk: trio.Lock = attrs.field(factory=trio.Lock)
    _leaving: bool = False
    _working: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    def resume(self, spool: Spool, count: int, last: int) -> None:
        """Begin, or go on, with what stands on disk."""
        self.spool, self.spooled, self._last = spool, count, last
        self._next = max(self._next, last + 1)
        names = (*self.others(), *self._notes(waits=True))
        self._noted = {name: spool.note(name) for name in names}
        self.entry = self._noted[ENTRY + self.stream] if count else ""
        self.earliest = _number(self._noted[EARLIEST + self.stream]) if count else None
        self.lost = _number(self._noted[LOST + self.stream])
        self._news.set()

    def put(self, packed: bytes) -> int:
        """Keep a packed change; return its number."""
        number = self._next
        self._next += 1
        self._memory.append((trio.current_time(), Item(number, packed)))
        self._bytes += len(packed)
        self._news.set()
        return number

    async def breathe(self) -> None:
        """Let others catch up, for half a second at the most.

        A reader in a flood would leave a writer no time, and drive all through the
        disk. A writer that stands still is not waited for. The disk is: a reader may be
        faster, and fill the memory while it works.
        """
        with trio.move_on_after(BREATH):
            while self._is_far_ahead():
                self._progress = trio.Event()
                await self._progress.wait()

    def _is_far_ahead(self) -> bool:
        if self._bytes > CROWDED and self.on_disk.locked():
            return True
        return self._bytes > AHEAD and self._makes_progress()

    def _makes_progress(self) -> bool:
        return trio.current_time() - self._progressed_at < BREATH

    async def arrival(self) -> None:
        """Wait until something is here, or nothing will come any more."""
        while not len(self) and not self._closed:
            self._news = trio.Event()
            await self._news.wait()

    @property
    def unsaved(self) -> list[Item]:
        """What waits in memory alone, oldest first."""
        return [item for _, item in self._memory]

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
                return [Item(*row) for row in await self._work(read)]
        await trio.lowlevel.checkpoint()
        return [item for _, item in islice(self._memory, limit)]

    async def confirm(self, last: int) -> None:
        """Let go of the changes up to number `last`: Redis has them."""
        self._confirmed = last
        self._progressed_at = trio.current_time()
        self._progress.set()
        while self._memory and self._memory[0][1].number <= last:
            self._bytes -= len(self._memory.popleft()[1].packed)
        if self.spooled or self.on_disk.locked():  # perhaps just on its way there
            async with self.on_disk:
                await self._forget()

    async def _forget(self) -> None:
        """Remove from disk what Redis has."""
        if self.spooled:
            remove = partial(self.spool.remove, self.stream, self._confirmed)
            self.spooled -= await self._work(remove)

    async def spill(self) -> NoReturn:
        """Move to disk what Redis has not confirmed in time, until cancelled."""
        while True:
            await trio.sleep(LOOK)
            if self.age() > PATIENCE or self._bytes > MEMORY:
                await self.flush()

    async def flush(self) -> bool:
        """Move to disk all that is in memory, and return whether that worked.

        Where it does not fit, note `full`.
        """
        async with self.on_disk:
            return await self._write(self.unsaved)

    async def keep(self) -> None:
        """Have on disk what is news to the next process."""
        async with self.on_disk:
            left = {**self.others(), LOST + self.stream: _text(self.lost)}
            if news := self._news_of(left):
                # What counts as announced is so once that is on disk, too.
                if self._memory and self._memory[0][1].number <= self.announced:
                    await self._write(self.unsaved)
                else:
                    await self._append([], news)

    async def _write(self, items: list[Item]) -> bool:
        """Move the changes to disk, with what the next process has to know.

        In one step: a kill in between would have a gap announced twice, or never.
        """
        rows = [(item.number, item.packed) for item in items]
        notes = self._notes(waits=bool(rows or self.spooled))
        if not await self._append(rows, self._news_of({**self.others(), **notes})):
            return False
        self.spooled += len(rows)
        self._last = items[-1].number if items else self._last
        while self._memory and self._memory[0][1].number <= self._last:
            self._bytes -= len(self._memory.popleft()[1].packed)
        self._progress.set()
        return True

    async def _append(self, rows: list[Row], news: dict[str, str]) -> bool:
        """Append to the spool; return whether that has it."""
        if not rows and not news:
            return True
        try:
            await self._work(partial(self.spool.append, self.stream, rows, news))
        except SpoolFull as error:
            if rows:  # what is to be noted alone is tried again
                self._note_trouble(error)
            return False
        if not self.full:
            self._told = ""
        self._noted |= news
        return True

    async def _work(self, call: Callable[[], T]) -> T:
        """Have the disk do something, in a thread; one thing at a time (`on_disk`).

        What it does is waited for, or nobody would know whether it is done. Only as we
        leave it may be cancelled: a disk may hang for ever.
        """
        with trio.CancelScope(shield=not self._leaving) as self._working:
            return await trio.to_thread.run_sync(call, abandon_on_cancel=True)
        raise AssertionError  # nobody cancels just this

    def leave(self) -> None:
        """Wait for the disk no longer than those who call may wait."""
        self._leaving = True
        self._working.shield = False

    def _notes(self, *, waits: bool) -> dict[str, str]:
        notes = {LOST + self.stream: _text(self.lost)}
        # A Redis that came back older is not to be taken for that again once it has
        # all. Where nothing waits this need not be kept up.
        if waits:
            notes[ENTRY + self.stream] = self.entry
            notes[EARLIEST + self.stream] = _text(self.earliest)
        return notes

    def _news_of(self, notes: Mapping[str, str]) -> dict[str, str]:
        return {n: text for n, text in notes.items() if text != self._noted.get(n, "")}

    def _note_trouble(self, error: SpoolFull) -> None:
        """Tell of it once, and note `full` unless it may pass in a moment."""
        is_locked = isinstance(error, SpoolLocked)
        words = "the spool is locked" if is_locked else "the spool is full"
        if words != self._told:
            tell = log.warning if is_locked else log.error
            tell(words, stream=self.stream, error=str(error))
            self._told = words
        if is_locked and self.age() < LOCKED and self._bytes <= CROWDED:
            return
        self.full = True
        self._trouble.set()

    async def filled(self) -> None:
        """Wait until there is no room on disk for what is read."""
        while not self.full:
            self._trouble = trio.Event()
            await self._trouble.wait()

    async def has_room(self) -> None:
        """Wait until what waits in memory is on its way, and there is room for more."""
        while self.full:
            await trio.sleep(ROOM_LOOK)
            await self.flush()
            enough = min(ROOM, self.spool.limit // 2)
            self.full = bool(self._memory) or self.spool.room < enough
        self._told = ""

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


def _text(number: int | None) -> str:
    return "" if number is None else str(number)


def _number(text: str) -> int | None:
    return int(text) if text else None
