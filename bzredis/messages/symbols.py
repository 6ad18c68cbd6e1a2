"""Ticker and exchange to symbol: the name under which Redis knows a security."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from bzredis.messages.exchanges import SPELLINGS, US, market

LONGEST: Final = 32
SHORTEST: Final = 8  # characters of a market's name, where that is cut to fit
_IMPLAUSIBLE: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f{}*]")
# What Unicode calls default-ignorable: spaces of no width, and marks that only say how
# text runs or looks.
_UNSEEN: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0]"
)
_WIDE: Final = re.compile("[\uff01-\uff5e]+")


@lru_cache(maxsize=65_536)  # some 6,000 securities, each many times
def symbol(ticker: str, exchange: str = "", isin: str = "") -> str:
    """Return the symbol, or "" where there is no plausible one.

    Bare for US exchanges, where none is given, and of an exchange that nobody knows
    where the ISIN is of the United States; else ``EXCHANGE:TICKER``. A ticker that has
    the form ``X:Y`` already stays.
    """
    name = _bare(ticker)
    at = market(exchange)
    is_known_us = at not in SPELLINGS and isin.strip().upper().startswith("US")
    if name and at not in {"", US} and not is_known_us and ":" not in name:
        room = max(SHORTEST, LONGEST - len(name) - 1)
        name = f"{at[:room].rstrip('-')}:{name}"
    if len(name) > LONGEST or _IMPLAUSIBLE.search(name):
        return ""
    return name


def _bare(ticker: str) -> str:
    """Return a ticker as it is typed: in capitals, without what nobody sees."""
    if not ticker.isascii():
        ticker = _UNSEEN.sub("", ticker)
        ticker = _WIDE.sub(lambda wide: unicodedata.normalize("NFKC", wide[0]), ticker)
    return ticker.strip().removeprefix("$").lstrip().upper()


def sole_security(tickers: Sequence[str], isins: Sequence[str]) -> str:
    """Return the symbol of a subscription to one single security, else ""."""
    names = [*tickers, *(f"ISIN:{isin}" for isin in isins)]
    return symbol(names[0]) if len(names) == 1 else ""
