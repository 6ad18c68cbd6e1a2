"""Nights without a bridge, over real sockets: the simulator, REST, a real server."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest
import redis
import trio
from fakes import Said

from bzredis import embedded, lookups
from bzredis.addresses import Origin, redis_url
from bzredis.bridge import Bridge
from bzredis.config import Config
from bzredis.run import assemble
from bzredis.simulator import Market, Refusal, RestFaults, Settings, Simulator
from bzredis.simulator.book import BY_SYMBOL
from bzredis.simulator.consensus import fields

LIMIT = 30.0  # s for anything that is waited for
FAST = 500.0  # requests a second
QUICK: dict[str, Any] = {"rate": 0.0, "history": 60, "rest_limit": 1_000_000}
STREAMS = ("ratings", "insights")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[embedded.Server]:
    async with embedded.running(tmp_path / "redis") as running:
        yield running


@pytest.fixture
def client(server: embedded.Server) -> Iterator[Any]:
    found = redis.Redis.from_url(server.url, decode_responses=True)
    yield found
    found.close()


@pytest.fixture
async def upstream(nursery: trio.Nursery) -> Simulator:
    # An hour behind, so that a night can pass at once and is no time to come.
    simulator = Simulator(Settings(**QUICK), lambda: time.time() - 3_600)
    await nursery.start(simulator.serve)
    return simulator


@asynccontextmanager
async def running(
    upstream: Simulator,
    server: embedded.Server,
    folder: Path,
    pace: float = FAST,
    **options: Any,
) -> AsyncIterator[Bridge]:
    """Run a bridge to the end of the block, and stop it within 5 s."""
    config = Config(
        upstream=Origin("ws", "127.0.0.1", upstream.port),
        redis=redis_url(server.url),
        **{"backfill": 20 * 86_400.0, **options},
    )
    state = folder / "state"
    state.mkdir(exist_ok=True)
    bridge = assemble(config, lambda: upstream.settings.token, state, pace=pace)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bridge.run)
        yield bridge
        bridge.stop.set()
        nursery.cancel_scope.deadline = trio.current_time() + 5
    assert not nursery.cancel_scope.cancelled_caught, "did not stop within 5 s"


async def settled(bridge: Bridge, client: Any) -> None:
    """Wait until REST has given what it owed, and Redis has it."""
    asked = [m for m in bridge.mirrors if m.stream.name in STREAMS]
    with trio.fail_after(LIMIT):
        for mirror in asked:
            while (
                mirror.recovery is None
                or mirror.recovery.covered is None
                or mirror.continuity.asking is not None
                or len(mirror.backlog)
            ):
                await trio.sleep(0.02)
            assert not client.exists(f"bz:{mirror.stream.name}:owed")


def live(upstream: Simulator, stream: str) -> dict[str, Any]:
    book = upstream.market.book
    return dict(book.ratings if stream == "ratings" else book.insights)


def night(upstream: Simulator, actions: int) -> int:
    """Let so much happen while nobody listens; return how many records stay news."""
    rng = Random(4)
    now = upstream.clock()
    began = {**live(upstream, "ratings"), **live(upstream, "insights")}
    for n in range(actions):
        book = upstream.market.book
        kind = rng.random()
        ratings = sorted(book.ratings)
        record = rng.choice([*ratings, *sorted(book.insights)])
        current = [one for one in ratings if book.is_current(book.ratings[one])]
        if kind < 0.5:
            messages = upstream.market.opine(now + n)
        elif kind < 0.8:
            messages = upstream.market.comment(now + n, rng.choice(ratings))
        elif kind < 0.95:
            messages = upstream.market.revise(now + n, record)
        else:
            # Not one with insights: of theirs upstream keeps no list.
            plain = [one for one in current if not book.comments(one)]
            messages = upstream.market.retract(now + n, rng.choice(plain))
        upstream.broadcast(*messages)
    after = {**live(upstream, "ratings"), **live(upstream, "insights")}
    return sum(began.get(record) != held for record, held in after.items())


def same_as(upstream: Simulator, client: Any, stream: str) -> None:
    """Compare every hash with the simulator's own state."""
    book = live(upstream, stream)
    found = {
        key.rpartition(":")[2]: client.hgetall(key)
        for key in client.scan_iter(f"bz:{stream}:record:*", count=1_000)
    }
    alive = {r: held for r, held in found.items() if held["_action"] != "deleted"}
    assert alive.keys() == book.keys()
    newest: dict[str, tuple[int, str]] = {}
    for record, held in alive.items():
        content = book[record].content
        assert held["_symbol"] == book[record].company.symbol
        for name in ("pt_current", "notes", "importance", "analyst_insights", "rating"):
            assert held.get(name, "") == str(content.get(name) or held.get(name, ""))
        at = client.zscore(f"bz:{stream}:timeline:{held['_symbol']}", record)
        here = (at, record)
        newest[held["_symbol"]] = max(newest.get(held["_symbol"], here), here)
    symbols = client.zrange(f"bz:{stream}:symbols", 0, -1)
    assert set(symbols) == newest.keys()
    for symbol, (_, record) in newest.items():
        assert client.hgetall(f"bz:{stream}:latest:{symbol}") == alive[record]


def entries(client: Any, stream: str, action: str = "") -> list[dict[str, str]]:
    found = [entry for _, entry in client.xrange(f"bz:{stream}:events")]
    return [entry for entry in found if action in ("", entry["action"])]


def no_duplicates(client: Any, stream: str) -> None:
    """No version of a record was logged twice."""
    logged = Counter(
        (entry["record"], entry["version"], entry["action"], entry["effect"])
        for entry in entries(client, stream)
        if entry["source"] == "rest"
    )
    assert set(logged.values()) <= {1}
    raws = Counter(entry["raw"] for entry in entries(client, stream))
    assert set(raws.values()) <= {1}


async def test_a_night_off_leaves_no_trace(
    upstream: Simulator, server: embedded.Server, client: Any, tmp_path: Path
) -> None:
    async with running(upstream, server, tmp_path, timeline_length=500) as bridge:
        await settled(bridge, client)
    for stream in STREAMS:
        same_as(upstream, client, stream)
    news = night(upstream, 500)
    async with running(upstream, server, tmp_path, timeline_length=500) as bridge:
        await settled(bridge, client)
        counted = sum(m.status.fetched for m in bridge.mirrors[:2])
    for stream in STREAMS:
        same_as(upstream, client, stream)
        no_duplicates(client, stream)
        assert not entries(client, stream, "gap")
        status = client.hgetall(f"bz:{stream}:status")
        assert int(status["fetched"]) > 0
        assert status["gaps"] == status["rejected"] == "0"
        assert status["error"] == ""
    # The rest was in the replay: 100 messages of each stream at the most.
    assert news - 200 <= counted


async def test_without_rest_a_gap_tells_of_it(
    upstream: Simulator, server: embedded.Server, client: Any, tmp_path: Path
) -> None:
    async with running(upstream, server, tmp_path, no_rest=True) as bridge:
        with trio.fail_after(LIMIT):
            while any(m.continuity.asking or len(m.backlog) for m in bridge.mirrors):
                await trio.sleep(0.05)
            await trio.sleep(1.2)
    assert "--no-rest" in client.hget("bz:ratings:status", "error")
    heard = {s: client.hget(f"bz:{s}:status", "last_frame_at") for s in STREAMS}
    night(upstream, 500)
    async with running(upstream, server, tmp_path, no_rest=True) as bridge:
        with trio.fail_after(LIMIT):
            while not all(
                client.hget(f"bz:{s}:status", "gaps") == "1" for s in STREAMS
            ):
                await trio.sleep(0.05)
    assert not upstream.requests
    for stream in STREAMS:
        [gap] = entries(client, stream, "gap")
        assert gap["from"] == heard[stream]
        assert gap["to"] == client.hget(f"bz:{stream}:status", "connected_at")
        assert gap["cause"] == "restart"
        assert gap["recovered"] == "100"
        held = [text for name, text in upstream.sent if name == stream][-100:]
        logged = {entry["raw"] for entry in entries(client, stream)}
        assert set(held) <= logged


def shown(client: Any, symbol: str) -> dict[str, str]:
    found = client.hgetall(f"bz:consensus:latest:{symbol}")
    return {name: value for name, value in found.items() if name[:1] != "_"}


def answer(upstream: Simulator, symbol: str) -> dict[str, str]:
    """Return what the simulator's REST would say, as it stands in a hash."""
    content = fields(upstream.market.book.consensus[symbol])
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat |= {f"{name}_{inner}": held for inner, held in value.items()}
        else:
            flat[name] = value
    return {
        name: json.dumps(value).strip('"')
        for name, value in flat.items()
        if value not in ("", None)
    }


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
    began = trio.current_time()
    async with running(upstream, server, tmp_path, pace=10, tickers=watched) as bridge:
        mirror = bridge.mirrors[2]
        with trio.fail_after(LIMIT):
            while client.zcard("bz:consensus:symbols") < len(watched):
                await trio.sleep(0.05)
        first = trio.current_time() - began
        before = {symbol: shown(client, symbol) for symbol in watched}
        assert before == {symbol: answer(upstream, symbol) for symbol in watched}
        # Frames that name nobody, in plenty; of another market, so that each is wrong.
        other = Market(9)
        rng = Random(9)
        with trio.fail_after(2 * LIMIT):
            for n in range(0, 10_000, 500):
                for _ in range(500):
                    upstream.broadcast(other.opine(n, rng.choice(watched))[1])
                while mirror.status.unattributed < n + 500:
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
    assert mirror.status.unattributed >= 10_000
    for entry in entries(client, "consensus"):
        assert (entry["symbol"] == "") == (entry["source"] != "rest")
    for symbol in watched:
        asked = upstream.asked("consensus", symbol)
        assert asked
        assert all(b - a >= 3.0 for a, b in pairwise(asked))
    assert first < 20, "50 requests at 10/s"


@pytest.mark.parametrize(
    "fault",
    [
        {"refuse": Refusal(503)},
        {"refuse": Refusal(403)},
        {"html": True},
        {"truncated": True},
        {"hang_up": True},
        {"delay": 3_600.0},
    ],
    ids=str,
)
async def test_with_rest_in_trouble_the_streams_go_on(  # noqa: PLR0913, PLR0917 - fixtures
    fault: dict[str, Any],
    upstream: Simulator,
    server: embedded.Server,
    client: Any,
    tmp_path: Path,
    said: Said,
) -> None:
    for name in upstream.rest_faults:
        upstream.rest_faults[name] = attrs.evolve(upstream.rest_faults[name], **fault)
    desk = upstream._desk.faults
    assert all(desk[name] != RestFaults() for name in desk)
    async with running(upstream, server, tmp_path, backfill=3_600.0) as bridge:
        with trio.fail_after(LIMIT):
            began = trio.current_time()
            while trio.current_time() < began + 3:
                upstream.broadcast(*upstream.market.opine(upstream.clock()))
                await trio.sleep(0.1)
            texts = [text for name, text in upstream.sent if name == "ratings"]
            while entries(client, "ratings")[-1]["raw"] != texts[-1]:
                await trio.sleep(0.02)
            assert client.exists(*(f"bz:{s}:alive" for s in STREAMS)) == 2
        assert all(mirror.status.reconnects == 0 for mirror in bridge.mirrors)
    trouble = [entry for entry in said if "REST fails" in entry["event"]]
    assert len(trouble) <= 3, "once for each stream"
    if fault == {"refuse": Refusal(403)}:
        assert "BENZINGA_TOKEN" in client.hget("bz:ratings:status", "error")
        assert "403" in client.hget("bz:ratings:status", "error")


async def test_rows_that_are_none_are_set_aside(
    upstream: Simulator, server: embedded.Server, client: Any, tmp_path: Path
) -> None:
    for faults in upstream.rest_faults.values():
        faults.wrong_type = True
    async with running(upstream, server, tmp_path) as bridge:
        await settled(bridge, client)
        upstream.broadcast(*upstream.market.opine(upstream.clock()))
    reasons = [entry["reason"] for _, entry in client.xrange("bz:ratings:rejected")]
    assert len(reasons) == 3, "the same among the removals are kept once"
    assert client.hget("bz:ratings:status", "state") == "stopped"
