"""When REST is asked whose consensus it is, in virtual time."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random
from typing import Any

import attrs
import pytest
import trio
from fakes import Rig, Said, Session
from trio.testing import MockClock

from bzredis.bridge.lookups import EVERY, Lookups
from bzredis.bridge.recovery import Recovery
from bzredis.bridge.retry import Asking
from bzredis.errors import FeedLost, RestDown, StoreDown

LOST = FeedLost("upstream went away")
HOURS = 3_600.0
SIX = 6 * HOURS
SOON = 600.0  # s: every virtual second has a status of its own


def frame(number: int) -> str:
    """Return a consensus of nobody's."""
    content = {"consensus_rating": "BUY", "consensus_rating_val": number}
    return json.dumps({"id": f"e{number}", "data": content})


@attrs.define(eq=False)
class FakeRest:
    """REST's consensus, at `pace` seconds a request."""

    pace: float = 0.5
    asked: list[tuple[float, str]] = attrs.field(factory=list)
    trouble: set[str] = attrs.field(factory=set)
    none: set[str] = attrs.field(factory=set)
    updated_at: str = ""
    how: set[tuple[bool, str | None]] = attrs.field(factory=set)

    async def consensus(
        self, ticker: str, /, *, simplify: bool, aggregate_type: str | None
    ) -> str | None:
        await trio.sleep(self.pace)
        self.asked.append((trio.current_time(), ticker))
        self.how.add((simplify, aggregate_type))
        if {ticker, "all"} & self.trouble:
            raise RestDown("down")
        if ticker in self.none:
            return None
        found = {"consensus_rating": "BUY", "n": len(self.asked)}
        return json.dumps(found | {"updated_at": self.updated_at})

    def times(self, ticker: str) -> list[float]:
        return [at for at, name in self.asked if name == ticker]


@asynccontextmanager
async def running(
    rig: Rig, rest: FakeRest, seen: Sequence[str] = (), **options: Any
) -> AsyncIterator[Lookups]:
    """Run a bridge of consensus; `seen` is whose ratings Redis has."""
    rig.process("consensus")
    rig.ledger.recovery = Recovery()
    tries = 0

    async def symbols() -> list[str]:
        nonlocal tries
        tries += 1
        await trio.lowlevel.checkpoint()
        if tries == 1:
            raise StoreDown("not yet")
        return list(seen)

    lookups = Lookups(
        rig.ledger,
        rig.ledger.recovery,
        Asking("consensus", rig.ledger.note_rest, Random(3)),
        rest.consensus,
        symbols,
        Random(4),
        **{"refresh": SIX, **options},
    )
    rig.bridge.ask = lookups.run
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.bridge.run)
        yield lookups
        rig.bridge.stop.set()
        nursery.cancel_scope.deadline = trio.current_time() + 5
    assert not nursery.cancel_scope.cancelled_caught, "did not stop within 5 s"


def logged(rig: Rig) -> list[tuple[str, str]]:
    log = rig.store.db.log.get("consensus", [])
    return [(c["source"], c["symbol"]) for _, c in log if c["kind"] == "message"]


async def test_the_watch_list_is_asked_at_the_start_and_in_rounds(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rest = FakeRest()
    watched = ("AAPL", "TSX:T", "BRK.B")
    async with running(
        rig,
        rest,
        watched=watched,
        simplify=True,
        aggregate_type="number",
        refresh=SOON,
    ):
        await trio.sleep(10)
        assert [name for _, name in rest.asked] == ["AAPL", "BRK.B"]
        assert logged(rig) == [("rest", "AAPL"), ("rest", "BRK.B")]
        assert rig.mirror.status.fetched == 2
        await trio.sleep(3 * SOON)
    assert [name for _, name in rest.asked] == ["AAPL", "BRK.B"] * 4
    assert rest.how == {(True, "number")}


async def test_without_a_watch_list_those_whose_ratings_were_seen(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rest = FakeRest(none={"B"})
    async with running(rig, rest, ["A", "CSE:X", "B"]):
        await trio.sleep(10)
    assert [name for _, name in rest.asked] == ["A", "B"]
    assert logged(rig) == [("rest", "A")]


ISIN = "ISIN:US0378331005"  # what the consensus of a sole one stands under


async def test_of_isins_those_whose_ratings_were_seen(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """What they are the ISINs of, only their ratings tell."""
    rest = FakeRest()
    seen = ["A", ISIN, "TSX:T", "B"]
    async with running(rig, rest, seen, isins=True, refresh=SOON) as lookups:
        await trio.sleep(10)
        assert [name for _, name in rest.asked] == ["A", "B"]
        for symbol in ("C", ISIN, "TSX:T"):
            lookups.rated([symbol])
        await trio.sleep(10)
        assert [name for _, name in rest.asked] == ["A", "B", "C"]
        await trio.sleep(SOON)
    assert [name for _, name in rest.asked] == [*"ABC", *"AB"]
    assert logged(rig) == [("rest", name) for name in "ABCAB"]


async def test_beside_isins_the_watched_tickers_too(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rest = FakeRest()
    async with running(rig, rest, ["B", "A"], watched=("A", "C"), isins=True):
        await trio.sleep(10)
    assert [name for _, name in rest.asked] == ["A", "C", "B"]


async def test_what_is_rated_goes_first_and_at_most_once_in_30_s(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rest = FakeRest()
    many = [f"S{n}" for n in range(40)]
    async with running(rig, rest, many) as lookups:
        await trio.sleep(2)
        for _ in range(500):
            lookups.rated(["AAPL", "TSX:T", ""])
            lookups.rated(["S39"])
            await trio.sleep(0.2)
        last = trio.current_time()
        await trio.sleep(100)
    assert {name for _, name in rest.asked} == {"AAPL", *many}
    for symbol in ("AAPL", "S39"):
        asked = rest.times(symbol)
        assert asked[0] < 5, "it did not wait for the round"
        assert asked[-1] > last - 1, "the last change counts"
        assert all(b - a >= EVERY for a, b in pairwise(asked))
        assert 4 <= len(asked) <= 5


async def lose_a_night(rig: Rig) -> None:
    rig.upstreams["consensus"].sessions.append(Session([frame(1)]))
    async with rig.running("consensus"):
        await trio.sleep(10)
    await trio.sleep(HOURS)
    replay = [frame(50), frame(51)]
    rig.upstreams["consensus"].sessions.append(Session(replay=replay))


@pytest.mark.parametrize(
    ("count", "options", "gaps"),
    [
        (100, {}, 0),
        (130, {}, 1),
        (0, {}, 1),
        (0, {"watched": ("A", "B")}, 0),
        (0, {"watched": ("A",)}, 0),
        (0, {"watched": ("A", "TSX:T")}, 1),
        (0, {"watched": ("TSX:T",)}, 1),
        (20, {"isins": True}, 1),  # any of them may be whose rating nobody saw
        (0, {"isins": True, "watched": ("A",)}, 1),
        (20, {"abroad": ["TSX:T"]}, 1),
    ],
)
async def test_a_whole_round_in_a_minute_closes_a_gap(
    rig: Rig,
    autojump_clock: MockClock,
    *,
    count: int,
    options: dict[str, Any],
    gaps: int,
) -> None:
    await lose_a_night(rig)
    rest = FakeRest()
    seen = [f"S{n}" for n in range(count)]
    seen += options.get("abroad", [])  # REST is not asked for these
    given = {name: value for name, value in options.items() if name != "abroad"}
    async with running(rig, rest, seen, **given):
        await trio.sleep(90)
    found = rig.store.gaps("consensus")
    assert len(found) == gaps
    if count > 100:
        for gap in found:
            assert 110 <= gap["recovered"] <= 125


async def test_what_rest_gave_proves_nothing_of_a_replay(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """That Redis knows it does not tell that the stream brought all before it."""
    await lose_a_night(rig)
    named = json.loads(frame(50))
    named["data"] |= {"ticker": "A", "updated_at": "2024-10-04T19:21:06Z"}
    session = Session([1.0, json.dumps(named)], replay=[])
    rig.upstreams["consensus"].sessions = deque([session])
    rest = FakeRest(updated_at="2024-10-04T19:21:06Z")
    async with running(rig, rest, ["A", "TSX:T"]):
        await trio.sleep(90)
    assert logged(rig)[1:] == [("rest", "A")], "its frame is a duplicate"
    [gap] = rig.store.gaps("consensus")
    assert gap["recovered"] == 1, "nor is it counted twice"


async def test_trouble_is_told_once_and_no_symbol_is_forgotten(
    rig: Rig, autojump_clock: MockClock, said: Said
) -> None:
    rest = FakeRest(trouble={"all"})
    async with running(rig, rest, watched=("A", "B", "C")) as lookups:
        await trio.sleep(600)
        assert rig.store.status("consensus")["error"] == "down"
        assert 4 <= len(rest.asked) <= 20
        rest.trouble = {"B"}  # just one that REST cannot answer
        await trio.sleep(600)
        rest.trouble = set()
        await trio.sleep(600)
        assert not lookups._round
    assert {symbol for _, symbol in logged(rig)} == {"A", "B", "C"}
    told = [entry["event"] for entry in said if "REST" in entry["event"]]
    assert len([event for event in told if "fails" in event]) <= 8
    for symbol in "ABC":
        assert all(b - a >= EVERY for a, b in pairwise(rest.times(symbol)))


async def test_a_connection_in_the_middle_of_a_round_wants_all_anew(
    rig: Rig, autojump_clock: MockClock
) -> None:
    upstream = rig.upstreams["consensus"]
    upstream.sessions.extend([Session([5.0, LOST]), Session()])
    rest = FakeRest()
    symbols = [f"S{n}" for n in range(20)]
    async with running(rig, rest, symbols):
        await trio.sleep(120)
    assert all(len(rest.times(symbol)) in {1, 2} for symbol in symbols)
    assert all(rest.times(symbol)[-1] > upstream.asked[1] for symbol in symbols)
