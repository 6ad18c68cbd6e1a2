"""Drain one stream's backlog into the store, in order, whatever Redis does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from random import Random
from typing import Final

import attrs
import structlog
import trio

from bzredis.backlog.backlog import Backlog
from bzredis.backoff import delays
from bzredis.changes.from_frame import instead, shorter
from bzredis.changes.kinds import Incoming, Rejected, unpack
from bzredis.errors import SpoolFull, StoreDown, StoreSlow, StoreUnready
from bzredis.ports import Applied, Batch, Behind, Item, Store
from bzredis.streams import Stream
from bzredis.troubles import Notices

log = structlog.get_logger(__name__)

BATCH: Final = 150  # changes; 100 to 200 measured fastest, more holds Redis longer
RETRY_FIRST: Final = 0.2  # s, after which a batch is sent again …
RETRY_LAST: Final = 3.0  # … and at the most: Redis may be back at any moment
IDLE: Final = 5.0  # s without changes until Redis is asked what it has
# Failures of one change alone, in a row, while Redis answers otherwise: a Redis, or a
# way to it, that comes and goes would have to do so in step with them.
POISON_TRIES: Final = 5
TOLD_BEHIND: Final = (
    "Redis has less than it had confirmed: it came back older, or emptied; it gets "
    "again what is held, and the rest is fetched or announced as a gap"
)


@attrs.define
class Writer:
    """One stream's way into Redis.

    `on_applied` is told what came of each batch, `on_trouble` what is wrong with Redis
    at its beginning, and "" at its end.
    """

    stream: Stream
    backlog: Backlog
    store: Store
    on_applied: Callable[[Sequence[Item], Applied], None]
    on_trouble: Callable[[str], None]
    rng: Random
    most: int = BATCH  # changes of a batch
    _size: int = attrs.field(init=False)  # … of the next one
    _down: str = ""
    _alone: int = 0  # failures of the oldest change alone
    _asides: Notices = attrs.field(factory=Notices)  # why: each may be too much for it
    asked_at: float = -inf  # s, when Redis was last asked for anything

    def __attrs_post_init__(self) -> None:
        """Begin with as much as is allowed."""
        self._size = self.most

    async def run(self) -> None:
        """Write until the backlog is closed and empty. Raises StoreForeign."""
        while not self.backlog.drained:
            with trio.move_on_after(IDLE):
                await self.backlog.arrival()
            await self._write()
            for why, times in self._asides.again(trio.current_time()).items():
                told = {"stream": self.stream.name, "error": why, "times": times}
                log.error("set aside in the last hour again", **told)

    async def _write(self) -> None:
        """Write the oldest batch; without news an empty one, which only asks."""
        for delay in delays(RETRY_FIRST, RETRY_LAST, rng=self.rng):
            try:
                if await self._has_written():
                    return
            except SpoolFull as error:  # the disk does not even give, or let go
                self._note(str(error))
            await trio.sleep(delay)

    async def _has_written(self) -> bool:
        """Try to write the oldest batch, or what says that its one change is set aside.

        Raises SpoolFull.
        """
        while True:
            items = await self.backlog.oldest(self._size)
            batch = self.backlog.batch(items)
            try:
                answer = await self._apply(batch, self._following(items))
            except StoreDown as error:
                self._note(str(error))
                is_at_fault = await self._doubts(items, error)
                return is_at_fault and await self._set_aside(items[0], str(error))
            if isinstance(answer, Applied):
                await self._confirm(items, answer)
                return True
            self._go_back(batch, answer)

    async def _apply(
        self, batch: Batch, following: Batch | None = None
    ) -> Applied | Behind:
        self.asked_at = trio.current_time()
        return await self.store.apply(self.stream, batch, following)

    def _following(self, items: Sequence[Item]) -> Batch | None:
        """Return the next batch where much is to be written, and all is well.

        It is sent behind this one, so that Redis need not wait for us. What came of it
        is asked by sending it; if anything else is sent, it is as if it never had been.
        """
        if self._down or len(items) < self.most:
            return None
        following = self.backlog.following(items, self.most)
        return self.backlog.batch(following) if len(following) == self.most else None

    async def _confirm(self, items: Sequence[Item], applied: Applied) -> None:
        self._note("")
        self._size = min(self.most, self._size * 2)
        self._alone = 0
        await self.backlog.confirm(items, applied)
        self.on_applied(items, applied)

    def _go_back(self, batch: Batch, behind: Behind) -> None:
        self.backlog.go_back(batch, behind)
        self._note(TOLD_BEHIND)

    async def _doubts(self, items: Sequence[Item], error: StoreDown) -> bool:
        """Tell whether it is this one change that Redis, or its time, does not take."""
        tries, self._alone = self._alone + 1, 0
        if not items or isinstance(error, StoreUnready):
            return False
        if len(items) > 1:
            if isinstance(error, StoreSlow) or await self._answers(items):
                # Too much, perhaps, for what it takes at once: half of it, later more.
                self._size = len(items) // 2
            return False
        self._alone = tries if await self._answers(items) else 0
        return self._alone >= POISON_TRIES

    async def _set_aside(self, item: Item, why: str) -> bool:
        """Put what says so in the place of a change, and less of it, until it is taken.

        At once: a Redis that takes anything again would take the change itself. Where
        not even a word of it is taken, it is not this change that Redis refuses.
        """
        aside = _in_its_place(item, why)
        while aside:
            try:
                batch = self.backlog.batch([aside])
                answer = await self._apply(batch)
            except StoreUnready:
                break
            except StoreDown:
                aside = _in_its_place(aside, why)
                continue
            if isinstance(answer, Applied):
                if self._asides.is_news(why):
                    log.error("set aside: Redis answers, but not to this change",
                              stream=self.stream.name, error=why)  # fmt: skip
                await self._confirm([aside], answer)
                return True
            self._go_back(batch, answer)
            break
        self._alone = 0
        return False

    async def _answers(self, items: Sequence[Item]) -> bool:
        """Tell whether Redis takes a batch of nothing in the place of this one."""
        question = attrs.evolve(self.backlog.batch(items), packed=())
        try:
            await self._apply(question)
        except StoreDown:
            return False
        return True

    def _note(self, words: str) -> None:
        """Tell of trouble once, not at every attempt."""
        if words != self._down:
            self._down = words
            self.on_trouble(words)


def _in_its_place(item: Item, why: str) -> Item | None:
    """Return what says that a change is set aside; None where it is not at fault.

    Never a mark: nobody would know any more what may be missing.
    """
    change = unpack(item.packed)
    if not isinstance(change, Incoming):
        return None
    aside = shorter(change) if isinstance(change, Rejected) else instead(change, why)
    return item._replace(packed=aside.pack()) if aside else None
