"""One stream on its way: connect, relay into the backlog, back off, and again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from itertools import islice
from random import Random
from typing import Final, NoReturn, Protocol

import attrs
import structlog
import trio

from bzredis.backlog.backlog import Backlog
from bzredis.backoff import delays
from bzredis.bridge.ledger import Ledger
from bzredis.bridge.status import State, StreamStatus
from bzredis.changes.read import Change, Rejected, read, rejected
from bzredis.changes.replay import Continuity
from bzredis.errors import FeedLost, FeedRefused
from bzredis.messages.envelope import Notice
from bzredis.streams import Stream

log = structlog.get_logger(__name__)

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
TOLD_MUTE: Final = (
    "upstream drops us whenever we send text: no `replay` and `ping` on this stream "
    "until it has been connected for a while without"
)
TOLD_FULL: Final = "closed on purpose: no room on disk for what Redis does not take"


class Link(Protocol):
    """A connection to one stream. See `bzredis.upstream.websocket`."""

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

    `clock` tells ms since 1970. `changed` is called where the status is urgent news.
    What becomes of what it reads stands in its ledger.
    """

    stream: Stream
    connect: Connect
    backlog: Backlog
    status: StreamStatus
    clock: Callable[[], int]
    rng: Random
    changed: Callable[[], None]
    # Keeps on disk what is open, before the messages that come then can hide it.
    keep: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
    sole: str = ""  # symbol of a subscription to one single security
    replays: bool = True
    pings: bool = True
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)  # of the feed
    connected: bool = False
    refused: bool = False
    ledger: Ledger = attrs.field(init=False)
    _heard: int | None = None  # ms: when the last connection was alive
    _asked: float | None = None  # s: our first text frame of a connection, unanswered
    _brusque: int = 0
    _mute: bool = False  # upstream seems to drop whoever sends it text
    _unusable: int = 0  # frames that ended a connection since a replay was whole
    _poisoned: bool = False  # the replay holds such a frame
    _told: str = ""  # the error that a person was told of last

    @ledger.default
    def _open_ledger(self) -> Ledger:
        return Ledger(self.stream, self.backlog, self.status, self.clock, self.changed)

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
        replays, pings = self.replays and not self._mute, self.pings and not self._mute
        if replays and not self._poisoned:
            self._asked = trio.current_time()
            await link.send("replay")
        else:
            self._end_replay()
        self._poisoned = False
        if pings:
            self._asked = self._asked or trio.current_time()
            await link.send("ping")
        while pings:
            await trio.sleep(HEARTBEAT)
            await link.send("ping")

    async def _await_replay(self) -> None:
        while (replay := self._continuity.asking) is not None:
            await trio.sleep(LOOK)
            if trio.current_time() >= replay.until():
                self._end_replay()

    @property
    def _continuity(self) -> Continuity:
        return self.ledger.continuity

    def _take(self, frame: str | bytes) -> None:
        """Read a frame into the backlog; never waits."""
        now = self.clock()
        self._heard = self.status.last_frame_at = now
        asking = self._continuity.asking
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
                self._continuity.saw(number, message.known_by, trio.current_time())
        elif isinstance(message, Notice):
            self._tell(message)
        elif message.is_answer:
            self._asked = None
            self.status.last_pong_at = now
            self._continuity.hint(trio.current_time())

    def _tell(self, notice: Notice) -> None:
        tell = log.warning if notice.is_error else log.info
        tell("upstream says", stream=self.stream.name, notice=notice.text)

    def _end_replay(self) -> None:
        if self._continuity.asking is not None:
            self._unusable = 0
            self.ledger.end_replay()

    # ---- what the status tells

    def _enter(self, state: State, error: str | None = None) -> None:
        self.status.enter(state, self.clock(), error)
        self.changed()

    def _note_connection(self, at: float) -> None:
        now = self.clock()
        self.ledger.note_connection(heard=self._heard, now=now, at=at)
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
            is_asking = self._continuity.asking is not None
            self._poisoned = is_asking and self._unusable >= POISONED_TIMES
        stood = trio.current_time() - began
        self._note_brusqueness(stood)
        return stood

    def _note_brusqueness(self, stood: float) -> None:
        """Notice a server that drops whoever sends it text (upstream.md, 1).

        One that was only going down a few times looks the same: after a connection that
        stood without a word of ours it is tried once more.
        """
        asked, self._asked = self._asked, None
        if self._mute:
            self._mute = stood <= STEADY
        elif asked is None or trio.current_time() - asked > BRUSQUE:
            self._brusque = 0
        else:
            self._brusque += 1
            self._mute = self._brusque >= BRUSQUE_TIMES
            if self._mute:
                log.warning(TOLD_MUTE, stream=self.stream.name)
                self.status.error = TOLD_MUTE

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


def _innermost(group: BaseExceptionGroup[FeedLost]) -> FeedLost:
    inner = group.exceptions[0]
    return _innermost(inner) if isinstance(inner, BaseExceptionGroup) else inner
