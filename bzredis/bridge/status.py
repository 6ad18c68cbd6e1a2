"""What a stream's `status` hash says: counted and noted here, written by the bridge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import inf
from typing import Any, Final, Literal

import attrs

from bzredis.messages.times import rfc3339
from bzredis.ports import Coverage
from bzredis.troubles import Kind, Notices

CONTRACT: Final = "1"  # the number of contract.md
State = Literal["connecting", "live", "retrying", "refused", "full", "stopped"]
Source = Literal["feed", "redis", "rest"]  # of an error
MARKS: Final = {"opened", "late", "heard", "replayed", "filled", "given up"}
COUNTED: Final = {  # which count a result goes into; all others are events
    "duplicate": "duplicates",
    "duplicate of a row": "duplicates",
    "rejected": "rejected",
    "refused": "rejected",
    "gap": "gaps",
}


@attrs.frozen
class Identity:
    """Which bridge this is, and what it was told."""

    bridge: str  # instance id
    version: str
    started_at: int  # ms since 1970
    upstream: str  # host only: the URL holds the token
    subscription: str  # `*` or the list


@attrs.define
class StreamStatus:
    """One stream's state and counts since the start. Times are ms since 1970."""

    identity: Identity
    state: State = "connecting"
    since: int = attrs.field()
    connected_at: int | None = None
    last_frame_at: int | None = None
    last_event_at: int | None = None
    last_pong_at: int | None = None
    covered_until: int | None = None  # until then all is in Redis, …
    missing: str = ""  # … but for this: FROM/TO, by spaces
    events: int = 0
    duplicates: int = 0
    rejected: int = 0
    unattributed: int = 0
    gaps: int = 0
    reconnects: int = 0
    fetched: int = 0
    backlog: int = 0
    spooled: int = 0
    # Not of the hash: whether `alive` stands, and when that was last asked, in s of a
    # clock that only goes forward.
    is_fresh: bool = False
    told_at: float = -inf
    refusals: Notices = attrs.field(factory=Notices)  # by Redis; not of the hash
    # What is wrong now, and what was since somebody looked; nor are these.
    _wrong: dict[Kind, str] = attrs.field(factory=dict)
    _was_wrong: dict[Kind, str] = attrs.field(factory=dict)
    _errors: dict[Source, str] = attrs.field(factory=dict)  # the last one last

    @since.default
    def _since_start(self) -> int:
        return self.identity.started_at

    @property
    def error(self) -> str:
        """The last error, in words; "" if there was none."""
        return next(reversed(self._errors.values()), "")

    def note_error(self, source: Source, words: str) -> None:
        self._errors.pop(source, None)
        self._errors[source] = words

    def trouble(self, kind: Kind, words: str = "") -> None:
        """Note what is wrong, in words that all streams share; "" when it is over."""
        if words:
            self._wrong[kind] = self._was_wrong[kind] = words
        else:
            self._wrong.pop(kind, None)

    def troubles(self) -> dict[Kind, str]:
        """Return what is wrong, or was for a moment since this was asked last."""
        found, self._was_wrong = self._was_wrong | self._wrong, {}
        return found

    def enter(self, state: State, now: int, error: str | None = None) -> None:
        if state != self.state:
            self.state, self.since = state, now
        if error is not None:
            self.note_error("feed", error)

    def note_coverage(self, coverage: Coverage) -> None:
        """Note until when all is in Redis, and what is missing before."""
        self.covered_until = coverage.until
        spans = ((rfc3339(h.begin), rfc3339(h.end)) for h in coverage.holes)
        self.missing = " ".join(f"{begin}/{end}" for begin, end in spans)

    def count(self, results: Iterable[str]) -> None:
        """Count what came of changes (`ports.Applied`)."""
        for result, times in Counter(results).items():
            if result not in MARKS:
                kind = "refused" if result.startswith("refused") else result
                name = COUNTED.get(kind, "events")
                setattr(self, name, getattr(self, name) + times)
                if result == "unattributed":
                    self.unattributed += times

    def fields(self) -> dict[str, str]:
        """Return the hash as text; what is not known, or is none, has no field."""
        found = {name: _text(name, self._value(name)) for name in FIELDS}
        return {name: text for name, text in found.items() if text}

    def _value(self, name: str) -> Any:
        if name == "contract":
            return CONTRACT
        return getattr(self.identity if name in OF_IDENTITY else self, name)


OF_IDENTITY: Final = tuple(a.name for a in attrs.fields(Identity))
_ASIDE: Final = {
    *("identity", "is_fresh", "told_at"),
    *("refusals", "_wrong", "_was_wrong", "_errors"),
}
FIELDS: Final = (  # of the hash: all that there may be
    "contract",
    *(each.name for each in attrs.fields(StreamStatus) if each.name not in _ASIDE),
    *OF_IDENTITY,
    "error",
)


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    is_time = name.endswith("_at") or name in {"since", "covered_until"}
    return rfc3339(value) if is_time else str(value)
