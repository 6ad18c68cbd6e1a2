"""Follows a log: what to ask next, and what the answer says. Pure.

It knows no socket and no clock, so that the reader for threads and the one for trio are
the same but for how they wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final

import attrs

from bzredis.backoff import delays
from bzredis.reader.convert import of_id, structure
from bzredis.reader.error import ReaderError
from bzredis.reader.values import Entry, Gap

NOW: Final = "$"
START: Final = "0-0"
BATCH: Final = 100  # entries; some 300 KB of insights
# ms that one XREAD waits: what is abandoned in a thread ends after that, and it has to
# be well below what counts as no answer (asking.ANSWER).
BLOCK: Final = 2_000
FIRST, LAST = 0.1, 5.0  # s between tries while Redis is away

Command = tuple[str | int, ...]


def told(stream: str, key: str, fields: dict[str, str]) -> Entry | Gap:
    """Return what an entry of the log says."""
    if fields.get("action") == "gap":
        kept = {name: text for name, text in fields.items() if name != "action"}
        return structure(Gap, kept, stream=stream, id=key)
    known = {**fields, "event": key}
    return structure(Entry, known, stream=stream, id=key, text=fields)


def place(after: str) -> tuple[int, int]:
    """Return an entry's id as numbers, of which the later entry has the higher ones.

    Raises ReaderError.
    """
    ms, dash, number = after.partition("-")
    if not (ms.isdecimal() and (number.isdecimal() or not dash)):
        raise ReaderError(f"{after!r} is no id of an entry: as 1728069666000-0, 0 or $")
    return int(ms), int(number or 0)


@attrs.define
class Follower:
    """A place in a log. Ask what `ask` says, and give `answer` what came.

    Each read but one that waits looks at the log, too, in the same step, and only after
    a look it waits. The log may have been trimmed beyond the place: that is told as a
    Gap. Or it may be an older one (a fail-over, a backup): then it goes on from that
    one's end, for nothing stands between there and the place.
    """

    stream: str
    key: str  # of the log
    after: str  # id of the last entry that was given; $: before the first answer
    follow: bool = True  # False: ends where the log ends
    ended: bool = attrs.field(init=False, default=False)
    _waits: bool = attrs.field(init=False, default=False)
    _idle: bool = attrs.field(init=False, default=False)  # was at the end just now
    # How many were ever added up to here, if that is known. A queue may delete what it
    # has read: only this tells that from trimming.
    _added: int | None = attrs.field(init=False, default=None)
    _delays: Iterator[float] | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        if self.after != NOW:
            self.after = "{}-{}".format(*place(self.after))

    def ask(self) -> tuple[Command, ...]:
        read, what = ("XREAD", "COUNT", BATCH), ("STREAMS", self.key, self.after)
        if self._waits:
            return ((*read, "BLOCK", BLOCK, *what),)
        return ("XINFO STREAM", self.key), (*read, *what)

    def answer(self, answers: Sequence[Any]) -> list[Entry | Gap]:
        """Return what is new."""
        *looked, read = answers
        found = [one for _, entries in read or () for one in entries]
        gaps = [gap for log in looked for gap in self._look(log or {}, len(found))]
        if found:
            self.after = found[-1][0]
        if self._added is not None:
            self._added += len(found)
        self._waits = self.follow and bool(looked) and not found
        self._idle = not (looked or found)
        self._delays = None
        self.ended = not (found or self.follow)
        return [*gaps, *(told(self.stream, key, fields) for key, fields in found)]

    def lost(self, error: ReaderError) -> float:
        """Return after how many s to ask again; raises what will not pass."""
        if not (error.passes and self.follow):
            raise error
        self.look()
        if self._delays is None:
            self._delays = delays(FIRST, LAST, rng=Random())  # noqa: S311 - no secret
        return next(self._delays)

    def look(self) -> None:
        """Look before the next wait, since time has passed."""
        self._waits = self._idle = False

    def _look(self, log: Mapping[str, Any], found: int) -> Iterator[Gap]:
        last = log.get("last-generated-id", START)
        first = (log.get("first-entry") or (last,))[0]
        before, upto = self.after, self._added
        total: int | None = log.get("entries-added")  # since Redis 7
        here = None if total is None or found >= BATCH else total - found
        self._added = upto if here is None else here
        if not found:
            self.after = last  # nothing stands between
        if before in {NOW, START} or not place(before) < place(first) <= place(last):
            return
        if upto is None or total is None:
            is_whole = self._idle
        elif total < upto:  # the log is another one, and all of it came since
            is_whole = total <= log.get("length", total)
        else:
            is_whole = upto + found >= total
        if is_whole:
            return
        self._added = here
        yield Gap(
            stream=self.stream,
            id=before,
            begin=of_id(before),
            end=of_id(first),
            cause="trimmed",
        )
