"""What people are told: a sentence for each thing that can happen, or their own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzredis.commands.react.notify.texts import (
    MOST_LINES,
    Said,
    sentence,
    summed_up,
    template,
)
from bzredis.commands.react.reaction import KINDS, Happening
from bzredis.streams.installed import OURS

UP: dict[str, Any] = {
    "symbol": "AAPL",
    "firm": "Mizuho",
    "direction": "up",
    "rating": "Outperform",
    "rating_prior": "Neutral",
    "pt": Decimal(455),
    "pt_prior": Decimal(417),
}
CONSENSUS: dict[str, Any] = {
    "symbol": "AAPL",
    "rating": "BUY",
    "value": Decimal("4.1"),
    "target": Decimal("250.1234"),
    "shift": "up",
    "_previous_consensus_rating": "HOLD",
    "_previous_consensus_price_target": Decimal(240),
}


def entry(stream: str = "ratings", symbol: str = "AAPL", **fields: Any) -> Happening:
    told = {name: value for name, value in fields.items() if value is not None}
    return Happening("entry", stream, symbol, "1-0", told)


def rating(**other: Any) -> Happening:
    return entry(**{**UP, **other})


@pytest.mark.parametrize(
    ("happened", "title", "body"),
    [
        (
            rating(),
            "AAPL: upgraded",
            "AAPL: Mizuho upgrades to Outperform from Neutral, target 417 → 455",
        ),
        (
            rating(direction="down", rating="Sell", pt_prior=None),
            "AAPL: downgraded",
            "AAPL: Mizuho downgrades to Sell from Neutral, target 455",
        ),
        (
            rating(direction="same", rating="Neutral", pt=Decimal("410.50")),
            "AAPL: target lowered",
            "AAPL: Mizuho keeps Neutral, target 417 → 410.50",
        ),
        (
            rating(direction="same", rating="Neutral", pt=Decimal(417)),
            "AAPL: rating",
            "AAPL: Mizuho keeps Neutral, target 417",
        ),
        (
            rating(direction="new", rating_prior=None, pt_prior=None),
            "AAPL: new rating",
            "AAPL: Mizuho starts at Outperform, target 455",
        ),
        (
            rating(direction="end", rating=None, pt=None),
            "AAPL: coverage ended",
            "AAPL: Mizuho ends its coverage (it said Neutral)",
        ),
        (
            rating(direction=None),
            "AAPL: target raised",
            "AAPL: Mizuho says Outperform from Neutral, target 417 → 455",
        ),
        (
            rating(action="deleted"),
            "AAPL: rating withdrawn",
            "AAPL: Mizuho's rating (Outperform) was withdrawn",
        ),
        (
            entry(symbol="", firm="Mizuho"),
            "no symbol: rating",
            "no symbol: Mizuho has something to say",
        ),
        (
            entry("insights", firm="Mizuho", rating="Buy", pt=Decimal("9.5")),
            "AAPL: insight",
            "AAPL: Mizuho tells why: Buy, target 9.5",
        ),
        (
            entry("consensus", **CONSENSUS),
            "AAPL: consensus up",
            "AAPL: consensus BUY (4.1 of 5) from HOLD, target 240 → 250.12",
        ),
        (
            entry("consensus", rating="BUY"),
            "AAPL: consensus",
            "AAPL: consensus BUY",
        ),
        (
            Happening(
                *("gap", "ratings", "", "1-0"),
                {"from": "9:00", "to": "9:05", "cause": "x"},
            ),
            "ratings: a gap",
            "ratings: messages may be missing between 9:00 and 9:05 (x)",
        ),
        (
            Happening("stale", "ratings", fields={"reason": "disconnected"}),
            "ratings is stale",
            "ratings: what stands in Redis is not kept current (disconnected)",
        ),
        (
            Happening("fresh", "ratings"),
            "ratings is fresh",
            "ratings: what stands in Redis is current again",
        ),
    ],
)
def test_what_happened_is_one_sentence(
    happened: Happening, title: str, body: str
) -> None:
    said = sentence(happened)
    assert (said.title, said.body) == (title, body)


@pytest.mark.parametrize(
    ("happened", "mood"),
    [
        (rating(), "good"),
        (rating(direction="down"), "bad"),
        (rating(direction="same", pt=Decimal(1)), "bad"),
        (rating(direction="same", pt=None), "plain"),
        (entry("consensus", **CONSENSUS), "good"),
        (Happening("stale", "ratings"), "bad"),
    ],
)
def test_a_message_says_whether_that_is_good(happened: Happening, mood: str) -> None:
    assert sentence(happened).mood == mood


def test_what_comes_from_far_away_breaks_no_line() -> None:
    said = sentence(rating(firm="Miz\nuho\x1b[31m", symbol="A\u202eB"))
    assert said.body.startswith("AB: Miz uho[31m upgrades")


def test_of_any_other_stream_the_headline_is_told() -> None:
    said = sentence(entry("earnings", period="Q4", eps=Decimal("1.50")))
    assert said.title == "AAPL: earnings"
    assert said.body.startswith("AAPL: earnings: ")
    assert "period Q4" in said.body
    assert "eps 1.50" in said.body


@given(
    st.sampled_from(KINDS),
    st.sampled_from([*OURS, "unknown"]),
    st.text(max_size=4),
    st.dictionaries(
        st.sampled_from(
            [
                *("firm", "direction", "rating", "rating_prior", "pt", "pt_prior"),
                *("action", "value", "target", "shift", "from", "to", "reason"),
                "_previous_consensus_price_target",
            ]
        ),
        st.one_of(
            st.text(max_size=5),
            st.integers(),
            st.decimals(allow_nan=False, allow_infinity=False),
            st.sampled_from(["up", "down", "same", "new", "end", "deleted"]),
        ),
    ),
)
def test_there_is_always_something_to_say(
    kind: Any, stream: str, symbol: str, fields: dict[str, Any]
) -> None:
    said = sentence(Happening(kind, stream, symbol, "1-0", fields))
    for text in (said.title, said.body):
        assert text.strip()
        assert "\n" not in text
        assert "None" not in text or "None" in str(fields.values())


# ---- several at once


def test_one_that_is_alone_is_told_as_it_is() -> None:
    said = Said("AAPL: upgraded", "AAPL: …", "good")
    assert summed_up([said]) == said


def test_several_are_a_line_each_and_the_rest_is_counted() -> None:
    many = [Said("t", f"line {number}\nmore", "good") for number in range(1_025)]
    said = summed_up(many)
    assert said.title == "1,025 at once"
    lines = said.body.splitlines()
    assert lines[0] == "line 0 more"
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == "and 1,005 more"
    assert said.mood == "good"
    assert summed_up([*many, Said("t", "b", "bad")]).mood == "plain"


# ---- in their own words

KNOWN = {*UP, "news", "_pt_change_pct"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{symbol} {direction}", "AAPL up"),
        (
            "{rating_prior} -> {rating}: {pt}{_pt_change_pct}!",
            "Neutral -> Outperform: 455!",
        ),
        ("{{{symbol}}}", "{AAPL}"),
        ("{text} ({stream})", f"{sentence(rating()).body} (ratings)"),
        ("{title}", "AAPL: upgraded"),
        ("in two\nlines", "in two\nlines"),
        ("{_pt_change_pct}", sentence(rating()).body),  # nothing would be left of it
    ],
)
def test_a_template_is_filled_in_and_what_is_absent_is_empty(
    text: str, said: str
) -> None:
    found = template(text, KNOWN)(rating())
    assert found.body == said
    assert found.title == "AAPL: upgraded"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{symbl}", "there is no field {symbl}; is symbol meant?"),
        ("{qqqq}", "there is no field {qqqq}; `bzredis keys` names all"),
        ("{}", "there is no field {}; `bzredis keys` names all"),
        ("{symbol.__class__}", "there is no field {symbol.__class__}"),
        ("{symbol[0]}", "there is no field {symbol[0]}"),
        ("{pt:>9}", "{pt} has to stand alone, with no : or ! in it"),
        ("{pt!r}", "{pt} has to stand alone, with no : or ! in it"),
        (
            "{symbol",
            "expected '}' before end of string; a brace itself is written twice",
        ),
        ("}", "Single '}' encountered in format string; a brace itself is written"),
    ],
)
def test_a_mistake_in_a_template_is_told(text: str, told: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - its words are looked at
        template(text, KNOWN)
    assert str(error.value).startswith(told)


def test_a_number_stands_with_its_digits_and_text_in_one_line() -> None:
    say = template("{pt}|{firm}|{news}", KNOWN)
    said = say(rating(pt=Decimal("1E+3"), firm="a\nb", news=True))
    assert said.body == "1000|a b|1"
