"""Whether a replay closes the gap before it. Pure: it is told what happened.

A replay is a heap of messages, new or known, in no order that means anything. One that
was known before the gap began proves that nothing between is missing. What was read
since then proves nothing: a second replay would hold it in any case.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from math import inf
from typing import Final

import attrs
import msgspec

QUIET: Final = 5.0  # s without a message end a replay, where no pong does
HINT: Final = 2.0  # s from a pong to the end: it promises nothing (upstream.md, 1)
SAVED: Final = (
    *("begin", "cut", "cause", "end", "ended", "recovered"),
    *("firsts", "held", "awaited", "known"),
)
ALL_SAVED: Final = (*SAVED, "doubtful", "doubted")
# What a gap is caused by.
RESTART, RECONNECT, ROLLBACK = "restart", "reconnect", "redis-rollback"
LONGEST: Final = 60.0  # s after which a replay has ended, whatever comes
EARLIER: Final = 2**40  # by which the numbers of an earlier process are set apart
MOST: Final = 5_000  # messages, likewise: it has 100, and each takes up to 1 KB here


@attrs.frozen
class Uncovered:
    """Between two times (ms) messages may be missing; `recovered` were new."""

    begin: int
    end: int
    cause: str
    recovered: int


@attrs.define(eq=False)
class Replay:
    """What is known of the time before a connection, since the feed was last heard."""

    begin: int | None  # ms since 1970; None: nothing to lose before this connection
    cause: str
    end: int = 0  # ms since 1970: when the connection stood
    cut: int | None = None  # ms: when a connection was last alive that cut it short
    asked_at: float = 0.0  # s of a clock that only goes forward
    heard_at: float = 0.0
    hinted_at: float = inf
    ended: bool = False
    recovered: int = 0
    # Messages go by the number of their first copy since the gap began.
    firsts: dict[str, int] = attrs.field(factory=dict)  # by fingerprint
    held: set[int] = attrs.field(factory=set)  # brought on the last connection
    awaited: set[int] = attrs.field(factory=set)  # not yet answered by Redis
    known: set[int] = attrs.field(factory=set)  # which Redis knew before
    # A process that was killed brought more than it noted here. What Redis knows by now
    # of what came since proves nothing; nor does what it left to write, which Redis may
    # have had from it all the same.
    doubtful: bool = False
    doubted: set[int] = attrs.field(factory=set)

    def until(self) -> float:
        """Return when this replay has ended, if nothing more comes."""
        return min(
            self.heard_at + QUIET, self.asked_at + LONGEST, self.hinted_at + HINT
        )

    def proves(self) -> bool:
        """Tell whether it held a message that was known before the gap began."""
        return not self.held.isdisjoint(self.known)


@attrs.define
class Continuity:
    """One stream's replays, across its connections and until Redis has answered."""

    asking: Replay | None = None  # the replay that is being read
    _is_first: bool = True
    _unsettled: list[Replay] = attrs.field(factory=list)
    _awaiting: dict[int, Replay] = attrs.field(factory=dict)
    _previous: int | None = None
    knows_previous: bool = False
    # What an earlier process left open, but for what a connection goes on with. Whether
    # it is of the Redis that is here, `belongs` tells; until then nothing is settled.
    _inherited: list[Replay] = attrs.field(factory=list)
    _continued: Replay | None = None
    _is_claimed: bool = True

    def connected(self, *, heard: int | None, now: int, at: float) -> Replay:
        """Begin a replay on a new connection; `heard` is when the last one was alive.

        A replay that a lost connection cut short begins again: its gap is still open,
        and what it held does not tell what was missed since.
        """
        replay = self.asking
        if replay is not None:
            if replay.begin is None and self.knows_previous:
                self.end()  # it has no gap to close; what follows it has
                replay = None
            elif replay.cut is None:
                replay.cut = heard
        if replay is None:
            if self._is_first and self.knows_previous:
                heard = self._previous
            replay = Replay(heard, RESTART if self._is_first else RECONNECT)
            self._unsettled.append(replay)
            self.asking = replay
        self._is_first = False
        if replay in self._inherited:
            self._inherited.remove(replay)
            self._continued = replay
        replay.end, replay.hinted_at = now, inf
        replay.held.clear()
        replay.asked_at = replay.heard_at = at
        return replay

    def previous(self, heard: int | None) -> None:
        """Note when an earlier run of the bridge was alive; None if it does not count.

        It does not where there was none, or its subscription was another.
        """
        self.knows_previous, self._previous = True, heard
        for replay in self._unsettled:
            self._date(replay)

    def _date(self, replay: Replay) -> None:
        if replay.begin is None and self.knows_previous:
            replay.begin = replay.cut if self._previous is None else self._previous

    def saw(self, number: int, prints: Iterable[str], at: float) -> None:
        """Note that the replay brought a message, under its number in the backlog."""
        replay = self.asking
        if replay is None:
            return
        replay.heard_at = at
        marks = tuple(prints)
        copies = [replay.firsts[mark] for mark in marks if mark in replay.firsts]
        first = min(copies, default=number)
        replay.firsts.update(dict.fromkeys(marks, first))
        replay.held.add(first)
        if not copies:
            replay.awaited.add(number)
            self._awaiting[number] = replay
            if replay.doubtful:
                replay.doubted.add(number)
        if len(replay.held) >= MOST:
            self.end()

    def hint(self, at: float) -> None:
        """Note that upstream seems to have sent the replay."""
        if self.asking is not None:
            self.asking.hinted_at = min(self.asking.hinted_at, at)

    def end(self) -> None:
        """Note that no more messages belong to the replay."""
        if self.asking is not None:
            self.asking.ended = True
            self.asking.firsts.clear()
            self.asking = None

    def answered(self, number: int, *, known: bool | None) -> None:
        """Note what Redis said of a message: known before, new, or None: no telling."""
        replay = self._awaiting.pop(number, None)
        if replay is None:
            return
        replay.awaited.discard(number)
        if known is False:
            replay.recovered += 1
        elif known and number not in replay.doubted:
            replay.known.add(number)

    @property
    def is_open(self) -> bool:
        """Whether something may have been missed that still comes, or is announced."""
        return self.asking is not None or any(
            replay.begin is not None and not replay.proves()
            for replay in self._unsettled
        )

    def settle(self) -> Iterator[Uncovered]:
        """Yield the gaps that nothing covers, once each, as soon as that is certain."""
        if not (self.knows_previous and self._is_claimed):
            return
        for replay in [r for r in self._unsettled if r.ended and not r.awaited]:
            self._unsettled.remove(replay)
            if replay.begin is not None and not replay.proves():
                yield Uncovered(
                    replay.begin, replay.end, replay.cause, replay.recovered
                )

    def lost(self, begin: int, end: int) -> None:
        """Note that Redis has lost what came between two times (ms)."""
        self._unsettled.append(Replay(begin, ROLLBACK, end, ended=True))

    def save(self, *, last: bool = False, sent: float = -inf) -> str:
        """Return what is open, as JSON for the next process; "" if nothing is.

        `last`: this process takes nothing more. What it sent to Redis and got no answer
        for goes up to number `sent`.
        """
        still_open = [
            {
                **{name: getattr(replay, name) for name in SAVED},
                "doubtful": replay.doubtful or not last,
                "doubted": replay.doubted | {n for n in replay.awaited if n <= sent},
            }
            for replay in self._unsettled
            if replay.begin is not None or not self.knows_previous
        ]
        return msgspec.json.encode(still_open).decode() if still_open else ""

    def restore(self, saved: str, waiting: Container[int]) -> None:
        """Take up what the last process left open; `waiting` is what it left to write.

        Of what Redis answered since `saved`, or what was lost, nobody will tell. It
        waits for `belongs`.
        """
        for replay in self._take_up(saved, waiting):
            self._inherited.append(replay)
            self._is_claimed = False
            if not replay.ended:
                self.asking = replay

    def adopt(self, saved: str, waiting: Container[int]) -> None:
        """Take up what was left open in another file, as far as it went there."""
        for replay in self._take_up(saved, waiting):
            replay.ended = True
            replay.firsts.clear()
            self._date(replay)

    def _take_up(self, saved: str, waiting: Container[int]) -> Iterator[Replay]:
        for replay in _decode(saved or "[]"):
            _renumber(replay, waiting)
            if replay.doubtful:
                replay.doubted |= replay.awaited
            self._unsettled.append(replay)
            self._awaiting.update(dict.fromkeys(replay.awaited, replay))
            yield replay

    def belongs(self, *, here: bool, last: int) -> None:
        """Learn whether what was left open is of the Redis that is here.

        If not, it stays with that one. What this process read, with numbers above
        `last`, goes on for this one, which has a time before of its own.
        """
        self._is_claimed = True
        if not here:
            for replay in self._inherited:
                self._unsettled.remove(replay)
            if self.asking in self._inherited:
                self.asking = None
            if self._continued is not None:
                _forget(self._continued, last)
                self._date(self._continued)
            self._awaiting = {n: r for n, r in self._awaiting.items() if n > last}
        self._inherited.clear()


def handed_down(saved: str, waiting: range, by: int) -> str:
    """Return what is open where what is `waiting` is renumbered `by` so much."""
    replays = _decode(saved or "[]")
    for replay in replays:
        _renumber(replay, waiting, by)
    return _encode(replays)


def joined(*saved: str) -> str:
    """Return all that is open."""
    return _encode([replay for each in saved for replay in _decode(each or "[]")])


def _renumber(replay: Replay, waiting: Container[int], by: int = 0) -> None:
    """Set the numbers that are not `waiting` apart; of those no answer will come."""

    def new(number: int) -> int:
        return number + by if number in waiting else number - EARLIER

    replay.awaited = {new(number) for number in replay.awaited if number in waiting}
    replay.firsts = {mark: new(number) for mark, number in replay.firsts.items()}
    replay.held, replay.known, replay.doubted = (
        set(map(new, each)) for each in (replay.held, replay.known, replay.doubted)
    )


def _forget(replay: Replay, last: int) -> None:
    """Keep of a replay what a connection of this process brought."""
    replay.begin, replay.cause, replay.recovered = None, RESTART, 0
    replay.doubtful, replay.doubted = False, set()
    replay.firsts = {mark: n for mark, n in replay.firsts.items() if n > last}
    replay.held, replay.awaited, replay.known = (
        {n for n in each if n > last}
        for each in (replay.held, replay.awaited, replay.known)
    )


def _encode(replays: Iterable[Replay]) -> str:
    saved = [{name: getattr(r, name) for name in ALL_SAVED} for r in replays]
    return msgspec.json.encode(saved).decode() if saved else ""


_decode = msgspec.json.Decoder(list[Replay]).decode
