"""What the records of a symbol should be, with its timeline and `latest`. Pure.

What the log cannot tell is counted, and left as it is. A record that the log no longer
has is what its hash says; a timeline is of the records that are there, and `latest` is
its top: so much is certain without a log.
"""

from __future__ import annotations

from typing import Final

import attrs

from bzredis.commands.looks.words import counted
from bzredis.commands.mending.judging.judged import OTHER_TYPE, Ground, Judged, flat
from bzredis.commands.mending.judging.logged import Record, Records
from bzredis.commands.mending.judging.should import Fields, should
from bzredis.store.mending import Hash, Step, Symbol, place
from bzredis.store.script import DAY_S, TOMBSTONE_DAYS

MARK_MS: Final = 1_000 * DAY_S * TOMBSTONE_DAYS  # how long what is deleted is known
# ms; a mark so near its end may be gone at any moment.
ENDING: Final = 60_000


def judge(ground: Ground, log: Records, symbol: str, records: set[str]) -> Judged:
    """Judge a symbol; "" for records of none. `records` are all that may be its own."""
    line = _Line(ground, log, Judged(symbol))
    held = ground.looked.symbols[symbol].timeline or {} if symbol else {}
    ever = {*log.ever.get(symbol, ()), *records}
    is_full = bool(held) and len(ever) >= ground.length
    for record in sorted(records):
        line.consider(record, is_in=record in held, is_full=is_full)
    line.cut()
    writes = line.writes()
    if symbol:
        stands = ground.looked.symbols[symbol]
        line.found.step = line.step(stands, sorted(records), writes)
    elif writes:
        step = ("", sorted(records), writes, False, False, False, False)
        line.found.step = step
    return line.found


def _ends(held: Record) -> int:
    return place(held.entry)[0] + MARK_MS


@attrs.define
class _Line:
    """The records of a symbol, as they should be."""

    ground: Ground
    log: Records
    found: Judged
    scores: dict[str, int] = attrs.field(factory=dict)
    hashes: dict[str, Fields] = attrs.field(factory=dict)
    judged: set[str] = attrs.field(factory=set)  # those whose entry the log has
    traceless: set[str] = attrs.field(factory=set)  # there is nothing of them at all

    @property
    def symbol(self) -> str:
        return self.found.symbol

    def consider(self, record: str, *, is_in: bool, is_full: bool) -> None:
        """Take a record in, if it is this symbol's and should be there."""
        hash_, held = self.ground.looked.records[record], self.log.of.get(record)
        written = (hash_.fields or {}).get("_event", "")
        if held is None or place(written) > place(held.entry):
            self._as_it_is(record, hash_)
            return
        if held.symbol != self.symbol:
            return
        if hash_.fields == {} and not is_in:
            if self._may_be_gone(held, is_full=is_full):
                return
            if not held.is_deleted:
                self.traceless.add(record)
        self._as_logged(record, held, hash_)

    def _as_it_is(self, record: str, hash_: Hash) -> None:
        """Take a record as it stands: the log no longer has what wrote it last."""
        if hash_.fields and hash_.fields.get("_symbol", "") == self.symbol:
            self.found.left["older"] += 1
            self._take(record, hash_.fields)

    def _as_logged(self, record: str, held: Record, hash_: Hash) -> None:
        said = self.ground.looked.entries.get(held.entry)
        wanted = should(self.ground.stream, held.entry, said) if said else None
        if wanted is not None:
            self.judged.add(record)
            self._take(record, wanted)
            return
        self.found.left["unreadable" if said else "older"] += 1
        if hash_.fields:
            self._take(record, hash_.fields)

    def _take(self, record: str, fields: Fields) -> None:
        self.hashes[record] = fields
        if self.symbol and fields.get("_action") != "deleted":
            score = fields.get("_published", "")
            self.scores[record] = int(score) if score.isdecimal() else 0

    def _may_be_gone(self, held: Record, *, is_full: bool) -> bool:
        """Tell whether it may be right that nothing is there of a record."""
        if self.ground.sieved:
            return True
        if not held.is_deleted and self.symbol:
            return is_full  # it may have fallen off
        ever, length = self.log.ever, self.ground.length
        if any(len(ever.get(each, ())) >= length for each in held.too_old_for):
            return True
        return _ends(held) < self.ground.looked.now + ENDING

    def cut(self) -> None:
        """Leave out of the traceless what is too old for the timeline."""
        for record in sorted(self.scores, key=self._order):
            if len(self.scores) <= self.ground.length:
                return
            if record in self.traceless:
                del self.scores[record], self.hashes[record]

    def _order(self, record: str) -> tuple[int, bytes]:
        return self.scores[record], record.encode()

    def writes(self) -> list[tuple[str, list[str], str]]:
        """Judge the records; return the hashes that are to be written."""
        found = []
        for record, wanted in self.hashes.items():
            if record not in self.judged:
                continue
            self.found.judged += 1
            held = self.log.of[record]
            dies, hash_ = held.is_deleted or not self.symbol, self.ground.looked.records
            key = f"record {record}"
            if self.found.compare(key, hash_[record], wanted, expires=dies):
                ends = str(_ends(held)) if dies else ""
                found.append((f"record:{record}", flat(wanted), ends))
        return found

    def step(
        self,
        stands: Symbol,
        records: list[str],
        writes: list[tuple[str, list[str], str]],
    ) -> Step | None:
        """Judge what the records make together; return what ends all differences."""
        timeline: list[str] | bool = False
        if self._differs(stands.timeline):
            scores = self.scores.items()
            timeline = [part for record, at in scores for part in (str(at), record)]
        top = max(self.scores, key=self._order, default="")
        wanted_latest = self.hashes.get(top, {})
        until, listed = self.ground.log_until, stands.listed
        changes, *rest = self.found.show(
            stands.latest, wanted_latest, until, listed=listed
        )
        if not self.found.found:
            return None
        latest: str | bool = top if changes else False
        score, event = rest
        return (self.symbol, records, writes, timeline, latest, score, event)

    def _differs(self, timeline: dict[str, int] | None) -> bool:
        """Note how the timeline differs; return whether it does."""
        if timeline == self.scores:
            return False
        should = f"of {counted(len(self.scores), 'record')}" if self.scores else ""
        if not timeline:
            is_ = OTHER_TYPE if timeline is None else ""
            self.found.note("timeline", "", is_, should)
            return True
        for record in sorted({*timeline, *self.scores}):
            places = (timeline.get(record), self.scores.get(record))
            if places[0] != places[1]:
                told = ["" if each is None else str(each) for each in places]
                self.found.note("timeline", record, *told)
        return True
