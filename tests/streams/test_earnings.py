"""A report is announced long before, and filled in later."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

from changes.reading import changed, fields, message

from bzredis.messages.times import published
from bzredis.streams.earnings import EARNINGS, make

AHEAD: dict[str, Any] = {
    "id": "r",
    "date": "2024-10-31",
    "date_confirmed": 0,
    "time": "16:05:00",
    "ticker": "AAPL",
    "exchange": "NASDAQ",
    "name": "Apple",
    "currency": "USD",
    "period": "Q4",
    "period_year": 2024,
    "eps_type": "Adj",
    "eps": "",
    "eps_est": "1.5000",
    "revenue": "",
    "revenue_est": "94400000000.000",
    "importance": 5,
    "updated": 1_728_069_666,
}


def headline(content: dict[str, Any]) -> dict[str, str]:
    found = changed(message(content), EARNINGS).headline
    names = [head.name for head in EARNINGS.headline]
    return {name: value for name, value in zip(names, found, strict=True) if value}


def test_what_is_announced() -> None:
    change = changed(message(AHEAD), EARNINGS)
    assert (change.symbol, change.version) == ("AAPL", 1_728_069_666_000)
    assert change.published == published("2024-10-31", "16:05:00")
    assert change.published > change.t, "it lies ahead"
    assert headline(AHEAD) == {
        "period": "Q4",
        "period_year": "2024",
        "date": "2024-10-31",
        "time": "16:05:00",
        "date_confirmed": "0",
        "eps_est": "1.5000",
        "revenue_est": "94400000000.000",
        "importance": "5",
    }
    assert "eps" not in fields(change), "what is unknown has no field"


def test_what_is_reported() -> None:
    told = {"eps": "1.64", "eps_surprise_percent": "9.33", "updated": 1_728_069_999}
    found = headline(AHEAD | told)
    assert (found["eps"], found["eps_surprise_percent"]) == ("1.64", "9.33")


def test_what_lies_abroad_and_what_is_gone() -> None:
    change = changed(message(AHEAD | {"exchange": "TSX"}), EARNINGS)
    assert change.symbol == "TSX:AAPL"
    gone = changed(message(), EARNINGS)
    assert (gone.action, gone.symbol) == ("deleted", "")


def test_each_head_is_the_field_of_its_name() -> None:
    told = {head.field: f"the {head.field}" for head in EARNINGS.headline}
    assert headline(AHEAD | told) == told


def test_all_that_is_made_up_is_described() -> None:
    told = {each.name for each in EARNINGS.content}
    rng = Random(1)
    found = [dict(make(rng, 1_795_000_000)) for _ in range(200)]
    assert {*found[0]} <= told
    assert {each["eps"] == "" for each in found} == {True, False}
    assert not re.search(r'"-0\.0+"', json.dumps(found))
