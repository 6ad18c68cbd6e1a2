"""REST's tables: what to ask for the rows of one, and the rows in what it answers.

Rows stay text, byte for byte. Pure: no trio, no socket, no clock.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs
import msgspec

from bzredis.errors import Unusable
from bzredis.messages.envelope import json_object, text
from bzredis.messages.times import milliseconds
from bzredis.ports import Removal

TICKERS: Final = 50  # of one request (upstream.md, 4)
PAGE: Final = 1_000  # rows; the most that upstream gives at once
GZIP: Final = 16 + zlib.MAX_WBITS  # which format zlib is to read

_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NOTHING = {b"", b"null", b"[]", b"{}"}
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Odd(ValueError):
    """An answer that is not what was asked for, in words after "answered with"."""


@attrs.frozen
class Table:
    """A path that answers with an array of rows, page by page."""

    path: str
    name: str  # of the array
    since: str
    sizes: tuple[str, ...]  # a wrong spelling goes unnoticed, and pages are small then
    tickers: str = ""
    also: tuple[tuple[str, str], ...] = ()

    def queries(self, since: int, tickers: Sequence[str]) -> Iterator[dict[str, str]]:
        """Yield the queries that it takes: one for each so many tickers."""
        sizes = dict.fromkeys(self.sizes, str(PAGE))
        asked = {self.since: str(since), **sizes, **dict(self.also)}
        if not tickers:
            yield asked
        for first in range(0, len(tickers), TICKERS):
            yield {**asked, self.tickers: ",".join(tickers[first : first + TICKERS])}


RATINGS = Table(
    path="/api/v2.1/calendar/ratings",
    name="ratings",
    since="parameters[updated]",
    sizes=("pagesize",),
    tickers="parameters[tickers]",
)
INSIGHTS = Table(
    path="/api/v1/analyst/insights",
    name="analyst-insights",
    since="parameters[updated]",
    sizes=("pageSize", "pagesize"),
    tickers="symbols",
)
REMOVED = Table(
    path="/api/v2.1/calendar-removed/",
    name="removed",
    since="updated",
    sizes=("pageSize", "pagesize"),
    also=(("type", "ratings"),),
)


def unpacked(body: bytes, most: int) -> bytes:
    """Return what gzip holds, up to `most` bytes. Raises Odd."""
    unpacker = zlib.decompressobj(wbits=GZIP)
    try:
        held = unpacker.decompress(body, most)
    except zlib.error:
        raise Odd("gzip that is broken") from None
    if not unpacker.eof:
        raise Odd(f"gzip that was cut short, or holds over {most // 2**20} MiB")
    return held


def rows(body: bytes, name: str) -> list[str]:
    """Return the items of the array `name`, or of the bare array, as they were sent.

    They are whatever they are: one of a wrong type does no harm to the others.
    Raises Odd.
    """
    try:
        held = body.strip()
        if not held.startswith((b"[", b"null")):
            held = bytes(_object(held).get(name, b"0"))
        return [] if held == b"null" else [_text(item) for item in _array(held)]
    except msgspec.ValidationError:
        raise Odd(f"JSON that has no array of {name}") from None
    except _BROKEN:
        raise _broken(body) from None


def one_object(body: bytes) -> str | None:
    """Return an object as it was sent, None for none. Raises Odd."""
    held = body.strip()
    if held in _NOTHING:
        return None
    try:
        _object(held)
        return held.decode()
    except msgspec.ValidationError:
        raise Odd("JSON that is no object") from None
    except _BROKEN:
        raise _broken(held) from None


def removal(row: str) -> Removal | None:
    """Read a row of removals; None for one of anything but ratings."""
    try:
        fields = json_object(row)
        if text(fields.get("type")).lower() not in {"ratings", ""}:
            return None
        record = text(fields.get("id")).strip()
        updated = milliseconds(text(fields.get("updated")))
    except (Unusable, TypeError):
        return Removal("", None, row)
    return Removal(record, None if updated is None else updated // 1_000, row)


def _text(item: Any) -> str:
    # What is not UTF-8 becomes an escape that JSON does not know: it stays unusable.
    return bytes(item).decode(errors="backslashreplace")


def _broken(body: bytes) -> Odd:
    if body.lstrip().startswith(b"<"):
        return Odd("a web page or XML instead of JSON")
    return Odd("JSON that is broken or was cut short")
