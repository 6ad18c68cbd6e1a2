from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from changes.reading import (
    CONTENTS,
    FRAMES,
    NAMES,
    RECEIVED,
    RECEIVED_AT,
    SCALARS,
    SUMMARIES,
    changed,
    fields,
    message,
    stream_of,
    text_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from streams.offered import EVERY

from bzredis.changes import fingerprints
from bzredis.changes.from_frame import (
    AHEAD,
    CUT,
    LONGEST_REASON,
    LONGEST_RECORD,
    MOST_FIELDS,
    instead,
    read,
    rejected,
    shorter,
)
from bzredis.changes.kinds import Change, Opened, Rejected
from bzredis.messages.envelope import Notice, Pong
from bzredis.messages.times import rfc3339
from bzredis.streams import CONSENSUS, INSIGHTS, RATINGS, Stream


def content_fields(content: object) -> dict[str, str]:
    return fields(changed(message(content), INSIGHTS))


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
        rfc3339(change.published),
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
        for stream in EVERY:
            found = read(stream, frame, received=RECEIVED, source="live")
            assert isinstance(found, Change | Rejected)


def test_too_deep_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def canonical(_: object) -> bytes:
        raise RecursionError

    monkeypatch.setattr(fingerprints, "canonical", canonical)
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


@pytest.mark.parametrize("stream", EVERY, ids=lambda stream: stream.name)
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
    for stream in EVERY:
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
    assert rfc3339(change.published) == published
    assert change.dated == (content.get("date") == "2024-10-04")


@pytest.mark.parametrize(
    ("updated", "told"),
    [
        (RECEIVED - 1, RECEIVED - 1),
        (RECEIVED + AHEAD, RECEIVED),  # alone ahead, it must not hide what comes after
        (RECEIVED + AHEAD + 1, 0),  # it would hide all that is missing until then
        (RECEIVED * 2, 0),
        (None, 0),
        ("soon", 0),
    ],
)
def test_what_upstream_dates_far_ahead_is_not_believed(
    updated: object, told: int
) -> None:
    """REST is asked from the newest of these."""
    sent = "2030-01-01T00:00:00Z"  # the envelope's time is no such word
    frame = message({"updated": updated, "a": 1}, timestamp=sent)
    change = changed(frame, INSIGHTS)
    assert change.updated == told
    assert change.version == (updated if isinstance(updated, int) else 1893456000000)


def test_without_content_nothing_was_updated() -> None:
    deleted = changed(message(timestamp="2024-10-04T19:21:06Z"))
    assert (deleted.updated, deleted.version) == (0, 1728069666000)


def test_when_it_was_read_is_told_in_ms_and_in_words() -> None:
    found = changed(message({"a": 1}))
    aside = rejected("why", "x", received=RECEIVED)
    assert (found.t, found.received) == (aside.t, aside.received)
    assert (found.t, found.received) == (RECEIVED, RECEIVED_AT)


def test_moments_order_equal_versions() -> None:
    change = changed(message({"a": 1}, timestamp="2024-10-04T15:21:06.880730108-04:00"))
    assert change.moments == ("_timestamp", "2024-10-04T19:21:06.880730108Z")
    assert change.timestamp == "2024-10-04T15:21:06.880730108-04:00"
    flat = changed(text_of("consensus-documented"), CONSENSUS)
    assert flat.moments == (
        *("_timestamp", ""),
        *("updated_at", "2024-10-04T19:21:06.880730108Z"),
    )


def test_what_is_set_aside_is_cut_and_stays_the_same_message() -> None:
    whole = rejected("why", "x" * 100, received=RECEIVED)
    cut = shorter(whole)
    assert cut is not None
    assert (cut.raw, cut.reason) == ("x" * 25, f"why{CUT}")
    assert (cut.known_by, cut.remember) == (whole.known_by, whole.remember)
    lengths = []
    while cut:
        lengths.append(len(cut.raw))
        assert cut.reason == f"why{CUT}"
        cut = shorter(cut)
    assert lengths == [25, 6, 1, 0]


def test_in_the_place_of_a_change() -> None:
    frame = text_of("ratings-documented")
    assert instead(changed(frame), "why") == rejected("why", frame, received=RECEIVED)
    aside = rejected("first", "x", received=RECEIVED)
    assert instead(aside, "why") == rejected("why", "x", received=RECEIVED)
    found = instead(Opened(RECEIVED), "why")
    assert (found.raw, found.reason, found.received) == ("", "why", RECEIVED_AT)
    assert found.known_by != instead(Opened(RECEIVED), "another").known_by
