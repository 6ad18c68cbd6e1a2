"""From fields to values: exact, without an error, without a loss."""

from __future__ import annotations

import pickle
import string
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzredis.reader.convert import EPOCH, structure
from bzredis.reader.values import (
    NAMES,
    Consensus,
    Entry,
    Gap,
    Insight,
    Rating,
    Span,
    Status,
)

KINDS: dict[type[Any], dict[str, Any]] = {
    Rating: {},
    Insight: {},
    Consensus: {},
    Entry: {"stream": "ratings", "id": "1-0"},
    Gap: {"stream": "ratings", "id": "1-0"},
    Status: {"stream": "ratings"},
}
NAMED = {
    kind: {
        name: each.name
        for each in attrs.fields(kind)
        for name in each.metadata.get(NAMES, ())
    }
    for kind in KINDS
}
kinds = st.sampled_from([*KINDS])
texts = st.one_of(
    st.text(),
    st.text(string.digits + "+-.eE", max_size=8),
    st.from_regex(
        r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?([zZ]|[+-]\d\d:\d\d)?\Z"
    ),
    st.integers().map(str),
    st.sampled_from(["nan", "Infinity", "1_000", "٣", "1e9999", "up", "a/b", "/", "1"]),
)


@st.composite
def hashes(draw: st.DrawFn) -> tuple[type[Any], dict[str, str]]:
    kind = draw(kinds)
    names = st.sampled_from([*NAMED[kind]]) | st.text(min_size=1, max_size=9)
    return kind, draw(st.dictionaries(names, texts, max_size=8))


def make(kind: type[Any], fields: Mapping[str, str]) -> Any:
    return structure(kind, fields, **KINDS[kind])


@given(hashes())
def test_whatever_stands_there_is_read_or_kept(
    given_: tuple[type[Any], dict[str, str]],
) -> None:
    kind, fields = given_
    value = make(kind, fields)
    for name, text in fields.items():
        if name in value.other:
            assert value.other[name] == text
        elif text:
            assert getattr(value, NAMED[kind][name]) not in (None, ())
    assert value.other.keys() <= fields.keys()


@given(hashes())
def test_what_is_read_has_the_type_that_is_told(
    given_: tuple[type[Any], dict[str, str]],
) -> None:
    value = make(*given_)
    for each in attrs.fields(type(value)):
        found = getattr(value, each.name)
        if isinstance(found, datetime):
            assert found.tzinfo is UTC
        if isinstance(found, Decimal):
            assert found.is_finite()
        if "Literal" in str(each.type) and found is not None:
            assert found in str(each.type)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6) | st.integers())
def test_digits_stay_as_sent(number: Decimal | int) -> None:
    text = f"{number:f}" if isinstance(number, Decimal) else str(number)
    rating = structure(Rating, {"pt_current": text[:40]})
    assert rating.pt_current is not None
    assert f"{rating.pt_current:f}" == text[:40]


@pytest.mark.parametrize("text", ["195.50", "0", "-12.7500", "293.69192307692305"])
def test_a_price_keeps_its_digits(text: str) -> None:
    assert str(structure(Rating, {"pt_current": text}).pt_current) == text


@pytest.mark.parametrize("text", ["nan", "1_000", "$12", "٣", "1,000", "1e9999", "."])
def test_what_is_no_number_is_kept_as_text(text: str) -> None:
    rating = structure(Rating, {"pt_current": text})
    assert rating.pt_current is None
    assert rating.other == {"pt_current": text}


@given(
    st.datetimes(datetime(1973, 4, 1), datetime(9999, 1, 1)),  # noqa: DTZ001 - hypothesis
)
def test_ms_and_words_tell_the_same_time(day: datetime) -> None:
    at = day.replace(microsecond=day.microsecond // 1000 * 1000, tzinfo=UTC)
    words = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    count = str((at - EPOCH) // timedelta(milliseconds=1))
    entry = make(Entry, {"version": count, "received": words})
    assert entry.version == entry.received == at


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1728069666", datetime(2024, 10, 4, 19, 21, 6, tzinfo=UTC)),
        ("1728069666017", datetime(2024, 10, 4, 19, 21, 6, 17_000, tzinfo=UTC)),
        (
            "2024-10-04T19:21:06.880730108Z",
            datetime(2024, 10, 4, 19, 21, 6, 880_730, tzinfo=UTC),
        ),
        ("2024-10-04T15:21:06-04:00", datetime(2024, 10, 4, 19, 21, 6, tzinfo=UTC)),
        ("2024-10-04 19:21:06", datetime(2024, 10, 4, 19, 21, 6, tzinfo=UTC)),
    ],
)
def test_times_as_upstream_writes_them(text: str, expected: datetime) -> None:
    assert structure(Consensus, {"updated_at": text}).updated_at == expected


@pytest.mark.parametrize(
    "text", ["", "now", "2024-02-30T00:00:00Z", "9" * 18, "0001-01-01T00:00:00+23:00"]
)
def test_what_is_no_time_is_absent(text: str) -> None:
    consensus = structure(Consensus, {"updated_at": text})
    assert consensus.updated_at is None
    assert consensus.other == ({"updated_at": text} if text else {})


def test_absent_is_none_and_an_empty_text_is_absent() -> None:
    entry = make(Entry, {"timestamp": "", "pt": "", "news": ""})
    assert (entry.timestamp, entry.pt, entry.news) == (None, None, False)
    assert entry.other == {}


def test_a_word_of_a_later_contract_is_kept() -> None:
    rating = structure(Rating, {"_direction": "sideways", "eps": "1"})
    assert rating.direction is None
    assert rating.other == {"_direction": "sideways", "eps": "1"}


def test_the_firm_stands_under_two_names_and_a_different_one_is_kept() -> None:
    alike = structure(Rating, {"_firm": "Example", "analyst": "Example"})
    differ = structure(Rating, {"_firm": "Example", "analyst": "Other"})
    alone = structure(Rating, {"analyst": "Example"})
    assert alike.firm == differ.firm == alone.firm == "Example"
    assert (alike.other, differ.other) == ({}, {"analyst": "Other"})


def test_holes_are_spans() -> None:
    status = make(
        Status,
        {
            "missing": "2024-10-04T19:00:00.000Z/2024-10-04T19:01:00.000Z"
            " 2024-10-05T19:00:00.000Z/2024-10-05T19:01:00.500Z"
        },
    )
    first = datetime(2024, 10, 4, 19, tzinfo=UTC)
    assert status.missing[0] == Span(first, first + timedelta(minutes=1))
    assert [span.end.microsecond for span in status.missing] == [0, 500_000]


@given(hashes())
def test_values_go_to_other_processes(
    given_: tuple[type[Any], dict[str, str]],
) -> None:
    value = make(*given_)
    again = pickle.loads(pickle.dumps(value))  # noqa: S301 - our own
    assert again == value
    assert hash(again) == hash(value)
