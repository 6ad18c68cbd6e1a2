"""Drain one stream's backlog into the store, in order, whatever Redis does."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Final, Protocol

import attrs
import structlog
import trio

from bzredis.backlog.backlog import BEFORE_ALL, Backlog, Item
from bzredis.backoff import delays
from bzredis.changes.read import Change, instead, unpack
from bzredis.errors import StoreDown, StoreRolledBack, StoreSlow
from bzredis.messages.times import milliseconds
from bzredis.streams import Stream

log = structlog.get_logger(__name__)

BATCH: Final = 150  # changes; 100 to 200 measured fastest, more holds Redis longer
AGAIN_FIRST: Final = 0.2  # s, after which a batch is sent again …
AGAIN_LAST: Final = 3.0  # … and at the most: Redis may be back at any moment
IDLE: Final = 5.0  # s without changes until Redis is asked whether it is still the same
HELD: Final = 10_000  # confirmed changes kept for a Redis that comes back older, …
HELD_BYTES: Final = 20 * 2**20  # … as long as they are no more than this
NO_NEWS: Final = ("duplicate", "refused")  # results of what Redis did not log
MARKS: Final = ("owed", "paid")  # results of what is no message (change.py)
PATIENCE: Final = 3  # time-outs of one change alone, while Redis answers otherwise


class Applied(Protocol):
    """What came of a batch."""

    @property
    def results(self) -> tuple[str, ...]:
        """A result per change."""

    @property
    def entry(self) -> str:
        """The newest entry of the log, or ""."""

    @property
    def concerned(self) -> tuple[str, ...]:
        """The symbols of which a record changed."""


class Store(Protocol):
    """Where batches go. See `bzredis.store.client`."""

    async def apply(
        self, stream: Stream, packed: Sequence[bytes], acknowledged: str = "", /
    ) -> Applied:
        """Apply a batch atomically; raises StoreDown."""

    async def ping(self) -> None:
        """Raise StoreDown where Redis does not answer."""

    async def newest(self, stream: Stream, /) -> tuple[str, str]:
        """Return the log's newest entry, and when it was received; "" for none."""

    async def earliest(self, stream: Stream, /) -> int | None:
        """Return the earliest time (ms) that anything is of, None for nothing."""


class Listener(Protocol):
    """Who is told what became of the changes. See `bzredis.bridge.subscriber`."""

    def confirm(
        self, batch: Sequence[Item], applied: Applied, *, doubtful: int
    ) -> None:
        """Redis has these; up to this number perhaps by a call without an answer."""

    def note_store(self, trouble: str) -> None:
        """Redis does not take changes, and why; "" once it does again."""

    def first_again(self) -> list[bytes]:
        """Return what a Redis that came back older gets first, packed."""

    def note_rollback(self, since: int, first_here: bytes, *, covered: bool) -> None:
        """Redis lost what came since a time (ms), and has got again what was held.

        `first_here` is the first change that is not lost, b"" where there is none.
        """


@attrs.frozen
class Held:
    """What Redis confirmed, and whether it was news to it."""

    packed: bytes
    is_news: bool


@attrs.define
class Rollback:
    """What is known of a Redis that came back older, until it has all again."""

    logged: int  # ms: when it logged what it acknowledged last
    since: int | None = None  # ms: it may have lost what came from there on
    tried: bool = False
    covered: bool = False


@attrs.define
class Writer:
    """One stream's way into Redis."""

    stream: Stream
    backlog: Backlog
    store: Store
    listener: Listener
    rng: Random
    _size: int = BATCH
    _entry: str = ""
    _down: str = ""
    _held: deque[Held] = attrs.field(factory=deque)
    _held_bytes: int = 0
    _whole: bool | None = None  # whether all that Redis ever had of this stream is held
    _doubtful: int = BEFORE_ALL  # up to here Redis may have changes unconfirmed
    _rollback: Rollback | None = None

    async def run(self, ready: Callable[[], Awaitable[None]]) -> None:
        """Write until the backlog is closed and empty; nothing else ends it."""
        await ready()
        while not self.backlog.drained:
            with trio.move_on_after(IDLE):
                await self.backlog.arrival()
            # Without news an empty batch: it only asks whether Redis rolled back.
            await self._write(await self.backlog.batch(self._size))

    async def _write(self, batch: list[Item]) -> None:
        alone = 0
        for delay in delays(AGAIN_FIRST, AGAIN_LAST, rng=self.rng):
            sent, reached = False, batch[-1].number if batch else BEFORE_ALL
            try:
                await self._prepare()
                sent = True
                # Before: a stop may come while the answer is awaited.
                self.backlog.sent = max(self.backlog.sent, reached)
                applied = await self._apply([item.packed for item in batch])
                break
            except StoreRolledBack as error:
                self.backlog.assured = False
                self._note(str(error))
                self._rollback, self._entry = self._begun(), ""
                continue
            except StoreDown as error:
                self.backlog.assured = False
                self._note(str(error))
                is_slow = isinstance(error, StoreSlow)
                at_once = len(batch) if sent else self._size
                if at_once > 1:
                    # Too much, perhaps, for its time or for what it takes in one go:
                    # half of it alone, later more again.
                    if is_slow or await self._answers():
                        self._size = at_once // 2
                        batch = batch[: self._size]
                elif is_slow and sent and batch and await self._answers():
                    alone += 1
                    if alone == PATIENCE:
                        batch = [self._set_aside(batch[0], str(error))]
            if sent:
                self._doubtful = max(self._doubtful, reached)
            await trio.sleep(delay)
        self.backlog.assured = True
        self._note("")
        self._size = min(BATCH, self._size * 2)
        await self._confirm(batch, applied)

    async def _prepare(self) -> None:
        """See to what has to be right before a batch. Raises StoreDown."""
        if self._whole is None:
            entry, _ = await self.store.newest(self.stream)
            self._entry = self.backlog.entry or entry
            if self.backlog.lost is not None:  # an earlier process was killed over it
                self._rollback = self._begun()
            self._whole = not self._entry and self._rollback is None
        if self.backlog.earliest is None and not self._whole:
            self.backlog.earliest = await self.store.earliest(self.stream)
        if self._rollback is not None:
            await self._restore(self._rollback)

    def _begun(self) -> Rollback:
        """Begin a repair; what an earlier one did makes telling impossible."""
        logged = int(self._entry.partition("-")[0] or 0)
        return Rollback(logged, tried=self.backlog.lost is not None)

    async def _apply(self, packed: Sequence[bytes]) -> Applied:
        return await self.store.apply(self.stream, packed, self._entry)

    async def _confirm(self, batch: list[Item], applied: Applied) -> None:
        self._entry = self.backlog.entry = applied.entry or self._entry
        if not batch:
            return
        await self.backlog.confirm(batch[-1].number)
        for item, result in zip(batch, applied.results, strict=True):
            # What fetch has ended, or begun, is not so of a Redis that came back older.
            if not result.startswith(MARKS):
                self._held.append(Held(item.packed, not result.startswith(NO_NEWS)))
                self._held_bytes += len(item.packed)
                if self._whole:  # then nobody else had Redis go further back
                    self._look_back(item.packed)
        self._let_go()
        self.listener.confirm(batch, applied, doubtful=self._doubtful)

    def _let_go(self) -> None:
        while len(self._held) > HELD or self._held_bytes > HELD_BYTES:
            self._held_bytes -= len(self._held.popleft().packed)
            self._whole = False

    def _look_back(self, packed: bytes) -> None:
        """Note how far back Redis goes, with a change that it has now."""
        change = unpack(packed)
        times = [milliseconds(change.received), self.backlog.earliest]
        if isinstance(change, Change):
            times.append(change.version)
        self.backlog.earliest = min(filter(None, times), default=None)

    async def _restore(self, rollback: Rollback) -> None:
        """Apply again what Redis confirmed and may have forgotten. Raises StoreDown.

        Where the oldest news of it is still known there, nothing before it was
        forgotten; an attempt whose answer was lost makes that impossible to tell. What
        was known already when we wrote it tells nothing. Nor was anything forgotten
        where there was nothing before it.
        """
        if rollback.since is None:
            told = {"stream": self.stream.name, "held": len(self._held)}
            log.warning("Redis lost what it had confirmed; applying it again", **told)
            self._entry, received = await self.store.newest(self.stream)
            lost = self.backlog.lost
            # An older version of this program did not note how far back Redis went.
            known = (milliseconds(received), self.backlog.earliest, lost)
            since = next((t for t in known if t is not None), rollback.logged)
            rollback.since = since if lost is None else min(since, lost)
            self.backlog.lost = rollback.since
            # Before it gets anything: the next process could not tell any more.
            self.backlog.entry = ""
            await self.backlog.flush()
        if first := self.listener.first_again():
            await self._apply(first)
        held = [each.packed for each in self._held]
        news = (n for n, each in enumerate(self._held) if each.is_news)
        telling = -1 if rollback.tried else next(news, -1)
        for start in range(0, len(held), self._size):
            rollback.tried = True
            applied = await self._apply(held[start : start + self._size])
            if 0 <= telling - start < len(applied.results):
                rollback.covered = applied.results[telling - start] == "duplicate"
            self._entry = applied.entry or self._entry
        self._rollback = None
        # All that was lost is older than what is here, or than now.
        here = held[:1] or [item.packed for item in await self.backlog.batch(1)]
        self.listener.note_rollback(
            rollback.since,
            here[0] if here else b"",
            covered=rollback.covered or bool(self._whole),
        )
        self.backlog.entry, self.backlog.lost = self._entry, None
        await self.backlog.flush()

    async def _answers(self) -> bool:
        try:
            await self.store.ping()
        except StoreDown:
            return False
        return True

    def _set_aside(self, item: Item, why: str) -> Item:
        """Put a rejected frame in the place of a change that Redis cannot take."""
        log.error("set aside: Redis answers, but not to this change",
                  stream=self.stream.name, error=why)  # fmt: skip
        return Item(item.number, instead(item.packed, why).pack())

    def _note(self, words: str) -> None:
        """Tell of trouble once, not at every attempt."""
        if words == self._down:
            return
        self._down = words
        told = {"stream": self.stream.name, "waiting": len(self.backlog)}
        if words:
            log.warning("Redis does not take it; it is kept", **told, error=words)
        else:
            log.info("Redis takes it again", **told)
        self.listener.note_store(words)
