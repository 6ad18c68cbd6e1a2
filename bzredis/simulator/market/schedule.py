"""What will happen when: the sequels of what happened, and chance arrivals."""

from __future__ import annotations

import heapq
import random
from math import inf

import attrs


@attrs.frozen(order=True)
class Due:
    """Something that will happen to a record at a time (unix seconds)."""

    at: float
    turn: int  # first come, first served at equal times
    what: str = attrs.field(order=False)
    record: str = attrs.field(order=False)


@attrs.define(eq=False)
class Schedule:
    """Planned sequels, and arrivals that bring the sum of messages to a rate.

    Each arrival is leave to send one message. Sequels come when they are due, on
    credit; something new begins only when leave is left over. So the average is
    ``rate`` from the first second on, however much one thing draws after it.
    """

    rng: random.Random
    rate: float = 0.0  # messages a second
    arrival: float = inf
    _planned: list[Due] = attrs.field(factory=list, init=False)
    _turn: int = attrs.field(default=0, init=False)
    _leave: int = attrs.field(default=0, init=False)

    def pace(self, rate: float, now: float) -> None:
        """Arrive at ``rate`` from now on; at 0 not at all, and what is planned ends."""
        self.rate = rate
        self._leave = 0
        self.arrival = now + self.rng.expovariate(rate) if rate else inf
        if not rate:
            self._planned.clear()

    @property
    def next_due(self) -> float:
        planned = self._planned[0].at if self._planned else inf
        return min(self.arrival, planned)

    def plan(self, at: float, what: str, record: str) -> None:
        self._turn += 1
        heapq.heappush(self._planned, Due(at, self._turn, what, record))

    def pop(self, now: float) -> Due | None:
        """Take the next planned thing that is due by now."""
        if self._planned and self._planned[0].at <= now:
            return heapq.heappop(self._planned)
        return None

    def arrive(self) -> tuple[float, bool]:
        """Take the next arrival: its time, and whether something new may begin."""
        at = self.arrival
        self.arrival += self.rng.expovariate(self.rate)
        self._leave += 1
        return at, self._leave > 0

    def spend(self, messages: int) -> None:
        self._leave -= messages
