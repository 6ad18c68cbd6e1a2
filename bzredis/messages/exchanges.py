"""Which exchanges are one market: there a ticker alone tells a security."""

from __future__ import annotations

US = {"AMEX", "ARCA", "BATS", "CBOE", "IEX", "NASDAQ", "NYSE"}
US |= {"NYSE AMERICAN", "NYSE ARCA"}


def is_us(exchange: str) -> bool:
    """Tell whether the exchange, by name, is in the United States, or not given."""
    name = " ".join(exchange.upper().split())
    return not name or name in US or name.startswith("OTC")
