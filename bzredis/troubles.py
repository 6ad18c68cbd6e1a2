"""What is wrong, told to people once for all streams: that is one trouble. Pure.

A line when it begins, one each hour while it lasts, one when it is over; and no more
than a few an hour of a kind, however often it comes and goes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import attrs

HOUR: Final = 3_600.0  # s
SETTLE: Final = 1.0  # s in which the same may be said of other streams, too
LINES: Final = 6  # of a kind in an hour; those beyond it wait until there is room

NOTICES: Final = 20  # different ones that are told in an hour; others are but counted
OTHERS: Final = "(others)"

Kind = Literal["redis", "eviction", "disk", "feed", "refused", "rest", "removals"]
Level = Literal["info", "warning", "error"]
Line = tuple[Level, str, dict[str, Any]]

TOLD: Final[dict[Kind, tuple[str, str]]] = {  # while it lasts, and when it is over
    "redis": (
        "trouble with Redis, what is read is kept meanwhile",
        "Redis takes everything again",
    ),
    "eviction": (
        "trouble with the memory of Redis",
        "Redis keeps our keys again",
    ),
    "disk": ("trouble with the state folder", "the state folder takes all again"),
    "feed": ("trouble with upstream, it is tried again", "connected again"),
    "refused": ("upstream refuses us", "upstream refuses us no more"),
    "rest": ("trouble with REST, it is asked again", "REST answers again"),
    "removals": (
        "trouble with REST about removed records, it is asked again",
        "REST tells of removed records again",
    ),
}
MENDED_BY_PEOPLE: Final[set[Kind]] = {"disk", "refused"}
KEPT_MEANWHILE: Final[set[Kind]] = {"redis", "disk"}
OF_ALL: Final[set[Kind]] = {"redis", "eviction", "disk"}  # as a rule


@attrs.define
class _Trouble:
    """One kind of trouble. Times are s that only go forward."""

    kind: Kind
    _words: Mapping[str, str] = attrs.field(factory=dict)  # the last, by stream
    _streams: dict[str, None] = attrs.field(factory=dict)  # that had it at any time
    _seen: dict[str, float] = attrs.field(factory=dict)  # when those words came first
    _began: float | None = None
    _told: set[str] = attrs.field(factory=set)  # none: nobody knows of it
    _lines: deque[float] = attrs.field(factory=lambda: deque(maxlen=LINES))
    _is_on: bool = False
    _times: int = 0  # that it began since the last line
    _waiting: int = 0  # the most that waited

    def look(
        self, now: float, words: Mapping[str, str], waiting: int, settle: float
    ) -> Iterator[Line]:
        """Take how it stands, each second or so; yield what is to be told."""
        self._times += bool(words) and not self._is_on
        self._is_on = bool(words)
        if words:
            untold = {
                name: text
                for name, text in self._words.items()
                if text not in self._told
            }
            self._words = untold | {**words}
            self._streams |= dict.fromkeys(words)
            self._waiting = max(self._waiting, waiting)
            self._began = now if self._began is None else self._began
            # Of those that are gone nothing is kept: there may be ever new ones.
            self._seen = {
                text: self._seen.get(text, now) for text in self._words.values()
            }
        is_now = {*words.values()}
        while (text := self._news(now - settle, is_now)) and self._has_room(now):
            self._told.add(text)
            streams = [name for name, said in self._words.items() if said == text]
            yield self._line(now, 0, error=text, streams=streams)
        if words and self._told and now - self._lines[-1] >= HOUR:
            texts = "; ".join(dict.fromkeys(words.values()))
            yield self._line(now, 0, error=texts, streams=[*words])
        elif not words and self._told and self._has_room(now):
            yield self._line(now, 1, streams=[*self._streams])
            self._told.clear()
        if not (self._is_on or self._told or self._times):
            self._words, self._streams, self._seen = {}, {}, {}
            self._began, self._waiting = None, 0

    def _news(self, until: float, is_now: set[str]) -> str:
        """Return words that nobody was told of, and that stood by then or are over."""
        for text in self._words.values():
            is_settled = self._seen[text] <= until or text not in is_now
            if is_settled and text not in self._told:
                return text
        return ""

    def _has_room(self, now: float) -> bool:
        return len(self._lines) < LINES or now - self._lines[0] >= HOUR

    def _line(self, now: float, phase: Literal[0, 1], **told: Any) -> Line:
        lasted = round(now - (now if self._began is None else self._began))
        if lasted > SETTLE:
            told["seconds"] = lasted
        if self.kind in KEPT_MEANWHILE:
            told["waited" if phase else "waiting"] = self._waiting
        if self._times > 1:
            told["times"] = self._times
        self._times = 0
        self._lines.append(now)
        bad: Level = "error" if self.kind in MENDED_BY_PEOPLE else "warning"
        return "info" if phase else bad, TOLD[self.kind][phase], told


@attrs.define
class Troubles:
    """All kinds of them."""

    _kinds: list[_Trouble] = attrs.field(factory=lambda: [*map(_Trouble, TOLD)])

    def look(
        self,
        now: float,
        found: Mapping[str, Mapping[Kind, str]],
        waiting: int,
        settle: float = SETTLE,
    ) -> Iterator[Line]:
        """Take what is wrong with each stream; yield level, words and what goes along.

        Their names do not, where it is what all of them share.
        """
        for trouble in self._kinds:
            kind = trouble.kind
            words = {name: each[kind] for name, each in found.items() if kind in each}
            for level, event, told in trouble.look(now, words, waiting, settle):
                if kind in OF_ALL and len(told["streams"]) == len(found):
                    del told["streams"]
                yield level, event, told


@attrs.define
class Notices:
    """What upstream or Redis says: each is told once, and then how often it came.

    A server may say the same, or never the same, to each frame. Times are s.
    """

    _untold: dict[str, int] = attrs.field(factory=dict)
    _since: float | None = None

    def is_news(self, text: str) -> bool:
        """Tell whether a notice is to be told; if not, it is counted."""
        if text not in self._untold and len(self._untold) < NOTICES:
            self._untold[text] = 0
            return True
        text = text if text in self._untold else OTHERS
        self._untold[text] = self._untold.get(text, 0) + 1
        return False

    def again(self, now: float) -> dict[str, int]:
        """Once an hour return what came again, and how often.

        What did not is news when it comes the next time.
        """
        if self._since is None or now - self._since < HOUR:
            self._since = now if self._since is None else self._since
            return {}
        again = {text: count for text, count in self._untold.items() if count}
        self._since, self._untold = now, dict.fromkeys(again, 0)
        return again
