"""A log as the contract has it, written by hand: no bridge has to run for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

LOG: Final = "bz:ratings:events"
BASE: Final = 1_728_000_000_000  # ms
SYMBOLS: Final = (
    *("AAPL", "BRK.B", "BF-B", "TSX:RY", "LONDON-STOCK-EXCHANGE:Q1", "TSX:BIP-UN.A"),
    *("ISIN:US0378331005", None),
)
FIRMS: Final = (
    *("Example Securities", "Société Générale", "野村證券", "Zoë & 😀👩‍🚀 «Co»"),
    *("%s%n\\t$HOME", 'a "quoted" firm', " spaces  around ", "a\ttab\nand\r\nlines"),
    *("x=y", "Ĳ" * 1_500, "-n", "*", None),
)
DIRECTIONS: Final = ("up", "down", "same", "new", "end", None)
RATINGS: Final = (("Buy", "Hold"), ("Sell", None), (None, None), ("Überkaufen", "買い"))
# Targets now and before; exactly 10 % is not over 10 %, whatever binary fractions say.
TARGETS: Final = (
    *(("195.50", "180"), ("0.1000", "0.1000"), ("265", None), (None, "0.0001")),
    *(("110.11", "100.10"), ("110.12", "100.10"), ("90.09", "100.10")),
    *(("90.08", "100.10"), ("1000000.00", "1"), (None, None), ("n/a", "12")),
    *(("12", "n/a"), ("007.70", "7"), ("1.1", "1.0"), ("0.0011", "0.0010")),
    *(("0.0012", "0.0010"), ("12.1234", "11.0214")),
)
TEXT: Final = "“Margins” hold: 利益率 📈\n" * 100  # 3 KB and more
SOURCES: Final = ("live", "live", "replay", "rest")


def entries(count: int, first: int = 0) -> Iterator[dict[str, str]]:
    """Yield entries of every kind; lists of different lengths give every mixture."""
    for number in range(first, first + count):
        yield _gap(number) if number % 50 == 37 else _entry(number)


def _gap(number: int) -> dict[str, str]:
    at = f"2024-10-04T00:00:{number % 60:02}.000Z"
    gap = {"action": "gap", "received": at, "from": at, "cause": "upstream\twas away"}
    return gap | ({"to": at, "recovered": "0"} if number % 100 == 37 else {})


def _entry(number: int) -> dict[str, str]:
    source = SOURCES[number % len(SOURCES)]
    rating, rating_prior = RATINGS[number // 3 % len(RATINGS)]
    pt, pt_prior = TARGETS[number % len(TARGETS)]
    action = ("created", "updated", "deleted")[(number % 7 > 2) + (number % 7 == 6)]
    stamp = f"2024-10-04T19:22:08.{number:09}Z"
    bare = action == "deleted" and number % 2  # what is gone was not known
    headline: dict[str, str | None] = {
        "firm": FIRMS[number % len(FIRMS)],
        "direction": DIRECTIONS[number // 2 % len(DIRECTIONS)],
        "rating": rating,
        "rating_prior": rating_prior,
        "pt": pt,
        "pt_prior": pt_prior,
        "importance": str(number % 5) if number % 3 else None,
    }
    fields: dict[str, str | None] = {
        "envelope": None if source == "rest" else f"envelope-{number}",
        "action": action,
        "record": f"{number % 1000:024x}",
        "symbol": None if bare else SYMBOLS[number % len(SYMBOLS)],
        "timestamp": None if source == "rest" else stamp,
        "received": "2024-10-04T19:22:09.001Z",
        "source": source,
        "version": str(BASE + number),
        "published": str(BASE - number),
        "effect": ("latest", "record", "none")[number % 3],
        "news": "1" if number % 3 != 2 and number % 5 else None,
        **({} if bare else headline),
        "raw": _raw(number, source, headline),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _raw(number: int, source: str, content: dict[str, Any]) -> str:
    told = {**content, "notes": TEXT if number % 4 == 0 else ""}
    frame = told if source == "rest" else {"id": f"envelope-{number}", "data": told}
    return json.dumps(frame, ensure_ascii=False, indent=number % 2 or None)


def write(redis: Any, count: int, first: int = 0) -> dict[str, dict[str, str]]:
    """Append entries; return what was sent, by entry id."""
    made = [*entries(count, first)]
    pipeline = redis.pipeline(transaction=False)
    for fields in made:
        pipeline.xadd(LOG, fields)
    return dict(zip(pipeline.execute(), made, strict=True))
