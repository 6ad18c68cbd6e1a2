"""Mirror upstream's streams into the store.

    connect ──▶ mirror ──▶ backlog ──▶ writer ──▶ store
                              ▲ │
                            spool ▼

A nursery per stream, with a feed and a writer. A lost feed is connected again and
replayed; a refused stream waits alone, while the others go on; a bug ends the program.
Stopping cancels the feeds and closes the backlogs; the writers drain them and return.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from random import Random
from typing import Any, Final, NoReturn, Protocol, TypeVar
from uuid import uuid4

import attrs
import structlog
import trio

from bzredis.backlog import backlog, writer
from bzredis.backlog.notes import HANDED, OPEN
from bzredis.backoff import delays
from bzredis.bridge.subscriber import Mirror
from bzredis.changes.read import received_of
from bzredis.errors import BridgeError, StoreDown
from bzredis.messages.times import milliseconds
from bzredis.ports import Presence
from bzredis.streams import Stream

T = TypeVar("T")

log = structlog.get_logger(__name__)

STATUS: Final = 1.0  # s; `status` is at most that much behind
STALE: Final = 5.0  # s that a change may wait while `latest` still counts as fresh
# Stopping takes 5 s at the most, whatever hangs (contract.md, 4): so much is for the
# feeds' goodbye and the backlog, which go on at the same time, …
DRAIN: Final = 3.0
SAVING: Final = 0.8  # … so much for the disk, which another process may have locked, …
SAVING_AGAIN: Final = 0.1
FAREWELL: Final = 0.8  # … and so much for the last status.
CLOSING: Final = 0.1  # Nothing hangs on that: all is committed.
TOLD_ALL_REFUSED: Final = (
    "upstream refused every stream, so the bridge ends: check that BENZINGA_TOKEN (or "
    "the token file) holds the right key, and start it again"
)
# ms of what was read that a kill may cost (backlog.py), though the status tells of it.
LAST_SECOND: Final = 1_000
AGAIN_FIRST: Final = 0.2  # s between attempts to read the status of an earlier run …
AGAIN_LAST: Final = 3.0  # … at the most


class Store(writer.Store, Protocol):
    """Where changes and status go. See `bzredis.store.client`."""

    async def write_status(
        self,
        stream: Stream,
        fields: Mapping[str, str],
        bridge: str,
        presence: Presence,
        /,
    ) -> bool:
        """Write a status unless another bridge holds it; raises StoreDown."""

    async def read_status(self, stream: Stream, /) -> dict[str, str]:
        """Return the status that some bridge left; raises StoreDown."""

    async def marker(self, proposed: str, /) -> str:
        """Return what tells this database from others; raises StoreDown."""


class Span(Protocol):
    """What a spool holds of one stream."""

    @property
    def count(self) -> int:
        """How many changes."""

    @property
    def last(self) -> int:
        """The number of the last of them."""


class Spool(backlog.Spool, Protocol):
    """Changes on disk. See `bzredis.backlog.spool`."""

    def note(self, name: str, value: str | None = None, /) -> str:
        """Return, or set, what is noted under a name."""

    def span(self, stream: str, /) -> Span:
        """Return what it holds of one stream."""

    def close(self) -> None:
        """Close the file."""


# Given the open spool, a database's marker, and each stream's last number and what was
# noted of it before this process, the spool of that database.
Claim = Callable[[Any, str, dict[str, int], dict[str, str]], Spool]


class AllRefused(BridgeError):
    """Upstream refused every stream before any was connected."""


@attrs.define
class Bridge:
    """The mirrors of one upstream in one store."""

    store: Store
    spool: Spool
    claim: Claim
    rng: Random
    mirrors: Sequence[Mirror] = ()
    # What asks REST, as long as the streams are followed; None: nothing does.
    ask: Callable[[], Awaitable[None]] | None = None
    stop: trio.Event = attrs.field(factory=trio.Event)
    _news: trio.Event = attrs.field(factory=trio.Event)
    _asking: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _all_refused: bool = False
    _told: str = ""
    _claimed: trio.Event = attrs.field(factory=trio.Event)
    _found: dict[str, str] = attrs.field(factory=dict)  # notes of an earlier process

    def changed(self) -> None:
        """Note that a status changed in a way that cannot wait."""
        self._news.set()
        if all(m.refused and m.status.connected_at is None for m in self.mirrors):
            self._all_refused = True
            for mirror in self.mirrors:
                mirror.give_up()
            self.stop.set()

    async def run(self) -> None:
        """Mirror until `stop` is set, then drain and return within 5 s.

        Raises AllRefused where there was nothing to mirror from the start.
        """
        since = self._resume()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._claim, since)
            nursery.start_soon(self._report)
            nursery.start_soon(self._keep_open)
            async with trio.open_nursery() as streams:
                nursery.start_soon(self._stop, streams.cancel_scope)
                nursery.start_soon(self._ask)
                for mirror in self.mirrors:
                    streams.start_soon(self._mirror, mirror)
            nursery.cancel_scope.cancel()
        await self._farewell()
        if self._all_refused:
            raise AllRefused(TOLD_ALL_REFUSED)

    async def _mirror(self, mirror: Mirror) -> None:
        drain = writer.Writer(
            mirror.stream, mirror.backlog, self.store, mirror.ledger, mirror.rng
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mirror.backlog.spill)
            async with trio.open_nursery() as draining:
                draining.start_soon(drain.run, self._claimed.wait)
                with mirror.scope:
                    await mirror.supervise()
                mirror.backlog.close()
            nursery.cancel_scope.cancel()

    async def _ask(self) -> None:
        with self._asking:
            if self.ask is not None:
                await self.ask()

    # ---- the spool

    def _resume(self) -> dict[str, int]:
        """Take up what the last process left on disk; return the last numbers."""
        since = {}
        for mirror in self.mirrors:
            span = self.spool.span(mirror.stream.name)
            mirror.backlog.others = partial(_left_open, mirror)
            mirror.backlog.resume(self.spool, span.count, span.last)
            for kind in (OPEN, HANDED):
                name = kind + mirror.stream.name
                self._found[name] = self.spool.note(name)
                mirror.ledger.continuity.restore(self._found[name], _numbers(span))
            mirror.keep = mirror.backlog.keep
            since[mirror.stream.name] = span.last
        return since

    async def _keep_open(self) -> NoReturn:
        """Keep on disk which gaps nothing covers yet, for the next process."""
        while True:
            await trio.sleep(STATUS)
            for mirror in self.mirrors:
                mirror.ledger.settle()
                await mirror.keep()

    async def _claim(self, since: dict[str, int]) -> None:
        """Learn which database this is, and take up what it in particular is owed."""
        known = self.spool.note("marker")
        marker = await self._until_up(partial(self.store.marker, known or uuid4().hex))
        async with AsyncExitStack() as stack:
            for mirror in self.mirrors:
                await mirror.keep()
                await stack.enter_async_context(mirror.backlog.on_disk)
            self.spool = await trio.to_thread.run_sync(
                self.claim, self.spool, marker, since, self._found
            )
            for mirror in self.mirrors:
                name = mirror.stream.name
                continuity = mirror.ledger.continuity
                continuity.belongs(here=known in ("", marker), last=since[name])
                span = self.spool.span(name)
                continuity.adopt(self.spool.note(HANDED + name), _numbers(span))
                mirror.backlog.resume(self.spool, span.count, span.last)
        for mirror in self.mirrors:
            await mirror.keep()  # perhaps in another file than before
        self._claimed.set()

    async def _until_up(self, call: Callable[[], Awaitable[T]]) -> T:
        for delay in delays(AGAIN_FIRST, AGAIN_LAST, rng=self.rng):
            try:
                return await call()
            except StoreDown as error:
                self._tell(error)
            await trio.sleep(delay)
        raise AssertionError  # there is always one more delay

    def _tell(self, error: StoreDown) -> None:
        """Tell of a Redis that was not there from the start, once."""
        if str(error) != self._told:
            self._told = str(error)
            log.warning(
                "Redis is not there yet; reading all the same", error=str(error)
            )
            for mirror in self.mirrors:
                mirror.ledger.note_store(str(error))

    async def _stop(self, streams: trio.CancelScope) -> None:
        await self.stop.wait()
        log.info("stopping", waiting=sum(len(m.backlog) for m in self.mirrors))
        streams.deadline = trio.current_time() + DRAIN
        self._asking.cancel()
        for mirror in self.mirrors:
            mirror.backlog.leave()
            mirror.scope.cancel()

    # ---- status

    async def _report(self) -> NoReturn:
        """Write every status whole, each second and whenever one is urgent.

        Whole, since Redis may have lost it without our noticing.
        """
        await self._read_previous()
        while True:
            for mirror in self.mirrors:
                try:
                    await self._write_status(mirror, self._presence(mirror))
                except StoreDown as error:
                    mirror.backlog.assured = False
                    log.debug("status not written", error=str(error))
            with trio.move_on_after(STATUS):
                await self._news.wait()
            self._news = trio.Event()

    def _presence(self, mirror: Mirror) -> Presence:
        if not mirror.connected:
            return "apart"
        waits = mirror.backlog.spooled or mirror.backlog.age() > STALE
        missing = mirror.ledger.continuity.is_open
        is_fresh = self._claimed.is_set() and mirror.backlog.assured
        return "fresh" if is_fresh and not waits and not missing else "connected"

    async def _write_status(self, mirror: Mirror, presence: Presence) -> None:
        mirror.status.backlog = len(mirror.backlog)
        mirror.status.spooled = mirror.backlog.spooled
        await self.store.write_status(
            mirror.stream,
            mirror.status.fields(),
            mirror.status.identity.bridge,
            presence,
        )

    async def _read_previous(self) -> None:
        """Learn from Redis when each stream was heard before this start."""
        for mirror in self.mirrors:
            found = await self._until_up(partial(self.store.read_status, mirror.stream))
            mirror.ledger.note_previous(_last_heard(found, mirror))
            await mirror.keep()  # our own status will hide it from the next process

    async def _farewell(self) -> None:
        """Save what Redis did not take, and say that we are gone."""
        with trio.CancelScope(shield=True):
            with trio.move_on_after(SAVING):
                async with trio.open_nursery() as nursery:
                    for mirror in self.mirrors:
                        nursery.start_soon(_save, mirror)
            with trio.move_on_after(FAREWELL):
                await self._last_status()
            with trio.move_on_after(CLOSING):
                await trio.to_thread.run_sync(self.spool.close, abandon_on_cancel=True)
        waiting = sum(mirror.backlog.spooled for mirror in self.mirrors)
        lost = sum(len(mirror.backlog.unsaved) for mirror in self.mirrors)
        if lost:
            log.error("stopped, and not everything could be kept on disk", lost=lost)
        elif waiting:
            log.warning(
                "stopped; the next start writes what is spooled", spooled=waiting
            )
        else:
            log.info("stopped; Redis has everything that was read")

    async def _last_status(self) -> None:
        for mirror in self.mirrors:
            if not mirror.ledger.continuity.knows_previous:
                continue  # what stands there tells the next process what was missed
            if lost := mirror.backlog.unsaved:  # for the next process it was not heard
                first = milliseconds(received_of(lost[0].packed)) or 0
                mirror.status.last_frame_at = first - 1
            mirror.status.enter("stopped", mirror.clock())
            try:
                await self._write_status(mirror, "gone")
            except StoreDown as error:
                log.debug("last status not written", error=str(error))


async def _save(mirror: Mirror) -> None:
    """Save what Redis did not take, as long as there is time and the disk refuses."""
    mirror.backlog.others = partial(_left_open, mirror, last=True)
    while not await mirror.backlog.flush():  # noqa: ASYNC110 - what locks it, sets no Event
        await trio.sleep(SAVING_AGAIN)


def _left_open(mirror: Mirror, *, last: bool = False) -> dict[str, str]:
    """Return what nothing covers yet, as a note; `last`: no more will come."""
    is_open = mirror.ledger.continuity.save(last=last, sent=mirror.backlog.sent)
    # What was handed down is among it.
    return {OPEN + mirror.stream.name: is_open, HANDED + mirror.stream.name: ""}


def _numbers(span: Span) -> range:
    return range(span.last - span.count + 1, span.last + 1)


def _last_heard(status: Mapping[str, str], mirror: Mirror) -> int | None:
    """Return when the same subscription was last heard, in ms; None if it never was."""
    if status.get("subscription") != mirror.status.identity.subscription:
        return None
    heard = milliseconds(status.get("last_frame_at") or status.get("connected_at", ""))
    if heard is None or status.get("state") == "stopped":
        return heard
    return heard - LAST_SECOND
