"""What an entry of a log says, as values: its own fields, and those of its content.

The content is read from the entry's own `raw`, as the bridge read it. What stands in
`record:ID` may be a later version by then, or gone. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from bzredis.changes.from_frame import read
from bzredis.changes.from_rest import row
from bzredis.changes.kinds import Change
from bzredis.commands.react.reaction import Happening
from bzredis.contract import fields as contract
from bzredis.streams import Stream
from bzredis.streams.field import Field, Type

RAW: Final = contract.RAW.name
NEWS: Final = "news"
DIGITS: Final = 40  # of a number; more is none that anybody means
WHOLE: Final[frozenset[Type]] = frozenset({"ms", "count"})
FRACTIONS: Final[frozenset[Type]] = frozenset({"number", "reckoned"})


def fields(stream: Stream) -> dict[str, Field]:
    """Return what an entry may say, by name: the log's own word goes first."""
    ours = {each.name for each in contract.OURS}  # copies of the entry's own
    derived = [each for each in contract.ours(stream) if each.name not in ours]
    found: dict[str, Field] = {}
    for each in (*contract.entry(stream), *derived, *stream.content):
        found.setdefault(each.name, each)
    return found


GAP: Final = {each.name: each for each in contract.GAP}


def happening(
    stream: Stream,
    key: str,
    entry: Mapping[str, str],
    latest: Mapping[str, str] | None = None,
) -> Happening:
    """Return what an entry of the log says.

    `latest` is the symbol's hash, of which only what this entry wrote is taken.
    """
    if entry.get("action") == "gap":
        return Happening("gap", stream.name, "", key, values(GAP, entry))
    found = {**_content(stream, entry), **_later(key, latest or {}), **entry}
    told = values(fields(stream), found)
    return Happening("entry", stream.name, entry.get("symbol", ""), key, told)


def reads_latest(stream: Stream) -> bool:
    """Whether part of what is known stands in the symbol's hash alone."""
    return stream.state == "per_symbol"


def _content(stream: Stream, entry: Mapping[str, str]) -> Mapping[str, str]:
    """Return the fields that the content gave to the hash."""
    raw = entry.get(RAW, "")
    found: object
    if entry.get("source") == "rest":
        found = row(stream, raw, received=0)
    else:
        found = read(stream, raw, received=0, source="live")
    if not isinstance(found, Change):
        return {}
    return dict(zip(found.fields[::2], found.fields[1::2], strict=True))


def _later(key: str, latest: Mapping[str, str]) -> dict[str, str]:
    """Return what the bridge added to the hash since it knew what stood there before.

    Only where it is this entry that did; else it is of another one.
    """
    if latest.get("_event") != key:
        return {}
    ours = {each.name for each in contract.OURS}
    return {
        name: text
        for name, text in latest.items()
        if name.startswith("_") and name not in ours
    }


def values(known: Mapping[str, Field], found: Mapping[str, str]) -> dict[str, Any]:
    """Return values in the contract's order, then what it does not know, as text."""
    first = [name for name in known if name in found]
    names = [*first, *(name for name in found if name not in known)]
    return {name: _value(known.get(name), found[name]) for name in names}


def _value(field: Field | None, text: str) -> Any:
    kind = field.type if field else "text"
    if kind == "flag":
        return text == "1"
    if kind in WHOLE and text.isascii() and text.isdecimal():
        return int(text[:DIGITS])
    return _number(text) if kind in FRACTIONS else text


def _number(text: str) -> Decimal | str:
    """Return a number with its digits; what is none stays what it is."""
    try:
        found = Decimal(text)
    except InvalidOperation:
        return text
    plain = found.is_finite() and len(text) <= DIGITS and text.isascii()
    return found if plain and abs(found.adjusted()) <= DIGITS else text
