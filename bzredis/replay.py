"""Whether a replay closes the gap before it. Pure: it is told what happened.

A replay is a heap of messages, new or known, in no order that means anything. One that
was known before the gap began proves that nothing between is missing. What was read
since then proves nothing: a second replay would hold it in any case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import attrs

QUIET: Final = 5.0  # s without a message end a replay, where no pong does
LONGEST: Final = 60.0  # s after which a replay has ended, whatever comes


@attrs.frozen
class Uncovered:
    """Between two times (ms) messages may be missing; `recovered` were new."""

    begin: int
    end: int
    cause: str
    recovered: int


@attrs.define
class Replay:
    """What is known of the time before a connection, since the feed was last heard."""

    begin: int | None  # ms since 1970; None: nothing to lose before this connection
    cause: str
    end: int = 0  # ms since 1970: when the connection stood
    asked_at: float = 0.0  # s of a clock that only goes forward
    heard_at: float = 0.0
    ended: bool = False
    recovered: int = 0
    proven: bool = False
    awaited: set[int] = attrs.field(factory=set)
    prints: set[str] = attrs.field(factory=set)

    def until(self) -> float:
        """Return when this replay has ended, if nothing more comes."""
        return min(self.heard_at + QUIET, self.asked_at + LONGEST)


@attrs.define
class Continuity:
    """One stream's replays, across its connections and until Redis has answered."""

    asking: Replay | None = None  # the replay that is being read
    _first: Replay | None = None
    _unsettled: list[Replay] = attrs.field(factory=list)
    _awaiting: dict[int, Replay] = attrs.field(factory=dict)
    _previous: int | None = None
    _knows_previous: bool = False

    def connected(self, *, heard: int | None, now: int, at: float) -> Replay:
        """Begin a replay on a new connection; `heard` is when the last one was alive.

        A replay that a lost connection cut short goes on: its gap is still open.
        """
        replay = self.asking
        if replay is None:
            if self._first is None and self._knows_previous:
                heard = self._previous
            replay = Replay(heard, "reconnect" if self._first else "restart")
            self._first = self._first or replay
            self._unsettled.append(replay)
            self.asking = replay
        replay.end = now
        replay.asked_at = replay.heard_at = at
        return replay

    def previous(self, heard: int | None) -> None:
        """Note when an earlier run of the bridge was alive; None if it does not count.

        It does not where there was none, or its subscription was another.
        """
        self._knows_previous, self._previous = True, heard
        if self._first is not None:
            self._first.begin = heard

    def saw(self, number: int, prints: Iterable[str], at: float) -> None:
        """Note that the replay brought a message, under its number in the backlog."""
        replay = self.asking
        if replay is None:
            return
        replay.heard_at = at
        if not replay.prints.isdisjoint(prints):
            return  # another copy was read since the gap began
        replay.prints.update(prints)
        replay.awaited.add(number)
        self._awaiting[number] = replay

    def end(self) -> None:
        """Note that no more messages belong to the replay."""
        if self.asking is not None:
            self.asking.ended = True
            self.asking.prints.clear()
            self.asking = None

    def answered(self, number: int, *, known: bool | None) -> None:
        """Note what Redis said of a message: known before, new, or None: no telling."""
        replay = self._awaiting.pop(number, None)
        if replay is None:
            return
        replay.awaited.discard(number)
        if known:
            replay.proven = True
        elif known is not None:
            replay.recovered += 1

    def settle(self) -> Iterator[Uncovered]:
        """Yield the gaps that nothing covers, once each, as soon as that is certain."""
        if not self._knows_previous:
            return
        for replay in [r for r in self._unsettled if r.ended and not r.awaited]:
            self._unsettled.remove(replay)
            if replay.begin is not None and not replay.proven:
                yield Uncovered(
                    replay.begin, replay.end, replay.cause, replay.recovered
                )
