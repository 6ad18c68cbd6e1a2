"""A backlog with what works on it, as a process that starts would have it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

import attrs
import trio
from fakes import RATINGS, FakeStore, frame, now

from bzredis.backlog.backlog import Backlog
from bzredis.backlog.disk import Disk
from bzredis.backlog.queue import Queue
from bzredis.backlog.spool import Spool
from bzredis.backlog.writer import Writer
from bzredis.changes.from_frame import read
from bzredis.changes.kinds import Opened
from bzredis.messages.envelope import Notice, Pong
from bzredis.ports import Applied, Coverage, Item, Log


def begun(spool: Spool, log: str = "log", stream: str = "ratings") -> Backlog:
    """Return the backlog of a process that starts: a log of its own."""
    return Backlog(Queue(Log(log, "*", 0, "upstream")), Disk(stream, spool))


@asynccontextmanager
async def spilling(waiting: Backlog) -> AsyncIterator[None]:
    """Let what waits move to disk in time."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.spill)
        yield
        nursery.cancel_scope.cancel()


def numbers(items: Sequence[Item]) -> list[int]:
    """Return the numbers of some changes in their logs."""
    return [item.number for item in items]


def applied(items: Sequence[Item], since: int | None = None) -> Applied:
    """Return what a Redis would say that took all of these."""
    last = items[-1].number if items else -1
    return Applied(last, ("latest",) * len(items), (), 0, Coverage(since))


async def confirm(waiting: Backlog, count: int) -> list[Item]:
    """Take the oldest changes, as a writer does whom Redis obeys."""
    items = await waiting.oldest(count)
    await waiting.confirm(items, applied(items))
    return items


async def drain(waiting: Backlog, limit: int = 10) -> list[bytes]:
    """Take all."""
    taken: list[bytes] = []
    while items := await confirm(waiting, limit):
        taken += [item.packed for item in items]
    return taken


@attrs.define
class Desk:
    """One writer with all around it, and what it told of."""

    waiting: Backlog
    store: FakeStore = attrs.field(factory=FakeStore)
    results: list[tuple[int, str]] = attrs.field(factory=list)
    troubles: list[str] = attrs.field(factory=list)

    def put(self, *frames: int, padding: int = 0) -> None:
        """Put some ratings; `padding` makes them as large as one likes."""
        for number in frames:
            text = frame(number, padding)
            change = read(RATINGS, text, received=now(), source="live")
            assert not isinstance(change, Pong | Notice)
            self.waiting.put(change.pack())

    def opened(self) -> None:
        """Put the mark of a connection that begins."""
        self.waiting.put(Opened(now()).pack())

    def _on_applied(self, items: Sequence[Item], applied: Applied) -> None:
        self.results += zip(numbers(items), applied.results, strict=True)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Write; in the end wait until all is written, as a process that stops."""
        writer = Writer(
            RATINGS,
            self.waiting,
            self.store,
            self._on_applied,
            self.troubles.append,
            Random(1),
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            with trio.fail_after(600):
                yield
                self.waiting.close()
        await self.waiting.flush()

    def next_process(self) -> Desk:
        """Return the desk of a process that follows this one."""
        spool = self.waiting.disk.spool
        assert isinstance(spool, Spool)
        log = f"{self.waiting.queue.log.id}+"
        return Desk(begun(spool, log), self.store)

    @property
    def numbers(self) -> list[int]:
        """The numbers of the ratings that Redis has."""
        return self.store.numbers()

    @property
    def holes(self) -> list[tuple[int, int, str]]:
        """The times of which Redis knows that something may be missing."""
        holes = self.store.db.of("ratings").holes
        return [(hole.begin, hole.end, hole.cause) for hole in holes]
