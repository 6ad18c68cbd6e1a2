"""What an entry says, as a program gets it."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from bzredis.changes.from_frame import read
from bzredis.changes.kinds import Change
from bzredis.commands.react.program import LONGEST, line, variables
from bzredis.commands.react.reaction import Happening
from bzredis.commands.react.taking.entries import fields, happening
from bzredis.streams import CONSENSUS, INSIGHTS, RATINGS, STREAMS, Stream

CONTENT = {
    "id": "r1",
    "ticker": "AAPL",
    "exchange": "NASDAQ",
    "date": "2026-11-20",
    "time": "06:32:00",
    "analyst": "Jefferies",
    "action_company": "Downgrades",
    "rating_current": "Hold",
    "rating_prior": "Buy",
    "pt_current": "195.50",
    "pt_prior": "230.00",
    "importance": 4,
    "updated": 1795174340,
    "notes": "",
    "ratings_accuracy": {"smart_score": "71.20"},
}
FRAME = json.dumps(
    {
        "id": "e1",
        "api_version": "websocket/v1",
        "kind": "data/x",
        "data": {
            "action": "Created",
            "id": "r1",
            "timestamp": "2026-11-20T11:32:39.927Z",
            "content": CONTENT,
        },
    }
)
ENTRY = {
    "action": "created",
    "record": "r1",
    "symbol": "AAPL",
    "received": "2026-11-20T11:32:40.137Z",
    "source": "live",
    "version": "1795174340000",
    "published": "1795174320000",
    "effect": "latest",
    "news": "1",
    "firm": "Jefferies",
    "direction": "down",
    "rating": "Hold",
    "pt": "195.50",
    "raw": FRAME,
}


def test_it_has_the_entrys_fields_and_those_of_its_own_content() -> None:
    found = happening(RATINGS, "5-0", ENTRY)
    assert (found.kind, found.stream, found.symbol, found.event) == (
        *("entry", "ratings", "AAPL", "5-0"),
    )
    told = found.fields
    assert told["pt"] == Decimal("195.50")
    assert str(told["pt"]) == "195.50"
    assert told["_pt_change_pct"] == Decimal("-15.00")
    assert (told["published"], told["news"]) == (1_795_174_320_000, True)
    assert told["ratings_accuracy_smart_score"] == "71.20"  # nobody knows what it is
    assert "notes" not in told
    assert "pt_prior" in told
    assert list(told)[:3] == ["action", "record", "symbol"]


def test_a_row_of_rest_is_read_as_one() -> None:
    entry = {**ENTRY, "source": "rest", "raw": json.dumps(CONTENT)}
    told = happening(RATINGS, "5-0", entry).fields
    assert told["_pt_change_pct"] == Decimal("-15.00")


def test_the_logs_word_goes_before_one_of_the_content() -> None:
    content = {"id": "i1", "action": "Downgrades", "firm": "X", "updated": 1}
    frame = json.dumps({"id": "e", "data": {"action": "Created", "content": content}})
    entry = {"action": "created", "record": "i1", "raw": frame}
    told = happening(INSIGHTS, "5-0", entry).fields
    assert (told["action"], told["firm"]) == ("created", "X")
    assert fields(INSIGHTS)["action"].words == ("created", "updated", "deleted")


def test_what_the_bridge_alone_knew_comes_from_latest_if_this_entry_wrote_it() -> None:
    entry = {"action": "updated", "symbol": "AAPL", "value": "3.5", "raw": "{}"}
    latest = {"_event": "5-0", "_previous_consensus_rating_val": "4.20", "_record": "x"}
    told = happening(CONSENSUS, "5-0", entry, latest).fields
    assert told["_previous_consensus_rating_val"] == Decimal("4.20")
    assert "_record" not in told
    later = happening(CONSENSUS, "6-0", entry, latest).fields
    assert "_previous_consensus_rating_val" not in later


def test_a_gap_is_one() -> None:
    entry = {"action": "gap", "from": "2026-11-20T11:00:00.000Z", "recovered": "3"}
    found = happening(RATINGS, "5-0", entry)
    assert (found.kind, found.symbol) == ("gap", "")
    assert found.fields["recovered"] == 3


@pytest.mark.parametrize(
    "text", ["n/a", "1e999999", "nan", "9" * 50, "\N{ARABIC-INDIC DIGIT ONE}", ""]
)
def test_what_is_no_number_stays_the_text_that_it_is(text: str) -> None:
    told = happening(RATINGS, "5-0", {"pt": text, "version": text}).fields
    assert told["pt"] == text
    assert told["version"] == text or str(told["version"]) == text[:40]


@pytest.mark.parametrize(
    "raw", ["", "{", "[]", "null", '{"id": "\\ud83d"}', '{"data":{}}']
)
def test_what_is_no_frame_costs_its_own_fields_alone(raw: str) -> None:
    told = happening(RATINGS, "5-0", {**ENTRY, "raw": raw}).fields
    assert told["firm"] == "Jefferies"


@pytest.mark.parametrize("stream", STREAMS, ids=lambda each: each.name)
def test_all_that_the_bridge_writes_is_known(stream: Stream) -> None:
    known = fields(stream)
    assert {head.name for head in stream.headline} <= known.keys()
    found = read(stream, FRAME, received=0, source="live")
    if isinstance(found, Change):
        ours = {name for name in found.fields[::2] if name.startswith("_")}
        assert ours <= known.keys()


# ---- how a program gets it


def test_a_line_of_json_has_numbers_with_the_digits_sent() -> None:
    text = line(happening(RATINGS, "5-0", ENTRY)).decode()
    assert text.endswith("}\n")
    assert text.count("\n") == 1
    assert '"pt":195.50,' in text
    assert '"news":true' in text
    told = json.loads(text)
    assert (told["kind"], told["stream"], told["event"]) == ("entry", "ratings", "5-0")


def test_variables_have_the_same_names_in_capitals() -> None:
    told = variables(happening(RATINGS, "5-0", ENTRY))
    assert told["BZ_SYMBOL"] == "AAPL"
    assert (told["BZ_PT"], told["BZ_PT_CHANGE_PCT"]) == ("195.50", "-15.00")
    assert (told["BZ_NEWS"], told["BZ_STREAM"]) == ("1", "ratings")


def test_what_no_variable_can_hold_is_left_out_or_made_fit() -> None:
    odd = {"notes": "a\0b", "big": "x" * (LONGEST + 1), "né=w": "y", "none": ""}
    many = {f"f{n}": "z" * 8_000 for n in range(100)}
    told = variables(Happening("entry", "ratings", "", "1-0", {**odd, **many}))
    assert told["BZ_NOTES"] == "a\N{REPLACEMENT CHARACTER}b"
    assert told["BZ_N__W"] == "y"
    assert "BZ_BIG" not in told
    assert "BZ_NONE" not in told
    assert "BZ_SYMBOL" not in told  # absent is absent
    assert sum(len(name + text) + 2 for name, text in told.items()) < 140_000
