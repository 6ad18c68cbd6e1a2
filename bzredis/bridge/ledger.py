"""What became of what one stream read, and what of it is missing.

The writer reports what Redis has; whoever asks REST brings what that gives back. What
neither a replay nor REST covers in time is announced as a gap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs
import structlog

from bzredis.backlog import writer
from bzredis.backlog.backlog import Backlog, Item
from bzredis.bridge.recovery import Recovery
from bzredis.bridge.status import StreamStatus
from bzredis.changes.read import (
    Change,
    Rejected,
    gap,
    owe,
    paid,
    received_of,
    symbol_of,
)
from bzredis.changes.replay import Continuity, Uncovered
from bzredis.messages.times import milliseconds, rfc3339
from bzredis.streams import Stream

log = structlog.get_logger(__name__)

EFFECTS: Final = {"latest", "record", "none"}  # of a message that was not known


@attrs.define(eq=False)
class Ledger:
    """One stream's account.

    `clock` tells ms since 1970. `changed` is called where the status is urgent news,
    `observe` for each change that Redis has, with what came of it, and `concern` with
    the symbols of which a record changed.
    """

    stream: Stream
    backlog: Backlog
    status: StreamStatus
    clock: Callable[[], int]
    changed: Callable[[], None]
    observe: Callable[[Item, str], None] = lambda *_: None
    concern: Callable[[Sequence[str]], None] = lambda _: None
    continuity: Continuity = attrs.field(factory=Continuity)
    recovery: Recovery | None = None  # None: REST is not asked
    _fetched: set[int] = attrs.field(factory=set)  # numbers of what REST gave

    # ---- what the writer reports

    def confirm(
        self, batch: Sequence[Item], applied: writer.Applied, *, doubtful: int
    ) -> None:
        """Count what came of changes, and what it proves of a replay."""
        concerned = [*applied.concerned]
        for item, result in zip(batch, applied.results, strict=True):
            resent = item.number <= doubtful
            self._answered(item, result, resent=resent)
            if resent and result == "duplicate":  # whose, said the answer that was lost
                concerned.append(symbol_of(item.packed))
        self.concern(concerned)
        self.settle()

    def _answered(self, item: Item, result: str, *, resent: bool) -> None:
        if result.startswith(writer.MARKS):
            if self.recovery is not None:
                self.recovery.answered(item.number, result)
            return
        self.status.count(result)
        self._count_fetched(item.number, result)
        if result.startswith("refused"):
            log.error("set aside", stream=self.stream.name, reason=result)
            self.status.error = result
        self.continuity.answered(item.number, known=_known(result, resent=resent))
        self.observe(item, result)

    def note_rollback(self, since: int, first_here: bytes, *, covered: bool) -> None:
        """Announce what Redis lost and nobody holds any more."""
        self._begin_recovery()
        if not covered:
            end = milliseconds(received_of(first_here)) or self.clock()
            self.continuity.lost(min(since, end), end)
        self.settle()

    def first_again(self) -> list[bytes]:
        """Return what goes before all else to a Redis that came back older.

        What is applied again must not hide from where REST has to resume.
        """
        return [self._mark()] if self._owes else []

    def note_previous(self, heard: int | None) -> None:
        """Note when an earlier run was alive (ms), None if that does not count."""
        if self.status.last_frame_at is None:  # or the next process would not know it
            self.status.last_frame_at = heard
        self.continuity.previous(heard)
        self.settle()

    def note_connection(self, *, heard: int | None, now: int, at: float) -> None:
        """Note a connection; `heard` (ms) is when the one before was alive."""
        self.continuity.connected(heard=heard, now=now, at=at)
        self._begin_recovery()

    def note_store(self, trouble: str) -> None:
        """Note what is wrong with Redis, "" once it takes changes again."""
        if trouble:
            self.status.error = trouble
        self.changed()

    def settle(self) -> None:
        """Announce the gaps that nothing covers, once REST had its time.

        What waits for REST stays open, for the next process too (replay.py).
        """
        if self.recovery is None or not self.recovery.is_open:
            for hole in self.continuity.settle():
                self._announce(hole)

    def _announce(self, hole: Uncovered) -> None:
        """Announce what REST leaves of a gap."""
        if self.recovery is not None:
            covered = self.recovery.covered
            if covered is not None and covered <= hole.begin:
                return
            end = hole.end if covered is None else min(hole.end, covered)
            recovered = hole.recovered + self.recovery.recovered
            hole = attrs.evolve(hole, end=end, recovered=recovered)
        log.warning(
            "messages may be missing",
            stream=self.stream.name,
            since=rfc3339(hole.begin),
            until=rfc3339(hole.end),
            cause=hole.cause,
            recovered=hole.recovered,
        )
        self.backlog.announced = self.backlog.put(gap(**attrs.asdict(hole)).pack())

    def end_replay(self) -> None:
        """Note that no more messages belong to the replay that was asked for."""
        self.continuity.end()
        self.settle()

    # ---- what REST gives back

    @property
    def _owes(self) -> bool:
        return self.recovery is not None and self.stream.keyed == "record"

    def _begin_recovery(self) -> None:
        if self.recovery is not None:
            mark = self.backlog.put(self._mark()) if self._owes else None
            self.recovery.begin(mark)

    def _mark(self) -> bytes:
        window = self.recovery.window if self.recovery is not None else 0.0
        now = self.clock()
        return owe(
            since=now - round(1_000 * window),
            now=now,
            subscription=self.status.identity.subscription,
        ).pack()

    def put_fetched(self, message: Change | Rejected) -> None:
        """Put what REST gave into the backlog."""
        self._fetched.add(self.backlog.put(message.pack()))

    def note_paid(self, owed: str, covered: int | None) -> None:
        """Note that all that REST owed, or all that it has, stands in the backlog.

        `covered` is the time (ms) from which on nothing is missing any more, None where
        that is not certain.
        """
        if covered is None:
            self.settle()  # before Redis may forget from where on something is
        subscription = self.status.identity.subscription
        mark = paid(owed=owed, now=self.clock(), subscription=subscription)
        self.backlog.put(mark.pack())
        if covered is not None:
            self.note_covered(covered)

    def note_covered(self, since: int = 0) -> None:
        """Note that from a time (ms) on nothing is missing any more."""
        if self.recovery is not None:
            self.recovery.done(since)
        self.settle()

    def note_rest(self, trouble: str) -> None:
        """Note what is wrong with REST."""
        self.status.error = trouble
        self.changed()

    def _count_fetched(self, number: int, result: str) -> None:
        if number in self._fetched:
            self._fetched.remove(number)
            if result in EFFECTS:
                self.status.fetched += 1
                if self.recovery is not None:
                    self.recovery.recovered += 1


def _known(result: str, *, resent: bool) -> bool | None:
    """Tell whether the stream itself had brought a message before; None: no telling."""
    # After a lost answer, a duplicate may be one of our own making. And what is known
    # from REST does not tell that the stream brought what came before it.
    if resent or result == "duplicate of a row":
        return None
    return result == "duplicate"
