"""The queue alone, between a disk and a Redis that loses what it likes."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bzredis.backlog import queue as module
from bzredis.backlog.queue import Queue
from bzredis.ports import Batch, Item, Log

OWN, ELDER = (Log(name, "*", 0, "upstream") for name in ("own", "elder"))
HELD = 6


def filled(count: int, *, size: int = 10) -> Queue:
    """Return a queue in which changes wait, each put a second after the other."""
    queue = Queue(OWN)
    for number in range(count):
        queue.put(b"x" * size, at=float(number))
    return queue


def confirmed(count: int, *, size: int = 10) -> Queue:
    """Return a queue all of which Redis has confirmed, one after the other."""
    queue = filled(count, size=size)
    for _ in range(count):
        queue.confirmed(queue.fresh(1))
    return queue


def elder(*numbers: int) -> list[Item]:
    return [Item(ELDER, number, b"x") for number in numbers]


def numbers(items: list[Item]) -> list[int]:
    return [item.number for item in items]


def question(queue: Queue) -> Batch:
    return queue.batch([], None)


def test_what_waits_is_counted_and_how_long_it_does() -> None:
    queue = filled(3)
    assert (len(queue), queue.size, queue.oldest_at()) == (3, 30, 0.0)
    queue.confirmed(queue.fresh(2))
    assert (len(queue), queue.size, queue.oldest_at()) == (1, 10, 2.0)
    queue.let_go(queue.unsaved())
    assert (len(queue), queue.size, queue.oldest_at()) == (0, 0, None)


def test_a_batch_is_of_the_log_of_its_changes() -> None:
    queue = filled(3)
    assert queue.batch(queue.fresh(2), 7) == Batch(OWN, 0, [b"x" * 10] * 2, 7)
    assert queue.batch(elder(5, 6), None) == Batch(ELDER, 5, [b"x"] * 2, None)
    assert queue.batch([], None) == Batch(OWN, 3, [], None)


def test_what_redis_had_stands_before_what_it_had_not() -> None:
    queue = confirmed(5)
    queue.put(b"new", at=9.0)
    assert queue.go_back(question(queue), 2) == 2
    assert numbers(queue.back(9)) == [3, 4]
    assert numbers(queue.back(1)) == [3]
    assert numbers(queue.unsaved()) == [3, 4, 5]
    assert queue.batch(queue.back(9), None).may_hold


def test_what_an_elder_log_lacks_nobody_holds() -> None:
    queue = confirmed(5)
    items = elder(7, 8)
    assert queue.go_back(queue.batch(items, None), 3) == 0
    assert not queue.batch(items, None).may_hold
    assert queue.batch(elder(9), None).may_hold, "of this very change alone"
    assert queue.batch([Item(OWN, 7, b"x")], None).may_hold, "of this very log alone"
    queue.confirmed(items)
    assert queue.batch(items, None).may_hold
    assert queue.go_back(question(queue), 2) == 2, "what is elder is not held"


def test_where_it_does_not_hold_enough_it_says_so_at_the_first_that_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "HELD", 3)
    queue = confirmed(8)
    assert queue.go_back(question(queue), 1) == 3
    assert numbers(queue.back(9)) == [5, 6, 7]
    assert not queue.batch(queue.back(2), None).may_hold
    queue.confirmed(queue.back(2))
    assert queue.batch(queue.back(2), None).may_hold


def test_held_is_bounded_in_bytes_too_but_for_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "HELD_BYTES", 25)
    assert numbers(list(confirmed(9)._held)) == [7, 8]
    assert numbers(list(confirmed(9, size=99)._held)) == [8]


def test_what_goes_back_is_not_held_twice() -> None:
    queue = confirmed(4)
    queue.go_back(question(queue), -1)
    queue.confirmed(queue.back(9))
    assert numbers(list(queue._held)) == [0, 1, 2, 3]
    assert queue._held_bytes == 40
    assert len(queue) == 0


@settings(max_examples=150, stateful_step_count=40, deadline=None)
class Histories(RuleBasedStateMachine):
    """Any order of put, spill, write and of a Redis that comes back older."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue(OWN)
        self.disk: list[Item] = []
        self.flushing: list[Item] = []
        self.redis: list[int] = []
        self.ever: set[int] = set()  # what Redis confirmed at some time

    def _oldest(self, limit: int) -> list[Item]:
        """Do what `Backlog.oldest` does."""
        return self.queue.back(limit) or self.disk[:limit] or self.queue.fresh(limit)

    def _ours(self) -> set[int]:
        """Return what must not be lost: what waits, and the last that Redis had."""
        waits = {*range(self.queue.next)} - self.ever
        return waits | {*sorted(self.ever)[-HELD:]}

    @rule(count=st.integers(1, 5))
    def put(self, count: int) -> None:
        for _ in range(count):
            self.queue.put(b"x", at=0.0)

    @precondition(lambda self: not self.flushing)
    @rule()
    def begin_to_spill(self) -> None:
        self.flushing = self.queue.unsaved()

    @precondition(lambda self: self.flushing)
    @rule()
    def spilled(self) -> None:
        self.disk = sorted([*self.disk, *self.flushing], key=lambda item: item.number)
        self.queue.let_go(self.flushing)
        self.flushing = []

    @rule(limit=st.integers(1, 4))
    def write(self, limit: int) -> None:
        items = self._oldest(limit)
        batch = self.queue.batch(items, None)
        at = self.redis[-1] if self.redis else -1
        if batch.first > at + 1 and (batch.may_hold or not items):
            self.queue.go_back(batch, at)
            return
        lacking = {*range(at + 1, batch.first)}
        assert not lacking & self._ours()
        self.redis += [item.number for item in items if item.number > at]
        self.ever.update(item.number for item in items)
        self.queue.confirmed(items)
        if self.flushing:  # a confirmation waits for the disk
            self.spilled()
        last = items[-1].number if items else -1
        self.disk = [item for item in self.disk if item.number > last]

    @rule(kept=st.integers(0, 12))
    def come_back_older(self, kept: int) -> None:
        self.redis = self.redis[: -1 - kept]

    @invariant()
    def each_waits_once_and_in_order(self) -> None:
        back, waits = self.queue.back(999), self.queue.fresh(999)
        fresh = [item for item in waits if item not in self.disk]
        order = numbers([*back, *self.disk, *fresh])
        assert order == sorted(set(order))
        assert {*range(self.queue.next)} - self.ever <= {*order}
        assert self.queue.size == len(waits)

    def teardown(self) -> None:
        if self.flushing:
            self.spilled()
        for _ in range(2 * self.queue.next + 2):
            self.write(3)
        assert not self._oldest(1)
        assert {*self.redis} >= {*sorted(self.ever)[-HELD:]}
        assert self.redis == sorted({*self.redis})


def test_no_history_loses_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD", HELD)
    run_state_machine_as_test(Histories)
