"""Who has to see to what is missing: the client's rules, each of them alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from bzredis.bridge.coverage import ANSWERED, GIVE_UP, REST_HAS, Holes, Silence
from bzredis.ports import Coverage, Hole, Log

OURS = Log("ours", "*", 0, "upstream")
NOW = 1_000.0  # s: when Redis' answer came
OPENED, REPLAYED = 0, 3  # numbers of our marks
HOLE = Hole("1-ours-0", 10_000, 20_000, "reconnect", 9_000, announced=False)
TOLD = attrs.evolve(HOLE, id="2-ours-0", announced=True)

Do = Callable[[Holes], None]


def answer(*holes: Hole, last: int = REPLAYED, at: float = NOW, **coverage: Any) -> Do:
    """Return what takes an answer of Redis."""
    log = coverage.pop("log", OURS.id)
    found = {"subscription": "*", "reader": OURS.id, **coverage}
    told = Coverage(since=0, until=20_000, holes=holes, **found)
    return lambda it: it.applied(log, last, told, at)


def known(*holes: Hole, rest: bool = True, log: Log = OURS) -> Holes:
    """Return what stands once a connection, and its replay, is confirmed."""
    it = Holes(log, rest=rest)
    it.connected(OPENED)
    it.replayed(REPLAYED)
    answer(*holes)(it)
    return it


def nothing(_: Holes) -> None:
    pass


def lost(it: Holes) -> None:
    it.disconnected()


def down(it: Holes) -> None:
    it.failed()


def again(it: Holes) -> None:
    """Connect once more; Redis does not know yet."""
    it.connected(REPLAYED + 1)


def filled(it: Holes) -> None:
    """Put REST's last word; Redis has not got it yet."""
    it.filled(REPLAYED + 1)


# -------------------------------------------------------------------------- what to ask


@pytest.mark.parametrize(
    ("then", "is_asked"),
    [
        (nothing, True),
        (lost, False),
        (down, False),
        (again, False),
        (filled, False),
        (answer(TOLD, last=-1), False),  # Redis came back older: not even our Opened
        (answer(last=REPLAYED), False),
        (answer(TOLD, subscription="AAPL"), True),
        (answer(TOLD, subscription=""), True),
    ],
)
def test_rest_is_asked_by_who_is_connected_unless_its_last_word_waits(
    then: Do,
    is_asked: bool,  # noqa: FBT001 - a case
) -> None:
    it = known(TOLD)
    then(it)
    assert bool(it.to_ask(NOW + REST_HAS)) is is_asked


@pytest.mark.parametrize(
    ("held", "ours", "is_asked"),
    [
        ("*", "*", True),
        ("AAPL,MSFT", "*", True),
        ("AAPL,MSFT", "AAPL,GOOG,MSFT", True),
        ("AAPL,MSFT", "AAPL", False),
        ("*", "AAPL", False),
        ("", "AAPL", True),  # two that had nothing in common: nothing is promised
    ],
)
def test_rest_is_asked_by_who_subscribes_to_all_that_is_stored(
    held: str,
    ours: str,
    is_asked: bool,  # noqa: FBT001 - a case
) -> None:
    it = known(HOLE, log=attrs.evolve(OURS, subscription=ours))
    answer(HOLE, subscription=held)(it)
    assert bool(it.to_ask(NOW + REST_HAS)) is is_asked


def test_rest_is_asked_once_the_stream_is_5_s_behind_a_hole() -> None:
    it = known(HOLE)
    answer(HOLE, TOLD, at=NOW + 4)(it)
    assert it.to_ask(NOW + 4.9) == ()
    assert it.to_ask(NOW + 5) == (HOLE,), "the other has not been there for so long"
    assert it.to_ask(NOW + 9) == (HOLE, TOLD), "also what was announced"


def test_how_far_redis_has_another_log_does_not_confirm_ours() -> None:
    """An earlier process left it."""
    it = known()
    again(it)
    answer(TOLD, last=99, log="earlier")(it)
    assert not it.is_connected
    assert it.coverage.holes == (TOLD,), "though what it says of holes counts"


def test_a_hole_with_a_new_id_is_a_new_one() -> None:
    it = known(HOLE)
    new = attrs.evolve(HOLE, id="3-ours-9")
    answer(new, at=NOW + GIVE_UP)(it)
    assert it.to_ask(NOW + GIVE_UP + 1) == ()
    assert it.to_give_up(NOW + GIVE_UP + 1) == ()
    answer(HOLE, at=NOW + GIVE_UP)(it)
    assert it.to_ask(NOW + GIVE_UP + 1) == (), "and so is one that comes back"


def test_after_its_last_word_rest_is_asked_about_what_is_left() -> None:
    it = known(HOLE)
    filled(it)
    answer(HOLE, last=REPLAYED + 1)(it)
    assert it.to_ask(NOW + REST_HAS) == (HOLE,)


def test_without_rest_nobody_is_asked() -> None:
    assert known(HOLE, rest=False).to_ask(NOW + GIVE_UP) == ()


# ---------------------------------------------------------------------------- giving up


@pytest.mark.parametrize(
    ("then", "is_given_up"),
    [
        (nothing, True),
        (lost, False),
        (down, False),
        (again, False),
        (filled, True),
        (answer(), False),
        (answer(attrs.evolve(HOLE, announced=True)), False),
        (answer(HOLE, last=-1), False),
    ],
)
def test_after_a_minute_a_hole_is_given_up(
    then: Do,
    is_given_up: bool,  # noqa: FBT001 - a case
) -> None:
    it = known(HOLE)
    assert it.to_give_up(NOW + GIVE_UP) == ()
    then(it)
    assert bool(it.to_give_up(NOW + GIVE_UP + 1)) is is_given_up


def test_a_hole_is_given_up_once() -> None:
    it = known(HOLE)
    assert it.to_give_up(NOW + GIVE_UP + 1) == (HOLE.id,)
    answer(HOLE)(it)  # what was put has not come so far
    assert it.to_give_up(NOW + GIVE_UP + 2) == ()
    answer()(it)
    answer(HOLE)(it)  # a Redis that came back older has it again
    assert it.to_give_up(NOW + GIVE_UP + 1) == (HOLE.id,)


@pytest.mark.parametrize("hole", [HOLE, TOLD])
def test_without_rest_it_is_given_up_with_the_replay(hole: Hole) -> None:
    """So is what was announced while REST was asked still: nobody will fill it."""
    it = Holes(OURS, rest=False)
    it.connected(OPENED)
    answer(hole, last=REPLAYED)(it)
    assert it.to_give_up(NOW) == (), "the replay has not ended"
    it.replayed(REPLAYED)
    it.confirmed = REPLAYED - 1
    assert it.to_give_up(NOW) == (), "Redis does not know yet"
    answer(hole)(it)
    assert it.to_give_up(NOW) == (hole.id,)


def test_the_end_of_a_replay_before_this_connection_tells_nothing() -> None:
    it = known(rest=False)
    again(it)
    answer(HOLE, last=REPLAYED + 1)(it)
    assert it.to_give_up(NOW) == ()
    assert it.to_give_up(NOW + GIVE_UP + 1) == (HOLE.id,), "as long as it lasts"


# -------------------------------------------------------------------------------- alive


@pytest.mark.parametrize(
    ("then", "is_fresh"),
    [
        (nothing, True),
        (lost, False),
        (down, False),
        (again, False),
        (answer(TOLD), True),
        (answer(TOLD, HOLE), False),
        (answer(attrs.evolve(HOLE, cause="first")), False),
        (answer(reader="another"), False),  # our clock was behind as we connected
        (answer(last=-1), False),
        (filled, True),
    ],
)
def test_fresh_is_what_has_no_hole_but_those_announced(
    then: Do,
    is_fresh: bool,  # noqa: FBT001 - a case
) -> None:
    it = known(TOLD)
    then(it)
    assert it.is_fresh(NOW + 1) is is_fresh


def test_an_answer_is_believed_for_15_s() -> None:
    it = known()
    assert it.is_fresh(NOW + ANSWERED)
    assert not it.is_fresh(NOW + ANSWERED + 0.1)


def test_nothing_is_fresh_before_redis_answers() -> None:
    it = Holes(OURS, rest=True)
    it.connected(OPENED)
    assert not it.is_fresh(NOW)
    assert it.to_ask(NOW) == ()
    assert it.to_give_up(NOW) == ()


# ------------------------------------------------------------------------------- stamps


@pytest.mark.parametrize(
    ("clock", "stamp"),
    [(30_000, 30_000), (20_000, 20_001), (19_000, 20_001), (0, 20_001)],
)
def test_a_mark_comes_after_all_that_is_here(clock: int, stamp: int) -> None:
    assert known().stamp(clock) == stamp


def test_marks_come_after_one_another_and_after_what_was_read() -> None:
    it = known()
    assert it.stamp(30_000) == 30_000
    assert it.stamp(25_000) == 30_001, "our clock stepped back"
    assert it.not_before(40_000) == 40_000
    assert it.not_before(35_000) == 40_000
    assert it.stamp(35_000) == 40_001


def test_who_slept_hears_upstream_once_that_answers_what_was_sent_since() -> None:
    silence = Silence(0.0)
    assert silence.is_over(lambda: 100, 5_000.0), "a clock that is set steps so far"
    assert not silence.is_over(lambda: 100, 20_000.0)
    silence.heard(99)  # an answer that was on its way all the time
    assert not silence.is_over(lambda: 200, 20_000.0)
    silence.heard(101)
    assert silence.is_over(lambda: 200, 20_000.0)
