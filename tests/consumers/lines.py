"""What a consumer has to print of an entry, as its README says."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

STATES: Final = ("fresh", "stale")
ENTRY: Final = (
    *("action", "symbol", "record", "version", "published", "effect", "news", "firm"),
    *("direction", "rating", "rating_prior", "pt", "pt_prior", "rating_id", "value"),
    *("target", "shift"),
)
LATEST: Final = (
    *("_record", "_version", "_firm", "_direction", "rating_current", "rating"),
    *("consensus_rating", "pt_current", "pt", "consensus_price_target"),
)
GAP: Final = ("from", "to", "cause", "recovered")
Fields = Mapping[str, str]


def line(*words: str, of: Fields, names: tuple[str, ...]) -> str:
    """Write one line; what is absent is not there."""
    fields = [f"{name}={of[name]}" for name in names if name in of]
    flat = [field.translate({9: " ", 10: " ", 13: " "}) for field in fields]
    return "\t".join((*words, *flat))


def lines(entry: str, of: Fields) -> list[str]:
    """Return the lines of one entry of the log."""
    if of["action"] == "gap":
        return [line("gap", entry, of=of, names=GAP)]
    said = [line("entry", entry, of=of, names=ENTRY)]
    why = _why(of)
    if why and of.get("news") and of["action"] != "deleted":
        said.append(
            line("alert", entry, of={**of, "why": why}, names=("symbol", "why"))
        )
    return said


def _why(of: Fields) -> str:
    direction = of.get("direction", "")
    if direction in ("up", "down"):
        return direction
    try:
        now, before = Decimal(of["pt"]), Decimal(of["pt_prior"])
    except (KeyError, InvalidOperation):
        return ""
    return "target" if abs(now / before - 1) > Decimal("0.1") else ""


def latest(symbol: str, state: str, of: Fields) -> str:
    """Return the line of a symbol's hash, empty where there is none."""
    return line("latest", symbol, state, of=of, names=LATEST)
