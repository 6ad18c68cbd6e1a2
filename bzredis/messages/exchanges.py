"""Exchanges by all the names that they go by: one market, one name. Pure."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

US: Final = "US"
# Spellings by letters and digits alone: names, segments and market identifier codes
# (ISO 10383). Of the United States all are one market: there a ticker alone tells a
# security. So do all whose names begin with OTC. What may name two is in none.
SPELLINGS: Final = {
    US: """
        US USA NYSE XNYS NEWYORKSTOCKEXCHANGE
        NYSEMKT NYSEAMERICAN AMEX ASE XASE AMERICANSTOCKEXCHANGE
        NYSEARCA ARCA ARCX PCX NYSECHICAGO XCHI NYSENATIONAL XCIS
        NASDAQ XNAS NASDAQSTOCKMARKET NASDAQNMS NMS XNMS
        NASDAQGS NASDAQGLOBALSELECT NASDAQGLOBALSELECTMARKET XNGS NGS
        NASDAQGM NASDAQGLOBALMARKET NASDAQCM NASDAQCAPITALMARKET XNCM NCM
        BATS BZX BATSBZX CBOE CBOEBZX CBOEUS BYX CBOEBYX EDGX CBOEEDGX EDGA CBOEEDGA
        IEX IEXG INVESTORSEXCHANGE LTSE MEMX
        PINX PINK PINKS PINKSHEETS PNK OOTC XOTC GREYMARKET GREY GREYSHEETS EXPERTMARKET
    """,
    "TSX": "TSX XTSE TORONTO TORONTOSTOCKEXCHANGE",
    "TSXV": "TSXV XTSX TSXVENTURE TSXVENTUREEXCHANGE CDNX CVE",
    "CSE": "CSE XCNQ CNSX CANADIANSECURITIESEXCHANGE",
    "NEO": "NEO NEOE NEOEXCHANGE AEQUITASNEO CBOECANADA",
}
MARKETS: Final = {
    spelling: name for name, words in SPELLINGS.items() for spelling in words.split()
}
NONE: Final = {"", "NA", "NONE", "NULL", "NIL", "UNKNOWN", "UNDEFINED"}
_APART: Final = re.compile(r"[\W_]+")


@lru_cache(maxsize=1_024)
def market(exchange: str) -> str:
    """Return the market that an exchange is, by any of its names; "" where none is.

    One that nobody knows is its own name in capitals, with `-` for all between words.
    """
    words = _APART.sub(" ", unicodedata.normalize("NFKC", exchange).upper()).split()
    spelling = "".join(words)
    if spelling in NONE:
        return ""
    if spelling.startswith("OTC"):
        return US
    return MARKETS.get(spelling) or "-".join(words)
