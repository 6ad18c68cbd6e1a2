"""The script that applies a batch: the parts of `lua/`, joined for one stream."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

import attrs

from bzredis.changes.kinds import Change, Filled, GaveUp, Heard, Rejected
from bzredis.contract.fields import GAP
from bzredis.streams import Stream
from bzredis.streams.stream import Head

DAY_S: Final = 86_400
REMEMBERED_DAYS: Final = 7  # contract.md, promise 1
# … and never fewer than 10,000 messages, each of which leaves up to three fingerprints.
REMEMBERED_LEAST: Final = 30_000
TOMBSTONE_DAYS: Final = 35  # contract.md, promise 4
POSITION_DAYS: Final = 35  # longer than anything waits on a disk
REJECTED_MAXLEN: Final = 1_000

# In this order: each part builds on those before it. A stream's own kind of state comes
# last, under the name of `state`.
PARTS: Final = (
    *("server", "packed", "order", "seen", "entry", "refusal", "permissions"),
    *("coverage", "holes"),
)
OF_STATE: Final = {"records": ("rows", "records"), "per_symbol": ("per_symbol",)}
# Of what most batches do not want not even the functions are made before it is wanted.
WHEN_WANTED: Final = {"refusal", "permissions", "holes", "rows"}
# Keys that a user has to be allowed. No symbol is `*`; but a record may be: none is "".
KEYS: Final = (
    *("events", "symbols", "rejected", "latest:*", "history:*"),
    *("internal:seen", "internal:coverage", "internal:log:*"),
)
KEYS_OF_STATE: Final = {
    "records": ("record:", "timeline:*", "internal:gone:"),
    "per_symbol": ("internal:heard:record:", "internal:heard:symbol:*"),
}
KEYS_OF_STATUS: Final = ("status", "alive", "internal:holder")

# Tells Dragonfly that we use keys that a call does not name. A comment to all others.
UNDECLARED: Final = "--!df flags=allow-undeclared-keys"


@attrs.frozen
class Limits:
    """How much of each stream is kept."""

    events_maxlen: int = 20_000
    timeline_length: int = 50
    history_length: int = 200
    watched: bool = False  # only what a watch-list names; removals do not say whose


def script(stream: Stream, limits: Limits) -> str:
    """Return the script for a stream: all parts, and the one that runs them."""
    files = (*PARTS, *OF_STATE[stream.state])
    names = ("state" if file == stream.state else file for file in files)
    text = "\n".join((UNDECLARED, *map(_part, files, names), lua("batch")))
    named = {"set": _settings(stream, limits, commands(text)), "at": _places()}
    return re.sub(
        r"\b(set|at)\.(\w+)", lambda found: _lua(named[found[1]][found[2]]), text
    )


def commands(text: str) -> tuple[str, ...]:
    """Return what a script calls."""
    return tuple(sorted(set(re.findall(r"(?:call|read)\('([A-Z]+)'", text))))


def keys_written(stream: Stream) -> tuple[str, ...]:
    """Return the keys of a stream that a user has to be allowed."""
    return (*KEYS, *KEYS_OF_STATE[stream.state], *KEYS_OF_STATUS)


def status_script() -> str:
    return f"{UNDECLARED}\n{lua('status')}"


def _part(file: str, name: str) -> str:
    """Return a part as a script has it: under a name, made at once or when wanted."""
    made = f"(function()\n{lua(file)}end)()"
    if name not in WHEN_WANTED:
        return f"local {name} = {made}"
    return (
        f"local {name}_made = nil\nlocal function {name}()\n"
        f"{name}_made = {name}_made or {made}\nreturn {name}_made\nend"
    )


def lua(file: str) -> str:
    return (files("bzredis.store") / "lua" / f"{file}.lua").read_text("utf-8")


def _settings(
    stream: Stream, limits: Limits, commands: tuple[str, ...]
) -> Mapping[str, object]:
    """Return what the parts have to know; as text what Redis is told as it is."""
    return {
        "commands": commands,
        "keys": (*KEYS, *KEYS_OF_STATE[stream.state]),
        "heads": tuple(head.name for head in stream.headline),
        "head_fields": tuple(head.field for head in stream.headline),
        "head_news": tuple(map(_compared, stream.headline)),
        "gap": tuple(field.name for field in GAP),
        "message_parts": 1 + len(Change.__struct_fields__),
        "events_maxlen": str(limits.events_maxlen),
        "timeline_length": limits.timeline_length,
        "watched": limits.watched,
        "rejected_maxlen": str(REJECTED_MAXLEN),
        "history_length": str(limits.history_length),
        "remembered_us": REMEMBERED_DAYS * DAY_S * 1_000_000,
        "remembered_least": REMEMBERED_LEAST,
        "tombstone_s": str(TOMBSTONE_DAYS * DAY_S),
        "position_s": str(POSITION_DAYS * DAY_S),
    }


def _compared(head: Head) -> str:
    """Return how one tells that another value of it is news; "": it is none."""
    if not head.is_news:
        return ""
    return "number" if head.is_number else "text"


def _places() -> Mapping[str, object]:
    """Return where things stand in a change, behind what packed.lua puts there."""
    kinds = (Change, Rejected, Heard, Filled, GaveUp)
    return {"rest": 1, "kind": 2} | {
        name: place
        for kind in kinds
        for place, name in enumerate(kind.__struct_fields__, 3)
    }


def _lua(value: object) -> str:
    """Write a value as Lua does; texts are plain names."""
    if isinstance(value, tuple):
        return f"{{ {', '.join(map(_lua, value))} }}"
    return json.dumps(value)
