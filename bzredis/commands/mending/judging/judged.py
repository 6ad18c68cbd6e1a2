"""What differs of a symbol, and the step that ends it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal

import attrs

from bzredis.commands.mending.judging.should import Fields
from bzredis.store.mending import Hash, Looked, Step, place
from bzredis.streams import Stream

OTHER_TYPE: Final = "a key of another type"
EXPIRES: Final = "(expires)"

# Why something cannot be judged: the log no longer has what it is of; today's code
# cannot read it; the log does not say which of two came later.
Why = Literal["older", "unreadable", "open"]


@attrs.frozen
class Ground:
    """What is judged on: what stands, and what is known of the log and the bridge."""

    stream: Stream
    looked: Looked
    log_until: str
    length: int  # of a timeline
    sieved: bool  # entries were taken out of the log: what is gone may be deleted


@attrs.frozen
class Difference:
    """One value; "" is none: what is not there, or should not be."""

    symbol: str
    key: str  # record ID, latest, timeline, symbols
    field: str  # "" for all of it
    is_: str
    should: str


@attrs.define
class Judged:
    """What was found of a symbol."""

    symbol: str
    found: list[Difference] = attrs.field(factory=list)
    judged: int = 0  # hashes
    left: Counter[Why] = attrs.field(factory=Counter)  # hashes that nobody can judge
    step: Step | None = None

    def note(self, key: str, field: str, is_: str, wanted: str) -> None:
        self.found.append(Difference(self.symbol, key, field, is_, wanted))

    def compare(self, key: str, hash_: Hash, wanted: Fields, *, expires: bool) -> bool:
        """Note how a hash differs; return whether it does."""
        before, is_ = len(self.found), hash_.fields
        if is_ is None:
            self.note(key, "", OTHER_TYPE, "a hash" if wanted else "")
        elif not is_ or not wanted:
            if is_ or wanted:
                self.note(key, "", _as_a_whole(is_), _as_a_whole(wanted))
        else:
            for name in sorted({*is_, *wanted}):
                if is_.get(name) != wanted.get(name):
                    self.note(key, name, is_.get(name, ""), wanted.get(name, ""))
            if hash_.expires != expires:
                told = ("no", "yes")
                self.note(key, EXPIRES, told[hash_.expires], told[expires])
        return len(self.found) > before

    def show(
        self, latest: Hash, wanted: Fields, log_until: str, *, listed: bool
    ) -> tuple[bool, str | bool, str | bool]:
        """Judge `latest` and `symbols`.

        Return whether to write it, the symbol's score, and which entry to tell of.
        """
        changes = self.compare("latest", latest, wanted, expires=False)
        if listed != bool(wanted):
            told = ("", "listed")
            self.note("symbols", "", told[listed], told[bool(wanted)])
        event = wanted.get("_event") or (latest.fields or {}).get("_event") or log_until
        score: str | bool = False
        if not wanted:
            score = "" if listed or changes else False
        elif changes:
            score = "now"
        elif not listed:
            score = str(place(event)[0])
        return changes, score, event if changes else False


def _as_a_whole(fields: Mapping[str, str]) -> str:
    """Return what names a hash that is there, or should be."""
    return f"entry {fields.get('_event', '?')}" if fields else ""


def flat(fields: Mapping[str, str]) -> list[str]:
    """Return fields as HSET takes them; our own first, as the script writes them."""
    names = sorted(fields, key=lambda name: not name.startswith("_"))
    return [part for name in names for part in (name, fields[name])]
