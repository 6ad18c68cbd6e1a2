"""See to all of it: upstream's streams, mirrored into the store.

    connect ──▶ subscriber ──▶ backlog ──▶ writer ──▶ store
                                 ▲ │
                               spool ▼

A nursery per stream, with a feed and a writer. A lost feed is connected again and
replayed; a refused stream waits alone, while the others go on; a bug ends the program.
Stopping cancels the feeds and closes the backlogs; the writers drain them and return.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Final, NoReturn

import attrs
import structlog
import trio
from trio.lowlevel import ParkingLot

from bzredis.backlog.backlog import Backlog
from bzredis.backlog.writer import Writer
from bzredis.bridge.intake import Intake
from bzredis.bridge.subscriber import Subscriber
from bzredis.errors import (
    BridgeError,
    SpoolUnusable,
    StoreDown,
    StoreEvicts,
    StoreForeign,
    first,
)
from bzredis.ports import Presence, Sign, Spool, Store
from bzredis.troubles import SETTLE, Kind, Troubles

log = structlog.get_logger(__name__)

STATUS_EVERY: Final = 0.75  # s: `status` is at most 1 s behind, its way included
TELL_EVERY: Final = 0.5  # s between looks at what is wrong
STALE: Final = 5.0  # s that a change may wait while `latest` still counts as fresh
# Stopping takes 5 s at the most, whatever hangs (contract.md, 4), Python's own end with
# it: so much is for the feeds' goodbye and, at the same time, for the backlog, …
DRAIN: Final = 2.7
SAVING: Final = 0.8  # … so much for the disk, which another process may have locked, …
FAREWELL: Final = 3.9  # … and what is left until then for the last status.
CLOSING: Final = 0.1  # Nothing hangs on that: all is committed.
TOLD_ALL_REFUSED: Final = (
    "upstream refused every stream, so the bridge ends: check that BENZINGA_TOKEN (or "
    "the token file) holds the right key, and start it again"
)


class AllRefused(BridgeError):
    """Upstream refused every stream before any was connected."""


@attrs.frozen
class Line:
    """One stream's way from upstream into Redis."""

    subscriber: Subscriber
    writer: Writer

    @property
    def intake(self) -> Intake:
        return self.subscriber.intake

    @property
    def name(self) -> str:
        return self.intake.stream.name

    @property
    def backlog(self) -> Backlog:
        return self.writer.backlog

    def troubles(self) -> dict[Kind, str]:
        found = self.intake.status.troubles()
        if self.backlog.wrong:
            found["disk"] = self.backlog.wrong
        return found

    def presence(self) -> tuple[Presence, str]:
        """Return how this bridge stands to the stream, and why nothing is fresh.

        Who is connected takes over the status. Until Redis says something it may hold
        what is another upstream's, and then so is the status.
        """
        if self.intake.holes.opened is None or not self.intake.holes.was_answered:
            return "apart", "disconnected"
        holes = self.intake.holes
        waits = (
            self.backlog.disk.count
            or self.backlog.queue.goes_back
            or self.backlog.age() > STALE
        )
        if not self.intake.is_heard():
            return "connected", "silent"
        if waits or not holes.is_connected:
            return "connected", "behind"
        if not holes.is_fresh(trio.current_time()):
            return "connected", "missing"
        return "fresh", ""


@attrs.define
class Bridge:
    """The lines of one upstream into one store; `ask` has REST asked meanwhile."""

    store: Store
    spool: Spool
    lines: Sequence[Line]
    urgent: ParkingLot  # who waits there is told what cannot wait
    ask: Callable[[], Awaitable[None]] | None = None
    stop: trio.Event = attrs.field(factory=trio.Event)
    _meanwhile: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _ended_by: BridgeError | None = None
    stopping_at: float = inf  # s, when `stop` was noticed
    _troubles: Troubles = attrs.field(factory=Troubles)
    _fresh: set[str] | None = attrs.field(factory=set)  # None: people were told of it

    async def run(self) -> None:
        """Mirror until `stop` is set, then drain and return within 5 s.

        Raises AllRefused where there was nothing to mirror from the start, StoreForeign
        where the store has what came from another upstream, and SpoolUnusable where
        what was on disk is damaged.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._until_we_stop)
            nursery.start_soon(self._watch_troubles)
            async with trio.open_nursery() as streams:
                nursery.start_soon(self._stop, streams.cancel_scope)
                streams.start_soon(self._report)
                for line in self.lines:
                    streams.start_soon(self._mirror, line)
            nursery.cancel_scope.cancel()
        await self._farewell()
        if self._ended_by is not None:
            raise self._ended_by

    async def _mirror(self, line: Line) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(line.backlog.spill)
                async with trio.open_nursery() as draining:
                    draining.start_soon(self._write, line.writer)
                    await line.subscriber.supervise()
                    line.backlog.close()
                nursery.cancel_scope.cancel()
        except* SpoolUnusable as group:  # the next start sets it aside
            self._end(first(group))

    async def _write(self, writer: Writer) -> None:
        try:
            await writer.run()
        except StoreForeign as error:
            self._end(error)

    async def _until_we_stop(self) -> None:
        with self._meanwhile:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_refusals)
                if self.ask is not None:
                    nursery.start_soon(self.ask)

    # ---- the end

    async def _watch_refusals(self) -> NoReturn:
        while True:
            if all(line.subscriber.was_never_connected for line in self.lines):
                for line in self.lines:
                    line.subscriber.give_up()
                self._end(AllRefused(TOLD_ALL_REFUSED))
            await self.urgent.park()

    def _end(self, error: BridgeError) -> None:
        self._ended_by = self._ended_by or error
        self.stop.set()

    async def _stop(self, streams: trio.CancelScope) -> None:
        await self.stop.wait()
        self.stopping_at = trio.current_time()
        self._tell(settle=0.0)
        log.info("stopping", waiting=sum(len(line.backlog) for line in self.lines))
        streams.deadline = trio.current_time() + DRAIN
        self._meanwhile.cancel()
        self.urgent.unpark_all()
        for line in self.lines:
            line.backlog.disk.leave()
            line.subscriber.scope.cancel()

    async def _farewell(self) -> None:
        """Save what Redis did not take, and say that we are gone."""
        with trio.CancelScope(shield=True):
            with trio.move_on_after(SAVING):
                async with trio.open_nursery() as nursery:
                    for line in self.lines:
                        nursery.start_soon(line.backlog.save)
            # What the others left of their time is for this.
            with trio.move_on_at(self.stopping_at + FAREWELL):
                for line in self.lines:
                    line.intake.status.enter("stopped", line.intake.clock())
                await self._write_all(lambda _: ("gone", "stopped"))
            with trio.move_on_after(CLOSING):
                await trio.to_thread.run_sync(self.spool.close, abandon_on_cancel=True)
        waiting = sum(line.backlog.disk.count for line in self.lines)
        lost = sum(len(line.backlog.queue) for line in self.lines)
        if lost:
            why = "; ".join({line.backlog.wrong for line in self.lines} - {""})
            told = {"error": why, "lost": lost}
            log.error("stopped, and not everything could be kept on disk", **told)
        elif waiting:
            log.warning(
                "stopped; the next start writes what is spooled", spooled=waiting
            )
        else:
            log.info("stopped; Redis has everything that was read")

    # ---- what people are told

    async def _watch_troubles(self) -> NoReturn:
        while True:
            self._tell()
            await trio.sleep(TELL_EVERY)

    def _tell(self, settle: float = SETTLE) -> None:
        found = {line.name: line.troubles() for line in self.lines}
        waiting = sum(len(line.backlog) for line in self.lines)
        lines = self._troubles.look(trio.current_time(), found, waiting, settle)
        for level, event, told in lines:
            getattr(log, level)(event, **told)

    def _note_fresh(self, stream: str, *, is_fresh: bool) -> None:
        """Tell once that all is fresh; who is refused is not waited for."""
        if self._fresh is not None:
            self._fresh = self._fresh - {stream} | ({stream} if is_fresh else set())
            names = [line.name for line in self.lines if not line.subscriber.refused]
            if is_fresh and self._fresh.issuperset(names):
                self._fresh = None
                log.info("all that stands in Redis is fresh", streams=names)

    # ---- status

    async def _report(self) -> None:
        """Write every status whole, each second and whenever one is urgent.

        Whole, since Redis may have lost it without our noticing. When we stop, it ends
        by itself: the thread of a write that was cancelled may be later than the last.
        """
        while True:
            due = trio.current_time() + STATUS_EVERY
            await self._write_all(self._presence)
            if self.stop.is_set():
                return
            with trio.move_on_at(due):
                await self.urgent.park()

    def _presence(self, line: Line) -> tuple[Presence, str]:
        presence, why = line.presence()
        return presence, "stopped" if why and self.stop.is_set() else why

    async def _write_all(
        self, presence: Callable[[Line], tuple[Presence, str]]
    ) -> None:
        """Write every status, none after another: Redis may be far away."""
        async with trio.open_nursery() as nursery:
            for line in self.lines:
                nursery.start_soon(self._write_status, line, *presence(line))

    async def _write_status(self, line: Line, presence: Presence, why: str) -> None:
        status, holes = line.intake.status, line.intake.holes
        status.backlog = len(line.backlog)
        status.spooled = line.backlog.disk.count
        who = status.identity.bridge
        sign = Sign(who, presence, holes.log.id, holes.confirmed, why)
        stands = False
        try:
            stood = await self.store.write_status(
                line.intake.stream, status.fields(), sign
            )
            if stands := stood and presence == "fresh":
                status.trouble("eviction")
            self._note_fresh(line.name, is_fresh=stands)
        except StoreEvicts as error:
            status.note_error("redis", str(error))
            status.trouble("eviction", str(error))
        except StoreDown as error:
            holes.failed()
            log.debug("status not written", error=str(error))
        finally:  # also where that was cut short
            status.is_fresh, status.told_at = stands, trio.current_time()
