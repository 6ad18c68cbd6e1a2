"""A frame's text, told apart: envelope, pong, notice, or unusable.

Pure: no trio, no socket, no clock. What a frame is never depends on its ``kind``,
which upstream gets wrong (upstream.md, 2).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any, Final

import attrs
import msgspec

from bzredis.errors import Unusable

Json = dict[str, Any]

_decode = msgspec.json.Decoder(
    # Numbers keep the digits in which they were sent: never a float for a price.
    float_hook=lambda digits: msgspec.Raw(digits.encode())
).decode
# Writes JSON that is the same for the same content in any order of its keys.
canonical: Callable[[object], bytes] = msgspec.json.Encoder(order="sorted").encode

ACTIONS: Final = {
    **dict.fromkeys(("created", "create"), "created"),
    **dict.fromkeys(("updated", "update", ""), "updated"),
    # Sister products say `removed`.
    **dict.fromkeys(("deleted", "delete", "removed", "remove"), "deleted"),
}
NOTICE_KEYS: Final = {"type", "message", "status", "event", "error", "errors", "code"}
EXCERPT = 200  # characters of a notice that go into a log line
_DIGITS = re.compile(r"\d+", re.ASCII)


class Envelope(msgspec.Struct, frozen=True):  # made for each: attrs takes longer
    """One data message. ``content`` is None where a delete came without."""

    id: str
    action: str
    record: str
    timestamp: str
    content: Json | None
    data: Json
    frame: Json


@attrs.frozen
class Pong:
    """Text that says only: I am here. Just ``pong`` answers our ``ping``."""

    is_answer: bool = True


@attrs.frozen
class Notice:
    """A status or error message, for people; ``text`` is cut to a log line's length."""

    text: str
    is_error: bool


def text(value: object, _: type[str] = str) -> str:
    """Return a JSON scalar as the text it stands for; null is "".

    Raises TypeError for an object or an array. It is a hook of cattrs as it is.
    """
    if type(value) is str:
        return value
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value).lower()  # True is an int, and is sent as true
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    kind = "an array" if isinstance(value, list) else "an object"
    raise TypeError(f"expected text or a number, got {kind}")


def json_text(value: object) -> str:
    """Return `value` as compact JSON, its numbers with their own digits."""
    return msgspec.json.encode(value).decode()


def is_blank(value: object) -> bool:
    """Tell whether a value says nothing: null, "", or holds nothing but such."""
    if isinstance(value, dict | list):
        return all(map(is_blank, value.values() if isinstance(value, dict) else value))
    return value is None or value == ""


def parse(
    frame: str | bytes, *, flat: Collection[str] = ()
) -> Envelope | Pong | Notice:
    """Tell what a frame is.

    `flat` streams may carry their content in ``data`` itself, where one of these names
    shows it. Raises Unusable, with the reason, for a frame that is none of the three.
    """
    if isinstance(frame, bytes):
        try:
            frame = frame.decode()
        except UnicodeDecodeError:
            raise Unusable("a binary frame that is not UTF-8 text") from None
    try:
        parsed = json_object(frame)
    except Unusable:
        if control := _control(frame):
            return control
        raise
    data = parsed.get("data")
    if type(data) is not dict or _is_about_us(parsed, data, flat):
        return _notice(parsed, frame)
    return _envelope(parsed, data, flat=bool(flat))


def row(text: str) -> Envelope:
    """Read a row of REST, which is content without an envelope; raises Unusable."""
    data = {"content": json_object(text)}
    return _envelope({"data": data}, data, flat=False)


def json_object(text: str) -> Json:
    """Read an object, its numbers with their own digits; raises Unusable."""
    try:
        parsed = _decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unusable(f"not JSON: {error}") from None
    if type(parsed) is not dict:
        raise Unusable("JSON, but not an object")
    return parsed


def _control(frame: str) -> Pong | None:
    word = frame.strip().strip('"').lower()
    if word == "pong":
        return Pong()
    if word == "ping" or _DIGITS.fullmatch(word):
        return Pong(is_answer=False)
    return None


def _envelope(frame: Json, data: Json, *, flat: bool) -> Envelope:
    identity = _scalar(frame, "id", "id").strip()
    word = _scalar(data, "action", "data.action").strip().lower()
    if (action := ACTIONS.get(word)) is None:
        raise Unusable(f"unknown action {word[:EXCERPT]!r}")
    content = data.get("content") or None  # "" is upstream's null
    if content is None and flat:
        content = {k: v for k, v in data.items() if k not in _OF_DATA} or None
    if content is None and action != "deleted":
        raise Unusable(f"action {action} without content")
    if content is not None and type(content) is not dict:
        raise Unusable("data.content is not an object")
    record = _scalar(data, "id", "data.id")
    if not record and content:
        record = _scalar(content, "id", "data.content.id")
    timestamp = _scalar(data, "timestamp", "data.timestamp")
    return Envelope(identity, action, record.strip(), timestamp, content, data, frame)


_OF_DATA = frozenset({"action", "id", "timestamp", "content"})
_OF_A_MESSAGE = ("action", "id", "content")  # one of them stands in each


def _is_about_us(frame: Json, data: Json, flat: Collection[str]) -> bool:
    """Tell a notice with a data object, of our subscription say, from a message."""
    if NOTICE_KEYS.isdisjoint(frame):
        return False
    return all(is_blank(data.get(name)) for name in (*_OF_A_MESSAGE, *flat))


def _scalar(holder: Json, name: str, where: str) -> str:
    value = holder.get(name)
    if type(value) is str:
        return value
    try:
        return text(value)
    except TypeError as error:
        raise Unusable(f"{where}: {error}") from None


def _notice(parsed: Json, frame: str) -> Notice:
    data = parsed.get("data")
    if (data and type(data) is not dict) or NOTICE_KEYS.isdisjoint(parsed):
        raise Unusable("a JSON object without a data object")
    words = f"{parsed.get('type', '')} {parsed.get('status', '')}".lower()
    is_error = "error" in words or bool(parsed.get("error") or parsed.get("errors"))
    return Notice(frame[:EXCERPT], is_error)
