"""What a hash should be, by its entry in the log and today's code. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bzredis.changes.from_frame import read
from bzredis.changes.from_rest import looked_up, row
from bzredis.changes.kinds import Change
from bzredis.messages.times import comparable, milliseconds
from bzredis.streams import Stream

COMPARED: Final = (  # what stands in `_previous_…`
    *("consensus_rating", "consensus_rating_val", "consensus_price_target"),
)
# What the same figures again move.
REPEATED: Final[tuple[str, ...]] = ("_version", "_received", "updated_at")
# Of the hash, and what it is called in the entry.
_OURS: Final = (
    *(("_version", "version"), ("_action", "action"), ("_symbol", "symbol")),
    *(("_published", "published"), ("_record", "record")),
    *(("_received", "received"), ("_source", "source")),
)

Fields = dict[str, str]


def should(stream: Stream, entry: str, said: Mapping[str, str]) -> Fields | None:
    """Return the hash that an entry wrote, as it would be written today.

    None where today's code cannot read what came. Whose it is, its version and times
    are the entry's: these hung on what stood before.
    """
    found = {
        **{name: said.get(of, "") for name, of in _OURS},
        "_timestamp": comparable(said.get("timestamp", "")),
        "_event": entry,
    }
    if said.get("action") != "deleted":
        change = _read(stream, said)
        if change is None:
            return None
        pairs = zip(change.fields[::2], change.fields[1::2], strict=True)
        found.update(pairs)
    return {name: value for name, value in found.items() if value}


def _read(stream: Stream, said: Mapping[str, str]) -> Change | None:
    raw, received = said.get("raw", ""), milliseconds(said.get("received", "")) or 0
    if said.get("source") != "rest":
        found = read(stream, raw, received=received, source="replay")
    elif stream.rows:
        found = row(stream, raw, received=received)
    else:
        found = looked_up(stream, raw, said.get("symbol", ""), received=received)
    return found if isinstance(found, Change) else None


def previous(
    before: Mapping[str, str], said: Mapping[str, str], now: Mapping[str, str]
) -> Fields | None:
    """Return what a consensus says of the one before it; None: that is not known.

    Where there was one with a value, the entry tells a shift; else it was gone.
    """
    value = "consensus_rating_val"
    if before.get(value) and now.get(value) and "shift" not in said:
        return None
    return {f"_previous_{name}": before[name] for name in COMPARED if name in before}
