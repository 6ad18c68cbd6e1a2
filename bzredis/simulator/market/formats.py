"""How upstream writes ids, times and prices, its inconsistencies included."""

from __future__ import annotations

import json
import random
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

EASTERN = ZoneInfo("America/New_York")
PRECISIONS = ("0.01", "0.01", "0.01", "0.0001")  # mixed, even within one row
FRACTIONS = (9, 9, 9, 9, 9, 9, 6, 3, 0)  # digits after the second; nine most often
CAPITALISED = 0.25  # the share of actions that come with a capital letter


def envelope_id(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def record_id(rng: random.Random, at: float) -> str:
    """Make an ObjectId: the second of its making, then 16 digits of chance."""
    return f"{int(at):08x}{rng.getrandbits(64):016x}"


def rfc3339(at: float, digits: int = 9) -> str:
    """Write unix seconds as UTC; a float's noise fills the digits below 1 µs."""
    second, nanoseconds = divmod(int(at * 1_000_000_000), 1_000_000_000)
    text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{nanoseconds:09d}"[: digits + 1] if digits else ""
    return f"{text}{fraction}Z"


def timestamp(rng: random.Random, at: float, last: int) -> str:
    """Write when a message was sent; ``last`` is the second of the one before it.

    Within a second it needs all digits: cut short it would say that a change came
    before what it changed.
    """
    digits = rng.choice(FRACTIONS)
    return rfc3339(at, 9 if int(at) == last else digits)


def eastern(at: float) -> tuple[str, str]:
    """Split unix seconds into the date and time on a New York wall."""
    wall = datetime.fromtimestamp(at, EASTERN)
    return wall.strftime("%Y-%m-%d"), wall.strftime("%H:%M:%S")


def money(rng: random.Random, amount: Decimal | None) -> str:
    """Write a price, with two or four decimals; no price is ``""``."""
    if amount is None:
        return ""
    return str(amount.quantize(Decimal(rng.choice(PRECISIONS))))


def action(rng: random.Random, word: str) -> str:
    return word.capitalize() if rng.random() < CAPITALISED else word


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
