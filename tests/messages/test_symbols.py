from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzredis.messages.symbols import sole_security, symbol

# As contract.md, 1 lists them.
UNITED_STATES = [
    "NYSE",
    "NASDAQ",
    "AMEX",
    "NYSE AMERICAN",
    "ARCA",
    "NYSE ARCA",
    "BATS",
    "CBOE",
    "IEX",
    "OTC",
    "OTCQX",
    "OTC Pink",
]


@pytest.mark.parametrize("exchange", ["", "  ", *UNITED_STATES])
def test_us_symbols_are_bare(exchange: str) -> None:
    assert symbol("AAPL", exchange) == "AAPL"
    assert symbol("AAPL", f" {exchange.lower()} ") == "AAPL"


@pytest.mark.parametrize("exchange", ["TSX", "TSXV", "CSE", "LSE", "XNYSE", "NYSE2"])
def test_other_exchanges_stand_before_the_ticker(exchange: str) -> None:
    assert symbol("xyz", f" {exchange.lower()} ") == f"{exchange}:XYZ"


@pytest.mark.parametrize(
    ("ticker", "exchange", "expected"),
    [
        (" brk.b ", "nyse", "BRK.B"),
        ("BF-B", "NYSE", "BF-B"),
        ("BTC/USD", "", "BTC/USD"),
        ("TSX:XYZ", "", "TSX:XYZ"),
        ("tsx:xyz", "TSXV", "TSX:XYZ"),
        ("TSX:XYZ", "NYSE", "TSX:XYZ"),
        ("NYSE  AMERICAN", "", ""),
        ("A", "NYSE  AMERICAN", "A"),
        ("x" * 32, "", "X" * 32),
        ("X" * 33, "", ""),
        ("X" * 28, "TSX", "TSX:" + "X" * 28),
        ("X" * 29, "TSX", ""),
        ("", "TSX", ""),
        (" ", "TSX", ""),
        ("A B", "", ""),
        ("A\tB", "", ""),
        ("A\u00a0B", "", ""),
        ("A\u2028B", "", ""),
        ("A\x00", "", ""),
        ("A\x1bB", "", ""),
        ("A\x7f", "", ""),
        ("A\x9b", "", ""),
        ("{A", "", ""),
        ("A}", "", ""),
        ("A*", "", ""),
        ("$AAPL", "NASDAQ", "AAPL"),
        ("$ ", "NASDAQ", ""),
        ("AA\u200bPL", "", "AAPL"),
        ("\ufeffAAPL\u200e", "", "AAPL"),
        ("\u2066AAPL\u2069", "", "AAPL"),
        ("\u061cAA\u180ePL", "", "AAPL"),
        ("\uff21\uff21\uff30\uff2c", "", "AAPL"),
        ("\uff34\uff33\uff38\uff1a\uff21", "", "TSX:A"),
        ("\u2460", "", "\u2460"),  # no letter: as it is
        ("A", "{TSX", "TSX:A"),
        ("A", "Toronto Stock", "TORONTO-STOCK:A"),
        (
            "Q1",
            "An exchange with quite a long name",
            "AN-EXCHANGE-WITH-QUITE-A-LONG:Q1",
        ),
    ],
)
def test_symbol(ticker: str, exchange: str, expected: str) -> None:
    assert symbol(ticker, exchange) == expected


@given(st.text(), st.text())
def test_a_symbol_is_plausible_or_empty(ticker: str, exchange: str) -> None:
    found = symbol(ticker, exchange)
    assert len(found) <= 32
    assert not set(found) & set("{}* \t\r\n\v\f\x00\x7f\x85\u00a0\u3000")
    assert found == found.strip()
    assert symbol(found) == found or found != found.upper()


@given(st.text(string.ascii_letters + ".-/", min_size=1, max_size=20))
def test_a_plausible_ticker_never_keys_nothing(ticker: str) -> None:
    assert symbol(ticker, "TSX") == f"TSX:{ticker.upper()}"
    assert symbol(symbol(ticker, "TSX"), "CSE") == f"TSX:{ticker.upper()}"


@pytest.mark.parametrize(
    ("tickers", "isins", "expected"),
    [
        (["aapl"], [], "AAPL"),
        (["TSX:XYZ"], [], "TSX:XYZ"),
        ([], ["us0378331005"], "ISIN:US0378331005"),
        ([], [], ""),
        (["AAPL", "MSFT"], [], ""),
        ([], ["US0378331005", "US5949181045"], ""),
        (["AAPL"], ["US5949181045"], ""),
        (["*"], [], ""),
    ],
)
def test_only_a_single_security_is_certain(
    tickers: list[str], isins: list[str], expected: str
) -> None:
    assert sole_security(tickers, isins) == expected
    assert sole_security(tuple(tickers), tuple(isins)) == expected
