"""Messages look as upstream's do, oddities in a plausible share included."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from bzredis.simulator.market.consensus import Figures, View, aggregate, figures, label
from bzredis.simulator.market.formats import rfc3339
from bzredis.simulator.market.market import Market
from bzredis.simulator.market.opinions import NOTHING
from bzredis.simulator.market.records import Published

NOW = 1_790_000_000.0
HEX = re.compile(r"[0-9a-f]{24}")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")
DECIMAL = re.compile(r"\d+\.\d{2}(\d\d)?|")

Frame = dict[str, object]


@pytest.fixture(scope="module")
def messages() -> list[Published]:
    return list(Market(5).past(NOW, 1_500))


def frames(messages: list[Published], stream: str) -> list[Frame]:
    return [json.loads(m.text) for m in messages if m.stream == stream]


def contents(messages: list[Published], stream: str) -> list[Frame]:
    found = [frame["data"] for frame in frames(messages, stream)]
    return [d["content"] for d in found if isinstance(d, dict) and "content" in d]


def test_envelopes(messages: list[Published]) -> None:
    ids = Counter(message.envelope for message in messages)
    assert set(ids.values()) == {1}
    for message in messages:
        frame = json.loads(message.text)
        assert list(frame) == ["id", "api_version", "kind", "data"]
        assert frame["id"] == message.envelope
        assert UUID.fullmatch(frame["id"])
        assert frame["api_version"] == "websocket/v1"


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        ("ratings", "data/v2.1/calendar/ratings"),
        ("consensus", "data/v2.1/calendar/ratings"),
        ("insights", "stream_type"),
    ],
)
def test_kinds(messages: list[Published], stream: str, kind: str) -> None:
    assert {frame["kind"] for frame in frames(messages, stream)} == {kind}


def test_actions_ids_and_timestamps(messages: list[Published]) -> None:
    words: Counter[str] = Counter()
    nine = 0
    for stream in ("ratings", "insights"):
        for frame in frames(messages, stream):
            data = frame["data"]
            assert isinstance(data, dict)
            words[data["action"]] += 1
            nine += bool(NINE.fullmatch(data["timestamp"]))
            assert HEX.fullmatch(data["id"])
            assert data.get("content", data)["id"] == data["id"]
    assert set(words) == {
        word
        for small in ("created", "updated", "deleted")
        for word in (small, small.capitalize())
    }
    assert words["created"] > words["Created"] > 0
    assert 0.5 < nine / words.total() < 0.9


def test_ratings(messages: list[Published]) -> None:
    rows = contents(messages, "ratings")
    types = Counter(
        (key, type(value).__name__) for row in rows for key, value in row.items()
    )
    others = {key for key, kind in types if kind != "str"}
    assert others == {"importance", "updated"}
    assert types["updated", "str"] < types["updated", "int"] / 10
    assert types["importance", "str"] < types["importance", "int"] / 10
    assert types["analyst_name", "str"] < len(rows)
    assert types["pt_pct_change", "str"] > 0
    for row in rows:
        for name in ("pt_current", "pt_prior"):
            assert DECIMAL.fullmatch(str(row[name]))
    mixed = [r for r in rows if len({places(r, n) for n in PRICES}) > 1]
    assert len(mixed) > len(rows) / 10
    assert any(row["pt_prior"] == "" for row in rows)


PRICES = ("pt_current", "adjusted_pt_current", "pt_prior", "adjusted_pt_prior")


def places(row: Frame, name: str) -> int:
    return len(str(row.get(name, "")).partition(".")[2])


def test_published_in_new_york_and_updated_in_seconds() -> None:
    market = Market()
    [rated, *_] = market.opine(NOW, "AAPL")
    row = json.loads(rated.text)["data"]["content"]
    wall = datetime.fromisoformat(f"{row['date']}T{row['time']}")
    eastern = wall.replace(tzinfo=ZoneInfo("America/New_York"))
    assert eastern.timestamp() == NOW == row["updated"]


def test_insights(messages: list[Published]) -> None:
    rows = contents(messages, "insights")
    sizes = [len(str(row["analyst_insights"])) for row in rows]
    assert 1_000 <= min(sizes) < max(sizes) <= 3_072
    assert all(isinstance(row["updated"], int) for row in rows)
    assert all(row["updated"] > 1e12 for row in rows if isinstance(row["updated"], int))
    securities = [row["security"] for row in rows if isinstance(row["security"], dict)]
    assert len(securities) == len(rows)
    assert {tuple(s) for s in securities} == {
        ("symbol", "name", "exchange", "isin", "cik")
    }
    assert any(not s["isin"] for s in securities)
    assert any(not s["cik"] for s in securities)
    linked = Counter(row["rating_id"] for row in rows if row["id"])
    assert max(linked.values()) > 1


def test_consensus_is_flat_and_nameless(messages: list[Published]) -> None:
    rows = [frame["data"] for frame in frames(messages, "consensus")]
    labels: Counter[str] = Counter()
    sparse = 0
    floats = 0
    for row in rows:
        assert isinstance(row, dict)
        assert not {"ticker", "isin", "id", "action", "content"} & set(row)
        assert NINE.fullmatch(row["updated_at"])
        assert row["aggregate_type"] == "number"
        labels[row["consensus_rating"]] += 1
        sparse += len(row["aggregate_ratings"]) < 5
        floats += len(str(row.get("consensus_price_target"))) > 10
    assert set(labels) >= {"BUY", "HOLD", "buy"}
    assert 0 < sparse < len(rows) / 2
    assert floats > len(rows) / 10


def test_consensus_may_name_its_security() -> None:
    market = Market(consensus_ticker=True)
    consensus = market.opine(NOW, "TSX:T")[1]
    data = json.loads(consensus.text)["data"]
    names = {key: data[key] for key in ("ticker", "exchange", "isin")}
    assert names == {"ticker": "T", "exchange": "TSX", "isin": "CA87971M1032"}


def test_consensus_in_other_views() -> None:
    market = Market()
    consensus = market.opine(NOW, "AAPL")[1]
    seen = consensus.seen(View(simplify=True, percentage=True))
    data = json.loads(seen)["data"]
    assert set(data["aggregate_ratings"]) <= {"buy", "hold", "sell"}
    assert sum(data["aggregate_ratings"].values()) == 100
    assert data["aggregate_type"] == "percentage"
    assert data["consensus_rating"].upper() in {"BUY", "HOLD", "SELL"}
    assert json.loads(seen)["id"] == consensus.envelope
    rating = market.opine(NOW, "AAPL")[0]
    assert rating.seen(View(simplify=True)) == rating.text


@pytest.mark.parametrize(
    ("value", "name", "simple"),
    [
        (1.0, "STRONG_SELL", "SELL"),
        (1.5, "SELL", "SELL"),
        (2.5, "HOLD", "HOLD"),
        (3.49, "HOLD", "HOLD"),
        (3.68, "BUY", "BUY"),
        (4.5, "STRONG_BUY", "BUY"),
        (5.0, "STRONG_BUY", "BUY"),
    ],
)
def test_labels_are_rounded_to_nearest(value: float, name: str, simple: str) -> None:
    assert label(value) == name
    assert label(value, simplify=True) == simple


def test_percentages() -> None:
    counts = (2, 1, 5, 0, 0)
    assert aggregate(counts, View(percentage=True)) == {
        "strong_buy": 25,
        "buy": 12,
        "hold": 62,
        "sell": 0,
        "strong_sell": 0,
    }
    assert aggregate(counts, View(simplify=True)) == {"buy": 3, "hold": 5, "sell": 0}


def test_no_ratings_no_figures() -> None:
    assert figures([NOTHING], 1) is None
    assert figures([NOTHING.__class__(4, None)], 3) == Figures(
        (0, 1, 0, 0, 0), 4.0, None, None, None, 3, 1
    )


@pytest.mark.parametrize(
    ("digits", "text"),
    [
        (9, "2024-10-04T19:21:06.500000000Z"),
        (6, "2024-10-04T19:21:06.500000Z"),
        (0, "2024-10-04T19:21:06Z"),
    ],
)
def test_timestamps(digits: int, text: str) -> None:
    assert rfc3339(1_728_069_666.5, digits) == text
