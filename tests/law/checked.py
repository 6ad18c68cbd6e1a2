"""What a checker knows of a Redis besides, and two of them behind the seam `Store`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import attrs
from law.rules import Hole, Rules

from bzredis.changes.kinds import Change, GaveUp, Mark, Opened, Rejected
from bzredis.errors import StoreDown
from bzredis.ports import Applied, Batch, Behind, Log
from bzredis.streams import Stream

SYMBOLS = ("AA", "BB", "CC")


def names(subscription: str) -> set[str]:
    """Return the symbols of a subscription."""
    if subscription == "*":
        return {*SYMBOLS}
    return {*subscription.split(",")} - {""}


@attrs.define
class Checked(Rules):
    """The rules, and what was promised and came of it, for who checks them."""

    number: Mapping[str, int] = attrs.field(factory=dict)  # of a message, by its text
    early: int = -1  # changes until one that cannot be taken now; -1: all can
    here: set[int] = attrs.field(factory=set)
    gaps: list[tuple[int, int]] = attrs.field(factory=list)
    promised: dict[str, int] = attrs.field(factory=dict)  # symbol -> since when
    # What REST was to fetch: from, to, whose.
    windows: list[tuple[int, int, set[str]]] = attrs.field(factory=list)
    forgot: int | None = None  # from when on a sender had followed an empty one
    twice: bool = False  # one hole was announced two times

    def __deepcopy__(self, memo: dict[int, object]) -> Checked:
        """Copy what changes, not the text of all that was said."""
        memo[id(self.number)] = self.number
        fields = {a.name: getattr(self, a.name) for a in attrs.fields(type(self))}
        new = type(self).__new__(type(self))
        for name, value in fields.items():
            setattr(new, name, copy.deepcopy(value, memo))
        return new

    def take(self, change: Change | Rejected, known: str) -> str:
        if not known and change.raw in self.number:
            self.here.add(self.number[change.raw])
        return super().take(change, known)

    def announce(self, hole: Hole, _t: int) -> None:
        self.gaps.append((hole.begin, hole.end))
        self.twice |= hole.announced

    def _one(
        self, log: Log, change: Change | Rejected | Mark, since: int | None, number: int
    ) -> str:
        if self.early == 0:
            raise StoreDown("no memory")
        self.early -= 1
        if isinstance(change, Opened) and self.until is None:
            self.promised = dict.fromkeys(names(log.subscription), 0)
        return super()._one(log, change, since, number)

    def _subscribe(self, log: Log, t: int, stored: str) -> None:
        ours = names(log.subscription)
        new = ours - names(self.subscription)
        self.windows = [
            (begin, end, whose & ours) for begin, end, whose in self.windows
        ]
        super()._subscribe(log, t, stored)
        if new and log.window:
            self.windows.append((t - log.window, t, new))
        self.promised = {s: self.promised.get(s, t) for s in names(stored)}

    def _gave_up(self, change: GaveUp) -> str:
        if any(h.cause == "first" and h.id in change.ids for h in self.holes):
            self.windows = []  # nothing was promised of it: no gap
        return super()._gave_up(change)


@attrs.define
class Fake:
    """Two of the fake, behind the seam `Store`: one is under our address."""

    now: Callable[[], int]
    make: Callable[[], Checked]
    redis: Checked = attrs.field(init=False)
    fails: bool = True  # whether a batch can end early
    clock: int = 0  # ms by which its TIME is off
    _other: Checked = attrs.field(init=False)
    _kept: Checked | None = None

    def __attrs_post_init__(self) -> None:
        """Begin with nothing in either."""
        self.redis, self._other = self.make(), self.make()

    async def apply(self, _stream: Stream, batch: Batch) -> Applied | Behind:
        """Apply a batch."""
        return self.redis.apply(batch, self.now() + self.clock)

    def step(self, by: int) -> None:
        """Let TIME step: a failover without loss."""
        self.clock = by

    def keep(self) -> None:
        """Keep what is on its disk."""
        self._kept = copy.deepcopy(self.redis)

    def roll_back(self) -> bool:
        """Come back as it was kept."""
        if self._kept is None:
            return False
        self.redis = copy.deepcopy(self._kept)
        return True

    def empty(self) -> None:
        """Forget all."""
        self.redis = self.make()

    def switch(self) -> None:
        """Put the other one under our address."""
        self.redis, self._other, self._kept = self._other, self.redis, None

    def forget(self, logs: set[str]) -> None:
        """Let positions expire."""
        for log in logs & {*self.redis.position}:
            del self.redis.position[log]
