"""The packed form: what stands in the backlog, and what the script reads."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest
from changes.reading import RECEIVED, SUMMARIES, changed, stream_of, text_of

from bzredis.changes.from_frame import rejected
from bzredis.changes.kinds import (
    Change,
    Filled,
    GaveUp,
    Heard,
    Mark,
    Opened,
    Packed,
    Rejected,
    Replayed,
    Source,
    unpack,
)

MARKS = (
    Opened(1),
    Heard(2, 2),
    Replayed(3),
    Filled(4, ("a", "b")),
    GaveUp(5, ("a",), keep=True),
)


def packables() -> Iterator[Packed]:
    for name, source in itertools.product(SUMMARIES, get_args(Source)):
        yield changed(text_of(name), stream_of(name), source=source)
    yield rejected("why", b"\xff", received=RECEIVED)
    yield from MARKS


def walk(value: object) -> Iterator[object]:
    yield value
    if isinstance(value, list):
        for inner in value:
            yield from walk(inner)


def as_lists(value: Any) -> Any:
    return [as_lists(inner) for inner in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize("value", list(packables()), ids=lambda v: type(v).__name__)
def test_the_packed_form_holds_the_fields_as_text(value: Packed) -> None:
    kind, *decoded = msgspec.msgpack.decode(value.pack())
    assert kind == value.__struct_config__.tag
    assert decoded == [as_lists(held) for held in msgspec.structs.astuple(value)]
    for held in walk(decoded):
        assert isinstance(held, str | int | bool | list)
    assert unpack(value.pack()) == value


def test_every_mark_is_here() -> None:
    assert {type(mark) for mark in MARKS} == {*get_args(Mark)}


def test_a_field_stands_at_one_place_in_every_kind_that_has_it() -> None:
    """The script looks by name, whatever the kind."""
    places: dict[str, int] = {}
    for kind in (Change, Rejected, *get_args(Mark)):
        for place, name in enumerate(kind.__struct_fields__):
            assert places.setdefault(name, place) == place


def test_what_no_process_packed_is_not_read() -> None:
    with pytest.raises(msgspec.ValidationError):
        unpack(msgspec.msgpack.encode(["gap", 1]))
