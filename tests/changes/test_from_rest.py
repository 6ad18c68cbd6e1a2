"""REST's rows as changes: which fields differ from a frame's, and what is no row."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bzredis.changes import from_rest as fetched
from bzredis.changes.from_frame import read
from bzredis.changes.from_rest import looked_up, removal, row
from bzredis.changes.kinds import Change, Rejected
from bzredis.streams import CONSENSUS, INSIGHTS, RATINGS, Stream

RECEIVED = 1_728_070_000_000
SECOND = 1_728_069_728
MS = SECOND * 1_000

RATING = {"id": "r", "ticker": "AAPL", "pt_current": "195.50", "updated": SECOND}
INSIGHT = {"id": "i", "security": {"symbol": "T"}, "action": "", "updated": SECOND}
CONSENSUS_OF = {"consensus_rating": "BUY", "updated_at": "2024-10-04T19:22:08.017Z"}


def changed(found: Change | Rejected) -> Change:
    assert isinstance(found, Change)
    return found


def live(stream: Stream, content: dict[str, Any], **data: Any) -> Change:
    """Read what a stream says of the same."""
    frame = {"id": "e", "data": {"timestamp": "", "content": content, **data}}
    found = read(stream, json.dumps(frame), received=RECEIVED, source="live")
    assert isinstance(found, Change)
    return found


@pytest.mark.parametrize(
    ("stream", "content", "symbol"),
    [(RATINGS, RATING, "AAPL"), (INSIGHTS, INSIGHT, "T")],
    ids=["ratings", "insights"],
)
def test_a_row(stream: Stream, content: dict[str, Any], symbol: str) -> None:
    text = json.dumps(content, indent=1)
    made = changed(row(stream, text, received=RECEIVED))
    assert (made.action, made.source, made.raw) == ("updated", "rest", text)
    assert (made.record, made.symbol) == (content["id"], symbol)
    assert (made.envelope, made.timestamp) == ("", "")
    assert made.version == MS
    assert made.fields == live(stream, content).fields


def test_digits_stay() -> None:
    text = '{"id": 7, "ticker": "A", "pt": 1.50, "updated": "1728069728"}'
    made = changed(row(RATINGS, text, received=RECEIVED))
    assert made.record == "7"
    assert made.version == MS
    assert ("pt", "1.50") in zip(made.fields[::2], made.fields[1::2], strict=True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('"no record"', "JSON, but not an object"),
        ("7", "JSON, but not an object"),
        ('"a\\xff"', "not JSON"),
        ("{}", "without content"),
        ('{"ticker": "A"}', "no record id"),
        ('{"id": {}}', "data.content.id: expected text or a number"),
        ('{"id": "a", "ticker": []}', "expected text"),
        ('{"id": "a", "x": ' + "[" * 90_000 + "]" * 90_000 + "}", "not JSON: maximum"),
    ],
)
def test_what_is_no_row(text: str, reason: str) -> None:
    found = row(RATINGS, text, received=RECEIVED)
    assert isinstance(found, Rejected)
    assert reason in found.reason
    assert found.raw == text


def test_what_is_nested_too_deeply(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_deep(*_: object, **__: object) -> None:  # how deep, depends on who calls
        raise RecursionError

    monkeypatch.setattr(fetched, "change", too_deep)
    found = row(RATINGS, json.dumps(RATING), received=RECEIVED)
    assert isinstance(found, Rejected)
    assert found.reason == "nested too deeply"


def is_known(later: Change, earlier: Change) -> bool:
    return not set(later.known_by).isdisjoint(earlier.remember)


@pytest.mark.parametrize("ms", [0, 17, 999])
def test_an_insight_in_seconds_and_its_copy_in_ms_are_one(ms: int) -> None:
    ours = changed(row(INSIGHTS, json.dumps(INSIGHT), received=RECEIVED))
    theirs = live(INSIGHTS, {**INSIGHT, "updated": MS + ms})
    assert is_known(ours, theirs)
    assert is_known(theirs, ours)
    for other in (MS - 1, MS + 1_000):
        theirs = live(INSIGHTS, {**INSIGHT, "updated": other})
        assert not is_known(ours, theirs)
        assert not is_known(theirs, ours)


def test_two_messages_of_a_stream_within_a_second_are_two() -> None:
    one, two = (
        live(INSIGHTS, {**INSIGHT, "updated": MS + ms}, timestamp=f"{SECOND}.{ms}")
        for ms in (1, 2)
    )
    apart = set(one.known_by) & set(two.remember)
    assert len(apart) == 1  # the envelope's id, which is the same here


def test_a_row_without_a_time_is_the_same_row_later() -> None:
    text = json.dumps({**RATING, "updated": ""})
    one = changed(row(RATINGS, text, received=RECEIVED))
    two = changed(row(RATINGS, text, received=RECEIVED + 60_000))
    assert one.version != two.version
    assert is_known(two, one)
    other = json.dumps({**RATING, "updated": "", "pt_current": "1"})
    assert not is_known(changed(row(RATINGS, other, received=RECEIVED + 1_000)), one)


APPLE, OTHER = "US0378331005", "US5949181045"


def rated(record: str, ticker: str = "AAPL", **fields: str) -> Change | Rejected:
    return row(
        RATINGS, json.dumps({"id": record, "ticker": ticker, **fields}), received=1
    )


def insight(record: str, isin: str | None, symbol: str = "AAPL") -> Change | Rejected:
    content = {"id": record, "security": {"symbol": symbol, "isin": isin}}
    return row(INSIGHTS, json.dumps(content), received=1)


@pytest.mark.parametrize(
    ("stream", "rows", "wanted", "unknown"),
    [
        (RATINGS, [rated("a", isin=APPLE), rated("b", isin=OTHER)], "a", ""),
        (RATINGS, [rated("a", isin=""), rated("b")], "", "ab"),
        (RATINGS, [rated("a"), rated("b", isin=f" {APPLE.lower()}")], "ab", ""),
        (RATINGS, [rated("a"), rated("b", isin=OTHER)], "", ""),
        (
            RATINGS,
            [rated("a"), rated("b", isin=APPLE), rated("c", isin=OTHER)],
            "ab",
            "",
        ),
        (RATINGS, [rated("a"), rated("b", "T", isin=APPLE)], "b", "a"),
        (RATINGS, [rated("a", ""), rated("b", "", isin=APPLE)], "b", "a"),
        (RATINGS, [rated("a", "shop", exchange="TSX"), rated("b", "IBM")], "ab", ""),
        (RATINGS, [rated("a", "IBM", isin=OTHER)], "a", ""),
        (
            RATINGS,
            [rated("a", "RY", exchange="TSX"), rated("b", "RY", isin=APPLE)],
            "b",
            "a",
        ),
        (
            INSIGHTS,
            [insight("a", APPLE), insight("b", None), insight("c", OTHER)],
            "ab",
            "",
        ),
        (INSIGHTS, [insight("a", ""), insight("b", OTHER, "T")], "", "a"),
    ],
)
def test_what_is_on_a_watch_list_of_isins(
    stream: Stream, rows: list[Change | Rejected], wanted: str, unknown: str
) -> None:
    broken = row(RATINGS, "7", received=1)
    found, left = fetched.sifted(
        stream, [*rows, broken], frozenset({"IBM", "SHOP"}), frozenset({APPLE})
    )
    assert found.pop() == broken
    assert "".join(changed(one).record for one in found) == wanted
    assert "".join(one.record for one in left) == unknown


@pytest.mark.parametrize("updated", [SECOND, None, 0])
def test_a_removal(updated: int | None) -> None:
    made = changed(removal(RATINGS, "r", updated, "raw", received=RECEIVED))
    assert (made.action, made.source, made.record) == ("deleted", "rest", "r")
    assert (made.symbol, made.fields, made.raw) == ("", (), "raw")
    assert made.version == 1_000 * (updated or 0)
    assert made.headline == ("",) * len(RATINGS.headline)


def test_a_removal_of_nothing() -> None:
    found = removal(RATINGS, "", None, "7", received=RECEIVED)
    assert isinstance(found, Rejected)
    assert (found.reason, found.raw) == ("no record id", "7")


@pytest.mark.parametrize(
    "named",
    [
        {},
        {"ticker": "aapl"},
        {"ticker": "AAPL", "exchange": "NASDAQ", "isin": "US0378331005"},
        {"security": {"symbol": "AAPL"}},
        {"isin": "US0378331005"},
        {
            "isins": [{"isin": "US0378331005"}, {"isin": "US5949181045"}],
            "ticker": "AAPL",
        },
    ],
)
def test_a_consensus_is_of_the_symbol_that_was_asked_for(named: dict[str, Any]) -> None:
    text = json.dumps({**CONSENSUS_OF, "id": "x", **named})
    made = changed(looked_up(CONSENSUS, text, "AAPL", received=RECEIVED))
    assert (made.symbol, made.record, made.source) == ("AAPL", "", "rest")
    assert made.version == MS + 17
    theirs = live(CONSENSUS, {**CONSENSUS_OF, "ticker": "AAPL", "more": 1}, id="record")
    assert is_known(theirs, made)
    assert is_known(made, theirs)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ({**CONSENSUS_OF, "ticker": "MSFT"}, "AAPL was asked for, and this names MSFT"),
        (
            {**CONSENSUS_OF, "ticker": "AAPL", "exchange": "TSX"},
            "AAPL was asked for, and this names TSX:AAPL",
        ),
        (
            {**CONSENSUS_OF, "a": [{"ticker": "MSFT"}, {"ticker": "T"}]},
            "AAPL was asked for, and this names others",
        ),
        ({"ok": False, "errors": []}, "no consensus in it"),
        ({}, "action updated without content"),
        ([1], "JSON, but not an object"),
    ],
)
def test_a_consensus_of_another(text: object, reason: str) -> None:
    found = looked_up(CONSENSUS, json.dumps(text), "AAPL", received=RECEIVED)
    assert isinstance(found, Rejected)
    assert found.reason == reason
