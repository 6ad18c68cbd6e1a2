"""`bzredis forget`: what is said of symbols goes, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from click.testing import Result
from store.servers import Peer, consensus, rating

from bzredis.commands.mending import forget
from bzredis.ports import Sign
from bzredis.streams import CONSENSUS, RATINGS

Run = Callable[..., Result]


@pytest.fixture
def market(peer: Peer) -> Peer:
    peer.apply(
        RATINGS,
        rating("a", minute=1, envelope="e"),
        rating("b", 2, minute=2),
        rating("c", 3, symbol="X"),
    )
    peer.apply(CONSENSUS, consensus(1), consensus(2, symbol="X"))
    return peer


def held(peer: Peer) -> None:
    """Have a bridge run there."""
    store = peer.store()
    sign = Sign("me", "connected", "log", -1)
    trio.run(store.write_status, RATINGS, {"state": "live"}, sign)
    store.close()


def test_it_says_what_goes_and_takes_it_away(
    market: Peer, run: Run, heard: Callable[[], Any]
) -> None:
    events = {
        market.hash(f"{s}:latest:AAPL")["_event"] for s in ("ratings", "consensus")
    }
    before = market.dump()
    with heard() as told:
        said = run("forget", "aapl", "--yes").stdout.splitlines()
    assert said[0] == "ratings AAPL: latest, 2 records, 2 of history"
    assert said[1] == "consensus AAPL: latest, 1 of history"
    assert said[-1] == "It is taken away."
    assert {*told} == {f"AAPL {event}" for event in events}
    after = market.dump()
    gone = {key for key in before if key not in after}
    assert gone == {
        *(f"bz:ratings:{k}" for k in ("latest:AAPL", "timeline:AAPL", "history:AAPL")),
        *("bz:ratings:record:a", "bz:ratings:record:b"),
        *(f"bz:consensus:{k}" for k in ("latest:AAPL", "history:AAPL")),
        "bz:consensus:internal:heard:symbol:AAPL",
    }
    changed = {key for key in after if before.get(key) != after[key]}
    assert changed == {
        *(f"bz:{s}:symbols" for s in ("ratings", "consensus")),
        *(f"bz:{s}:internal:forgotten" for s in ("ratings", "consensus")),
    }


def test_rebuild_does_not_bring_it_back_but_what_came_since(
    market: Peer, run: Run, asked: Any
) -> None:
    run("forget", "AAPL", "--yes")
    for told in asked("rebuild", "--verify").values():
        assert told["differences"] == []
    assert market.one(rating("a", minute=1, envelope="e")) == "duplicate"
    assert market.one(rating("a", 9, minute=1)) == "latest"
    market.redis.delete("bz:ratings:latest:AAPL", "bz:ratings:record:a")
    run("rebuild")
    assert market.timeline("AAPL") == ["a"]
    assert market.hash("ratings:latest:AAPL")["_record"] == "a"


def test_of_one_stream_alone(market: Peer, run: Run) -> None:
    run("forget", "AAPL", "--yes", "--stream", "consensus")
    assert market.symbols("consensus") == {"X"}
    assert market.symbols() == {"AAPL", "X"}


def test_a_script_has_to_say_yes(market: Peer, run: Run) -> None:
    before = market.dump()
    for words in (["AAPL"], ["--all"]):
        assert "say --yes" in run("forget", *words, code=2).stderr
    assert "Name symbols, or say --all" in run("forget", code=2).stderr
    assert "Name symbols" in run("forget", "--all", "AAPL", code=2).stderr
    assert "nothing about 'NOPE'" in run("forget", "NOPE", "--yes", code=1).stderr
    assert market.dump() == before


@pytest.mark.parametrize("answer", ["y", "n"])
def test_on_a_terminal_it_asks(
    market: Peer, run: Run, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    class Terminal:
        stdin = type("Stdin", (), {"isatty": staticmethod(lambda: True)})

    monkeypatch.setattr(forget, "sys", Terminal)
    done = run("forget", "AAPL", input=f"{answer}\n", code=answer == "n")
    assert "Take it away?" in done.stderr
    assert market.symbols() == ({"X"} if answer == "y" else {"AAPL", "X"})


def test_all_goes_but_not_under_a_bridge(market: Peer, run: Run) -> None:
    market.redis.set("bz:other:mine", "1")
    market.redis.set("bzz:ratings:mine", "1")
    held(market)
    assert "a bridge runs" in run("forget", "--all", "--yes", code=2).stderr
    assert "comes back" in run("forget", "X", "--yes").stdout
    market.redis.delete("bz:ratings:internal:holder")
    run("forget", "--all", "--yes")
    assert {*market.redis.keys("*")} == {"bz:other:mine", "bzz:ratings:mine"}
    assert "nothing stands under bz" in run("forget", "--all", "--yes", code=1).stderr
