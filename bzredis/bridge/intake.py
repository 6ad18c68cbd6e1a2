"""One stream's way into its backlog, whoever brings something, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
import msgspec
import structlog
import trio
from trio.lowlevel import ParkingLot

from bzredis.backlog.backlog import Backlog
from bzredis.bridge.coverage import Holes, Silence
from bzredis.bridge.status import StreamStatus
from bzredis.changes.from_frame import read, rejected
from bzredis.changes.kinds import (
    Change,
    Filled,
    GaveUp,
    Heard,
    Incoming,
    Opened,
    Packed,
    Rejected,
    Replayed,
    unpack,
)
from bzredis.messages.envelope import Notice, Pong
from bzredis.messages.times import rfc3339
from bzredis.ports import Applied, Hole, Item
from bzredis.streams import Stream
from bzredis.troubles import Kind

log = structlog.get_logger(__name__)

Observe = Callable[[Stream, bytes, str], None]


@attrs.define(eq=False)
class Intake:
    """What is read of one stream, numbered, and what is known to be missing.

    `clock` tells ms since 1970. `on_applied` is told of each change that Redis has, and
    what came of it; `on_symbols` the symbols of which a record changed.
    """

    stream: Stream
    backlog: Backlog
    holes: Holes
    status: StreamStatus
    clock: Callable[[], int]
    urgent: ParkingLot  # who waits there is told what cannot wait
    on_applied: Observe | None = None
    on_symbols: Callable[[Sequence[str]], None] = lambda _: None
    sole: str = ""  # symbol of a subscription to one single security
    # ms by upstream's clock: what is newer may have been missed before this connection.
    resume: int | None = None
    _counted: int = -1  # number of the last change that was told of
    silence: Silence = attrs.field(factory=Silence)

    # ---- on its way in

    def frame(
        self, frame: str | bytes, *, is_replay: bool
    ) -> Change | Rejected | Pong | Notice:
        """Read a frame, and keep what has to get to Redis; never waits."""
        now = self.clock()
        self.status.last_frame_at = now
        message = read(
            self.stream,
            frame,
            received=now,
            source="replay" if is_replay else "live",
            sole=self.sole,
        )
        if isinstance(message, Incoming):
            self.status.last_event_at = now
            self.put(message)
        return message

    def put(self, change: Packed) -> int:
        if isinstance(change, Incoming):
            t = self.holes.not_before(change.t)
            if t != change.t:  # our clock stepped back; `received` may, `t` must not
                change = msgspec.structs.replace(change, t=t)
        return self.backlog.put(change.pack())

    def reject(self, words: str) -> None:
        """Keep a word of what ended a connection, where a person can look at it."""
        self.put(rejected(words, "", received=self.clock()))

    def time(self) -> int:
        return self.holes.stamp(self.clock())

    def opened(self) -> None:
        self.silence = Silence(self._ahead())  # it may sleep before anybody looks
        self.holes.connected(self.put(Opened(self.time())))

    def heard(self, sent: int) -> None:
        """Note that all that was sent before a time has been read."""
        t = self.time()  # the other is of a clock that may have been ahead
        self.put(Heard(t, min(sent, t)))
        self.silence.heard(sent)

    def is_heard(self) -> bool:
        """Tell whether upstream answered what it was sent, and since we slept."""
        return self.silence.is_over(self.time, self._ahead())

    def _ahead(self) -> float:
        return self.clock() - 1_000 * trio.current_time()

    def replayed(self) -> None:
        self.holes.replayed(self.put(Replayed(self.time())))

    def filled(self, ids: Sequence[str]) -> None:
        """Note that all that REST has for these holes stands before this."""
        self.holes.filled(self.put(Filled(self.time(), tuple(ids))))

    def forget(self, ids: Sequence[str]) -> None:
        """Let go of holes that are announced, and that REST cannot fill."""
        number = self.put(GaveUp(self.time(), tuple(ids), keep=False))
        self.holes.filled(number)

    def tend(self) -> None:
        if self.holes.is_overlooked:
            self.holes.told_again(self.put(Opened(self.time())))
        for each in self.holes.to_give_up(trio.current_time()):
            self.put(GaveUp(self.time(), (each,), keep=self.holes.rest))
        for words, times in self.status.refusals.again(trio.current_time()).items():
            told = {"stream": self.stream.name, "reason": words, "times": times}
            log.error("set aside in the last hour again", **told)

    # ---- what comes of it

    def applied(self, items: Sequence[Item], applied: Applied) -> None:
        """Take what Redis says of a batch."""
        were_open = {hole.id: hole for hole in self.holes.coverage.holes}
        log_id = items[0].log.id if items else self.holes.log.id
        self.holes.applied(log_id, applied.last, applied.coverage, trio.current_time())
        if open_now := applied.coverage.holes:
            self.resume = open_now[-1].resume
        self.status.note_coverage(applied.coverage)
        news, symbols = self._news(items, applied.results), [*applied.symbols]
        self.status.count([result for _, result in news])
        for item, result in news:
            if result == "gap":
                self._tell_of_gap(unpack(item.packed), were_open)
            elif result == "again":  # whose, said an answer that was lost
                symbols.append(getattr(unpack(item.packed), "symbol", ""))
            elif result[:7] == "refused":
                if self.status.refusals.is_news(result):  # it may be of each
                    log.error("set aside", stream=self.stream.name, reason=result)
                self.status.note_error("redis", result)
            if self.on_applied is not None:
                self.on_applied(self.stream, item.packed, result)
        if news or not items:
            self.status.fetched += applied.fetched
        if symbols:
            self.on_symbols(symbols)

    def _news(
        self, items: Sequence[Item], results: Sequence[str]
    ) -> list[tuple[Item, str]]:
        """Return changes and results without those that went back: these were told."""
        told = 0
        if items and items[0].log.id == self.holes.log.id:
            told = max(0, self._counted + 1 - items[0].number)
            self._counted = max(self._counted, items[-1].number)
        return list(zip(items, results, strict=True))[told:]

    def _tell_of_gap(self, mark: Packed, were_open: Mapping[str, Hole]) -> None:
        ids = mark.ids if isinstance(mark, GaveUp) else ()
        for hole in filter(None, map(were_open.get, ids)):
            span = {"since": rfc3339(hole.begin), "until": rfc3339(hole.end)}
            told = {"stream": self.stream.name, **span, "cause": hole.cause}
            log.warning("messages may be missing", **told)

    def trouble(self, words: str) -> None:
        """Note what is wrong with Redis, "" once it takes changes again."""
        if words:
            self.holes.failed()
            self.status.note_error("redis", words)
        self.status.trouble("redis", words)
        self.urgent.unpark_all()

    def rest_trouble(self, kind: Kind, words: str, gist: str) -> None:
        """Note what is wrong with REST, and its gist for all streams; "" at its end."""
        if words:
            self.status.note_error("rest", words)
        self.status.trouble(kind, gist)
        self.urgent.unpark_all()
