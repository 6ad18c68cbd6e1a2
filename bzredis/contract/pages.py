"""The contract for people: keys and fields, as text or as a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from bzredis.contract import fields
from bzredis.contract.fields import Field
from bzredis.contract.keys import KEYS, Key, key
from bzredis.streams import STREAMS, Stream

UNITS: Final = {
    "ms": "ms since 1970",
    "time": "UTC, RFC 3339",
    "number": "number, in the digits sent",
    "flag": "`1`",
    "id": "entry id",
}
HEAD: Final = """# What stands in Redis

All values are text. **What is not known has no field**, in entries and hashes alike.
`latest` is the newest call of *any* firm about the symbol; what each firm says stands
in `record:ID`, in the order of `timeline:SYM`.
"""


def keys_of(stream: Stream) -> list[Key]:
    """Return the keys that a stream has."""
    return [one for one in KEYS if stream.state in one.state]


def text(prefix: str) -> Iterator[str]:
    """Yield lines: each key, and the fields of each log's entries."""
    rows = [
        (key(prefix, stream, one.name), one.type, one.content)
        for stream in STREAMS
        for one in keys_of(stream)
    ]
    names, types = (max(len(row[column]) for row in rows) for column in (0, 1))
    for name, kind, content in rows:
        yield f"{name:{names}}  {kind:{types}}  {content}"
    for stream in STREAMS:
        yield f"\nAn entry of {prefix}:{stream.name}:events may have the fields"
        yield f"  {' '.join(each.name for each in fields.entry(stream))}"


def markdown(prefix: str) -> Iterator[str]:
    """Yield the lines of a page: each key, and each field with all there is to know."""
    yield HEAD
    for stream in STREAMS:
        stem = f"{prefix}:{stream.name}"
        yield f"## {stream.name}\n\n| key | type | content |\n|---|---|---|"
        for one in keys_of(stream):
            yield f"| `{key(prefix, stream, one.name)}` | {one.type} | {one.content} |"
        yield from _table(f"An entry of `{stem}:events`", fields.entry(stream))
        yield (
            f"\nAn entry of `{stem}:history:SYM` is one that had `news`, with `event`"
            " (its id in the log) for `raw`; `symbol` is always there."
        )
        title = f"What the bridge adds to `{stem}:latest:SYM`"
        yield from _table(title, fields.ours(stream))
        yield (
            "\nThe content's own fields stand under their own names; nested ones are"
            " joined with `_`, arrays and booleans are JSON.\n"
        )
        if stream.state == "records":
            yield (
                f"Of a deleted record `{stem}:record:ID` keeps what the bridge added,"
                " up to `_event`: its `_action` is `deleted`.\n"
            )
    yield from _table("A `gap` in any log", fields.GAP)
    yield from _table("What is `rejected`, of any stream", fields.REJECTED)
    yield from _table("`status` of each stream", fields.STATUS)


def _table(title: str, of: Iterable[Field]) -> Iterator[str]:
    yield f"\n### {title}\n\n| field | type | meaning | not there where |"
    yield "|---|---|---|---|"
    for each in of:
        kind = " ".join(f"`{word}`" for word in each.words)
        kind = kind or UNITS.get(each.type, each.type)
        yield f"| `{each.name}` | {kind} | {each.meaning} | {each.absent or 'never'} |"
