"""The rows, removals and objects in what REST answers.

Rows stay text, byte for byte. Pure: no trio, no socket, no clock.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import TypeVar

import msgspec

from bzredis.errors import Unusable
from bzredis.messages.envelope import json_object, text
from bzredis.messages.times import milliseconds
from bzredis.ports import Removal

T = TypeVar("T")

_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NOTHING = {b"", b"null", b"[]", b"{}"}


class Odd(ValueError):
    """An answer that is not what was asked for, in words after "answered with"."""


def unpacked(body: bytes, most: int) -> bytes:
    """Return what gzip holds, up to `most` bytes. Raises Odd."""
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)  # gzip's format
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
    held, lacking = body.strip(), f"has no array of {name}"
    if not held.startswith((b"[", b"null")):
        held = bytes(_decoded(_object, held, lacking).get(name, b"0"))
    items = [] if held == b"null" else _decoded(_array, held, lacking)
    # What is not UTF-8 becomes an escape that JSON does not know: it stays unusable.
    return [bytes(item).decode(errors="backslashreplace") for item in items]


def one_object(body: bytes) -> str | None:
    """Return an object as it was sent, None for none. Raises Odd."""
    held = body.strip()
    if held in _NOTHING:
        return None
    _decoded(_object, held, "is no object")
    return _decoded(bytes.decode, held, "")


def removal(row: str, of: str) -> Removal | None:
    """Read a row of removals; None for one of another type than it is asked for."""
    try:
        fields = json_object(row)
        if text(fields.get("type")).lower() not in {of, ""}:
            return None
        record = text(fields.get("id")).strip()
        updated = milliseconds(text(fields.get("updated")))
    except (Unusable, TypeError):
        return Removal("", None, row)
    return Removal(record, None if updated is None else updated // 1_000, row)


def _decoded(decode: Callable[[bytes], T], held: bytes, lacking: str) -> T:
    try:
        return decode(held)
    except msgspec.ValidationError:
        raise Odd(f"JSON that {lacking}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if held.lstrip().startswith(b"<"):
            raise Odd("a web page or XML instead of JSON") from None
        raise Odd("JSON that is broken or was cut short") from None
