"""Follows a log: what to ask next, and what the answer says. Pure.

It knows no socket and no clock, so that the reader for threads and the one for trio are
the same but for how they wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Final

import attrs

from bzredis.backoff import delays
from bzredis.reader.convert import of_id, structure
from bzredis.reader.error import ReaderError
from bzredis.reader.values import Entry, Gap, StreamName

NOW: Final = "$"
START: Final = "0-0"
BATCH: Final = 100  # entries; some 300 KB of insights
# ms that one XREAD waits: what is abandoned in a thread ends after that, and it has to
# be well below what counts as no answer (asking.ANSWER).
BLOCK: Final = 2_000
FIRST, LAST = 0.1, 5.0  # s between tries while Redis is away

Command = tuple[str | int, ...]


def entry(stream: StreamName, key: str, fields: dict[str, str]) -> Entry | Gap:
    """Make a value of an entry of the log, or of a history."""
    if fields.get("action") == "gap":
        kept = {name: text for name, text in fields.items() if name != "action"}
        return structure(Gap, kept, stream=stream, id=key)
    known = {} if fields.get("event") else {"event": key}
    return structure(Entry, fields, stream=stream, id=key, **known)


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

    Where it cannot know how it stands to the log's ends, it reads them with what comes
    next, in one step: at first, after Redis was away or silent, and when it is behind.
    The log may have been trimmed beyond the place: that is told as a Gap. Or it may be
    an older one (a fail-over, a backup): then it goes on from that one's end, since
    nothing stands between there and the place that was read.
    """

    stream: StreamName
    key: str  # of the log
    after: str  # id of the last entry that was given; $: before the first answer
    follow: bool = True  # False: ends where the log ends
    ended: bool = attrs.field(init=False, default=False)
    _looks: bool = attrs.field(init=False, default=True)
    _idle: bool = attrs.field(init=False, default=False)  # was at the end just now
    _delays: Iterator[float] | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        if self.after != NOW:
            self.after = "{}-{}".format(*place(self.after))

    def ask(self) -> tuple[Command, ...]:
        read, what = ("XREAD", "COUNT", BATCH), ("STREAMS", self.key, self.after)
        if not self._looks:
            return ((*read, "BLOCK", BLOCK, *what),)
        oldest = ("XRANGE", self.key, "-", "+", "COUNT", 1)
        newest = ("XREVRANGE", self.key, "+", "-", "COUNT", 1)
        return oldest, newest, (*read, *what)

    def answer(self, answers: Sequence[Any]) -> list[Entry | Gap]:
        """Return what is new."""
        *ends, read = answers
        found = [one for _, entries in read or () for one in entries]
        told = self._gap(*ends) if ends else []
        if found:
            self.after = found[-1][0]
        self._delays = None
        # Behind, or silence: then it looks. After a look that found less it waits.
        self._looks = not self.follow or len(found) >= BATCH or not (found or ends)
        self._idle = not (found or ends)
        self.ended = not (found or self.follow)
        return told + [entry(self.stream, key, fields) for key, fields in found]

    def lost(self, error: ReaderError) -> float:
        """Return after how many s to ask again; raises what will not pass."""
        if not (error.passes and self.follow):
            raise error
        self._looks, self._idle = True, False
        if self._delays is None:
            self._delays = delays(FIRST, LAST, rng=Random())  # noqa: S311 - no secret
        return next(self._delays)

    def _gap(self, oldest: Sequence[Any], newest: Sequence[Any]) -> list[Entry | Gap]:
        first = oldest[0][0] if oldest else START
        last = newest[0][0] if newest else START
        before = self.after
        if before == NOW or place(last) < place(before):
            self.after = last
            return []
        # After a silence nothing is missing, though a queue may have deleted the entry
        # at this place.
        if self._idle or before == START or place(before) >= place(first):
            return []
        return [
            Gap(
                stream=self.stream,
                id=before,
                begin=of_id(before),
                end=of_id(first),
                cause="trimmed",
            )
        ]
