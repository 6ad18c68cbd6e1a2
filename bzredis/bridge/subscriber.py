"""One stream on its way: connect, relay into the backlog, back off, and again."""

from __future__ import annotations

from collections import deque
from itertools import islice
from math import inf
from random import Random
from typing import Final, Literal, NoReturn

import attrs
import structlog
import trio

from bzredis.backoff import delays
from bzredis.bridge.intake import Intake
from bzredis.bridge.manners import STEADY, Manners
from bzredis.bridge.status import State
from bzredis.changes.kinds import Change, Incoming
from bzredis.errors import FeedLost, FeedRefused, first
from bzredis.messages.envelope import Notice
from bzredis.ports import Connect, Link
from bzredis.troubles import Notices

log = structlog.get_logger(__name__)

POLL: Final = 0.25  # s between looks at what is missing, or may be, …
SELDOM: Final = 1.0  # … and, where nothing is, whether something is due
HEARTBEAT: Final = 30.0  # s between our pings (upstream.md: every 30 to 60 s)
READING: Final = 0.25  # s, ample for what lies there to be read
LATE: Final = 30_000  # ms; what was sent so long ago has come, or the link is dead
TARDY: Final = (
    10.0  # s until a ping that upstream does not answer takes `alive` away, …
)
DEAD: Final = 60.0  # … and the connection, where it did answer on it
QUIET: Final = 5.0  # s without a message end a replay, where no pong does
HINT: Final = 2.0  # s from a pong to the end: it promises nothing (upstream.md, 1)
LONGEST: Final = 60.0  # s after which a replay has ended, whatever comes
REFUSED: Final = 15 * 60.0  # s until a refused stream is tried again
PER_TURN: Final = 40  # frames read in one go, some 2 ms: the writer has to get its turn
TOLD_REFUSED: Final = (
    "check that BENZINGA_TOKEN (or the token file) holds the right key and that the "
    "key is entitled to this stream"
)
TAKEN: Final = 429  # of HTTP
TOLD_TAKEN: Final = (
    "{error}: another bridge, or another program, is connected with this key; this one"
    " waits, and takes over when that one is gone"
)
TOLD_AGAIN: Final = "; tried again in 15 min"
TOLD_SILENT: Final = "upstream answers no ping any more, and says nothing else"
TOLD_FULL: Final = "closed on purpose: no room on disk for what Redis does not take"


@attrs.define(eq=False)
class Session:
    """One connection, from its handshake on."""

    link: Link
    intake: Intake
    manners: Manners
    notices: Notices
    began: float = attrs.field(factory=trio.current_time)
    is_replaying: bool = True
    _replay_ends: float = inf  # s, if nothing more comes
    _replay_hinted: float = inf
    _is_pong_last: bool = False  # nothing of a replay came behind it
    _pinged: deque[int] = attrs.field(factory=deque)  # ms: pings without an answer
    _silent_since: float = inf  # s: the first of them after which nothing came

    async def run(self) -> NoReturn:
        """Relay until the connection is lost: FeedLost."""
        self.intake.opened()
        if not self.manners.may_replay():
            self._end_replay()  # before any frame: none of them is of a replay
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._close_when_full)
            nursery.start_soon(self._command)
            nursery.start_soon(self._tend)
            try:
                while True:
                    self._take(await self.link.receive())
                    self._take_arrived(PER_TURN)
                    await self.intake.backlog.breathe()
            finally:  # also when stopped: what was read is kept
                self.intake.holes.disconnected()
                self._take_arrived()
        raise AssertionError  # the nursery ends by an exception only

    async def _close_when_full(self) -> NoReturn:
        await self.intake.backlog.filled()
        raise FeedLost(TOLD_FULL)

    # ---- what we say

    async def _command(self) -> None:
        """Ask for the replay, then see to the heartbeat."""
        self._replay_ends = trio.current_time() + QUIET
        at = (
            self.intake.time()
        )  # sending may take a while, in which a pong comes unasked
        if self.is_replaying:
            self.manners.asked(trio.current_time())
            await self.link.send("replay")
        while True:
            if self.manners.may_ping:
                self.manners.asked(trio.current_time())
                self._pinged.append(at)
                self._silent_since = min(self._silent_since, trio.current_time())
                await self.link.send("ping")
            await trio.sleep(HEARTBEAT - READING)
            await self._read_on()
            at = self.intake.time()
            self._hear_without_pong()

    async def _read_on(self) -> None:
        """Wait until what came up to now is read: a pong in it answers no ping to come.

        Upstream may say one unasked, and it may have lain there while we stood still.
        """
        began = -inf
        while trio.current_time() - began > 2 * READING:
            began = trio.current_time()
            await trio.sleep(READING)

    def _hear_without_pong(self) -> None:
        """Where no ping gets an answer, a frame tells that the link was alive."""
        heard = self.intake.status.last_frame_at
        if (self._pinged or not self.manners.may_ping) and heard is not None:
            self.intake.heard(heard - LATE)

    async def _tend(self) -> NoReturn:
        while True:
            looks_out = self.is_replaying or self.intake.holes.coverage.holes
            await trio.sleep(POLL if looks_out else SELDOM)
            if self.is_replaying and self._has_all_come():
                self._end_replay()
            self._mind_silence()
            self.intake.tend()
            for notice, times in self.notices.again(trio.current_time()).items():
                told = {"stream": self.intake.stream.name, "notice": notice}
                log.info("upstream said in the last hour again", **told, times=times)

    def _mind_silence(self) -> None:
        """Doubt an upstream that answered pings before, and leave it in the end.

        Its PINGs may still come: of a proxy, say, whose back end is gone.
        """
        silent, status = trio.current_time() - self._silent_since, self.intake.status
        if silent > TARDY and status.last_pong_at is not None:
            if silent > DEAD and status.last_pong_at >= (status.connected_at or 0):
                raise FeedLost(TOLD_SILENT)
            self.intake.silence.unanswered(self._pinged[0])

    def _has_all_come(self) -> bool:
        """Tell whether the replay is over, and not the link dead in the midst of it.

        A pong came last, or a byte of whatever after the wait: upstream's PINGs come
        every 10 s, and all that was sent before one has come before it.
        """
        ends, link = self._replay_ends, self.link
        has_come = self._is_pong_last or link.heard_at >= ends
        return trio.current_time() >= ends and has_come

    def _end_replay(self) -> None:
        self.is_replaying = False
        self.manners.replayed()
        self.intake.replayed()

    # ---- what comes

    def _take_arrived(self, most: int | None = None) -> None:
        for frame in islice(self.link.arrived(), most):
            self._take(frame)

    def _take(self, frame: str | bytes) -> None:
        self._silent_since = inf
        message = self.intake.frame(frame, is_replay=self.is_replaying)
        if isinstance(message, Incoming):
            self.manners.answered()
            if self.is_replaying and isinstance(message, Change):
                self._is_pong_last = False
                self._prolong(trio.current_time() + QUIET)
        elif isinstance(message, Notice):
            if self.notices.is_news(message.text):
                tell = log.warning if message.is_error else log.debug
                name = self.intake.stream.name
                tell("upstream says", stream=name, notice=message.text)
        elif message.is_answer:
            self.manners.answered()
            self.intake.status.last_pong_at = self.intake.status.last_frame_at
            self._is_pong_last = True
            self._replay_hinted = min(self._replay_hinted, trio.current_time() + HINT)
            self._prolong(self._replay_ends)
            if self._pinged:
                self.intake.heard(self._pinged.popleft())

    def _prolong(self, until: float) -> None:
        self._replay_ends = min(until, self.began + LONGEST, self._replay_hinted)


@attrs.define
class Subscriber:
    """One stream's sessions, one after the other."""

    intake: Intake
    connect: Connect
    manners: Manners
    rng: Random
    notices: Notices = attrs.field(factory=Notices)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    refused: bool = False
    _refusal: str = ""  # the last one, in words

    async def supervise(self) -> None:
        """Keep a session going until `scope` is cancelled; who is refused asks anew."""
        again = delays(rng=self.rng)
        with self.scope:
            while True:
                try:
                    if await self._session() > STEADY:
                        again = delays(rng=self.rng)
                except FeedRefused as error:
                    self._note_refusal(error)
                    await trio.sleep(REFUSED)
                else:
                    await trio.sleep(next(again))
                if self.intake.backlog.full:
                    self._enter("full", TOLD_FULL)
                    await self.intake.backlog.has_room()
                self.intake.status.reconnects += 1

    async def _session(self) -> float:
        """Follow one connection to its end; return for how many seconds it stood."""
        session = None
        try:
            async with self.connect(self.intake.stream) as link:
                session = Session(link, self.intake, self.manners, self.notices)
                self._go_live()
                await session.run()
        except* FeedLost as group:
            error = group
        return self._note_loss(first(error), session)

    # ---- what the status tells

    def _enter(self, state: State, error: str | None = None) -> None:
        self.intake.status.enter(state, self.intake.clock(), error)
        self.intake.urgent.unpark_all()

    def _go_live(self) -> None:
        self._note("feed", "")
        self.manners.connected()
        self.intake.status.connected_at = self.intake.clock()
        log.debug("connected", stream=self.intake.stream.name)
        self._enter("live")

    def _note_loss(self, error: FeedLost, session: Session | None) -> float:
        words = str(error)
        if error.status == TAKEN:
            words = TOLD_TAKEN.format(error=words)
        log.debug("feed lost", stream=self.intake.stream.name, error=words)
        is_full = self.intake.backlog.full  # of which people are told as such
        self._note("feed", "" if is_full else words)
        self._enter("full" if is_full else "retrying", words)
        if session is None:
            return 0.0
        if error.unusable:
            self.intake.reject(words)
            self.manners.ended_by_a_frame(is_replaying=session.is_replaying)
        stood = trio.current_time() - session.began
        if told := self.manners.ended(trio.current_time(), stood):
            self.intake.status.note_error("feed", told)
            self._note("feed", told)
        return stood

    def _note_refusal(self, error: FeedRefused) -> None:
        name = self.intake.stream.name
        self._refusal = f"upstream refuses the {name} stream ({error}): {TOLD_REFUSED}"
        # Not whether it is tried again: that hangs on the other streams too.
        self._note("refused", f"{error}: {TOLD_REFUSED}")
        self._enter("refused", f"{self._refusal}{TOLD_AGAIN}")

    def _note(self, kind: Literal["feed", "refused"], words: str) -> None:
        """Note how it stands: connected where there are no words."""
        self.refused = kind == "refused"
        for each in ("feed", "refused"):
            self.intake.status.trouble(each, words if each == kind else "")

    def give_up(self) -> None:
        self.intake.status.note_error("feed", self._refusal)

    @property
    def was_never_connected(self) -> bool:
        return self.refused and self.intake.status.connected_at is None
