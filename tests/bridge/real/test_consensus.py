"""The consensus as REST tells it, over real sockets."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
from bridge.real.nights import LIMIT, entries, running

from bzredis.bridge import lookups
from bzredis.commands import embedded
from bzredis.simulator import Market, Simulator
from bzredis.simulator.market.book import BY_SYMBOL
from bzredis.simulator.market.consensus import fields


def shown(client: Any, symbol: str) -> dict[str, str]:
    found = client.hgetall(f"bz:consensus:latest:{symbol}")
    return figures({name: at for name, at in found.items() if name[:1] != "_"})


def figures(found: dict[str, str]) -> dict[str, str]:
    """Return what counts: in which case the rating is written says nothing."""
    return {k: v.upper() if k == "consensus_rating" else v for k, v in found.items()}


def answer(upstream: Simulator, symbol: str) -> dict[str, str]:
    """Return what the simulator's REST would say, as it stands in a hash."""
    content = fields(upstream.market.book.consensus[symbol])
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat |= {f"{name}_{inner}": held for inner, held in value.items()}
        else:
            flat[name] = value
    told = {k: json.dumps(v).strip('"') for k, v in flat.items()}
    return figures({k: v for k, v in told.items() if v not in {"", "null"}})


NAMELESS = 10_000  # frames, of fifty symbols


@pytest.mark.long
async def test_consensus_is_looked_up_and_never_guessed(  # noqa: C901 - one story
    upstream: Simulator,
    server: embedded.Server,
    client: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lookups, "EVERY", 3.0)
    for symbol in BY_SYMBOL:
        upstream.market.opine(upstream.clock(), symbol)
    book = upstream.market.book
    watched = tuple(sorted(s for s in book.consensus if ":" not in s))[:50]
    assert len(watched) == 50
    async with running(upstream, server, tmp_path, pace=10, tickers=watched) as bridge:
        [status] = [
            line.intake.status for line in bridge.lines if line.name == "consensus"
        ]
        with trio.fail_after(LIMIT):
            while client.zcard("bz:consensus:symbols") < len(watched):
                await trio.sleep(0.05)
        first, *_, last = upstream.asked("consensus")[: len(watched)]
        before = {symbol: shown(client, symbol) for symbol in watched}
        assert before == {symbol: answer(upstream, symbol) for symbol in watched}
        # Frames that name nobody, in plenty; of another market, so that each is wrong.
        other = Market(9)
        rng = Random(9)
        with trio.fail_after(4 * LIMIT):
            for n in range(0, NAMELESS, 500):
                for _ in range(500):
                    upstream.broadcast(other.opine(n, rng.choice(watched))[1])
                while status.unattributed < n + 500:
                    await trio.sleep(0.02)
            # And a few ratings in a row of one symbol.
            was = client.hgetall(f"bz:consensus:latest:{watched[1]}")
            for n in range(5):
                upstream.broadcast(
                    *upstream.market.opine(upstream.clock() + n, watched[1])
                )
            while shown(client, watched[1]) != answer(upstream, watched[1]):
                await trio.sleep(0.02)
    for symbol in {*watched} - {watched[1]}:
        assert shown(client, symbol) == before[symbol]
    now = client.hgetall(f"bz:consensus:latest:{watched[1]}")
    for name in ("rating", "rating_val", "price_target"):
        assert now[f"_previous_consensus_{name}"] == was[f"consensus_{name}"]
    values = [Decimal(each["consensus_rating_val"]) for each in (was, now)]
    change = (values[1] > values[0]) - (values[1] < values[0])
    assert now["_shift"] == {1: "up", -1: "down", 0: "same"}[change]
    assert status.unattributed >= NAMELESS
    for entry in entries(client, "consensus"):
        assert ("symbol" not in entry) == (entry["source"] != "rest")
    for symbol in watched:
        asked = upstream.asked("consensus", symbol)
        assert asked
        assert all(b - a >= 3.0 for a, b in pairwise(asked))
    assert last - first < 20, "50 requests at 10/s"


ONE, TWO = "AAPL", "MSFT"


@pytest.mark.parametrize(
    ("tickers", "isins"),
    [((ONE,), ()), ((), (ONE,)), ((), (TWO, ONE)), ((TWO,), (ONE,))],
    ids=["ticker", "isin", "isins", "both"],
)
async def test_a_consensus_that_changed_while_the_bridge_was_off_arrives(  # noqa: PLR0913, PLR0917 - fixtures
    tickers: tuple[str, ...],
    isins: tuple[str, ...],
    upstream: Simulator,
    server: embedded.Server,
    client: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lookups, "EVERY", 0.2)
    listed: dict[str, Any] = {
        "tickers": tickers,
        "isins": tuple(BY_SYMBOL[symbol].isin for symbol in isins),
    }
    sole_isin = f"bz:consensus:latest:ISIN:{BY_SYMBOL[ONE].isin}"

    async def until_up_to_date() -> None:
        with trio.fail_after(LIMIT):
            while shown(client, ONE) != answer(upstream, ONE):
                await trio.sleep(0.02)

    async with running(upstream, server, tmp_path, **listed):
        with trio.fail_after(LIMIT):
            while client.hget("bz:consensus:status", "state") != "live":
                await trio.sleep(0.02)
        upstream.broadcast(*upstream.market.opine(upstream.clock(), ONE))
        await until_up_to_date()  # whose rating changes is looked up
    before = client.hgetall(sole_isin)
    upstream.market.opine(upstream.clock() + 1, ONE)  # not even in the replay
    assert shown(client, ONE) != answer(upstream, ONE)
    listed["streams"] = ("consensus",)
    async with running(upstream, server, tmp_path, **listed):
        await until_up_to_date()
    assert {name for each in upstream.requests for name in each.tickers} <= {ONE, TWO}
    assert client.hgetall(sole_isin) == before
    assert bool(before) == (not tickers and isins == (ONE,))


async def test_a_delete_that_names_nobody_asks_for_its_consensus_too(
    upstream: Simulator,
    server: embedded.Server,
    client: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lookups, "EVERY", 0.1)
    market, clock = upstream.market, upstream.clock
    for _ in range(3):
        market.opine(clock(), "AAPL")
    *_, record = (
        r.id for r in market.book.ratings.values() if r.company.ticker == "AAPL"
    )
    held = f"bz:ratings:record:{record}"
    async with running(upstream, server, tmp_path, tickers=("AAPL", "MSFT")):
        with trio.fail_after(LIMIT):
            while client.exists("bz:consensus:latest:AAPL", held) != 2:
                await trio.sleep(0.02)
            [gone] = [
                each
                for each in market.retract(clock(), record, content=False)
                if each.stream == "ratings"
            ]
            assert "AAPL" not in gone.text
            assert shown(client, "AAPL") != answer(upstream, "AAPL")
            upstream.broadcast(gone)
            while shown(client, "AAPL") != answer(upstream, "AAPL"):
                await trio.sleep(0.02)
