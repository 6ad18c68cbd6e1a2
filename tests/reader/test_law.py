"""Whatever becomes of a log: each entry is given once, or its loss is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzredis.reader import Gap, ReaderError
from bzredis.reader.following import BATCH, Follower, place

LOG = "bz:ratings:events"


@attrs.define
class Log:
    """A stream as Redis keeps it; an entry is its number, and its id the time."""

    counts: bool  # how many were ever added, as Redis 7 does
    entries: list[int] = attrs.field(factory=list)
    time: int = 0
    last: int = 0
    added: int = 0

    def add(self) -> None:
        self.time += 1
        self.last = self.time
        self.added += 1
        self.entries.append(self.time)

    def trim(self, left: int) -> None:
        self.entries = self.entries[-left:] if left else []

    def go_back(self, count: int) -> None:
        """Be as it was, and lose the newest; the clock goes on."""
        kept = self.entries[: max(0, len(self.entries) - count)]
        self.added = self.added - len(self.entries) + len(kept) if kept else 0
        self.last = kept[-1] if kept else 0
        self.entries = kept

    def answer(self, commands: tuple[tuple[str | int, ...], ...]) -> list[Any]:
        after = str(commands[-1][-1])
        at = (self.last,) if after == "$" else place(after)
        new = [one for one in self.entries if one > at[0]][:BATCH]
        read = [[LOG, [(f"{one}-0", {"action": "updated"}) for one in new]]]
        if len(commands) == 1:
            return [read if new else []]
        log: dict[str, Any] = {"last-generated-id": f"{self.last}-0"}
        if self.entries:
            log["first-entry"] = (f"{self.entries[0]}-0", {})
        if self.counts:
            log["entries-added"] = self.added
        return [log, read if new else []]


@attrs.define
class Reading:
    """Someone who follows a log, and what became of its entries."""

    log: Log
    at: Follower = attrs.field(factory=lambda: Follower("ratings", LOG, "$"))
    given: list[int] = attrs.field(factory=list)
    gaps: list[tuple[int, int]] = attrs.field(factory=list)
    trimmed: set[int] = attrs.field(factory=set)  # before they were given
    back: set[int] = attrs.field(factory=set)
    went_back: bool = False  # then what was trimmed before is told of no more
    deletes: bool = False

    def step(self, _: int = 1) -> None:
        for one in self.at.answer(self.log.answer(self.at.ask())):
            if isinstance(one, Gap):
                self.gaps.append((ms(one.begin), ms(one.end)))
            else:
                self.given.append(place(one.id)[0])

    def add(self, count: int) -> None:
        for _ in range(count):
            self.log.add()

    def trim(self, left: int) -> None:
        self.at.look()  # it is long ago then
        before = {*self.log.entries}
        self.log.trim(left)
        self.trimmed |= before - {*self.log.entries} - {*self.given}

    def go_back(self, count: int) -> None:
        before = {*self.log.entries}
        self.log.go_back(count)
        self.went_back = True
        self.back |= before - {*self.log.entries}

    def delete(self, _: int) -> None:
        """Have a queue delete what this reader has read."""
        self.deletes = True
        self.log.entries = [e for e in self.log.entries if e not in self.given]

    def lose(self, _: int) -> None:
        self.at.lost(ReaderError("away", passes=True))

    def pause(self, _: int) -> None:
        self.at.look()


def ms(time: datetime | None) -> int:
    assert time is not None
    return round(time.timestamp() * 1000)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from([1, 2, BATCH, 2 * BATCH + 1])),
        st.tuples(st.sampled_from(["trim", "go_back"]), st.integers(0, 3)),
        st.tuples(st.sampled_from(["step", "delete", "lose", "pause"]), st.just(1)),
    ),
    max_size=30,
)


@pytest.mark.parametrize("log", [partial(Log, counts=True), partial(Log, counts=False)])
@given(steps=STEPS)
def test_each_is_given_once_or_its_loss_is_told(
    log: Callable[[], Log], steps: list[tuple[str, int]]
) -> None:
    one = Reading(log())
    one.add(1)
    one.step()
    for what, count in steps:
        getattr(one, what)(count)
    for _ in range(len(one.log.entries) // BATCH + 4):
        one.step()

    assert one.given == sorted({*one.given})
    for entry in {*range(2, one.log.time + 1)} - {*one.given} - one.back:
        assert entry in one.trimmed
        assert one.went_back or any(begin < entry <= end for begin, end in one.gaps)
    if not (one.trimmed or one.went_back) and (one.log.counts or not one.deletes):
        assert not one.gaps
