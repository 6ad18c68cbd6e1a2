from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streams.offered import EVERY

from bzredis.changes.from_frame import read
from bzredis.changes.kinds import Change, Rejected
from bzredis.messages.envelope import Notice
from bzredis.streams import CONSENSUS, STREAMS, Stream
from bzredis.streams.consensus import FIGURES, security
from bzredis.streams.installed import stream as named

FRAMES = Path(__file__).parent.parent / "frames"
HEADLINE = {"consensus_rating", "consensus_rating_val", "consensus_price_target"}


def changed(frame: str | dict[str, Any], sole: str = "") -> Change:
    text = frame if isinstance(frame, str) else json.dumps(frame)
    found = read(CONSENSUS, text, received=1, source="live", sole=sole)
    assert isinstance(found, Change), found
    return found


def from_file(name: str, sole: str = "") -> Change:
    return changed((FRAMES / f"consensus-{name}.json").read_text(), sole)


def pairs(flat: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def test_the_stream_is_upstreams() -> None:
    assert CONSENSUS.name == "consensus"
    assert CONSENSUS.path == "/api/v1/consensus-ratings/stream"
    assert CONSENSUS.parameters == ("tickers", "isins", "simplify", "aggregate_type")
    assert CONSENSUS.state == "per_symbol"


def test_streams_by_name() -> None:
    assert all(named(stream.name) is stream for stream in STREAMS)
    assert "read=" not in repr(CONSENSUS)


def test_both_shapes_give_the_same_figures() -> None:
    flat = pairs(from_file("documented").fields)
    enveloped = pairs(from_file("enveloped").fields)
    for name in ("security_symbol", "security_exchange", "security_isin"):
        del enveloped[name]
    assert flat == enveloped
    assert flat["consensus_price_target"] == "293.69192307692305"
    assert flat["updated_at"] == "2024-10-04T19:21:06.880730108Z"


@pytest.mark.parametrize(
    ("name", "headline"),
    [
        ("documented", ("BUY", "3.68", "293.69192307692305")),
        ("simplified", ("BUY", "3.92", "293.69192307692305")),
        ("deleted-without-content", ("", "", "")),
    ],
)
def test_headline(name: str, headline: tuple[str, ...]) -> None:
    assert from_file(name).headline == headline


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("value", [0, "0", 7, "4.10", ["7"], {"buy": 0}])
def test_one_figure_makes_a_consensus(name: str, value: object) -> None:
    if name in HEADLINE and isinstance(value, list | dict):
        return  # these have to be scalars
    for frame in (
        {"data": {name: value}},
        {"data": {"content": {name: value}}},
        {"type": "x", "message": "y", "data": {"ticker": "AAPL", name: value}},
    ):
        assert changed(frame, "AAPL").symbol == "AAPL"


@pytest.mark.parametrize(
    "data",
    [
        {"tickers": ["AAPL"]},
        {"ticker": "AAPL"},
        {"id": "c", "action": "created", "content": {"ticker": "AAPL"}},
        {"ticker": "AAPL", "updated_at": "2024-10-04T19:21:06Z"},
        {"aggregate_type": "number", "aggregate_ratings": {"buy": None}},
        dict.fromkeys(FIGURES, ""),
        dict.fromkeys(FIGURES),
    ],
)
@pytest.mark.parametrize("sole", ["", "AAPL", "ISIN:US0378331005"])
def test_what_has_no_figures_is_no_consensus(data: dict[str, Any], sole: str) -> None:
    text = json.dumps({"id": "e", "data": data})
    found = read(CONSENSUS, text, received=1, source="live", sole=sole)
    assert isinstance(found, Rejected)
    assert found.reason == "no consensus in it"


@pytest.mark.parametrize("data", [{}, {"tickers": ["AAPL"]}, {"ticker": "AAPL"}])
@pytest.mark.parametrize("stream", EVERY, ids=lambda stream: stream.name)
def test_a_notice_about_a_security_is_a_notice(
    stream: Stream, data: dict[str, Any]
) -> None:
    text = json.dumps({"type": "info", "message": "subscribed", "data": data})
    found = read(stream, text, received=1, source="live", sole="AAPL")
    assert isinstance(found, Notice)


@pytest.mark.parametrize(
    "data",
    [
        {"action": "deleted", "ticker": "AAPL"},
        {"action": "Removed", "id": "c", "content": {"ticker": "AAPL"}},
        {"action": "deleted", "id": "c", "content": ""},
    ],
)
def test_a_delete_needs_no_figures(data: dict[str, Any]) -> None:
    change = changed({"type": "x", "data": data}, "AAPL")
    assert (change.action, change.symbol) == ("deleted", "AAPL")


def test_the_label_never_follows_the_value() -> None:
    frame = {"data": {"consensus_rating": "SELL", "consensus_rating_val": 4.9}}
    assert changed(frame).headline[0] == "SELL"
    assert changed({"data": {"consensus_rating_val": 4.9}}).headline[0] == ""


@pytest.mark.parametrize(
    ("frame", "sole", "expected"),
    [
        ({"buy": 1}, "", ""),
        ({"buy": 1}, "AAPL", "AAPL"),
        ({"buy": 1}, "ISIN:US0378331005", "ISIN:US0378331005"),
        ({"ticker": "aapl"}, "", "AAPL"),
        ({"symbol": "aapl"}, "", "AAPL"),
        ({"ticker": "AAPL", "symbol": "aapl "}, "", "AAPL"),
        ({"ticker": "AAPL", "isin": "US0378331005"}, "", "AAPL"),
        ({"isin": "us0378331005"}, "", "ISIN:US0378331005"),
        ({"ticker": "", "isin": "US0378331005"}, "", "ISIN:US0378331005"),
        ({"ticker": "XYZ", "exchange": "TSX"}, "", "TSX:XYZ"),
        ({"security": {"symbol": "XYZ", "exchange": "TSX"}}, "", "TSX:XYZ"),
        ({"securities": [{"symbol": "AAPL"}]}, "", "AAPL"),
        ({"ticker": "AAPL"}, "MSFT", "AAPL"),  # the frame goes before the subscription
        ({"ticker": "AAPL"}, "ISIN:US0378331005", "ISIN:US0378331005"),  # contract, 1
        ({"isin": "US0378331005"}, "AAPL", "AAPL"),
        ({"ticker": "RY", "security": {"exchange": "TSX"}}, "", "TSX:RY"),
        # Two names of one market are one, and a placeholder is none.
        ({"ticker": "RY", "exchange": "N/A", "of": {"exchange": "TSX"}}, "", "TSX:RY"),
        (
            {"ticker": "RY", "a": {"exchange": "TSX"}, "b": {"exchange": "XTSE"}},
            *("", "TSX:RY"),
        ),
        ({"ticker": "SHOP", "exchange": "N/A"}, "TSX:SHOP", "TSX:SHOP"),
        # Of a market nobody knows the ISIN tells, also beside it.
        ({"ticker": "Q", "exchange": "M", "of": {"isin": "US0378331005"}}, "", "Q"),
        ({"ticker": "Q", "exchange": "M", "of": {"isin": "CA0378331005"}}, "", "M:Q"),
        # Where no exchange is given, the sole symbol's own ticker is that symbol …
        ({"ticker": "shop"}, "TSX:SHOP", "TSX:SHOP"),
        ({"security": {"symbol": "SHOP"}}, "TSX:SHOP", "TSX:SHOP"),
        ({"ticker": "SHOP", "exchange": "TSX"}, "TSX:SHOP", "TSX:SHOP"),
        ({"ticker": "SHOP", "symbol": "TSX:SHOP"}, "TSX:SHOP", "TSX:SHOP"),
        ({"ticker": "SHOP", "peers": [{"symbol": "T"}]}, "TSX:SHOP", "TSX:SHOP"),
        # … and no other is.
        ({"ticker": "SHOP", "exchange": "NYSE"}, "TSX:SHOP", "SHOP"),
        ({"ticker": "SHOP", "of": {"exchange": "NYSE"}}, "TSX:SHOP", "SHOP"),
        ({"ticker": "SHOP", "exchange": "CSE"}, "TSX:SHOP", "CSE:SHOP"),
        ({"ticker": "SHO"}, "TSX:SHOP", "SHO"),
        ({"ticker": "TSX"}, "TSX:SHOP", "TSX"),
        ({"ticker": "CSE:SHOP"}, "TSX:SHOP", "CSE:SHOP"),
        ({"ticker": "SHOP"}, "SHOP", "SHOP"),
        ({"ticker": "SHOP"}, "", "SHOP"),
        ({"ticker": ["AAPL"]}, "", ""),
        ({"ticker": {"symbol": "AAPL"}}, "", "AAPL"),
        ({"ticker": 7}, "", "7"),
        ({"ticker": "A*"}, "", ""),
        ({"ticker": "AAPL", "peers": [{"symbol": "MSFT"}]}, "", ""),
        ({"ticker": "AAPL", "peers": [{"symbol": "MSFT"}]}, "AAPL", "AAPL"),
        ({"ticker": "AAPL", "peers": [{"symbol": "MSFT"}]}, "IBM", ""),
        ({"isin": "US0378331005", "of": {"isin": "US5949181045"}}, "", ""),
        ({"isin": "US0378331005", "of": {"isin": "US5949181045"}}, "IBM", ""),
    ],
)
def test_whose_consensus_it_is(
    frame: dict[str, object], sole: str, expected: str
) -> None:
    assert security(frame, sole) == expected
    assert changed({"data": frame | {"hold": 1}}, sole).symbol == expected
    content = {"data": {"id": "c", "content": frame | {"hold": 1}}}
    assert changed(content, sole).symbol == expected
    assert changed({"meta": frame, "data": {"buy": 1}}, sole).symbol == expected


@pytest.mark.parametrize(("depth", "expected"), [(4, "AAPL"), (5, ""), (50, "")])
def test_a_security_is_not_searched_for_without_end(depth: int, expected: str) -> None:
    frame: dict[str, object] = {"ticker": "AAPL"}
    for _ in range(depth):
        frame = {"inner": [frame]}
    assert security(frame) == expected


def test_times_of_update_compare_in_utc() -> None:
    change = changed({"data": {"buy": 1, "updated_at": "2024-10-04T15:21:06.5-04:00"}})
    assert change.moments[2:] == ("updated_at", "2024-10-04T19:21:06.500000000Z")


def test_a_record_id_is_not_needed() -> None:
    assert from_file("documented").record == ""
    assert from_file("enveloped").record == "67003f2e5d1c8a0001b0f5f0"
