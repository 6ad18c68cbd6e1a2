"""Watch-lists: what can be no ticker, or no ISIN, is an error and not followed. Pure.

Upstream filters by whatever it is sent: of a slip of the keyboard it would send
nothing, for ever, and nobody would hear why.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from bzredis.messages.exchanges import SPELLINGS, US, market
from bzredis.messages.symbols import LONGEST, symbol
from bzredis.settings.options import text, unquoted

# What people put between the items of a list, besides the comma that it should be.
_BETWEEN: Final = re.compile(r"[\s;|\uff0c\uff1b\u3001]+")
# Letters and digits, and what share classes, units and other markets add to these.
_TICKER: Final = re.compile(r"[A-Z0-9](?:[A-Z0-9./:^=+$_&#-]*[A-Z0-9^=+$&#-])?")
_OF_A_TICKER: Final = "[^A-Za-z0-9./:^=+$_&#-]"
_ISIN: Final = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")
_SHORTEST_SLIP: Final = 10  # characters; what is shorter was not meant to be an ISIN
_CUSIP: Final = re.compile(r"[0-9]{3}[A-Z0-9]{5}[0-9]")
# What templates and programs write where nothing was set; none of them is traded.
_PLACEHOLDERS: Final = {"NONE", "NULL", "UNDEFINED", "UNKNOWN", "N/A"}
# `$AAPL` is how people write a ticker; a longer name is one that no shell has put in.
_VARIABLE: Final = re.compile(r"\$(?:\{.*\}|\(.*\)|[A-Za-z_]{7,}|[A-Za-z]*_\w*)")
_IN_TICKERS: Final = "tickers (--tickers, BZREDIS_TICKERS)"
_IN_ISINS: Final = "isins (--isins, BZREDIS_ISINS)"


def ticker(value: object) -> str:
    """Return a ticker as upstream knows it: in capitals, bare where it is of the US."""
    given = _alone(value, "ticker")
    name = symbol(given)
    if name in _PLACEHOLDERS or _VARIABLE.fullmatch(given):
        raise ValueError(
            f"{given!r} is no ticker but stands for one; to follow everything, leave"
            " the option out"
        )
    if _ISIN.fullmatch(name):
        raise ValueError(f"{given!r} is an ISIN: write it in {_IN_ISINS}")
    if _CUSIP.fullmatch(name):
        raise ValueError(
            f"{given!r} is a CUSIP: write its ticker, or its ISIN in {_IN_ISINS}"
        )
    if not _TICKER.fullmatch(name):
        raise ValueError(f"{given!r} is no ticker: {_why_not(given)}")
    return _of_market(given, name) if ":" in name else name


def _of_market(given: str, name: str) -> str:
    """Name the exchange before a ticker as keys do; those of the US are not named."""
    exchange, _, bare = name.rpartition(":")
    if not exchange or ":" in exchange:
        raise ValueError(
            f"{given!r} is no ticker: write it as EXCHANGE:TICKER, as TSX:SHOP"
        )
    at = market(exchange)
    if at not in SPELLINGS and bare in SPELLINGS[US].split():
        raise ValueError(
            f"{given!r} is no ticker: the exchange stands before it, and those of the"
            f" United States are left out; write {exchange}"
        )
    if at == US:
        return bare
    return f"{at}:{bare}" if at in SPELLINGS else name


def _why_not(given: str) -> str:
    if given.strip("*") == "":
        return "to follow everything, leave the option out"
    if odd := re.search(_OF_A_TICKER, given.removeprefix("$")):
        letter = odd[0]
        if letter.isascii():
            return f"there is {letter!r} in it, which none has; commas go between them"
        said = unicodedata.name(letter, "a strange letter").lower()
        return f"there is {letter!r} in it ({said}); type it anew"
    if len(given) > LONGEST:
        return f"it has more than {LONGEST} characters; commas go between them"
    return "they begin and end with a letter or a digit, as BRK.B and TSX:SHOP"


def isin(value: object) -> str:
    """Return an ISIN in capitals; its last digit tells a slip of the keyboard."""
    given = _alone(value, "ISIN")
    found = given.upper()
    if not _ISIN.fullmatch(found):
        if re.search("[A-Z]", found) and len(found) < _SHORTEST_SLIP:
            raise ValueError(f"{given!r} is no ISIN; a ticker belongs in {_IN_TICKERS}")
        raise ValueError(
            f"{given!r} is no ISIN: two letters, nine letters or digits, one digit, as"
            " US0378331005"
        )
    if (digit := _check_digit(found[:-1])) != found[-1]:
        raise ValueError(
            f"{given!r} is no ISIN: after {found[:-1]} comes {digit}; look for a slip"
        )
    return found


def _check_digit(body: str) -> str:
    """Return the digit that makes an ISIN of these (ISO 6166: Luhn, letters as 10-35).

    Counted from the right, every other digit is doubled, the first one too.
    """
    digits = "".join(str(int(each, 36)) for each in body)
    doubled = (
        int(each) * (2 - place % 2) for place, each in enumerate(reversed(digits))
    )
    return str(-sum(sum(divmod(each, 10)) for each in doubled) % 10)


def _alone(value: object, what: str) -> str:
    """Return an item without quotes; raises ValueError where there are two in it."""
    given = unquoted(value).strip() if isinstance(value, str) else ""
    if items := [each for each in _BETWEEN.split(given) if each]:
        if len(items) > 1:
            listed = ",".join(items[:2])
            raise ValueError(f"{given!r} is no {what}: commas go between, as {listed}")
        given = items[0]
    return text(given if isinstance(value, str) else value)
