"""The rows, removals and objects in what REST answers.

Rows stay text, byte for byte. Pure: no trio, no socket, no clock.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

import msgspec

from bzredis.errors import Unusable
from bzredis.messages.envelope import json_object, text
from bzredis.messages.times import milliseconds
from bzredis.ports import Removal

GZIP: Final = 16 + zlib.MAX_WBITS  # which format zlib is to read

_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NOTHING = {b"", b"null", b"[]", b"{}"}
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Odd(ValueError):
    """An answer that is not what was asked for, in words after "answered with"."""


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


def _text(item: Any) -> str:
    # What is not UTF-8 becomes an escape that JSON does not know: it stays unusable.
    return bytes(item).decode(errors="backslashreplace")


def _broken(body: bytes) -> Odd:
    if body.lstrip().startswith(b"<"):
        return Odd("a web page or XML instead of JSON")
    return Odd("JSON that is broken or was cut short")
