"""What was read and is not yet in Redis, in one order across memory and disk.

Putting never waits: while a reader waits, nobody answers upstream's PINGs. What Redis
has not confirmed within a second goes to the spool, so that neither memory nor a crash
bounds how long Redis may be away.

    put ──▶ memory ──(1 s)──▶ disk ──▶ batch ──▶ confirm
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NoReturn

import attrs
import trio
from trio.lowlevel import ParkingLot

from bzredis.backlog.disk import Disk
from bzredis.backlog.queue import Queue
from bzredis.errors import SpoolFull, SpoolLocked, SpoolUnusable
from bzredis.ports import Applied, Batch, Behind, Item

# A kill may cost the last second (contract.md, 5): these two together are less.
SPILL_AFTER: Final = 0.7  # s until what Redis has not confirmed goes to disk
POLL: Final = 0.1  # s between looks at the oldest change
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
SAVING_AGAIN: Final = 0.1  # s between tries at the end
ROOM_POLL: Final = 1.0  # s between looks whether there is room again


@attrs.define(eq=False)
class Backlog:
    """One stream's changes, kept until Redis has confirmed them."""

    queue: Queue
    disk: Disk
    full: bool = False
    _closed: bool = False
    _since: int | None = None  # as Redis said: the disk may be too full to know
    _news: ParkingLot = attrs.field(factory=ParkingLot)
    _progress: ParkingLot = attrs.field(factory=ParkingLot)
    _progressed_at: float = -BREATH
    _trouble: ParkingLot = attrs.field(factory=ParkingLot)
    # Up to here Redis took what was on its way to the disk.
    _overtaken: Item | None = None
    wrong: str = ""  # what is wrong with the disk, in words

    # ---- the reader's side

    def put(self, packed: bytes) -> int:
        """Keep a packed change; return its number."""
        number = self.queue.put(packed, trio.current_time())
        if self._news:  # as a rule the writer is at work
            self._news.unpark_all()
        return number

    async def breathe(self) -> None:
        """Let others catch up, for half a second at the most.

        A reader in a flood would leave a writer no time, and drive all through the
        disk. A writer that stands still is not waited for. The disk is: a reader may be
        faster, and fill the memory while it works.
        """
        if self._is_far_ahead():
            with trio.move_on_after(BREATH):
                while self._is_far_ahead():
                    await self._progress.park()

    def _is_far_ahead(self) -> bool:
        if self.queue.size > CROWDED and self.disk.lock.locked():
            return True
        if self.queue.size <= AHEAD:
            return False
        return trio.current_time() - self._progressed_at < BREATH  # it makes progress

    def close(self) -> None:
        self._closed = True
        self._news.unpark_all()

    # ---- the writer's side

    async def arrival(self) -> None:
        """Wait until something is here, or nothing will come any more."""
        while not len(self) and not self._closed:
            await self._news.park()

    @property
    def drained(self) -> bool:
        """Whether nothing is here, and nothing will come."""
        return self._closed and not len(self)

    async def oldest(self, limit: int) -> list[Item]:
        """Return the oldest changes, all of one log, [] where there are none.

        They stay until `confirm`: what a call returned, the next returns again.
        """
        if items := self.queue.back(limit):
            return items
        if self.disk.count:
            async with self.disk.lock:
                items = await self.disk.oldest(limit)
        return items or self.queue.fresh(limit)  # at once: others' turn is at Redis

    def following(self, items: Sequence[Item], limit: int) -> list[Item]:
        """Return what `oldest` will return after these, as it looks now.

        [] where that waits in something else than this memory.
        """
        if self.disk.count or self.queue.goes_back:
            return []
        return self.queue.fresh(limit, len(items))

    def batch(self, items: Sequence[Item]) -> Batch:
        since = self.disk.since if self._since is None else self._since
        return self.queue.batch(items, since)

    async def confirm(self, items: Sequence[Item], applied: Applied) -> None:
        """Let go of the changes of a batch: Redis has them."""
        self._progressed_at = trio.current_time()
        self.queue.confirmed(items)
        self._progress.unpark_all()
        if (since := applied.coverage.since) is not None and since != self._since:
            self._since = since
            self._news.unpark_all()  # for `spill`
        if items and self.disk.count:
            async with self.disk.lock:
                await self.disk.remove(items[-1].log.id, items[-1].number)
        elif items and self.disk.lock.locked():
            # Perhaps they are just on their way to the disk, which may hang.
            self._overtaken = items[-1]
        await trio.lowlevel.checkpoint()

    def go_back(self, batch: Batch, behind: Behind) -> int:
        """Put again what Redis had and has no more; return how much of it is here."""
        self._overtaken = None
        return self.queue.go_back(batch, behind.at)

    # ---- the disk

    async def spill(self) -> NoReturn:
        """Move to disk what Redis has not confirmed in time, until cancelled."""
        while True:
            while not self._may_spill():
                await self._news.park()
            await trio.sleep(POLL)
            await self._keep_since()
            if self.age() > SPILL_AFTER or self.queue.size > MEMORY:
                await self.flush()

    def _may_spill(self) -> bool:
        """Tell whether there is something to look after: else nobody looks."""
        return self.queue.oldest_at() is not None or self._new_since() is not None

    def _new_since(self) -> int | None:
        """Return what Redis said and the disk does not know."""
        return None if self._since == self.disk.since else self._since

    async def _keep_since(self) -> None:
        """Keep what an emptied Redis does not know; the writer does not wait for it."""
        if (since := self._new_since()) is not None:
            async with self.disk.lock:
                with suppress(SpoolFull):  # then it is tried again
                    await self.disk.note_since(since)

    async def flush(self) -> bool:
        """Move to disk all that is in memory, and return whether that worked.

        Where it does not fit, note `full`.
        """
        await self._keep_since()
        async with self.disk.lock:
            if items := self.queue.unsaved():
                try:
                    await self.disk.append(items)
                except SpoolFull as error:
                    self._note_trouble(error)
                    return False
                self.queue.let_go(items)
                self._progress.unpark_all()
            if done := self._overtaken:
                with suppress(SpoolFull):  # else Redis is sent it again, and skips it
                    await self.disk.remove(done.log.id, done.number)
                self._overtaken = None
            if not self.full:
                self.wrong = ""
        return True

    async def save(self) -> None:
        """Flush at the end, as long as there is time and the disk refuses."""
        with suppress(SpoolUnusable):  # that was told, or the next start tells it
            while not await self.flush():  # noqa: ASYNC110 - no Event tells of a lock
                await trio.sleep(SAVING_AGAIN)

    def _note_trouble(self, error: SpoolFull) -> None:
        """Note it, and `full` unless it may pass in a moment."""
        self.wrong = str(error)
        is_locked = isinstance(error, SpoolLocked)
        if is_locked and self.age() < LOCKED and self.queue.size <= CROWDED:
            return
        self.full = True
        self._trouble.unpark_all()

    async def filled(self) -> None:
        """Wait until there is no room on disk for what is read."""
        while not self.full:
            await self._trouble.park()

    async def has_room(self) -> None:
        """Wait until what waits in memory is on its way, and there is room for more."""
        while self.full:
            await trio.sleep(ROOM_POLL)
            await self.flush()
            enough = min(ROOM, self.disk.spool.limit // 2)
            self.full = bool(len(self.queue)) or self.disk.spool.room < enough
        self.wrong = ""

    def __len__(self) -> int:
        return self.disk.count + len(self.queue)

    def age(self) -> float:
        """Return for how many seconds memory's oldest change has waited."""
        at = self.queue.oldest_at()
        return 0.0 if at is None else trio.current_time() - at
