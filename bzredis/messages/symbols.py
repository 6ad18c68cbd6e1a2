"""Ticker and exchange to symbol: the name under which Redis knows a security."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from bzredis.messages.exchanges import is_us

LONGEST = 32
_IMPLAUSIBLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f{}*]")


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
