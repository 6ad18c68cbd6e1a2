from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bzredis.changes.from_frame import read
from bzredis.changes.kinds import Change, Rejected
from bzredis.messages.model import _reason
from bzredis.streams import INSIGHTS
from bzredis.streams.insights import Insight

FRAMES = Path(__file__).parent.parent / "frames"


def read_content(content: dict[str, Any]) -> object:
    frame = json.dumps({"data": {"id": "i", "content": content}})
    return read(INSIGHTS, frame, received=1, source="live")


def from_file(name: str) -> Change:
    text = (FRAMES / f"insights-{name}.json").read_text()
    found = read(INSIGHTS, text, received=1, source="live")
    assert isinstance(found, Change), found
    return found


def pairs(flat: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def test_the_stream_is_upstreams() -> None:
    assert INSIGHTS.name == "insights"
    assert INSIGHTS.path == "/api/v1/analyst/insights/stream"
    assert INSIGHTS.parameters == ("tickers", "isins")
    assert INSIGHTS.state == "records"


@pytest.mark.parametrize("name", ["documented", "in-seconds"])
def test_an_insight(name: str) -> None:
    change = from_file(name)
    names = [head.name for head in INSIGHTS.headline]
    assert dict(zip(names, change.headline, strict=True)) == {
        "firm": "Example Securities",
        "direction": "same",
        "rating": "Buy",
        "pt": "265.00",
        "rating_id": "67003f2e5d1c8a0001b0f5d1",
    }
    fields = pairs(change.fields)
    assert fields["security_symbol"] == "AAPL"
    assert fields["_firm"] == fields["firm"]
    assert fields["_direction"] == "same"
    assert fields["rating_id"] == "67003f2e5d1c8a0001b0f5d1"
    assert fields["analyst_insights"].startswith("## Rating Rationale\n- Services")
    assert ("security_isin" in fields) == (name == "documented")
    assert "_pt_change" not in fields


def test_seconds_and_milliseconds_are_told_apart_by_size() -> None:
    ms, seconds = from_file("documented").version, from_file("in-seconds").version
    assert ms // 1000 == seconds // 1000
    assert (ms % 1000, seconds % 1000) == (17, 0)


def test_several_insights_share_a_rating() -> None:
    assert from_file("documented").record != from_file("in-seconds").record


@pytest.mark.parametrize("security", ["", None, {}, [], "AAPL", {"symbol": ""}])
def test_an_insight_without_a_symbol_is_still_one(security: object) -> None:
    found = read_content({"security": security, "firm": "F"})
    assert isinstance(found, Change), found
    assert found.symbol == ""
    assert found.headline[0] == "F"


def test_a_foreign_security() -> None:
    found = read_content({"security": {"symbol": "xyz", "exchange": "CSE"}})
    assert isinstance(found, Change)
    assert found.symbol == "CSE:XYZ"


@pytest.mark.parametrize(
    ("security", "symbol", "has_market"),
    [
        ({}, "Q", False),
        ({"exchange": "N/A"}, "Q", False),
        ({"exchange": "XNAS"}, "Q", True),
        ({"exchange": "A Venue", "isin": "US0378331005"}, "Q", True),
        ({"exchange": "A Venue", "isin": "CA0378331005"}, "A-VENUE:Q", True),
    ],
)
def test_whose_insight_it_is(
    security: dict[str, str], symbol: str, *, has_market: bool
) -> None:
    found = read_content({"security": {"symbol": "q", **security}})
    assert isinstance(found, Change)
    assert (found.symbol, found.has_market) == (symbol, has_market)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"security": 7}, "expected an object @ content.security"),
        ({"security": {"symbol": []}}, "got an array @ content.security.symbol"),
        ({"security": "symbol"}, "expected an object @ content.security"),
        ({"firm": {"name": "F"}}, "got an object @ content.firm"),
        (
            {"firm": {}, "pt": []},
            "got an object @ content.firm; expected text or a number, got an array",
        ),
    ],
)
def test_what_cannot_be_read_says_which_field(
    content: dict[str, Any], reason: str
) -> None:
    found = read_content(content)
    assert isinstance(found, Rejected)
    assert reason in found.reason


def test_where_only_the_fast_way_fails_the_reason_is_short() -> None:
    assert _reason({}, Insight) == "not a Insight"
