from __future__ import annotations

from collections import deque

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzredis.changes.replay import LONGEST, MOST, QUIET, Continuity, Replay, Uncovered


@attrs.define
class World:
    """Upstream, one connection, and a Redis that answers in order, some time later.

    A message is its number; its fingerprint is what Redis and the replay know it by.
    """

    continuity: Continuity = attrs.field(factory=Continuity)
    clock: int = 1_000
    heard: int | None = None
    online: bool = False
    sent: int = 0
    numbers: int = 0
    ever_read: set[int] = attrs.field(factory=set)
    stored: set[int] = attrs.field(factory=set)
    waiting: deque[tuple[int, int]] = attrs.field(factory=deque)
    # Of each gap: what had been read before it, and what its last replay brought.
    before: dict[int, set[int]] = attrs.field(factory=dict)
    brought: dict[int, set[int]] = attrs.field(factory=dict)
    gaps: set[int] = attrs.field(factory=set)
    replays: list[Replay] = attrs.field(factory=list)

    def connect(self) -> None:
        if self.online:
            return
        replay = self.continuity.connected(
            heard=self.heard, now=self.clock, at=float(self.clock)
        )
        if not self.replays or self.replays[-1] is not replay:
            self.replays.append(replay)
            self.before[id(replay)] = set(self.ever_read)
        self.brought[id(replay)] = set()
        self.online, self.heard = True, self.clock

    def drop(self) -> None:
        self.online = False

    def send(self) -> None:
        self.sent += 1
        if self.online:
            self.read(self.sent)

    def replay(self, back: int) -> None:
        message = self.sent - back
        if self.online and message > 0 and self.continuity.asking:
            self.read(message)

    def read(self, message: int) -> None:
        self.numbers += 1
        self.ever_read.add(message)
        self.waiting.append((self.numbers, message))
        self.heard = self.clock
        asking = self.continuity.asking
        if asking is not None:
            self.brought[id(asking)].add(message)
        # Each copy comes in an envelope of its own.
        prints = (f"content {message}", f"envelope {self.numbers}")
        self.continuity.saw(self.numbers, prints, float(self.clock))

    def end(self) -> None:
        if self.online:
            self.continuity.end()
            self.settle()

    def answer(self) -> None:
        if self.waiting:
            number, message = self.waiting.popleft()
            known = message in self.stored
            self.stored.add(message)
            self.continuity.answered(number, known=known)
            self.settle()

    def settle(self) -> None:
        for hole in self.continuity.settle():
            [replay] = [r for r in self.replays if r.begin == hole.begin]
            assert id(replay) not in self.gaps
            self.gaps.add(id(replay))


STEPS = st.lists(
    st.sampled_from(["connect", "drop", "send", "end", "answer"])
    | st.integers(0, 4),  # a replay of the message so many before the last
    max_size=40,
)


@settings(max_examples=400)
@given(STEPS, st.booleans(), st.integers(0, 5))
def test_covered_exactly_where_the_replay_held_what_was_known(
    steps: list[str | int],
    late: bool,  # noqa: FBT001 - a case
    earlier: int,
) -> None:
    """Whatever the order of messages, losses and answers."""
    world = World()
    for _ in range(earlier):  # an earlier run of the bridge, all of it stored
        world.sent += 1
        world.ever_read.add(world.sent)
        world.stored.add(world.sent)
    if not late:
        world.continuity.previous(1)
    for step in steps:
        world.clock += 1
        if isinstance(step, int):
            world.replay(step)
        else:
            getattr(world, step)()
    if late:
        assert not world.gaps
        world.continuity.previous(1)
    world.clock += 1
    world.connect()
    world.end()
    while world.waiting:
        world.answer()
    for replay in world.replays:
        held = world.before[id(replay)] & world.brought[id(replay)]
        assert (id(replay) in world.gaps) == (not held)


def connected(heard: int | None = 5, previous: int | None = None) -> Continuity:
    """Return a continuity whose first replay has ended."""
    continuity = Continuity()
    continuity.previous(previous)
    continuity.connected(heard=None, now=1, at=0.0)
    continuity.end()
    assert list(continuity.settle()) == []
    continuity.connected(heard=heard, now=10, at=0.0)
    return continuity


def test_a_first_start_has_no_gap() -> None:
    continuity = Continuity()
    continuity.connected(heard=None, now=10, at=0.0)
    continuity.end()
    assert list(continuity.settle()) == []
    continuity.previous(None)
    assert list(continuity.settle()) == []


@pytest.mark.parametrize("late", [False, True])
def test_a_restart_has_one(late: bool) -> None:  # noqa: FBT001 - a case
    continuity = Continuity()
    if not late:
        continuity.previous(3)
    continuity.connected(heard=None, now=10, at=0.0)
    continuity.saw(1, ["a"], 0.0)
    continuity.end()
    continuity.answered(1, known=False)
    if late:
        assert list(continuity.settle()) == []  # it is not yet known what was before
        continuity.previous(3)
    assert list(continuity.settle()) == [Uncovered(3, 10, "restart", 1)]
    assert list(continuity.settle()) == []  # once


def test_an_empty_replay_proves_nothing() -> None:
    continuity = connected()
    assert list(continuity.settle()) == []  # it may still come
    continuity.end()
    assert list(continuity.settle()) == [Uncovered(5, 10, "reconnect", 0)]


def test_a_known_message_proves() -> None:
    continuity = connected()
    for number, known in [(1, False), (2, True), (3, False)]:
        continuity.saw(number, [f"{number}"], 0.0)
        continuity.answered(number, known=known)
    continuity.end()
    assert list(continuity.settle()) == []


def test_redis_answers_first() -> None:
    continuity = connected()
    continuity.saw(1, ["a"], 0.0)
    continuity.end()
    assert list(continuity.settle()) == []
    continuity.answered(1, known=None)  # sent twice: its answer tells nothing
    assert list(continuity.settle()) == [Uncovered(5, 10, "reconnect", 0)]


def test_what_was_read_since_proves_nothing() -> None:
    continuity = connected()
    continuity.saw(1, ["a", "e1"], 0.0)  # live, or from a replay: it is new
    continuity.saw(2, ["a", "e2"], 0.0)  # and comes again
    continuity.saw(3, ["b", "e2"], 0.0)  # and again, in the envelope of the second
    continuity.end()
    continuity.answered(1, known=False)
    for number in (2, 3):
        continuity.answered(number, known=True)
    assert list(continuity.settle()) == [Uncovered(5, 10, "reconnect", 1)]


def test_a_replay_that_was_cut_short_does_not_prove_for_the_next() -> None:
    continuity = connected()
    continuity.saw(1, ["a"], 0.0)
    continuity.answered(1, known=True)
    replay = continuity.connected(heard=12, now=20, at=100.0)  # more may be missing now
    assert replay.until() == 100 + QUIET
    continuity.end()
    assert list(continuity.settle()) == [Uncovered(5, 20, "reconnect", 0)]


def test_a_first_connection_cut_short_leaves_a_gap_behind_it() -> None:
    continuity = Continuity()
    continuity.previous(None)
    continuity.connected(heard=None, now=1, at=0.0)
    continuity.saw(1, ["a"], 0.0)
    continuity.answered(1, known=False)
    continuity.connected(heard=5, now=10, at=0.0)
    continuity.end()
    assert list(continuity.settle()) == [Uncovered(5, 10, "reconnect", 0)]


def test_what_the_first_connection_brought_proves_for_the_second() -> None:
    continuity = Continuity()
    continuity.previous(None)
    continuity.connected(heard=None, now=1, at=0.0)
    continuity.saw(1, ["a"], 0.0)
    continuity.connected(heard=5, now=10, at=0.0)
    continuity.saw(2, ["a"], 0.0)
    continuity.end()
    continuity.answered(1, known=False)
    continuity.answered(2, known=True)
    assert list(continuity.settle()) == []


@pytest.mark.parametrize("previous", [None, 3])
def test_a_first_connection_cut_short_before_redis_was_there(
    previous: int | None,
) -> None:
    continuity = Continuity()
    continuity.connected(heard=None, now=4, at=0.0)
    continuity.connected(heard=5, now=10, at=0.0)
    continuity.connected(heard=11, now=20, at=0.0)
    continuity.end()
    assert list(continuity.settle()) == []
    continuity.previous(previous)
    assert list(continuity.settle()) == [Uncovered(previous or 5, 20, "restart", 0)]


def test_but_it_proves_when_it_comes_again() -> None:
    continuity = connected()
    continuity.saw(1, ["a"], 0.0)
    continuity.connected(heard=12, now=20, at=100.0)
    continuity.saw(2, ["a"], 100.0)
    continuity.end()
    continuity.answered(1, known=True)
    continuity.answered(2, known=True)
    assert list(continuity.settle()) == []


def test_what_comes_after_the_end_is_no_replay() -> None:
    continuity = connected()
    continuity.saw(0, ["a"], 0.0)
    asked = continuity.asking
    assert asked is not None
    continuity.end()
    assert not asked.firsts  # what is over takes no room
    continuity.end()
    continuity.answered(0, known=False)
    continuity.saw(1, ["a"], 0.0)
    continuity.answered(1, known=True)
    continuity.answered(99, known=True)
    assert list(continuity.settle()) == [Uncovered(5, 10, "reconnect", 1)]


def test_a_flood_is_no_replay_and_takes_no_memory() -> None:
    continuity = connected()
    replay = continuity.asking
    assert replay is not None
    for number in range(MOST + 10):
        assert (continuity.asking is None) == (number >= MOST)
        continuity.saw(number, [f"{number}"], 0.0)
    assert len(replay.held) == len(replay.awaited) == MOST
    assert list(continuity.settle()) == []
    for number in range(MOST + 10):
        continuity.answered(number, known=number == MOST)
    assert list(continuity.settle()) == [Uncovered(5, 10, "reconnect", MOST)]


def test_a_replay_ends_when_it_is_quiet_or_too_long() -> None:
    continuity = Continuity()
    replay = continuity.connected(heard=None, now=1, at=100.0)
    assert replay.until() == 100 + QUIET
    continuity.saw(1, ["a"], 103.0)
    assert replay.until() == 103 + QUIET
    continuity.saw(2, ["a"], 104.0)  # a copy is a sign of life too
    assert replay.until() == 104 + QUIET
    continuity.saw(3, ["b"], 158.0)
    assert replay.until() == 100 + LONGEST


def inherited(*, connects: bool) -> Continuity:
    """Return one that another process left a gap to, which its connections go on with.

    Those heard of 5 (again), and of 6.
    """
    was = connected()
    was.saw(3, ["5"], 0.0)
    new = Continuity()
    new.restore(was.save(), range(4))
    if connects:
        new.connected(heard=None, now=30, at=0.0)
        new.connected(heard=35, now=40, at=0.0)
        new.saw(4, ["5"], 0.0)
        new.saw(5, ["6"], 0.0)
        new.end()
    return new


@pytest.mark.parametrize("previous", [None, 25])
@pytest.mark.parametrize("late", [False, True])
def test_another_redis_has_a_time_before_of_its_own(
    previous: int | None,
    late: bool,  # noqa: FBT001 - a case
) -> None:
    """Where there is none, what is between our connections is missing all the same."""
    new = inherited(connects=True)
    if not late:
        new.previous(previous)
    new.belongs(here=False, last=3)
    if late:
        new.previous(previous)
    assert list(new.settle()) == []
    new.answered(5, known=False)
    assert list(new.settle()) == [Uncovered(previous or 35, 40, "restart", 1)]
    assert new.save() == ""


def test_the_same_redis_has_the_gap_that_was_left_to_it() -> None:
    new = inherited(connects=True)
    new.previous(25)
    new.answered(3, known=False)
    new.answered(5, known=False)
    assert list(new.settle()) == []  # it might be another
    new.belongs(here=True, last=3)
    assert list(new.settle()) == [Uncovered(5, 40, "reconnect", 2)]


def test_what_no_connection_went_on_with_stays_with_its_redis() -> None:
    new = inherited(connects=False)
    new.belongs(here=False, last=3)
    new.previous(None)
    new.connected(heard=None, now=30, at=0.0)
    new.end()
    assert list(new.settle()) == []
    assert new.save() == ""
