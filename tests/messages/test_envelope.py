from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzredis.errors import Unusable
from bzredis.messages.envelope import (
    EXCERPT,
    Envelope,
    Notice,
    Pong,
    canonical,
    json_text,
    parse,
    text,
)

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.text(max_size=9)
VALUES = st.recursive(
    SCALARS | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


def envelope(frame: str, *, flat: Collection[str] = ()) -> Envelope:
    parsed = parse(frame, flat=flat)
    assert isinstance(parsed, Envelope)
    return parsed


def data(**fields: object) -> str:
    return json.dumps({"id": "e1", "data": fields})


@pytest.mark.parametrize(
    ("word", "action"),
    [
        ("created", "created"),
        ("Created", "created"),
        ("CREATED ", "created"),
        ("Updated", "updated"),
        ("update", "updated"),
        ("deleted", "deleted"),
        ("Removed", "deleted"),
        ("", "updated"),
        (None, "updated"),
    ],
)
def test_actions(word: str | None, action: str) -> None:
    frame = data(action=word, id="r", content={"a": 1})
    assert envelope(frame).action == action


def test_an_absent_action_is_an_update() -> None:
    assert envelope(data(id="r", content={"a": 1})).action == "updated"


@pytest.mark.parametrize("kind", ["data/v2.1/calendar/ratings", "stream_type", None, 7])
def test_the_kind_changes_nothing(kind: object) -> None:
    frame = {"kind": kind, "data": {"id": "r", "content": {"a": 1}}}
    found = envelope(json.dumps(frame))
    assert (found.id, found.record, found.content) == ("", "r", {"a": 1})


@pytest.mark.parametrize("empty", ["", None, {}, []])
@pytest.mark.parametrize("flat", [(), ("buy",)])
def test_a_delete_may_come_without_content(
    empty: object, flat: tuple[str, ...]
) -> None:
    frame = data(action="Deleted", id="r", timestamp="t", content=empty)
    found = envelope(frame, flat=flat)
    assert (found.action, found.record, found.content) == ("deleted", "r", None)
    assert (found.id, found.timestamp) == ("e1", "t")


@pytest.mark.parametrize("empty", ["", None, {}])
def test_flat_content_stands_beside_the_envelopes_own_fields(empty: object) -> None:
    fields = {"action": "created", "id": "r", "timestamp": "t", "content": empty}
    assert envelope(data(**fields, buy=1), flat=("buy",)).content == {"buy": 1}


def test_content_goes_before_flat_fields() -> None:
    assert envelope(data(content={"a": 1}, buy=1), flat=("buy",)).content == {"a": 1}


@pytest.mark.parametrize(
    ("fields", "record"),
    [
        ({"id": " r ", "content": {"id": "c"}}, "r"),
        ({"id": "", "content": {"id": "c"}}, "c"),
        ({"id": None, "content": {"id": 12}}, "12"),
        ({"content": {"id": 9007199254740993}}, "9007199254740993"),
        ({"content": {"a": 1}}, ""),
    ],
)
def test_where_the_record_id_stands(fields: dict[str, object], record: str) -> None:
    assert envelope(data(**fields)).record == record


@pytest.mark.parametrize("frame", ["pong", "Pong", " pong\n", '"pong"'])
def test_an_answer_to_our_ping(frame: str) -> None:
    assert parse(frame) == parse(frame.encode()) == Pong()


@pytest.mark.parametrize("frame", ["ping", "1728069666", "0", "007", "9" * 500])
def test_other_control_text_answers_nothing(frame: str) -> None:
    assert parse(frame) == parse(frame.encode()) == Pong(is_answer=False)


@pytest.mark.parametrize(
    ("frame", "is_error"),
    [
        ('{"type":"error","message":"slow down","params":{"a":1}}', True),
        ('{"type":"ERROR_AUTH","message":"no","params":null}', True),
        ('{"status":"connected"}', False),
        ('{"event":"subscribed","data":null}', False),
        ('{"type":"status","message":"ready","data":""}', False),
        ('{"errors":[{"code":"auth_failed"}]}', True),
        ('{"error":"bad"}', True),
        ('{"error":"","message":"fine"}', False),
        ('{"message":"failure to get a peer from the ring-balancer"}', False),
        ('{"code":1.50}', False),
    ],
)
def test_notices(frame: str, is_error: bool) -> None:  # noqa: FBT001 - a case
    assert parse(frame) == Notice(frame, is_error)


@pytest.mark.parametrize("flat", [(), ("buy", "aggregate_ratings")])
@pytest.mark.parametrize(
    "data",
    [
        {},
        {"tickers": ["AAPL"]},
        {"ticker": "AAPL", "timestamp": "2024-10-04T19:21:06Z"},
        {"action": "", "id": None, "content": {}, "buy": "", "aggregate_ratings": {}},
        {"content": [], "aggregate_ratings": {"hold": ""}},
    ],
)
@pytest.mark.parametrize("about", [{"type": "info", "message": "x"}, {"status": "ok"}])
def test_a_notice_may_have_a_data_object(
    about: dict[str, str], data: dict[str, object], flat: tuple[str, ...]
) -> None:
    frame = json.dumps(about | {"data": data})
    assert parse(frame, flat=flat) == Notice(frame, is_error=False)


@pytest.mark.parametrize(
    "data",
    [
        {"action": "deleted"},
        {"action": "deleted", "id": "r"},
        {"content": {"a": 1}},
        {"buy": 0},
        {"buy": "1"},
        {"aggregate_ratings": {"hold": 0}},
    ],
)
def test_a_message_stays_one_beside_the_words_of_a_notice(
    data: dict[str, object],
) -> None:
    frame = json.dumps({"type": "x", "status": "ok", "code": 7, "data": data})
    envelope(frame, flat=("buy", "aggregate_ratings"))


def test_a_long_notice_is_cut() -> None:
    parsed = parse(json.dumps({"message": "x" * 1000}))
    assert isinstance(parsed, Notice)
    assert len(parsed.text) == EXCERPT


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("", "not JSON"),
        ("hello", "not JSON"),
        ("{", "not JSON"),
        ('{"data":{"content":{"a":NaN}}}', "not JSON"),
        ("[" * 100_000, "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        ("null", "not an object"),
        ("1.5", "not an object"),
        ("[1]", "not an object"),
        ('"hello"', "not an object"),
        ("{}", "without a data object"),
        ('{"id":"x"}', "without a data object"),
        ('{"data":""}', "without a data object"),
        ('{"data":[1],"type":"x"}', "without a data object"),
        ('{"data":"text","message":"x"}', "without a data object"),
        (data(), "without content"),
        ('{"type":"x","data":{"id":"r"}}', "without content"),
        ('{"type":"x","data":{"action":"exploded"}}', "unknown action"),
        (data(action="created", id="r"), "created without content"),
        (data(action="created", id="r", content=""), "created without content"),
        (data(id="r", content=[1]), "data.content is not an object"),
        (data(id="r", content="text"), "data.content is not an object"),
        (data(action="deleted", content=7), "data.content is not an object"),
        (data(action="exploded", content={"a": 1}), "unknown action 'exploded'"),
        (data(action={}, content={"a": 1}), "data.action: expected text"),
        (data(id=[], content={"a": 1}), "data.id: expected text or a number"),
        (data(timestamp={}, content={"a": 1}), "data.timestamp: .* got an object"),
        (data(content={"id": []}), "data.content.id: .* got an array"),
        ('{"id":{},"data":{"content":{"a":1}}}', "id: expected text"),
    ],
)
def test_what_is_unusable_says_why(frame: str | bytes, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        parse(frame)


def test_a_reason_does_not_grow_with_the_frame() -> None:
    with pytest.raises(Unusable) as caught:
        parse(data(action="x" * 10_000, content={"a": 1}))
    assert len(str(caught.value)) < EXCERPT + 50


def number(digits: str) -> object:
    content = envelope('{"data":{"content":{"n":' + digits + "}}}").content
    assert content is not None
    return content["n"]


@pytest.mark.parametrize(
    "digits",
    [
        "195.50",
        "293.69192307692305",
        "0.10000000000000000000000000000000000001",
        "1e5",
        "1E-7",
        "-0.0",
        "12",
        "-3",
        "18446744073709551616",
        "1000000000000000000000000000000",
    ],
)
def test_numbers_keep_their_digits(digits: str) -> None:
    assert text(number(digits)) == digits
    assert json_text([number(digits)]) == f"[{digits}]"
    assert canonical({"n": number(digits)}) == f'{{"n":{digits}}}'.encode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, ""), ("", ""), ("x", "x"), (True, "true"), (False, "false"), (0, "0")],
)
def test_scalars_as_text(value: object, expected: str) -> None:
    assert text(value) == expected


@given(VALUES)
def test_any_json_is_parsed_or_unusable(value: object) -> None:
    for frame in (json.dumps(value), json.dumps({"data": value})):
        for flat in ((), ("buy",)):
            with suppress(Unusable):
                assert isinstance(parse(frame, flat=flat), Envelope | Pong | Notice)


@settings(max_examples=40)
@given(st.dictionaries(st.text(max_size=5), VALUES, min_size=1))
def test_content_comes_through_whole(content: dict[str, object]) -> None:
    frame = json.dumps({"data": {"action": "created", "id": "r", "content": content}})
    found = json.loads(json_text(envelope(frame).content))
    assert found == json.loads(json.dumps(content))


@settings(max_examples=40)
@given(st.dictionaries(st.text(max_size=5), VALUES))
def test_canonical_knows_no_order(content: dict[str, object]) -> None:
    assert canonical(content) == canonical(dict(reversed(content.items())))
    assert json.loads(canonical(content)) == content
