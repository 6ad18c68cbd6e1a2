"""From the fields that Redis holds to values: it never fails, and loses nothing. Pure.

Text that an attribute's type cannot hold is in `other` and the attribute is absent: one
odd price, or a word of a later contract, costs its reader nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from types import NoneType
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

import attrs
from cattrs import Converter

from bzredis.reader.values import NAMES, Span

T = TypeVar("T")

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Plain digits, or as JSON writes large and small numbers. Decimal takes much more: nan,
# and digits of all alphabets.
_DECIMAL: Final = re.compile(
    r"[+-]?(?=\.?\d)\d{0,40}(?:\.\d{0,40})?(?:[eE][+-]?\d{1,3})?", re.ASCII
)
_COUNT: Final = re.compile(r"-?\d{1,18}", re.ASCII)
_RFC3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
# A count of seconds has at most 11 digits until the year 5138, and one of milliseconds
# at least 12 since 1973.
_MILLISECONDS: Final = 10**11


def moment(text: str) -> datetime:
    """Read RFC 3339, UTC where it says no offset, or a count of s or ms since 1970.

    Raises ValueError.
    """
    if _COUNT.fullmatch(text):
        count = int(text)
        ms = count if abs(count) >= _MILLISECONDS else 1000 * count
        try:
            return EPOCH + timedelta(milliseconds=ms)
        except OverflowError:
            raise ValueError(text) from None
    if not _RFC3339.fullmatch(text):
        raise ValueError(text)
    found = datetime.fromisoformat(text.upper())
    try:
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError(text) from None


def of_id(entry: str) -> datetime:
    """Return when an entry of a stream was added, by Redis' clock, to the ms."""
    return EPOCH + timedelta(milliseconds=int(entry.partition("-")[0]))


def _decimal(text: str, _: object) -> Decimal:
    if not _DECIMAL.fullmatch(text):
        raise ValueError(text)
    return Decimal(text)


def _count(text: str, _: object) -> int:
    if not _COUNT.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _flag(text: str, _: object) -> bool:
    if text not in {"0", "1"}:
        raise ValueError(text)
    return text == "1"


def _spans(text: str, _: object) -> tuple[Span, ...]:
    pairs = [pair.split("/") for pair in text.split()]
    return tuple(Span(moment(begin), moment(end)) for begin, end in pairs)


def _is_spans(kind: object) -> bool:
    return kind == tuple[Span, ...]


def _word(text: str, kind: Any) -> str:
    if text not in get_args(kind):
        raise ValueError(text)
    return text


def _is_words(kind: object) -> bool:
    return get_origin(kind) is Literal


def _converter() -> Converter:
    converter = Converter(detailed_validation=False)
    converter.register_structure_hook(Decimal, _decimal)
    converter.register_structure_hook(int, _count)
    converter.register_structure_hook(bool, _flag)
    converter.register_structure_hook(datetime, lambda text, _: moment(text))
    converter.register_structure_hook_func(_is_spans, _spans)
    converter.register_structure_hook_func(_is_words, _word)
    return converter


_CONVERTER: Final = _converter()
# (the attribute, its fields in Redis, what reads one)
_Plan = tuple[tuple[str, tuple[str, ...], Callable[[str], Any]], ...]


@cache
def _plan(kind: Any) -> _Plan:
    attrs.resolve_types(kind)
    return tuple(
        (each.name, each.metadata[NAMES], _reading(each.type))
        for each in attrs.fields(kind)
        if NAMES in each.metadata
    )


def _reading(kind: Any) -> Callable[[str], Any]:
    """Return what reads text as a type, or as one that may be None."""
    inner = [each for each in get_args(kind) if each is not NoneType]
    wanted = inner[0] if NoneType in get_args(kind) else kind
    hook = _CONVERTER.get_structure_hook(wanted)
    return lambda text: hook(text, wanted)


def structure(kind: type[T], fields: Mapping[str, str], /, **known: Any) -> T:
    """Make a value of what Redis holds; `known` are attributes that it does not."""
    left = {name: text for name, text in fields.items() if text}
    found: dict[str, Any] = {}
    of: Any = kind
    for attribute, names, read in _plan(of):
        text = next((left[name] for name in names if name in left), None)
        if text is None:
            continue
        try:
            found[attribute] = read(text)
        except (ValueError, ArithmeticError):
            continue  # it stays in `left`
        for name in names:
            if left.get(name) == text:  # what says something else is left
                del left[name]
    value: T = of(**{**found, **known}, other=left)
    return value
