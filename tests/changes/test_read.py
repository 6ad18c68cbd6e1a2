from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzredis.changes import read as module
from bzredis.changes.read import (
    LONGEST_REASON,
    LONGEST_RECORD,
    MOST_FIELDS,
    Change,
    Gap,
    Owe,
    Paid,
    Rejected,
    Source,
    gap,
    instead,
    owe,
    paid,
    read,
    received_of,
    rejected,
    renewed,
    unpack,
)
from bzredis.messages.envelope import Notice, Pong
from bzredis.store.script import script
from bzredis.streams import BY_NAME, CONSENSUS, INSIGHTS, RATINGS, STREAMS, Stream

FRAMES = Path(__file__).parent.parent / "frames"
RECEIVED = 1728069670123
RECEIVED_AT = "2024-10-04T19:21:10.123Z"

# Of each frame: action, record, symbol, version, publication, whether it has a date.
SUMMARIES = {
    "ratings-documented": (
        *("created", "67003f2e5d1c8a0001b0f5d1", "AAPL", 1728069666000),
        *("2024-10-04T19:20:47.000Z", True),
    ),
    "ratings-capitalised-nine-digits": (
        *("updated", "67003f2e5d1c8a0001b0f5d1", "AAPL", 1728069666000),
        *("2024-10-04T19:20:47.000Z", True),
    ),
    "ratings-without-envelope-id": (
        *("created", "67003f2e5d1c8a0001b0f5d1", "AAPL", 1728069666000),
        *("2024-10-04T19:20:47.000Z", True),
    ),
    "ratings-removed-with-content": (
        *("deleted", "67003f2e5d1c8a0001b0f5d1", "AAPL", 1728069666000),
        *("2024-10-04T19:20:47.000Z", True),
    ),
    "ratings-deleted-without-content": (
        *("deleted", "67003f2e5d1c8a0001b0f5d1", "", 1728070200000),
        *("2024-10-04T19:30:00.000Z", False),
    ),
    "ratings-deleted-with-empty-content": (
        *("deleted", "67003f2e5d1c8a0001b0f5d1", "", 1728070200000),
        *("2024-10-04T19:30:00.000Z", False),
    ),
    "ratings-empty-for-null": (
        *("created", "5cf12f1b0c1f5d0001a1b2d5", "BRK.B", 1559311131000),
        *("2019-05-31T04:00:00.000Z", True),
    ),
    "ratings-mixed-precision": (
        *("updated", "67003f2e5d1c8a0001b0f5d9", "TSLA", 1728069666000),
        *("2024-10-04T13:31:12.000Z", True),
    ),
    "ratings-neighbouring-types": (
        *("created", "9007199254740993", "IBM", 1728069666000),
        *("2024-10-04T13:31:12.000Z", True),
    ),
    "ratings-unknown-fields": (
        *("created", "67003f2e5d1c8a0001b0f5da", "MSFT", 1728069667000),
        *("2024-10-04T04:00:00.000Z", True),
    ),
    "ratings-canada": (
        *("created", "67003f2e5d1c8a0001b0f5db", "TSX:SHOP", 1730615400000),
        *("2024-11-03T05:30:00.000Z", True),
    ),
    "insights-documented": (
        *("created", "67003f705d1c8a0001b0f5e0", "AAPL", 1728069728017),
        *("2024-10-04T04:00:00.000Z", True),
    ),
    "insights-in-seconds": (
        *("created", "0d2f4a0e-64b3-4a0c-9f6e-1d2c3b4a5968", "AAPL", 1728069728000),
        *("2024-10-04T04:00:00.000Z", True),
    ),
    "insights-without-security": (
        *("updated", "67003f705d1c8a0001b0f5e1", "", 1728069728017),
        *("2024-10-04T19:22:08.017Z", False),
    ),
    "insights-deleted-without-content": (
        *("deleted", "67003f705d1c8a0001b0f5e0", "", 1728072000000),
        *("2024-10-04T20:00:00.000Z", False),
    ),
    "consensus-documented": (
        *("updated", "", "", 1728069666880),
        *("2024-10-04T19:21:06.880Z", False),
    ),
    "consensus-enveloped": (
        *("updated", "67003f2e5d1c8a0001b0f5f0", "AAPL", 1728069666880),
        *("2024-10-04T19:21:07.100Z", False),
    ),
    "consensus-simplified": (
        *("updated", "", "TSXV:XYZ", 1728069666000),
        *("2024-10-04T19:21:06.000Z", False),
    ),
    "consensus-deleted-without-content": (
        *("deleted", "67003f2e5d1c8a0001b0f5f0", "", 1728075600000),
        *("2024-10-04T21:00:00.000Z", False),
    ),
}


def stream_of(name: str) -> Stream:
    return BY_NAME[name.partition("-")[0]]


def text_of(name: str) -> str:
    return (FRAMES / f"{name}.json").read_text()


def changed(
    frame: str | bytes | dict[str, Any],
    stream: Stream = RATINGS,
    source: Source = "live",
    received: int = RECEIVED,
) -> Change:
    if isinstance(frame, dict):
        frame = json.dumps(frame)
    found = read(stream, frame, received=received, source=source)
    assert isinstance(found, Change), found
    return found


def message(content: object = None, **data: object) -> dict[str, Any]:
    """Return a frame; with no content, one that deletes."""
    if content is None:
        return {"data": {"action": "deleted", "id": "r1"} | data}
    return {"data": {"action": "updated", "id": "r1", "content": content} | data}


def fields(change: Change) -> dict[str, str]:
    names = change.fields[::2]
    assert len(set(names)) == len(names)
    return dict(zip(names, change.fields[1::2], strict=True))


def content_fields(content: object) -> dict[str, str]:
    return fields(changed(message(content), INSIGHTS))


def related(one: Change, other: Change) -> bool:
    """Tell whether Redis, which has seen one, knows the other."""
    return not set(one.remember).isdisjoint(other.known_by)


# ------------------------------------------------------------------------- frames


def test_every_frame_has_its_summary() -> None:
    assert {path.stem for path in FRAMES.iterdir()} == set(SUMMARIES)


@pytest.mark.parametrize("name", SUMMARIES)
def test_frames_as_upstream_sends_them(name: str) -> None:
    frame = text_of(name)
    change = changed(frame, stream_of(name))
    assert (
        change.action,
        change.record,
        change.symbol,
        change.version,
        change.published_at,
        change.dated,
    ) == SUMMARIES[name]
    sent = json.loads(frame)
    assert change.raw == frame
    assert change.envelope == str(sent.get("id", ""))
    assert change.timestamp == str(sent["data"].get("timestamp", ""))
    assert (change.received, change.source) == (RECEIVED_AT, "live")
    assert changed(frame.encode(), stream_of(name)) == change


@pytest.mark.parametrize("name", SUMMARIES)
def test_every_entry_has_every_field_of_its_stream(name: str) -> None:
    stream = stream_of(name)
    assert len(changed(text_of(name), stream).headline) == len(stream.headline)


def test_unknown_fields_come_through_like_known_ones() -> None:
    found = fields(changed(text_of("ratings-unknown-fields")))
    assert found["ptpo"] == "415.1000"
    assert found["ratings_accuracy_smart_score"] == "71.20"
    assert found["ratings_accuracy_1y_count"] == "37"
    assert found["tags"] == '["ai",1.50,{"deep":true}]'
    assert found["is_premium"] == "false"
    assert found["__internal"] == "x"
    assert "sequence" not in found  # of the envelope, not of the content


def test_the_real_frames_bear_their_digits() -> None:
    types = fields(changed(text_of("ratings-neighbouring-types")))
    assert (types["pt_current"], types["pt_prior"]) == ("195.50", "180")
    assert (types["cusip"], types["id"]) == ("459200101", "9007199254740993")
    price = fields(changed(text_of("consensus-documented"), CONSENSUS))
    assert price["consensus_price_target"] == "293.69192307692305"
    assert price["high_price_target"] == "350.0"
    assert price["aggregate_ratings_strong_buy"] == "10"
    assert "aggregate_ratings_strong_sell" not in price


# --------------------------------------------------------------------- flattening


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"a": "", "b": None, "c": "x"}, {"c": "x"}),
        ({"a": {"b": {"c": 1}}}, {"a_b_c": "1"}),
        ({"a": {}, "b": []}, {"b": "[]"}),
        ({"a": True, "b": False, "c": 0}, {"a": "true", "b": "false", "c": "0"}),
        ({"a": [1, {"b": "é"}, None]}, {"a": '[1,{"b":"é"},null]'}),
        ({"a": {"b": "nested"}, "a_b": "flat"}, {"a_b": "flat"}),
        ({"a_b": "flat", "a": {"b": "nested"}}, {"a_b": "flat"}),
        ({"a_b": "", "a": {"b": "nested"}}, {"a_b": "nested"}),
        ({"a": {"b": {"c": "deep"}}, "a_b": {"c": "less"}}, {"a_b_c": "less"}),
        ({"_a": 1, "__a": 2, "_b": {"c": 3}}, {"__a": "1", "___a": "2", "__b_c": "3"}),
        ({"": 1, "x": {"": 2}}, {"": "1", "x_": "2"}),
        ({"": {"_a": 1}, "_": {"a": 2}}, {"___a": "1"}),
        ({"_symbol": "no", "_version": 9}, {"__symbol": "no", "__version": "9"}),
    ],
)
def test_flattening(content: object, expected: dict[str, str]) -> None:
    assert content_fields(content) == expected


SCALARS = (
    st.none()
    | st.booleans()
    | st.text(max_size=4)
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([195.5, 293.69192307692305, 1e22, 1e-7])
)
NAMES = st.text("ab_é", min_size=1, max_size=3)
CONTENTS = st.dictionaries(
    NAMES,
    st.recursive(
        SCALARS, lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=5
    ),
    min_size=1,
    max_size=6,
)


def leaves(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}_")
        elif value is not None and value != "":
            spelled = value if isinstance(value, str) else json.dumps(value)
            yield f"{prefix}{name}", spelled


@given(CONTENTS)
def test_every_scalar_keeps_its_digits(content: dict[str, Any]) -> None:
    frame = json.dumps(message(content))
    spelled = json.loads(frame, parse_float=str, parse_int=str)["data"]["content"]
    expected: dict[str, set[str]] = {}
    for name, value in leaves(spelled):
        ours = f"_{name}" if name.startswith("_") else name
        expected.setdefault(ours, set()).add(value)
    found = fields(changed(frame, INSIGHTS))
    assert found.keys() == expected.keys()
    assert all(value in expected[name] for name, value in found.items())
    tops = {name: value for name, value in spelled.items() if type(value) is str}
    for name, value in tops.items():
        if value:
            assert found[f"_{name}" if name.startswith("_") else name] == value


# ---------------------------------------------------------------- one bad frame (9)


@pytest.mark.parametrize("stream", [RATINGS, INSIGHTS])
def test_a_record_needs_an_id(stream: Stream) -> None:
    found = read(
        stream, json.dumps(message({"a": 1}, id="")), received=RECEIVED, source="live"
    )
    assert isinstance(found, Rejected)
    assert found.reason == "no record id"


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (message({"a": 1}, id="r" * (LONGEST_RECORD + 1)), "record id over"),
        (message({f"f{n}": n for n in range(MOST_FIELDS + 1)}), "over 1000 fields"),
        (message({"ticker": {"a": 1}}), "expected text or a number, got an object"),
        (message({"analyst": []}), "got an array @ content.analyst"),
    ],
)
def test_rejected_with_a_reason(frame: object, reason: str) -> None:
    raw = json.dumps(frame)
    found = read(RATINGS, raw, received=RECEIVED, source="live")
    assert isinstance(found, Rejected)
    assert reason in found.reason
    assert (found.raw, found.received) == (raw, RECEIVED_AT)
    assert found.known_by == found.remember


def test_as_many_fields_as_are_allowed() -> None:
    content = {f"f{n}": n for n in range(MOST_FIELDS)}
    assert len(content_fields(content)) == MOST_FIELDS
    longest = "r" * LONGEST_RECORD
    assert changed(message({"a": 1}, id=longest)).record == longest


def test_the_same_bytes_are_kept_once() -> None:
    one, again = (rejected("why", "frame", received=n) for n in (1, 2))
    other = rejected("why", "frame ", received=1)
    assert one.known_by == again.known_by != other.known_by


def test_bytes_that_are_no_text_are_kept_readable() -> None:
    found = read(RATINGS, b"\xffx", received=RECEIVED, source="live")
    assert isinstance(found, Rejected)
    assert found.raw == "\\xffx"


def test_a_reason_has_its_limit() -> None:
    assert len(rejected("x" * 10_000, "", received=1).reason) == LONGEST_REASON


@pytest.mark.parametrize(("opening", "closing"), [('{"a":', "}"), ("[", "]")])
def test_no_depth_is_too_deep(opening: str, closing: str) -> None:
    """What decodes may still be too deep to encode again, a few frames lower."""
    for depth in [*range(0, 800, 100), *range(800, 1100), 100_000]:
        value = opening * depth + "1" + closing * depth
        frame = '{"data":{"id":"r","content":{"x":' + value + "}}}"
        for stream in STREAMS:
            found = read(stream, frame, received=RECEIVED, source="live")
            assert isinstance(found, Change | Rejected)


def test_too_deep_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def canonical(_: object) -> bytes:
        raise RecursionError

    monkeypatch.setattr(module, "canonical", canonical)
    frame = json.dumps(message({"a": 1}))
    found = read(RATINGS, frame, received=RECEIVED, source="live")
    assert isinstance(found, Rejected)
    assert found.reason == "nested too deeply"


JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            NAMES
            | st.sampled_from(
                "id data action content timestamp updated date time ticker exchange"  # noqa: SIM905 - a list of words
                " security symbol isin pt_current".split()
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
TIMES = ["", "9" * 20, "2024-10-04", "9999-12-31T23:59:59-05:00"]
COUNTS: list[object] = [0, -1, 1728069666, "1728069666880", 10**19, 10**30, 1e300]
WHEN = st.sampled_from([*COUNTS, *TIMES, "0001-01-01T00:00:00+05:00"])


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
@settings(max_examples=60)
@given(value=JSON, content=JSON, when=WHEN)
def test_no_json_raises(stream: Stream, value: Any, content: Any, when: Any) -> None:
    if isinstance(content, dict):
        content = {"date": when, "updated": when, "updated_at": when} | content
    frames = [value, {"data": value}, message(content, timestamp=when)]
    for frame in map(json.dumps, frames):
        for source in ("live", "rest"):
            found = read(stream, frame, received=RECEIVED, source=source)
            assert isinstance(found, Change | Rejected | Pong | Notice)
            if isinstance(found, Change | Rejected):
                msgspec.msgpack.decode(found.pack())


@settings(max_examples=50)
@given(st.text() | st.binary())
def test_no_frame_raises(frame: str | bytes) -> None:
    for stream in STREAMS:
        found = read(stream, frame, received=RECEIVED, source="live")
        assert isinstance(found, Rejected | Pong)


@pytest.mark.parametrize("frame", ["pong", "17"])
def test_control_text_is_not_rejected(frame: str) -> None:
    assert isinstance(read(RATINGS, frame, received=1, source="live"), Pong)
    notice = read(RATINGS, '{"message":"hi"}', received=1, source="live")
    assert isinstance(notice, Notice)


# --------------------------------------------------------------- version (promise 3)


@pytest.mark.parametrize(
    ("updated", "timestamp", "version"),
    [
        (1728069666, "2024-10-04T20:00:00Z", 1728069666000),
        ("1728069666880", "2024-10-04T20:00:00Z", 1728069666880),
        ("2024-10-04T19:21:06.5Z", "", 1728069666500),
        ("", "2024-10-04T20:00:00.9Z", 1728072000900),
        (0, "2024-10-04T20:00:00Z", 1728072000000),
        ("soon", "2024-10-04T20:00:00Z", 1728072000000),
        (None, "", RECEIVED),
        (None, "0001-01-01T00:00:00Z", RECEIVED),
        (None, "9999-12-31T23:59:59-05:00", RECEIVED),
    ],
)
def test_version(updated: object, timestamp: str, version: int) -> None:
    frame = message({"updated": updated, "a": 1}, timestamp=timestamp)
    assert changed(frame).version == version
    assert changed(frame, INSIGHTS).version == version
    flat = {"data": {"updated_at": updated, "buy": 1, "timestamp": timestamp}}
    assert changed(flat, CONSENSUS).version == version


@pytest.mark.parametrize(
    ("content", "timestamp", "published"),
    [
        ({"date": "2024-10-04", "time": "09:30:00"}, "", "2024-10-04T13:30:00.000Z"),
        ({"date": "2024-10-04"}, "2024-10-05T01:00:00Z", "2024-10-04T04:00:00.000Z"),
        ({"time": "09:30:00"}, "2024-10-05T01:00:00Z", "2024-10-05T01:00:00.000Z"),
        ({"updated": 1}, "2024-10-05T01:00:00Z", "2024-10-05T01:00:00.000Z"),
        ({"updated": 1728069666}, "", "2024-10-04T19:21:06.000Z"),
        ({"date": "9999-12-31", "time": "23:00"}, "", RECEIVED_AT),
        ({"date": "0001-01-01"}, "", RECEIVED_AT),
    ],
)
def test_publication(content: dict[str, Any], timestamp: str, published: str) -> None:
    change = changed(message(content | {"a": 1}, timestamp=timestamp))
    assert change.published_at == published
    assert change.dated == (content.get("date") == "2024-10-04")


def test_moments_order_equal_versions() -> None:
    change = changed(message({"a": 1}, timestamp="2024-10-04T15:21:06.880730108-04:00"))
    assert change.moments == ("_timestamp", "2024-10-04T19:21:06.880730108Z")
    assert change.timestamp == "2024-10-04T15:21:06.880730108-04:00"
    flat = changed(text_of("consensus-documented"), CONSENSUS)
    assert flat.moments == (
        *("_timestamp", ""),
        *("updated_at", "2024-10-04T19:21:06.880730108Z"),
    )


# ---------------------------------------------------------- the same message (1)

CONTENT = {"ticker": "A", "updated": 1728069666, "pt": 1.5, "n": {"b": 1, "a": "x"}}


def envelope(**changes: Any) -> dict[str, Any]:
    frame = message(CONTENT, timestamp="2024-10-04T19:21:06Z") | {"id": "e1"}
    frame["data"] |= changes
    return frame


@pytest.mark.parametrize(
    "copy",
    [
        envelope(),
        envelope() | {"id": "e2"},  # a new envelope
        envelope() | {"id": ""},
        envelope(timestamp="2024-10-04T20:00:00Z"),  # the content has `updated`
        envelope(action="Update"),
        envelope(content=CONTENT | {"pt": 2}),  # the same envelope and record
        envelope(action="deleted"),  # likewise
        envelope() | {"kind": "other", "api_version": "2"},
    ],
)
def test_copies_are_known(copy: dict[str, Any]) -> None:
    first, second = changed(envelope()), changed(copy)
    assert related(first, second)
    assert related(second, first)


@pytest.mark.parametrize(
    "other",
    [
        envelope(content=CONTENT | {"pt": 1.50001}) | {"id": "e2"},
        envelope(content=CONTENT | {"pt": "1.5"}) | {"id": "e2"},
        envelope(action="deleted") | {"id": "e2"},
        envelope(action="created") | {"id": "e2"},
        envelope(id="r2") | {"id": "e2"},
        envelope(id="r2"),  # one envelope id, but another record
        envelope(content=CONTENT | {"updated": 1728069667}) | {"id": "e2"},
    ],
)
def test_other_messages_are_not_known(other: dict[str, Any]) -> None:
    first, second = changed(envelope()), changed(other)
    assert not related(first, second)
    assert not related(second, first)


def test_without_updated_the_timestamp_tells() -> None:
    def at(timestamp: str, envelope: str) -> Change:
        return changed(message(timestamp=timestamp) | {"id": envelope})

    first = at("2024-10-04T19:21:06.1Z", "e1")
    assert related(first, at("2024-10-04T19:21:06.1Z", "e2"))
    assert not related(first, at("2024-10-04T19:21:06.2Z", "e2"))


def test_two_blank_envelope_ids_are_not_the_same() -> None:
    one, other = (changed(message({"a": n}) | {"id": " "}) for n in (1, 2))
    assert one.envelope == ""
    assert not related(one, other)


def rest(content: dict[str, Any], **data: Any) -> Change:
    return changed(message(content, **data), source="rest")


def test_over_rest_record_and_version_tell() -> None:
    live = changed(envelope())
    row = rest(CONTENT | {"another": "view"})
    assert related(live, row)
    assert related(row, live)
    assert related(row, rest(CONTENT | {"a third": "view"}))
    later = rest(CONTENT | {"updated": 1728069667})
    assert not related(live, later)
    assert not related(later, live)
    assert not related(live, rest(CONTENT | {"pt": 2}, id="r2"))


def test_a_row_of_rest_does_not_hide_a_delete() -> None:
    deleted = changed(envelope(action="deleted") | {"id": "e2"})
    assert not related(rest(CONTENT | {"a": 1}), deleted)
    assert not related(deleted, rest(CONTENT | {"a": 1}))


def test_two_messages_of_a_stream_may_share_a_version() -> None:
    one = changed(envelope())
    other = changed(envelope(content=CONTENT | {"pt": 2}) | {"id": "e2"})
    assert one.version == other.version
    assert not related(one, other)


def test_each_message_leaves_few_fingerprints() -> None:
    """As few as client.REMEMBERED_LEAST counts on."""
    assert len(changed(envelope()).remember) == 3
    assert len(rest(CONTENT).remember) == 1


@given(CONTENTS, st.integers(0, 3), st.randoms(use_true_random=False))
def test_form_does_not_change_the_fingerprint(
    content: dict[str, Any], indent: int, rng: Any
) -> None:
    def shuffled(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        items = list(value.items())
        rng.shuffle(items)
        return {name: shuffled(inner) for name, inner in items}

    frame = message(content, timestamp="2024-10-04T19:21:06Z")
    other = shuffled(frame | {"id": "another envelope"})
    one = changed(frame, INSIGHTS)
    assert related(one, changed(json.dumps(other, indent=indent), INSIGHTS))
    escaped = json.dumps(other, ensure_ascii=False)
    assert related(one, changed(escaped, INSIGHTS))


@given(CONTENTS, st.data())
def test_any_change_of_a_value_changes_the_fingerprint(
    content: dict[str, Any], data: st.DataObject
) -> None:
    holder = other = json.loads(json.dumps(content))
    name = data.draw(st.sampled_from(sorted(holder)))
    while isinstance(holder[name], dict) and holder[name]:
        holder = holder[name]
        name = data.draw(st.sampled_from(sorted(holder)))
    before = json.dumps(holder[name])
    holder[name] = data.draw(SCALARS.filter(lambda v: json.dumps(v) != before))
    one, two = (changed(message(c), INSIGHTS) for c in (content, other))
    assert not related(one, two)
    assert not related(two, one)


def test_whose_consensus_it_is_counts() -> None:
    one, other = (
        read(CONSENSUS, '{"data":{"buy":1}}', received=1, source="live", sole=sole)
        for sole in ("A", "B")
    )
    assert isinstance(one, Change)
    assert isinstance(other, Change)
    assert not related(one, other)


# --------------------------------------------------------------- the packed form


def packables() -> Iterator[Change | Rejected | Gap]:
    for name, source in itertools.product(SUMMARIES, ("live", "replay", "rest")):
        yield changed(text_of(name), stream_of(name), source=source)  # type: ignore[arg-type]
    yield rejected("why", b"\xff", received=RECEIVED)
    yield gap(begin=1, end=RECEIVED, cause="reconnect", recovered=3)


def walk(value: object) -> Iterator[object]:
    yield value
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list):
        for inner in value:
            yield from walk(inner)


def as_lists(value: Any) -> Any:
    return [as_lists(inner) for inner in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize("value", list(packables()), ids=lambda v: type(v).__name__)
def test_the_packed_form_holds_the_fields_as_text(
    value: Change | Rejected | Gap,
) -> None:
    kind, *decoded = msgspec.msgpack.decode(value.pack())
    assert kind == value.__struct_config__.tag
    assert decoded == [as_lists(held) for held in msgspec.structs.astuple(value)]
    for held in walk(decoded):
        assert isinstance(held, str | int | bool | list)
    assert unpack(value.pack()) == value


def as_map(value: Change | Rejected | Gap | Owe | Paid) -> bytes:
    """Pack it as a spool's first format did."""
    was = {"kind": value.__struct_config__.tag, **msgspec.structs.asdict(value)}
    if isinstance(value, Change):
        was["moments"] = list(zip(*[iter(value.moments)] * 2, strict=True))
        was["headline"] = [part for held in value.headline for part in ("name", held)]
    was.pop("subscription", None)
    if was.pop("debt", None) is not None:
        was["since"] = 5
    if isinstance(value, Owe):
        was["again"] = False
    return msgspec.msgpack.encode(was)


@pytest.mark.parametrize(
    "value",
    [*packables(), owe(since=5, now=6), paid(owed="", now=6)],
    ids=lambda v: type(v).__name__,
)
def test_what_an_older_version_packed_is_packed_anew(
    value: Change | Rejected | Gap | Owe | Paid,
) -> None:
    assert renewed(as_map(value)) == value.pack() == renewed(value.pack())


_PLACES = re.compile(r"^local ([A-Z_, ]+) = ([\d, ]+)\b", re.MULTILINE)


def test_the_script_knows_where_the_fields_stand() -> None:
    lua = script(RATINGS)
    places: dict[str, int] = {}
    for names, numbers in _PLACES.findall(lua):
        places |= zip(names.split(", "), map(int, numbers.split(", ")), strict=True)
    assert places.pop("KIND") == 1
    for kind in (Change, Rejected, Gap, Owe, Paid):
        for place, name in enumerate(kind.__struct_fields__, 2):
            assert places[name.upper()] == place
            assert f"[{name.upper()}]" in lua


def test_a_gap() -> None:
    found = gap(begin=RECEIVED, end=RECEIVED + 60_000, cause="restart", recovered=2)
    assert (found.begin, found.end) == (RECEIVED_AT, "2024-10-04T19:22:10.123Z")
    assert (found.cause, found.recovered, found.received) == ("restart", 2, found.end)
    again = gap(begin=RECEIVED, end=RECEIVED + 60_000, cause="restart")
    other = gap(begin=RECEIVED, end=RECEIVED + 60_001, cause="restart")
    assert found.known_by == found.remember == again.known_by != other.known_by


def test_in_the_place_of_a_change() -> None:
    frame = text_of("ratings-documented")
    found = instead(changed(frame).pack(), "why")
    assert found == rejected("why", frame, received=RECEIVED)
    announced = gap(begin=1, end=RECEIVED, cause="restart")
    found = instead(announced.pack(), "why")
    assert (found.raw, found.reason, found.received) == ("", "why", RECEIVED_AT)
    assert found.known_by != instead(announced.pack(), "another").known_by


def test_when_a_packed_change_was_received() -> None:
    assert received_of(changed(text_of("ratings-documented")).pack()) == RECEIVED_AT
    assert received_of(b"") == ""
