"""The rows, removals and objects in what REST answers.

Rows stay text, byte for byte. Pure: no trio, no socket, no clock.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from bzredis.errors import Unusable
from bzredis.messages.envelope import json_object, text
from bzredis.messages.times import milliseconds
from bzredis.ports import Removal

T = TypeVar("T")

_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_name = msgspec.json.Decoder(str).decode
_NOTHING = {b"null", b"[]", b"{}"}  # but not "": that is no answer
# What holds JSON together, whatever else stands in it: whole strings, and what nests.
_JOINT = re.compile(rb'"(?:[^"\\]++|\\.)*+("?)|[][{},]', re.DOTALL)
_NAMED = re.compile(rb'\s*("(?:[^"\\]|\\.)*")\s*:\s*(.*)', re.DOTALL)


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
        held = bytes(_decoded(_fields, held, lacking).get(name, b"0"))
    items = [] if held == b"null" else _decoded(_items, held, lacking)
    # What is not UTF-8 becomes an escape that JSON does not know: it stays unusable.
    return [bytes(item).decode(errors="backslashreplace") for item in items]


def one_object(body: bytes) -> str | None:
    """Return an object as it was sent, None for none. Raises Odd."""
    held = body.strip()
    if held in _NOTHING:
        return None
    _decoded(_fields, held, "is no object")
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


def _items(held: bytes) -> Sequence[bytes | msgspec.Raw]:
    """Return the items of an array; one that is no JSON does the others no harm."""
    found = _whole(_array, held)
    return _parts(held, b"[") if found is None else found


def _fields(held: bytes) -> Mapping[str, bytes | msgspec.Raw]:
    """Return the fields of an object; one that is no JSON does the others no harm."""
    if (found := _whole(_object, held)) is not None:
        return found
    named = filter(None, map(_NAMED.fullmatch, _parts(held, b"{")))
    return {_name(each[1]): each[2] for each in named}


def _whole(decode: Callable[[bytes], T], held: bytes) -> T | None:
    """Return what is JSON throughout, None where something in it is none."""
    try:
        return decode(held)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, RecursionError):
        return None


def _parts(held: bytes, opening: bytes) -> list[bytes]:
    """Return what commas part in an array or object. Raises DecodeError."""
    parts, begin, depth = list[bytes](), 1, 0
    for joint in _JOINT.finditer(held if held.startswith(opening) else b""):
        word, end_of_string = joint[0], joint[1]
        if end_of_string == b"":
            break
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(word, 0)
        if (depth == 1 and word == b",") or not depth:
            parts.append(held[begin : joint.start()].strip())
            begin = joint.end()
        if not depth:
            break
    if depth or begin != len(held):
        raise msgspec.DecodeError("broken, or cut short")
    return parts


def _decoded(decode: Callable[[bytes], T], held: bytes, lacking: str) -> T:
    try:
        return decode(held)
    except msgspec.ValidationError:
        raise Odd(f"JSON that {lacking}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if held.lstrip().startswith(b"<"):
            raise Odd("a web page or XML instead of JSON") from None
        raise Odd("JSON that is broken or was cut short") from None
