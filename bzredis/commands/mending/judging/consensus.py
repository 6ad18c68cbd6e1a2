"""What a symbol's consensus should be. Pure.

What the log cannot tell is counted, and left as it is.
"""

from __future__ import annotations

import attrs

from bzredis.commands.mending.judging.judged import Ground, Judged, Why, flat
from bzredis.commands.mending.judging.logged import Consensus, Shown
from bzredis.commands.mending.judging.should import REPEATED, Fields, previous, should
from bzredis.store.mending import place


def judge(ground: Ground, log: Consensus, symbol: str) -> Judged:
    """Judge what a symbol shows."""
    found, stands = Judged(symbol), ground.looked.symbols[symbol]
    is_, shown = stands.latest.fields or {}, log.of.get(symbol)
    if shown is None or place(is_.get("_event", "")) > shown.until:
        wanted: Fields | Why = "older"
    else:
        wanted = _Wanted(ground, shown, is_).fields()
    if isinstance(wanted, str):
        found.left[wanted] += bool(is_)
        wanted = is_
    else:
        found.judged += 1
    changes, *rest = found.show(
        stands.latest, wanted, ground.log_until, listed=stands.listed
    )
    if found.found:
        writes = [(f"latest:{symbol}", flat(wanted), "")] if changes else []
        records = [shown.record] if shown and shown.record else []
        score, event = rest
        found.step = (symbol, records, writes, False, False, score, event)
    return found


@attrs.frozen
class _Wanted:
    """The hash that a symbol should have, by what its log says."""

    ground: Ground
    shown: Shown
    is_: Fields  # as it stands

    def fields(self) -> Fields | Why:
        """Return it, {} for none; or why the log cannot tell."""
        shown = self.shown
        if shown.is_open:
            return "open"
        if not shown.entry:
            return {}
        if self.ground.sieved and not self.is_:
            return "older"
        said = self.ground.looked.entries.get(shown.entry)
        wanted = self._of(shown.entry)
        moved = self._of(shown.repeat) if shown.repeat else wanted
        if wanted is None or moved is None or said is None:
            return "unreadable" if said else "older"
        moves = {name: moved[name] for name in REPEATED if name in moved}
        if self.is_ and not shown.is_whole:  # what it is of is older than the log
            return {**self.is_, **moves}
        shift = {"_shift": said["shift"]} if "shift" in said else {}
        return {**wanted, **shift, **self._before(wanted), **moves}

    def _of(self, entry: str) -> Fields | None:
        said = self.ground.looked.entries.get(entry)
        return should(self.ground.stream, entry, said) if said else None

    def _before(self, wanted: Fields) -> Fields:
        """Return `_previous_…`; where the log does not tell, as it stands."""
        shown = self.shown
        if shown.has_before and not shown.before:
            return {}
        before = self._of(shown.before) if shown.has_before else None
        said = self.ground.looked.entries[shown.entry]
        told = previous(before, said, wanted) if before else None
        if told is None:
            begins = "_previous_"
            return {k: v for k, v in self.is_.items() if k.startswith(begins)}
        return told
