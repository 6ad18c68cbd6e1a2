"""What packages build on stays as it is: names, signatures, fields."""

from __future__ import annotations

from inspect import isclass, signature
from typing import Any, Final

import attrs
import msgspec

from bzredis import plugin

FUNCTIONS: Final = {
    "broken": "(stream: 'object') -> 'list[str]'",
    "comparable": "(text: 'str') -> 'str'",
    "content_reader": "(model: 'type[M]') -> 'Callable[[Json], M]'",
    "direction": "(action: 'str') -> 'str'",
    "head": (
        "(name: 'str', field: 'str', meaning: 'str' = '', *,"
        " kind: \"Literal['text', 'number', 'words']\" = 'text',"
        " absent: 'str' = 'upstream did not say', words: 'tuple[str, ...]' = (),"
        " is_news: 'bool' = False) -> 'Head'"
    ),
    "is_blank": "(value: 'object') -> 'bool'",
    "market": "(exchange: 'str') -> 'str'",
    "milliseconds": "(text: 'str') -> 'int | None'",
    "published": "(day: 'str', clock: 'str') -> 'int | None'",
    "rfc3339": "(ms: 'int') -> 'str'",
    "said": "(name: 'str', kind: 'Type', meaning: 'str') -> 'Field'",
    "symbol": "(ticker: 'str', exchange: 'str' = '', isin: 'str' = '') -> 'str'",
    "text": "(value: 'object', _: 'type[str]' = <class 'str'>) -> 'str'",
}
FIELDS: Final = {
    "Envelope": ("id", "action", "record", "timestamp", "content", "data", "frame"),
    "Field": ("name", "type", "meaning", "absent", "words"),
    "Head": ("about", "field", "is_news"),
    "Reading": (
        *("symbol", "updated", "published", "headline", "has_market", "derived"),
        "moments",
    ),
    "Stream": (
        *("name", "path", "read", "headline", "content", "derived", "parameters"),
        *("state", "flat", "rows", "removals", "lookup", "isin", "weight", "make"),
        *("samples", "kind"),
    ),
    "Table": ("path", "tickers", "name", "since", "sizes", "type"),
    "Weight": ("entry", "latest", "record", "whole"),
}


def test_its_names_stay() -> None:
    assert plugin.__all__ == sorted({*FUNCTIONS, *FIELDS, "Unusable"})
    assert issubclass(plugin.Unusable, Exception)


def test_its_functions_stay() -> None:
    found = {name: getattr(plugin, name) for name in FUNCTIONS}
    assert {name: str(signature(each)) for name, each in found.items()} == FUNCTIONS


def test_its_values_stay() -> None:
    """More may come behind these, with a default."""
    for name, fields in FIELDS.items():
        kind = getattr(plugin, name)
        assert isclass(kind)
        if issubclass(kind, msgspec.Struct):
            assert kind.__struct_fields__ == fields
        else:
            found: Any = attrs.fields(kind)  # type: ignore[arg-type]
            assert tuple(each.name for each in found) == fields
