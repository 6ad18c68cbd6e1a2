"""Ticker and exchange to symbol: the name under which Redis knows a security."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

# Exchanges that are one market: there a ticker alone tells a security.
US = {"AMEX", "ARCA", "BATS", "CBOE", "IEX", "NASDAQ", "NYSE"}
US |= {"NYSE AMERICAN", "NYSE ARCA"}
LONGEST = 32
_IMPLAUSIBLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f{}*]")


def is_us(exchange: str) -> bool:
    """Tell whether the exchange, by name, is in the United States, or not given."""
    name = " ".join(exchange.upper().split())
    return not name or name in US or name.startswith("OTC")


@lru_cache(maxsize=65_536)  # some 6,000 securities, each many times
def symbol(ticker: str, exchange: str = "") -> str:
    """Return the symbol, or "" where there is no plausible one.

    Bare for US exchanges and where none is given, else ``EXCHANGE:TICKER``. A ticker
    that has the form ``X:Y`` already stays.
    """
    name = ticker.strip().upper()
    if not name:
        return ""
    if not is_us(exchange) and ":" not in name:
        name = f"{exchange.strip().upper()}:{name}"
    if len(name) > LONGEST or _IMPLAUSIBLE.search(name):
        return ""
    return name


def sole_security(tickers: Sequence[str], isins: Sequence[str]) -> str:
    """Return the symbol of a subscription to one single security, else ""."""
    names = [*tickers, *(f"ISIN:{isin}" for isin in isins)]
    return symbol(names[0]) if len(names) == 1 else ""
