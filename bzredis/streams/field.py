"""A field of the contract in words: its type, what it means, and when it is absent.

And what several streams say alike: a firm's call, and what upstream sends of all.
"""

from __future__ import annotations

from typing import Final, Literal

import attrs

# `ms` since 1970; `time` in UTC, RFC 3339 with milliseconds; a `number` with the digits
# in which it was sent, a `reckoned` one is the bridge's own; `flag` is 1 or not there;
# `words` are listed with it.
Type = Literal[
    "text",
    "ms",
    "time",
    "number",
    "reckoned",
    "count",
    "flag",
    "id",
    "json",
    "words",
]

NOT_SAID: Final = "upstream did not say"
NOTHING_BEFORE: Final = "nothing was known before"


@attrs.frozen
class Field:
    """A field; `absent` says when it is not there, "" that it always is."""

    name: str
    type: Type
    meaning: str
    absent: str = ""
    words: tuple[str, ...] = ()


def said(name: str, kind: Type, meaning: str) -> Field:
    """Describe a field of upstream's own, any of which may be absent."""
    return Field(name, kind, meaning, NOT_SAID)


# ---- what upstream says in several streams

RECORD: Final = said("id", "text", "the id of the record, as `_record`")
TICKER: Final = said("ticker", "text", "the ticker as sent; keys have `_symbol`")
EXCHANGE: Final = said(
    *("exchange", "text"),
    "its exchange, as someone typed it; `_symbol` knows the spellings",
)
ISIN: Final = said("isin", "text", "its ISIN")
CUSIP: Final = said("cusip", "text", "its CUSIP")
COMPANY: Final = said("name", "text", "the name of the company")
DATE: Final = said(
    *("date", "text"),
    "the day of publication in New York, as `2026-11-20`; `_published` is the same"
    " moment in ms, in no time zone",
)
TIME: Final = said("time", "text", "the time of that day in New York, as `09:30:00`")
IMPORTANCE: Final = said("importance", "number", "how much it matters, from 0 to 5")
NOTES: Final = said("notes", "text", "a remark of upstream's")
UPDATED: Final = said(
    "updated", "number", "when it was last changed, in **s** since 1970"
)

# ---- a firm's call

DIRECTIONS: Final = ("up", "down", "same", "new", "end")
SHIFTS: Final = ("up", "down", "same")
UNKNOWN_WORD: Final = "the firm's own word for it is none that we know"
FIRM: Final = Field("firm", "text", "the bank or broker whose call it is", NOT_SAID)
DIRECTION: Final = Field(
    *("direction", "words"),
    "what the firm did. `up`, `down`: it upgraded or downgraded; `same`: it kept its"
    " rating, though the target may have moved; `new`, `end`: it begins or ends to"
    " cover the symbol",
    UNKNOWN_WORD,
    DIRECTIONS,
)
RATING: Final = Field(
    "rating", "text", "what the firm says, in its own words", NOT_SAID
)
PT: Final = Field(
    *("pt", "number"),
    "its price target, in the `currency` of the hash",
    "it names none",
)
SHIFT: Final = Field(
    *("shift", "words", "where the value went since the consensus before"),
    NOTHING_BEFORE,
    words=SHIFTS,
)
CALL: Final = (  # as the bridge adds it to a hash
    Field("_firm", "text", FIRM.meaning, NOT_SAID),
    Field(
        *("_direction", "words", "what the firm did, as `direction` of an entry"),
        UNKNOWN_WORD,
        DIRECTIONS,
    ),
)
FIRM_ID: Final = said("firm_id", "text", "upstream's id of the firm")
ANALYST_ID: Final = said("analyst_id", "text", "upstream's id of the person")
