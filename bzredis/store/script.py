"""The script that applies a batch: the parts of `lua/`, joined for one stream."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Final

import attrs

from bzredis.changes.kinds import Change, Filled, GaveUp, Rejected
from bzredis.streams import Stream

DAY_S: Final = 86_400
REMEMBERED_DAYS: Final = 7  # contract.md, promise 1
# … and never fewer than 10,000 messages, each of which leaves up to three fingerprints.
REMEMBERED_LEAST: Final = 30_000
TOMBSTONE_DAYS: Final = 35  # contract.md, promise 4
POSITION_DAYS: Final = 35  # longer than anything waits on a disk
REJECTED_MAXLEN: Final = 1_000
HISTORY_MAXLEN: Final = 1_000

# In this order: each part builds on those before it. `state` is the stream's own kind.
PARTS: Final = (
    *("keys", "times", "refusal", "order", "seen", "entry"),
    *("state", "coverage"),
)


@attrs.frozen
class Limits:
    """How much of each stream is kept."""

    events_maxlen: int = 20_000
    timeline_length: int = 50
    watched: bool = False  # only what a watch-list names; removals do not say whose


def script(stream: Stream, limits: Limits, last: str) -> str:
    """Return a script for a stream: all parts, and the last one, which uses them."""
    return "\n".join(
        (
            f"local set = {_lua(_settings(stream, limits))}",
            f"local at = {_lua(_places())}",
            *(_part(name, stream) for name in PARTS),
            lua(last),
        )
    )


def lua(name: str) -> str:
    """Return the text of a part."""
    return (files("bzredis.store") / "lua" / f"{name}.lua").read_text()


def _part(name: str, stream: Stream) -> str:
    text = lua(stream.state if name == "state" else name)
    return f"local {name} = (function()\n{text}end)()"


def _settings(stream: Stream, limits: Limits) -> dict[str, object]:
    """Return what the parts have to know; as text what Redis is told as it is."""
    return {
        "headline": stream.headline,
        "shift": stream.state == "per_symbol",
        "events_maxlen": str(limits.events_maxlen),
        "timeline_length": limits.timeline_length,
        "watched": limits.watched,
        "rejected_maxlen": str(REJECTED_MAXLEN),
        "history_maxlen": str(HISTORY_MAXLEN),
        "remembered_us": REMEMBERED_DAYS * DAY_S * 1_000_000,
        "remembered_least": REMEMBERED_LEAST,
        "tombstone_s": str(TOMBSTONE_DAYS * DAY_S),
        "position_s": str(POSITION_DAYS * DAY_S),
    }


def _places() -> dict[str, object]:
    """Return where things stand in a change, which is an array that begins with 1."""
    kinds = (Change, Rejected, Filled, GaveUp)
    return {"kind": 1} | {
        name: place
        for kind in kinds
        for place, name in enumerate(kind.__struct_fields__, 2)
    }


def _lua(value: object) -> str:
    """Write a value as Lua does; texts are plain names."""
    if isinstance(value, dict):
        pairs = (f"{name} = {_lua(held)}" for name, held in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, tuple):
        return f"{{ {', '.join(map(_lua, value))} }}"
    return json.dumps(value)
