"""One stream on its way: connect, relay into the backlog, back off, and again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import islice
from random import Random
from typing import Final, NoReturn, Protocol

import attrs
import structlog
import trio

from bzredis import writer
from bzredis.backlog import Backlog, Item
from bzredis.backoff import delays
from bzredis.change import (
    Change,
    Rejected,
    gap,
    owe,
    paid,
    read,
    received_of,
    rejected,
)
from bzredis.errors import FeedLost, FeedRefused
from bzredis.message import Notice
from bzredis.recovery import Recovery
from bzredis.replay import Continuity, Uncovered
from bzredis.status import State, StreamStatus
from bzredis.streams import Stream
from bzredis.times import milliseconds, rfc3339

log = structlog.get_logger(__name__)

EFFECTS: Final = {"latest", "record", "none"}  # of a message that was not known
LOOK: Final = 0.25  # s between looks whether a replay has ended
HEARTBEAT: Final = 30.0  # s between our pings (upstream.md: every 30 to 60 s)
STEADY: Final = 60.0  # s of a session that was healthy: forget the failures before it
REFUSED: Final = 15 * 60.0  # s until a refused stream is tried again
SPELL: Final = 40  # frames read in one go, some 2 ms: the writer has to get its turn
BRUSQUE: Final = 3.0  # s: a session that ends so soon after our first text frame, …
BRUSQUE_TIMES: Final = 3  # … so often in a row, and with no answer, ends because of it
POISONED_TIMES: Final = 2  # a frame ended so many connections: the replay brings it
TOLD_REFUSED: Final = (
    "upstream refuses the {stream} stream ({error}): check that BENZINGA_TOKEN (or the "
    "token file) holds the right key and that the key is entitled to this stream"
)
TOLD_AGAIN: Final = "; tried again in 15 min"
TOLD_FULL: Final = "closed on purpose: no room on disk for what Redis does not take"


class Link(Protocol):
    """A connection to one stream. See `bzredis.feed`."""

    async def send(self, text: str, /) -> None:
        """Send a text frame; raises FeedLost."""

    async def receive(self) -> str | bytes:
        """Return the next frame; raises FeedLost."""

    def arrived(self) -> Iterable[str | bytes]:
        """Return the frames that have been read already."""


Connect = Callable[[Stream], AbstractAsyncContextManager[Link]]


@attrs.define
class Mirror:
    """One stream: its feed's sessions, its backlog, its status.

    `clock` tells ms since 1970. `changed` is called where the status is urgent news,
    `observe` for each change that Redis has, with what came of it.
    """

    stream: Stream
    connect: Connect
    backlog: Backlog
    status: StreamStatus
    clock: Callable[[], int]
    rng: Random
    changed: Callable[[], None]
    observe: Callable[[Item, str], None] = lambda *_: None
    # Keeps on disk what is open, before the messages that come then can hide it.
    keep: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
    sole: str = ""  # symbol of a subscription to one single security
    replays: bool = True
    pings: bool = True
    recovery: Recovery | None = None  # None: REST is not asked
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)  # of the feed
    connected: bool = False
    refused: bool = False
    continuity: Continuity = attrs.field(factory=Continuity)
    _heard: int | None = None  # ms: when the last connection was alive
    _asked: float | None = None  # s: our first text frame of a connection, unanswered
    _brusque: int = 0
    _unusable: int = 0  # frames that ended a connection since a replay was whole
    _poisoned: bool = False  # the replay holds such a frame
    _told: str = ""  # the error that a person was told of last
    _fetched: set[int] = attrs.field(factory=set)  # numbers of what REST gave

    async def supervise(self) -> NoReturn:
        """Keep a session going until cancelled; a refused stream is asked anew."""
        again = delays(rng=self.rng)
        while True:
            try:
                if await self._session() > STEADY:
                    again = delays(rng=self.rng)
            except FeedRefused as error:
                self._note_refusal(error)
                await trio.sleep(REFUSED)
            else:
                await trio.sleep(next(again))
            if self.backlog.full:
                self._enter("full", TOLD_FULL)
                await self.backlog.has_room()
            self.status.reconnects += 1

    async def _session(self) -> float:
        """Follow one connection to its end; return for how many seconds it stood."""
        began = None
        try:
            async with self.connect(self.stream) as link:
                began = trio.current_time()
                self._note_connection(began)
                await self._relay(link)
        except* FeedLost as group:
            error = group
        return self._note_loss(_innermost(error), began)

    async def _relay(self, link: Link) -> NoReturn:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._close_when_full)
            nursery.start_soon(self._command, link)
            nursery.start_soon(self._await_replay)
            try:
                await self.keep()
                self._go_live()
                while True:
                    self._take(await link.receive())
                    self._take_arrived(link, SPELL)
                    await self.backlog.breathe()
            finally:  # also when stopped: what was read is kept
                self.connected = False
                self._take_arrived(link)
        raise AssertionError  # the nursery ends by an exception only

    async def _close_when_full(self) -> NoReturn:
        await self.backlog.filled()
        raise FeedLost(TOLD_FULL)

    def _take_arrived(self, link: Link, most: int | None = None) -> None:
        for frame in islice(link.arrived(), most):
            self._take(frame)

    async def _command(self, link: Link) -> None:
        """Ask for the replay, then see to the heartbeat."""
        if self.replays and not self._poisoned:
            self._asked = trio.current_time()
            await link.send("replay")
        else:
            self._end_replay()
        self._poisoned = False
        if self.pings:
            self._asked = self._asked or trio.current_time()
            await link.send("ping")
        while self.pings:
            await trio.sleep(HEARTBEAT)
            await link.send("ping")

    async def _await_replay(self) -> None:
        while (replay := self.continuity.asking) is not None:
            await trio.sleep(LOOK)
            if trio.current_time() >= replay.until():
                self._end_replay()

    def _take(self, frame: str | bytes) -> None:
        """Read a frame into the backlog; never waits."""
        now = self.clock()
        self._heard = self.status.last_frame_at = now
        asking = self.continuity.asking
        message = read(
            self.stream,
            frame,
            received=now,
            source="live" if asking is None else "replay",
            sole=self.sole,
        )
        if isinstance(message, Change | Rejected):
            self._asked = None
            self.status.last_event_at = now
            number = self.backlog.put(message.pack())
            # A rejected frame proves nothing: it may be the same at each connect.
            if asking is not None and isinstance(message, Change):
                self.continuity.saw(number, message.known_by, trio.current_time())
        elif isinstance(message, Notice):
            self._tell(message)
        elif message.is_answer:
            self._asked = None
            self.status.last_pong_at = now
            self.continuity.hint(trio.current_time())

    def _tell(self, notice: Notice) -> None:
        tell = log.warning if notice.is_error else log.info
        tell("upstream says", stream=self.stream.name, notice=notice.text)

    # ---- what the writer reports

    def confirm(
        self, batch: Sequence[Item], results: Sequence[str], *, sent: int
    ) -> None:
        """Count what came of changes, and what it proves of a replay."""
        for item, result in zip(batch, results, strict=True):
            self._answered(item, result, resent=item.number <= sent)
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

    def note_rollback(self, since: int, first_held: bytes, *, covered: bool) -> None:
        """Announce what Redis lost and nobody holds any more."""
        if self.recovery is not None:
            self._begin_recovery()
        if not covered:
            end = milliseconds(received_of(first_held)) or self.clock()
            self.continuity.lost(since, end)
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
        self.backlog.put(gap(**attrs.asdict(hole)).pack())

    def _end_replay(self) -> None:
        if self.continuity.asking is not None:
            self._unusable = 0
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

    def note_paid(self, owed: str, covered: int) -> None:
        """Note that all that REST owed stands in the backlog."""
        subscription = self.status.identity.subscription
        mark = paid(owed=owed, now=self.clock(), subscription=subscription)
        self.backlog.put(mark.pack())
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

    # ---- what the status tells

    def _enter(self, state: State, error: str | None = None) -> None:
        self.status.enter(state, self.clock(), error)
        self.changed()

    def _note_connection(self, at: float) -> None:
        now = self.clock()
        self.continuity.connected(heard=self._heard, now=now, at=at)
        self._begin_recovery()
        self._heard, self._asked = now, None

    def _go_live(self) -> None:
        self.connected, self.refused = True, False
        self.status.connected_at = self._heard
        self._told = ""
        log.info("connected", stream=self.stream.name)
        self._enter("live")

    def _note_loss(self, error: FeedLost, began: float | None) -> float:
        words = str(error)
        tell = log.warning if words != self._told else log.debug  # told once
        tell("feed lost; trying again", stream=self.stream.name, error=words)
        self._told = words
        self.refused = False
        self._enter("full" if self.backlog.full else "retrying", words)
        if began is None:
            return 0.0
        if error.unusable:
            self.backlog.put(rejected(words, "", received=self.clock()).pack())
            self._unusable += 1
            is_asking = self.continuity.asking is not None
            self._poisoned = is_asking and self._unusable >= POISONED_TIMES
        self._note_brusqueness()
        return trio.current_time() - began

    def _note_brusqueness(self) -> None:
        """Notice a server that drops whoever sends it text (upstream.md, 1)."""
        asked, self._asked = self._asked, None
        if asked is None or trio.current_time() - asked > BRUSQUE:
            self._brusque = 0
            return
        self._brusque += 1
        if self._brusque >= BRUSQUE_TIMES:
            self.replays = self.pings = False
            log.warning(
                "upstream drops us whenever we send text: no more `replay` and `ping` "
                "on this stream until the bridge is started again",
                stream=self.stream.name,
            )

    def _note_refusal(self, error: FeedRefused) -> None:
        words = TOLD_REFUSED.format(stream=self.stream.name, error=error)
        if not self.refused:
            # Not whether it is tried again: that hangs on the other streams too.
            log.error(words, stream=self.stream.name)
        self.refused = True
        self._enter("refused", f"{words}{TOLD_AGAIN}")

    def give_up(self) -> None:
        """Note that the program ends because every stream was refused."""
        self.status.error = self.status.error.removesuffix(TOLD_AGAIN)


def _known(result: str, *, resent: bool) -> bool | None:
    """Tell whether the stream itself had brought a message before; None: no telling."""
    # After a lost answer, a duplicate may be one of our own making. And what is known
    # from REST does not tell that the stream brought what came before it.
    if resent or result == "duplicate of a row":
        return None
    return result == "duplicate"


def _innermost(group: BaseExceptionGroup[FeedLost]) -> FeedLost:
    inner = group.exceptions[0]
    return _innermost(inner) if isinstance(inner, BaseExceptionGroup) else inner
