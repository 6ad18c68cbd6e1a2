"""What a stream's log has decided: of each record, and of each symbol. Pure.

The script decided each entry when it wrote it: whose it is, its version and time, and
what it changed. That is read here, and not decided anew; where the log leaves
something open, nothing is said of it. A law holds this to the script (test_law.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from bzredis.store.mending import START, place
from bzredis.streams import Stream

NOTHING: Final = (0, 0)
Place = tuple[int, bytes]  # in a timeline: when it was published, then its id


@attrs.define
class Record:
    """The entry that a record's hash is of."""

    entry: str
    symbol: str
    version: int
    is_deleted: bool
    # To whose timelines it may have come (back), too old to stay: then nothing is left.
    too_old_for: frozenset[str] = frozenset()


@attrs.define
class Shown:
    """What a symbol's consensus is of; without an entry there is none."""

    entry: str = ""  # the one that wrote the hash
    before: str = ""  # the one whose figures are its `_previous_…`
    repeat: str = ""  # the last one with the same figures
    is_whole: bool = True  # False: what wrote the hash is no longer in the log
    has_before: bool = False  # whether the log tells of what was before
    is_open: bool = False  # the log does not tell whether it is still there
    record: str = ""
    version: int = 0
    until: tuple[int, int] = NOTHING


def _number(fields: Mapping[str, str], name: str) -> int:
    text = fields.get(name, "")
    return int(text) if text.isdecimal() else 0


@attrs.define
class Records:
    """Of a stream of records: each record, and which a symbol has or had."""

    length: int  # of a timeline
    forgotten: Mapping[str, str] = attrs.field(factory=dict)
    until: str = START
    of: dict[str, Record] = attrs.field(factory=dict)
    homes: dict[str, set[str]] = attrs.field(factory=dict)
    ever: dict[str, set[str]] = attrs.field(factory=dict)  # also those that left
    # Of the timelines what the log tells: each record's place, the oldest falls off.
    lines: dict[str, dict[str, Place]] = attrs.field(factory=dict)

    def symbols(self) -> set[str]:
        return {*self.homes, *self.ever}

    def at(self, symbol: str) -> set[str]:
        return self.homes.get(symbol, set())

    def add(self, entry: str, fields: Mapping[str, str]) -> set[str]:
        """Add the next entry; return the symbols that it may concern."""
        self.until = entry
        record, symbol = fields.get("record", ""), fields.get("symbol", "")
        if not record:  # a gap
            return set()
        held, version = self.of.get(record), _number(fields, "version")
        concerned = {symbol, held.symbol} if held else {symbol}
        if fields.get("effect", "none") == "none":
            # Out of date; or too old for the timeline: then nothing is left of it.
            if held and version > held.version:
                self._leave(record)
            elif held and version == held.version:
                held.too_old_for |= {symbol}
            return concerned
        if place(entry) <= place(self.forgotten.get(symbol, "")):
            self._leave(record)
            return concerned
        self.ever.setdefault(symbol, set()).add(record)
        self._leave(record)
        self.homes.setdefault(symbol, set()).add(record)
        is_deleted = fields.get("action") == "deleted"
        self.of[record] = Record(entry, symbol, version, is_deleted)
        if symbol and not is_deleted:
            line = self.lines.setdefault(symbol, {})
            line[record] = _number(fields, "published"), record.encode()
            while len(line) > self.length:
                self._leave(min(line, key=line.__getitem__))
        return concerned

    def _leave(self, record: str) -> None:
        if held := self.of.pop(record, None):
            self.homes[held.symbol].discard(record)
            self.lines.get(held.symbol, {}).pop(record, None)


@attrs.define
class Consensus:
    """Of a stream of one hash per symbol: what each shows."""

    forgotten: Mapping[str, str] = attrs.field(factory=dict)
    until: str = START
    of: dict[str, Shown] = attrs.field(factory=dict)
    # The newest version that was heard of each record, and where it is.
    heard: dict[str, tuple[int, str]] = attrs.field(factory=dict)

    def symbols(self) -> set[str]:
        return {*self.of}

    def add(self, entry: str, fields: Mapping[str, str]) -> set[str]:
        """Add the next entry; return the symbols that it may concern."""
        self.until = entry
        symbol, record = fields.get("symbol", ""), fields.get("record", "")
        version = _number(fields, "version")
        before = self.heard.get(record) if record else None
        effect, is_news = fields.get("effect"), "news" in fields
        concerned = {symbol, before[1] if before else ""} - {""}
        is_outdated = bool(before and version < before[0])
        # Which of two of one version came later the log need not tell. What changed
        # nothing came first, or else is where nobody will miss it.
        is_open = bool(before and version == before[0])
        tells = symbol or fields.get("action") == "deleted"
        is_last = not (is_outdated or (is_open and effect != "latest"))
        if record and tells and is_last:
            self.heard[record] = version, symbol
        if effect != "latest" or not symbol:
            return concerned
        if place(entry) <= place(self.forgotten.get(symbol, "")):
            self.of.pop(symbol, None)
            return concerned
        deletes = fields.get("action") == "deleted"
        old = None if is_outdated else self._left(before, symbol, record)
        shown = self.of.setdefault(symbol, Shown())
        shown.until = place(entry)
        if is_open and is_news and not deletes:
            for each in filter(None, (shown, old)):
                each.is_open, each.until = True, place(entry)
            return concerned
        if old and before:
            self.of[before[1]] = Shown(
                has_before=True, is_open=old.is_open, until=place(entry)
            )
        if deletes or is_outdated:
            # An update that is out of date shows that what was here is no longer so.
            self.of[symbol] = Shown(has_before=True, until=place(entry))
        elif old and not is_news:
            shown.is_open = True  # it may have left, and not be the newest here
        elif version >= shown.version:
            self._stands(shown, entry, record, version, is_news=is_news)
        return concerned

    def _left(
        self, before: tuple[int, str] | None, symbol: str, record: str
    ) -> Shown | None:
        """Return what a record's old symbol shows, where it has moved."""
        if before is None or before[1] in {"", symbol}:
            return None
        old = self.of.get(before[1])
        return old if old and old.record == record else None

    @staticmethod
    def _stands(
        shown: Shown, entry: str, record: str, version: int, *, is_news: bool
    ) -> None:
        is_first = not shown.entry and not shown.has_before
        if is_news:
            # What was shown before, if that is known, has the figures before this.
            known = shown.is_whole if shown.entry else shown.has_before
            shown.has_before = known and not shown.is_open
            shown.before = shown.entry
            shown.entry, shown.repeat, shown.is_whole = entry, "", True
            shown.is_open = False
        elif shown.entry:
            shown.repeat = entry
        else:
            shown.entry, shown.is_whole = entry, not is_first
        shown.record, shown.version = record, version


def logged(
    stream: Stream, length: int, forgotten: Mapping[str, str]
) -> Records | Consensus:
    """Return the log of a stream, as it is before its first entry."""
    if stream.state == "records":
        return Records(length, forgotten)
    return Consensus(forgotten)
