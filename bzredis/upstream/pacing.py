"""When the next request may go: at a pace, and not before upstream wants it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import inf
from typing import Final

import trio
from attrs import define, field

PACE: Final = 2.0  # requests a second; upstream has published no limit
BURST: Final = 4  # requests before the pace counts: the look-ups of one rating at once
REFUSALS: Final = {401, 403}  # of HTTP: no time mends these, but a person
LONGEST: Final = 3_600.0  # s; who asks for more than an hour is mistaken


@define(eq=False)
class Pace:
    """Lets requests go one by one, `rate` a second on average, whoever makes them."""

    rate: float
    _next: float = field(default=-inf, init=False)  # the next one goes no earlier
    _line: trio.Lock = field(factory=trio.Lock, init=False)

    async def turn(self) -> None:
        async with self._line:
            # It is time we wait for, and again after each sleep: we may be slowed down.
            while (early := self._next - trio.current_time()) > 0:  # noqa: ASYNC110
                await trio.sleep(early)
            rested = trio.current_time() - (BURST - 1) / self.rate
            self._next = max(self._next, rested) + 1 / self.rate

    def hold(self, seconds: float) -> None:
        """Let nobody go for a while, and no burst after that."""
        self._next = max(self._next, trio.current_time() + seconds)


def retry_after(value: str, date: str) -> float | None:
    """Return the seconds that Retry-After asks for, given the answer's own Date."""
    value = value.strip()
    if re.fullmatch(r"\d{1,9}", value, re.ASCII):
        seconds = float(value)
    elif (until := moment(value)) and (now := moment(date)):
        seconds = (until - now).total_seconds()
    else:
        return None
    return min(max(seconds, 0.0), LONGEST)


def moment(text: str) -> datetime | None:
    """Read a time as HTTP writes it."""
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
