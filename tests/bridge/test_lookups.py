"""When REST is asked whose consensus it is, in virtual time."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random
from typing import Any

import pytest
import trio
from fakes import FakeRest, Rig, Said, Session
from trio.testing import MockClock

from bzredis.bridge.coverage import REST_HAS
from bzredis.bridge.lookups import EVERY, Lookups
from bzredis.bridge.retry import Retry
from bzredis.errors import FeedLost, RestDown, RestRefused, StoreDown
from bzredis.streams import CONSENSUS

LOST = FeedLost("upstream went away")
DOWN = RestDown("down")
HOURS = 3_600.0
SIX = 6 * HOURS
SOON = 600.0  # s: every virtual second has a status of its own
ISIN = "ISIN:US0378331005"  # what the consensus of a sole one stands under


def frame(number: int, **content: str) -> str:
    """Return a consensus of nobody's."""
    held = {"consensus_rating": "BUY", "consensus_rating_val": number}
    return json.dumps({"id": f"e{number}", "data": {**held, **content}})


def at_a_pace(pace: float = 0.5, **options: Any) -> FakeRest:
    """Return a REST that answers after so many s."""
    return FakeRest(delay=pace, **options)


def times(rest: FakeRest, ticker: str) -> list[float]:
    return [at for at, name in rest.looked_up if name == ticker]


def asked(rest: FakeRest) -> list[str]:
    return [name for _, name in rest.looked_up]


@asynccontextmanager
async def running(
    rig: Rig, rest: FakeRest, seen: Sequence[str] = (), **options: Any
) -> AsyncIterator[Callable[[Sequence[str]], None]]:
    """Run a bridge of consensus; `seen` is whose ratings Redis has.

    Gives what is told whose ratings changed.
    """
    rig.rest = True
    tries = 0

    async def symbols() -> list[str]:
        nonlocal tries
        tries += 1
        await trio.lowlevel.checkpoint()
        if tries == 1:
            raise StoreDown("not yet")
        return list(seen)

    async with rig.running("consensus") as bridge:
        assert CONSENSUS.lookup is not None
        lookups = Lookups(
            rig.intake,
            CONSENSUS.lookup,
            rest,
            Retry("rest", rig.intake.rest_trouble, Random(3)),
            symbols,
            **{"refresh": SIX, **options},
        )
        bridge.ask = lookups.run
        yield lookups.rated


def logged(rig: Rig) -> list[tuple[str, str]]:
    log = rig.store.db.of("consensus").log
    return [(c["source"], c["symbol"]) for c in log if c["kind"] == "message"]


def holes(rig: Rig) -> list[str]:
    return [hole.id for hole in rig.store.db.of("consensus").holes]


# --------------------------------------------------------------------------------- whom


async def test_the_watch_list_is_asked_at_the_start_and_in_rounds(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rest, watched = at_a_pace(), ("AAPL", "TSX:T", "BRK.B")
    query = {"simplify": "true", "aggregate_type": "number"}
    async with running(rig, rest, watched=watched, query=query, refresh=SOON):
        await trio.sleep(10)
        assert asked(rest) == ["AAPL", "BRK.B"]
        assert logged(rig) == [("rest", "AAPL"), ("rest", "BRK.B")]
        assert rig.intake.status.fetched == 2
        await trio.sleep(3 * SOON)
    assert asked(rest) == ["AAPL", "BRK.B"] * 4
    assert all(each == query for each in rest.queries)


async def test_without_a_watch_list_those_whose_ratings_were_seen(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rest = at_a_pace(none={"B"})
    async with running(rig, rest, ["A", "CSE:X", "B"]):
        await trio.sleep(10)
    assert asked(rest) == ["A", "B"]
    assert logged(rig) == [("rest", "A")]


async def test_of_isins_those_whose_ratings_were_seen(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """What they are the ISINs of, only their ratings tell."""
    rest, seen = at_a_pace(), ["A", ISIN, "TSX:T", "B"]
    async with running(rig, rest, seen, isins=True, refresh=SOON) as rated:
        await trio.sleep(10)
        assert asked(rest) == ["A", "B"]
        for symbol in ("C", ISIN, "TSX:T"):
            rated([symbol])
        await trio.sleep(10)
        assert asked(rest) == ["A", "B", "C"]
        await trio.sleep(SOON)
    assert asked(rest) == [*"ABC", *"AB"]
    assert logged(rig) == [("rest", name) for name in "ABCAB"]


async def test_beside_isins_the_watched_tickers_too(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rest = at_a_pace()
    async with running(rig, rest, ["B", "A"], watched=("A", "C"), isins=True):
        await trio.sleep(10)
    assert asked(rest) == ["A", "C", "B"]


# --------------------------------------------------------------------------------- when


async def test_what_is_rated_goes_first_and_at_most_once_in_30_s(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rest = at_a_pace()
    many = [f"S{n}" for n in range(40)]
    async with running(rig, rest, many) as rated:
        await trio.sleep(2)
        for _ in range(500):
            rated(["AAPL", "TSX:T", ""])
            rated(["S39"])
            await trio.sleep(0.2)
        last = trio.current_time()
        await trio.sleep(100)
    assert {*asked(rest)} == {"AAPL", *many}
    for symbol in ("AAPL", "S39"):
        found = times(rest, symbol)
        assert found[0] < 5, "it did not wait for the round"
        assert found[-1] > last - 1, "the last change counts"
        assert all(b - a >= EVERY for a, b in pairwise(found))
        assert 4 <= len(found) <= 5


async def test_what_is_rated_while_it_is_asked_for_is_asked_for_again(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rest = at_a_pace(5.0)
    async with running(rig, rest) as rated:
        await trio.sleep(1)
        rated(["A"])
        await trio.sleep(2)
        rated(["A"])
        await trio.sleep(60)
    assert len(times(rest, "A")) == 2


async def test_a_connection_in_the_middle_of_a_round_wants_all_anew(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """So it wants what was asked for before it, and answered after."""
    upstream = rig.upstreams["consensus"]
    upstream.sessions.extend([Session([5.0, LOST]), Session()])
    rest = at_a_pace(0.9)
    symbols = [f"S{n}" for n in range(20)]
    async with running(rig, rest, symbols):
        await trio.sleep(120)
    opened = upstream.links[1].opened
    assert all(times(rest, symbol)[-1] > opened for symbol in symbols)
    assert all(len(times(rest, symbol)) <= 3 for symbol in symbols)


async def test_an_answer_from_before_a_connection_is_not_enough_after_it(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """The replay proves that no frame is missing; it does not tell whose they are."""
    upstream = rig.upstreams["consensus"]
    upstream.cache = [frame(1)]
    upstream.sessions.append(Session([20.0, LOST]))
    rest = at_a_pace(15.0)
    async with running(rig, rest, watched=("A", "B")):
        await trio.sleep(29)
        assert len(upstream.links) == 2
        assert asked(rest) == ["A", "B"], "the second is on its way"
        assert not holes(rig)
        await trio.sleep(60)
    assert asked(rest) == ["A", "B", "A", "B"]


async def test_trouble_is_told_once_and_no_symbol_is_forgotten(
    rig: Rig, autojump_clock: MockClock, said: Said
) -> None:
    rest = at_a_pace(trouble=DOWN)
    async with running(rig, rest, watched=("A", "B", "C"), refresh=2 * HOURS):
        await trio.sleep(600)
        assert rig.store.status("consensus")["error"] == "down"
        assert 4 <= len(rest.looked_up) <= 20
        rest.trouble, rest.troubles = (
            None,
            {"B": DOWN},
        )  # just one that it cannot answer
        await trio.sleep(600)
        assert {symbol for _, symbol in logged(rig)} == {"A", "C"}
        rest.troubles.clear()
        await trio.sleep(600)
        assert {symbol for _, symbol in logged(rig)} == {"A", "B", "C"}
        count = len(rest.looked_up)
        await trio.sleep(600)
        assert len(rest.looked_up) == count, "the round is over"
    told = [entry["event"] for entry in said if "REST" in entry["event"]]
    assert len([event for event in told if "trouble" in event]) <= 8
    for symbol in "ABC":
        assert all(b - a >= EVERY for a, b in pairwise(times(rest, symbol)))


async def test_what_was_rated_while_rest_was_down_is_asked_for_then(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rest = at_a_pace(trouble=DOWN)
    async with running(rig, rest) as rated:
        await trio.sleep(1)
        rated(["A", "B"])
        await trio.sleep(100)
        rest.trouble = None
        await trio.sleep(150)
    assert {*logged(rig)} == {("rest", "A"), ("rest", "B")}


async def test_who_is_refused_asks_again_after_15_min(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rest = at_a_pace(trouble=RestRefused("HTTP 401"))
    async with running(rig, rest, watched=("A",)) as rated:
        await trio.sleep(10)
        rated(["B"])
        await trio.sleep(900)
        assert asked(rest) == ["A", "B", "A"]
        assert "BENZINGA_TOKEN" in rig.store.status("consensus")["error"]
        rest.trouble = None
        await trio.sleep(90)
    assert {*asked(rest)[3:]} == {"A", "B"}


async def test_one_that_is_refused_costs_no_other_symbol(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rest = at_a_pace(troubles={"A": RestRefused("HTTP 403")})
    async with running(rig, rest, watched=("A", *"BCDEF")):
        await trio.sleep(20)
        assert {*logged(rig)} == {("rest", each) for each in "BCDEF"}


# ---------------------------------------------------------------------- what is missing


async def lose_a_night(rig: Rig, *then: float | Exception) -> None:
    """Leave a Redis that has known better, and a replay that proves nothing."""
    rig.upstreams["consensus"].sessions.append(Session([frame(1)]))
    async with rig.running("consensus"):
        await trio.sleep(10)
    await trio.sleep(HOURS)
    replay = [frame(50), frame(51)]
    rig.upstreams["consensus"].sessions.append(Session(then, replay=replay))


@pytest.mark.parametrize(
    ("seen", "options", "gaps"),
    [
        ([f"S{n}" for n in range(100)], {}, 0),
        ([f"S{n}" for n in range(130)], {}, 1),
        ([], {}, 1),
        ([], {"watched": ("A", "B")}, 0),
        ([], {"watched": ("A",)}, 0),
        # REST is not asked for these.
        ([], {"watched": ("A", "TSX:T")}, 1),
        ([], {"watched": ("TSX:T",)}, 1),
        (["A", "B", "TSX:T"], {}, 1),
        # Any of the ISINs may be whose rating nobody saw.
        (["A", "B"], {"isins": True}, 1),
        ([], {"isins": True, "watched": ("A",)}, 1),
    ],
)
async def test_a_whole_round_in_a_minute_closes_a_gap(
    rig: Rig,
    autojump_clock: MockClock,
    *,
    seen: list[str],
    options: dict[str, Any],
    gaps: int,
) -> None:
    await lose_a_night(rig)
    async with running(rig, at_a_pace(), seen, **options):
        await trio.sleep(50)
        assert not rig.store.gaps("consensus")
        await trio.sleep(45)
        assert not holes(rig), "filled, or announced and let go of"
        assert rig.store.is_alive("consensus")
    found = rig.store.gaps("consensus")
    assert len(found) == gaps
    if len(seen) > 100:
        for gap in found:
            assert 110 <= gap["recovered"] <= 125


async def test_what_was_asked_before_its_time_does_not_fill(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """REST may lag behind the stream: what was on its way is asked for once more."""
    await lose_a_night(rig)
    began = trio.current_time()
    rest = at_a_pace(10.0)
    async with running(rig, rest, watched=("A",)):
        await trio.sleep(35)
        assert len(times(rest, "A")) == 1
        assert holes(rig)
        await trio.sleep(24)
        assert not holes(rig)
    first, second = times(rest, "A")
    assert first < began + REST_HAS < second
    assert not rig.store.gaps("consensus")


async def test_one_symbol_without_an_answer_keeps_it_open(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await lose_a_night(rig)
    rest = at_a_pace(troubles={"B": DOWN})
    async with running(rig, rest, watched=("A", "B", "C")):
        await trio.sleep(50)
        assert holes(rig)
        await trio.sleep(30)
        assert times(rest, "A")
        assert times(rest, "C")
        assert len(times(rest, "B")) == 3  # only this one is asked again and again
        assert len(rig.store.gaps("consensus")) == 1
        assert holes(rig), "REST may fill it still"
        rest.troubles.clear()
        await trio.sleep(60)
        assert not holes(rig)
    assert ("rest", "B") in logged(rig)


async def test_a_symbol_without_consensus_has_an_answer(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await lose_a_night(rig)
    async with running(rig, at_a_pace(none={"A"}), watched=("A",)):
        await trio.sleep(50)
        assert not holes(rig)
    assert not rig.store.gaps("consensus")


async def test_a_connection_lost_in_a_round_wants_another(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """The round closes what it was begun for, and no more."""
    await lose_a_night(rig, 10.0, LOST)
    upstream = rig.upstreams["consensus"]
    upstream.sessions.append(Session(replay=()))
    async with running(rig, at_a_pace(), watched=("A", "B")):
        await trio.sleep(20)
        first, second = holes(rig)
        while first in holes(rig):
            await trio.sleep(0.5)
        assert holes(rig) == [second]
        while holes(rig):
            await trio.sleep(0.5)
        await trio.sleep(60)
    assert not rig.store.gaps("consensus")


async def test_it_is_filled_though_nobody_is_connected_any_more(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await lose_a_night(rig, 10.0, LOST)
    upstream = rig.upstreams["consensus"]
    upstream.sessions.append("hangs")
    async with running(rig, at_a_pace(), watched=("A", "B")):
        await trio.sleep(15)
        assert holes(rig)
        await trio.sleep(30)
        assert not holes(rig)


async def test_what_rest_gave_proves_nothing_of_a_replay(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """That Redis knows it does not tell that the stream brought all before it."""
    await lose_a_night(rig)
    updated = "2024-10-04T19:21:06Z"
    named = frame(50, ticker="A", updated_at=updated)
    session = Session([3.0, named], answers="no")
    rig.upstreams["consensus"].sessions = deque([session])
    rest = at_a_pace(updated_at=updated)
    async with running(rig, rest, ["A", "TSX:T"]):
        await trio.sleep(90)
    assert logged(rig)[1:] == [("rest", "A")], "its frame is a duplicate"
    [gap] = rig.store.gaps("consensus")
    assert gap["recovered"] == 1, "nor is it counted twice"
