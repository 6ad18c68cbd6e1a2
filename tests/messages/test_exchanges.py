"""One market, one name: however an exchange is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzredis.messages.exchanges import SPELLINGS, US, market
from bzredis.messages.symbols import symbol

UNITED_STATES = (
    *("NYSE MKT", "NYSEARCA", "NYSE Arca", "ASE", "XNYS", "XNAS", "NasdaqGS", "PINX"),
    *("NASDAQ Capital Market", "Nasdaq Global Select", "Cboe BZX", "OTC Markets"),
    *("OTC", "OTCQB", "otc pink", "NYSE-American", "nyse_american", " NYSE  ARCA "),
    *("XASE", "ARCX", "PCX", "XCHI", "NMS", "NCM", "NGS", "XNGS", "BZX", "EDGX"),
    "\uff2e\uff39\uff33\uff25",  # of full width
)
PLACEHOLDERS = (
    *("", " ", "N/A", "n/a", "-", "--", "?", "."),
    *("NONE", "null", "Unknown", "nil", "undefined"),
)
OTHERS = {
    "TSX": "TSX",
    "Toronto Stock Exchange": "TSX",
    "XTSE": "TSX",
    "TSX Venture": "TSXV",
    "TSX-V": "TSXV",
    "Canadian Securities Exchange": "CSE",
    "Cboe Canada": "NEO",
    "London Stock Exchange": "LONDON-STOCK-EXCHANGE",
    "Nasdaq Stockholm": "NASDAQ-STOCKHOLM",
    "B3 S.A.": "B3-S-A",
    "NYSE2": "NYSE2",
    "東京": "東京",
    "NGM": "NGM",  # Nordic Growth Market, or Nasdaq's: nobody can say
    "{TSX*": "TSX",
}


@pytest.mark.parametrize("exchange", UNITED_STATES)
def test_all_of_the_united_states_are_one_market(exchange: str) -> None:
    assert market(exchange) == US
    assert symbol("AAPL", exchange) == "AAPL"


@pytest.mark.parametrize("exchange", PLACEHOLDERS)
def test_a_placeholder_is_none(exchange: str) -> None:
    assert market(exchange) == ""
    assert symbol("AAPL", exchange) == "AAPL"


@pytest.mark.parametrize(("exchange", "name"), OTHERS.items())
def test_others_have_one_name(exchange: str, name: str) -> None:
    assert market(exchange) == name
    assert symbol("Q1", exchange) == f"{name}:Q1"


def test_an_exchange_nobody_knows_of_a_us_security_is_us() -> None:
    assert symbol("Q1", "Some Venue", "US0378331005") == "Q1"
    assert symbol("Q1", "Some Venue", " us0378331005") == "Q1"
    assert symbol("Q1", "Some Venue", "CA0378331005") == "SOME-VENUE:Q1"
    assert symbol("SHOP", "TSX", "US82509L1076") == "TSX:SHOP"


@given(
    st.sampled_from(
        [spelling for all_ in SPELLINGS.values() for spelling in all_.split()]
    )
)
def test_a_spelling_is_of_one_market(spelling: str) -> None:
    assert sum(spelling in words.split() for words in SPELLINGS.values()) == 1


@given(st.text())
def test_what_has_a_name_keeps_it(exchange: str) -> None:
    once = market(exchange)
    assert once == US or market(once) == once
    assert not set(once) & set("{}* :\t\n")


@given(st.text(max_size=80), st.from_regex(r"[A-Z][A-Z.-]{0,9}", fullmatch=True))
def test_an_exchange_never_costs_a_security_its_symbol(
    exchange: str, ticker: str
) -> None:
    assert symbol(ticker, exchange).rpartition(":")[2] == ticker
