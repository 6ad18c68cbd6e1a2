"""What is open of one stream, and who has to see to it: the client's rules. Pure.

Until when all is in Redis, and what is missing, stands in Redis itself (coverage.md).
This is what its last answer said, and what follows from it. Times are in s of a clock
that only goes forward, but for `stamp`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

import attrs

from bzredis.ports import Coverage, Hole, Log

REST_HAS: Final = 5.0  # s until REST has what the stream sent (upstream.md, 4)
GIVE_UP: Final = 60.0  # s from when a hole is first seen; then it is a gap
ANSWERED: Final = 15.0  # s that an answer of Redis is believed
SLEPT: Final = 10_000  # ms that the wall clock runs ahead: this was no correction


@attrs.define
class Holes:
    """The holes of one stream, as one process sees them."""

    log: Log
    rest: bool  # whether REST is asked
    coverage: Coverage = attrs.field(factory=Coverage)
    confirmed: int = -1  # number of our last change that Redis has
    _is_down: bool = True
    _answered_at: float = -inf
    opened: int | None = None  # number of this connection's mark; None: there is none
    _replayed: int | None = None  # … and of its replay's end
    _filled: int = -1  # … and of REST's last word
    _first_seen: dict[str, float] = attrs.field(factory=dict)
    _given_up: set[str] = attrs.field(factory=set)
    _stamp: int = 0

    # ---- what happens

    def connected(self, opened: int) -> None:
        self.opened, self._replayed = opened, None

    def told_again(self, opened: int) -> None:
        """Note that Redis is told once more of the connection that stands."""
        self.opened = opened

    def disconnected(self) -> None:
        self.opened = None

    def replayed(self, number: int) -> None:
        self._replayed = number

    def filled(self, number: int) -> None:
        """Note that all that REST had stands in the backlog."""
        self._filled = number

    def applied(self, log: str, last: int, coverage: Coverage, now: float) -> None:
        """Take an answer of Redis: it has a log up to a number."""
        self._is_down, self._answered_at = False, now
        if log == self.log.id:
            self.confirmed = last
        self.coverage = coverage
        ids = {hole.id for hole in coverage.holes}
        self._first_seen = {each: self._first_seen.get(each, now) for each in ids}
        self._given_up &= ids

    def failed(self) -> None:
        self._is_down = True

    def stamp(self, now: int) -> int:
        """Return the time of a mark (ms): after the last one, and after all that is."""
        before = max(self._stamp, self.coverage.until or 0)
        return self.not_before(max(now, before + 1))

    def not_before(self, time: int) -> int:
        """Return a time (ms), or that of what came before, if that is later."""
        self._stamp = max(self._stamp, time)
        return self._stamp

    # ---- what follows

    @property
    def was_answered(self) -> bool:
        """Whether Redis ever took what this process sent."""
        return self._answered_at > -inf

    @property
    def is_connected(self) -> bool:
        """Whether Redis knows of the connection that stands, and answers."""
        opened = self.opened
        return opened is not None and self.confirmed >= opened and not self._is_down

    @property
    def counts(self) -> bool:
        """Whether it is our connection that Redis takes for the one that counts."""
        return self.coverage.reader == self.log.id

    @property
    def is_overlooked(self) -> bool:
        """Whether Redis has to be told again of the connection: our clock was behind.

        Once its replay is over: that was made before, and would prove what it cannot.
        """
        return self.is_connected and not self.counts and self._replayed is not None

    @property
    def has_replayed(self) -> bool:
        """Whether Redis knows that the replay of this connection is over."""
        over = self._replayed
        return self.is_connected and over is not None and self.confirmed >= over

    def to_ask(self, now: float) -> tuple[Hole, ...]:
        """Return the holes that REST is to be asked about now."""
        waits = self.confirmed < self._filled
        if waits or not (self.rest and self.is_connected and self._has_all()):
            return ()
        return tuple(
            hole
            for hole in self.coverage.holes
            if now - self._first_seen[hole.id] >= REST_HAS
        )

    def to_give_up(self, now: float) -> tuple[str, ...]:
        """Return the ids of the holes that nobody filled in time, each once."""
        if not self.is_connected:
            return ()
        ids = [
            hole.id
            for hole in self.coverage.holes
            if not (hole.announced and self.rest)
            and hole.id not in self._given_up
            and (
                now - self._first_seen[hole.id] > GIVE_UP
                or (self.has_replayed and not self.rest)
            )
        ]
        self._given_up.update(ids)
        return tuple(ids)

    def is_fresh(self, now: float) -> bool:
        """Tell whether nothing is missing that has not been announced."""
        return (
            self.is_connected
            and self.counts
            and now - self._answered_at <= ANSWERED
            and all(hole.announced for hole in self.coverage.holes)
        )

    def _has_all(self) -> bool:
        held, ours = self.coverage.subscription, self.log.subscription
        return ours == "*" or {*held.split(",")} <= {"", *ours.split(",")}


@attrs.define
class Silence:
    """Of one connection: what upstream has not answered yet, or never will.

    While a machine sleeps only the wall clock goes on; what came meanwhile is unknown.
    """

    _ahead: float | None = None  # ms of the wall clock before the other, last time
    _since: int | None = None  # ms: until upstream answers what was sent after it

    def heard(self, sent: int) -> None:
        """Note that all that was sent before a time (ms) has been read."""
        if self._since is not None and sent > self._since:
            self._since = None

    def unanswered(self, sent: int) -> None:
        """Note that what was sent at a time (ms) gets no answer."""
        self._since = sent - 1 if self._since is None else self._since

    def is_over(self, time: Callable[[], int], ahead: float) -> bool:
        """Tell whether upstream was heard since; asked every second or so."""
        if self._ahead is not None and ahead - self._ahead > SLEPT:
            self._since = time()
        self._ahead = ahead
        return self._since is None
