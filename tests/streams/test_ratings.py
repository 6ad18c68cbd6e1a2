from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bzredis.changes.from_frame import read
from bzredis.changes.kinds import Change
from bzredis.messages.direction import direction
from bzredis.streams import RATINGS
from bzredis.streams.ratings import Rating, price_target_change

FRAMES = Path(__file__).parent.parent / "frames"


def changed(frame: str | dict[str, Any]) -> Change:
    if isinstance(frame, dict):
        frame = json.dumps({"data": {"id": "r", "content": frame}})
    found = read(RATINGS, frame, received=1, source="live")
    assert isinstance(found, Change), found
    return found


def pairs(flat: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def from_file(name: str) -> Change:
    return changed((FRAMES / f"ratings-{name}.json").read_text())


def test_the_stream_is_upstreams() -> None:
    assert RATINGS.name == "ratings"
    assert RATINGS.path == "/api/v2.1/calendar/ratings/stream"
    assert RATINGS.parameters == ("tickers", "isins")
    assert RATINGS.state == "records"


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("Upgrades", "up"),
        ("upgrades ", "up"),
        ("Downgrades", "down"),
        ("Maintains", "same"),
        ("Reiterates", "same"),
        ("Initiates", "new"),
        ("Initiates Coverage On", "new"),
        ("Reinstates", "new"),
        ("Assumes", "new"),
        ("Terminates", "end"),
        ("Terminates Coverage On", "end"),
        ("Removes", "end"),
        ("Suspends", "end"),
        ("Firm Dissolved", "end"),
        ("Firm", ""),
        ("Firm Founded", ""),
        ("Dissolved", ""),
        ("Upgraded", ""),
        ("", ""),
        ("  ", ""),
    ],
)
def test_direction(action: str, expected: str) -> None:
    assert direction(action) == expected
    found = pairs(changed({"action_company": action, "a": 1}).fields)
    assert found.get("_direction", "") == expected


@pytest.mark.parametrize(
    ("name", "headline"),
    [
        (
            "documented",
            ("Example Securities", "same", "Buy", "Buy", "265.00", "250.00", "3"),
        ),
        (
            "mixed-precision",
            ("Example Partners", "down", "", "", "260.0000", "300.00", "5"),
        ),
        (
            "neighbouring-types",
            ("Example Partners", "up", "", "", "195.50", "180", "4"),
        ),
        (
            "empty-for-null",
            ("Example & Co.", "new", "Market Outperform", "", "", "", ""),
        ),
        ("canada", ("Example Securities", "end", "", "", "", "", "")),
        ("deleted-without-content", ("",) * 7),
    ],
)
def test_headline(name: str, headline: tuple[str, ...]) -> None:
    assert from_file(name).headline == headline


@pytest.mark.parametrize(
    ("name", "derived"),
    [
        (
            "documented",
            {
                "_firm": "Example Securities",  # `analyst`, not `analyst_name`
                "_direction": "same",
                "_pt_change": "15.00",
                "_pt_change_pct": "6.00",
            },
        ),
        (
            "mixed-precision",
            {
                "_firm": "Example Partners",
                "_direction": "down",
                "_pt_change": "-40.0000",
                "_pt_change_pct": "-13.33",
            },
        ),
        (
            "neighbouring-types",
            {
                "_firm": "Example Partners",
                "_direction": "up",
                "_pt_change": "15.50",
                "_pt_change_pct": "8.61",
            },
        ),
        ("empty-for-null", {"_firm": "Example & Co.", "_direction": "new"}),
        ("deleted-without-content", {}),
    ],
)
def test_derived_fields(name: str, derived: dict[str, str]) -> None:
    found = pairs(from_file(name).fields)
    ours = {k: v for k, v in found.items() if k[:1] == "_" and k[:2] != "__"}
    assert ours == derived


def test_an_empty_importance_is_absent() -> None:
    assert "importance" not in pairs(from_file("empty-for-null").fields)


@pytest.mark.parametrize(
    ("adjusted", "plain", "expected"),
    [
        (("110", "100"), ("500", "100"), ("10", "10.00")),
        (("110", ""), ("500", "100"), ("400", "400.00")),
        (("", "100"), ("500", "100"), ("400", "400.00")),
        (("", ""), ("500", ""), (None, None)),
        (("110", None), ("", "100"), (None, None)),
        (("0", "0"), ("500", "100"), ("0", None)),
        ((".50", ".40"), ("10", "5"), ("0.10", "25.00")),
        (("5.", "4."), ("10", "5"), ("1", "25.00")),
        ((".", "."), ("10", "5"), ("5", "100.00")),
    ],
)
def test_the_adjusted_pair_goes_first(
    adjusted: tuple[Any, Any], plain: tuple[Any, Any], expected: tuple[Any, Any]
) -> None:
    content = {
        "adjusted_pt_current": adjusted[0],
        "adjusted_pt_prior": adjusted[1],
        "pt_current": plain[0],
        "pt_prior": plain[1],
    }
    found = pairs(changed(content).fields)
    assert (found.get("_pt_change"), found.get("_pt_change_pct")) == expected


@pytest.mark.parametrize(
    ("current", "prior", "expected"),
    [
        ("260.0000", "300.00", ("-40.0000", "-13.33")),
        (" 300.00 ", "300.00", ("0.00", "0.00")),
        ("0.1", "0.3", ("-0.2", "-66.67")),
        ("200.25", "200", ("0.25", "0.12")),  # half to even: 0.125
        ("200.75", "200", ("0.75", "0.38")),  # half to even: 0.375
        ("99.9999", "100", ("-0.0001", "0.00")),  # and no minus before nothing
        ("10", "0.00", ("10.00", "")),
        (".50", "1.", ("-0.50", "-50.00")),
        ("-.5", "+.25", ("-0.75", "-300.00")),
        (".0", "0.", ("0.0", "")),
        (".", "1", None),
        ("1", "-.", None),
        ("..5", "1", None),
        ("1.2.", "1", None),
        ("+", "1", None),
        ("." + "9" * 19, "1", None),
        ("1e5", "100", None),
        ("NaN", "100", None),
        ("1,000", "900", None),
        ("$5", "4", None),
        ("\u0665", "4", None),
        ("9" * 19, "1", None),
        ("", "100", None),
        ("100", "", None),
    ],
)
def test_price_target_change(
    current: str, prior: str, expected: tuple[str, str] | None
) -> None:
    assert price_target_change(current, prior) == expected


MOST = "9" * 18 + "." + "9" * 18
LEAST = "0." + "0" * 17 + "1"
SHORT = ["." + "9" * 18, "9" * 18 + ".", ".5", "5."]
PRICES = st.decimals(0, 10**17, places=None, allow_nan=False).map(
    lambda d: f"{d.quantize(Decimal('0.000001')):f}"
) | st.sampled_from(["0.01", "200.25", "200", MOST, LEAST, *SHORT])


@example(MOST, LEAST)
@example(LEAST, MOST)
@given(PRICES, PRICES)
def test_the_change_is_exact(current: str, prior: str) -> None:
    found = price_target_change(current, prior)
    assert found is not None
    change, percent = found
    exact = Fraction(current) - Fraction(prior)
    assert Fraction(change) == exact
    if not Fraction(prior):
        assert percent == ""
        return
    # round() of a fraction is half-even too, and knows no digits that it could lose.
    assert Fraction(percent) == Fraction(round(exact / Fraction(prior) * 10_000), 100)
    assert percent[-3] == "."
    assert not (percent.startswith("-") and not Fraction(percent))


def test_every_field_that_is_read_is_documented() -> None:
    documented = {
        "id",
        "date",
        "time",
        "ticker",
        "exchange",
        "isin",
        "cusip",
        "name",
        "currency",
        "action_pt",
        "action_company",
        "rating_current",
        "pt_current",
        "adjusted_pt_current",
        "rating_prior",
        "pt_prior",
        "adjusted_pt_prior",
        "url",
        "url_calendar",
        "url_news",
        "analyst",
        "analyst_id",
        "analyst_name",
        "firm_id",
        "importance",
        "notes",
        "updated",
    }
    assert {field.name for field in attrs.fields(Rating)} <= documented
