"""Nights without a bridge, over real sockets: the simulator, REST, a real server."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any

import attrs
import pytest
import redis
import trio
from fakes import Said

from bzredis.bridge import lookups
from bzredis.bridge.bridge import Bridge
from bzredis.commands import embedded
from bzredis.commands.run import assemble
from bzredis.messages.direction import direction
from bzredis.messages.times import published, rfc3339
from bzredis.settings.addresses import Origin, redis_url
from bzredis.settings.config import Config
from bzredis.simulator import Market, Refusal, RestFaults, Settings, Simulator
from bzredis.simulator.market.book import BY_SYMBOL
from bzredis.simulator.market.consensus import fields
from bzredis.simulator.market.records import Insight, Published, Rating, updated
from bzredis.simulator.server.rest import rating_row
from bzredis.store.client import Store
from bzredis.streams.ratings import price_target_change

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
    assert isinstance(bridge.store, Store)
    bridge.store.close()


async def settled(bridge: Bridge, client: Any) -> None:
    """Wait until REST has given what it owed, and Redis has it."""
    asked = [m for m in bridge.mirrors if m.stream.name in STREAMS]
    with trio.fail_after(LIMIT):
        for mirror in asked:
            while (
                mirror.ledger.recovery is None
                or mirror.ledger.recovery.covered is None
                or mirror.ledger.continuity.asking is not None
                or len(mirror.backlog)
            ):
                await trio.sleep(0.02)
            assert not client.exists(f"bz:{mirror.stream.name}:owed")


def live(upstream: Simulator, stream: str) -> dict[str, Rating | Insight]:
    book = upstream.market.book
    return dict(book.ratings if stream == "ratings" else book.insights)


def night(
    upstream: Simulator, actions: int, seconds: float = 500.0, seed: int = 4
) -> int:
    """Let so much happen while nobody listens; return how many records stay news.

    The shorter it is, the more changes of one record share a second.
    """
    rng = Random(seed)
    began = {**live(upstream, "ratings"), **live(upstream, "insights")}
    now = float(int(upstream.clock()))  # so that a seed tells what shares a second
    touched: list[str] = []
    for n in range(actions):
        at = now + n * seconds / actions
        book = upstream.market.book
        kind = rng.random()
        ratings = sorted(book.ratings)
        anyone = [*ratings, *sorted(book.insights)]
        just_now = [record for record in touched[-6:] if record in anyone]
        record = rng.choice(just_now if rng.random() < 0.5 and just_now else anyone)
        current = [one for one in ratings if book.is_current(book.ratings[one])]
        if kind < 0.35:
            messages = upstream.market.opine(at)
        elif kind < 0.55:
            messages = upstream.market.comment(at, rng.choice(ratings))
        elif kind < 0.95:
            messages = upstream.market.revise(at, record)
        else:
            # Not one with insights: of theirs upstream keeps no list.
            plain = [one for one in current if not book.comments(one)]
            messages = upstream.market.retract(at, rng.choice(plain))
        touched += filter(None, map(record_of, messages))
        upstream.broadcast(*messages)
    after = {**live(upstream, "ratings"), **live(upstream, "insights")}
    return sum(began.get(record) != held for record, held in after.items())


def record_of(message: Published) -> str:
    return str(json.loads(message.text)["data"].get("id", ""))


def hashed(record: Rating | Insight, source: str) -> dict[str, str]:
    """Return what stands in a record's hash, but for how its last message came."""
    content = dict(record.content)
    if isinstance(record, Rating):
        if source == "rest":
            content = rating_row(record)
        firm, action = content["analyst"], content["action_company"]
    else:
        # REST tells in seconds what the stream tells in milliseconds.
        content["updated"] = updated(record)
        firm, action = content["firm"], content["action"]
    found: dict[str, object] = {
        "_record": record.id,
        "_symbol": record.company.symbol,
        "_version": updated(record) * 1_000,
        "_published": rfc3339(
            published(str(content["date"]), str(content.get("time", ""))) or 0
        ),
        "_firm": firm,
        "_direction": direction(str(action)),
    }
    for pair in (("pt_current", "pt_prior"), ADJUSTED):
        moved = price_target_change(*(str(content.get(name, "")) for name in pair))
        if moved:
            found |= zip(("_pt_change", "_pt_change_pct"), moved, strict=True)
    for name, value in content.items():
        if isinstance(value, dict):
            found |= {f"{name}_{inner}": one for inner, one in value.items()}
        else:
            found[name] = value
    return {
        name: str(value) for name, value in found.items() if value not in {"", None}
    }


ADJUSTED = ("adjusted_pt_current", "adjusted_pt_prior")  # wins where both are there
WAY = {"_action", "_event", "_received", "_source", "_timestamp"}


def shown_of(held: dict[str, str], stream: str) -> dict[str, str]:
    """Return a hash without how its last message came; insights to the second."""
    shown = {name: value for name, value in held.items() if name not in WAY}
    if stream == "insights":
        shown["updated"] = shown["updated"][:10]
        shown["_version"] = f"{shown['_version'][:10]}000"
    return shown


def same_as(
    upstream: Simulator,
    client: Any,
    stream: str,
    instead: Mapping[str, Rating | Insight] = MappingProxyType({}),
) -> None:
    """Compare every hash, whole, with the simulator's own state.

    `instead` are records as they stand where they must not be as upstream has them.
    """
    book = {**live(upstream, stream), **instead}
    log = dict(client.xrange(f"bz:{stream}:events"))
    found = {
        key.rpartition(":")[2]: client.hgetall(key)
        for key in client.scan_iter(f"bz:{stream}:record:*", count=1_000)
    }
    alive = {r: held for r, held in found.items() if held["_action"] != "deleted"}
    assert alive.keys() == book.keys()
    newest: dict[str, tuple[int, str]] = {}
    for record, held in alive.items():
        assert shown_of(held, stream) == hashed(book[record], held["_source"])
        entry = log[held["_event"]]
        for name in ("record", "symbol", "version", "action", "source", "received"):
            assert held[f"_{name}"] == entry[name]
        assert ("_timestamp" in held) == (held["_source"] != "rest")
        assert entry["effect"] in {"latest", "record"}
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
    """See that what came over REST is the only copy of its version."""
    logged: dict[tuple[str, int, bool], list[str]] = {}
    for entry in entries(client, stream):
        version = int(entry["version"] or 0) // 1_000  # REST knows seconds only
        message = (entry["record"], version, entry["action"] == "deleted")
        logged.setdefault(message, []).append(entry["source"])
    for sources in logged.values():
        assert "rest" not in sources or sources == ["rest"]
    raws = Counter(entry["raw"] for entry in entries(client, stream))
    assert set(raws.values()) <= {1}


@pytest.mark.parametrize(
    ("seed", "seconds"), [(4, 500.0), (0, 5.0), (2, 5.0), (7, 5.0)]
)
async def test_a_night_off_leaves_no_trace(  # noqa: PLR0913, PLR0917 - fixtures
    seed: int,
    seconds: float,
    upstream: Simulator,
    server: embedded.Server,
    client: Any,
    tmp_path: Path,
) -> None:
    async with running(upstream, server, tmp_path, timeline_length=500) as bridge:
        await settled(bridge, client)
    for stream in STREAMS:
        same_as(upstream, client, stream)
    news = night(upstream, 500, seconds, seed)
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


async def test_of_the_second_heard_last_only_the_replay_or_a_later_change_tells(
    upstream: Simulator, server: embedded.Server, client: Any, tmp_path: Path
) -> None:
    """REST tells a record's version in seconds, and loses ties (promises 1 and 3).

    So a change in the very second of the last one that was heard, by now out of the
    replay, looks like a copy of that. The record's next change mends it, however it
    comes; nothing else differs.
    """
    market, book = upstream.market, upstream.market.book
    second = float(int(upstream.clock()))
    async with running(upstream, server, tmp_path, timeline_length=500) as bridge:
        await settled(bridge, client)
        [rated, *_] = market.opine(second)
        rating = record_of(rated)
        [commented] = market.comment(second + 0.1, rating)
        insight = record_of(commented)
        upstream.broadcast(rated, commented)
        keys = (f"bz:ratings:record:{rating}", f"bz:insights:record:{insight}")
        with trio.fail_after(LIMIT):
            while client.exists(*keys) < len(keys):
                await trio.sleep(0.02)
    heard: dict[str, dict[str, Rating | Insight]] = {
        "ratings": {rating: book.ratings[rating]},
        "insights": {insight: book.insights[insight]},
    }
    for record in (rating, insight):
        upstream.broadcast(*market.revise(second + 0.7, record))
    for n in range(120):  # a replay holds 100
        [other, *_] = market.opine(second + 1 + n)
        upstream.broadcast(other, *market.comment(second + 1 + n, record_of(other)))
    async with running(upstream, server, tmp_path, timeline_length=500) as bridge:
        await settled(bridge, client)
        for stream in STREAMS:
            with pytest.raises(AssertionError):
                same_as(upstream, client, stream)
            same_as(upstream, client, stream, instead=heard[stream])
            no_duplicates(client, stream)
        for record in (rating, insight):
            upstream.broadcast(*market.revise(second + 200, record))
        with trio.fail_after(LIMIT):
            while {client.hget(key, "_source") for key in keys} != {"live"} or {
                client.hget(key, "_version")[:10] for key in keys
            } != {f"{second + 200:.0f}"}:
                await trio.sleep(0.02)
    for stream in STREAMS:
        same_as(upstream, client, stream)


def of_the_watch_list(upstream: Simulator, stream: str, tickers: set[str]) -> set[str]:
    book = live(upstream, stream)
    return {r for r, held in book.items() if held.company.symbol in tickers}


async def test_a_wider_watch_list_is_fetched_and_foreign_removals_show_nowhere(
    upstream: Simulator, server: embedded.Server, client: Any, tmp_path: Path
) -> None:
    symbols = Counter(r.company.symbol for r in live(upstream, "ratings").values())
    first, second, third = [s for s, _ in symbols.most_common() if ":" not in s][:3]
    for tickers in ((first,), (second, first), (third, second, first), (third,)):
        night(upstream, 100, seed=len(tickers))
        async with running(upstream, server, tmp_path, tickers=tickers) as bridge:
            await settled(bridge, client)
        for stream in STREAMS:
            found = {
                key.rpartition(":")[2]
                for key in client.scan_iter(f"bz:{stream}:record:*")
                if client.hget(key, "_symbol") in tickers
                and client.hget(key, "_action") != "deleted"
            }
            assert found == of_the_watch_list(upstream, stream, {*tickers})
            assert not entries(client, stream, "gap")
            no_duplicates(client, stream)
    assert len(upstream.market.book.deleted) > 10
    for stream in STREAMS:
        for entry in entries(client, stream):
            assert entry["symbol"] in {first, second, third}


async def test_of_isins_those_rows_too_that_do_not_name_theirs(
    server: embedded.Server, client: Any, tmp_path: Path, nursery: trio.Nursery
) -> None:
    upstream = Simulator(Settings(**(QUICK | {"history": 0})), time.time)
    await nursery.start(upstream.serve)
    options: dict[str, Any] = {"isins": (BY_SYMBOL["AAPL"].isin,), "streams": STREAMS}
    market = upstream.market
    async with running(upstream, server, tmp_path, **options) as bridge:
        with trio.fail_after(LIMIT):
            while not all(mirror.connected for mirror in bridge.mirrors):
                await trio.sleep(0.02)
        upstream.broadcast(*market.opine(upstream.clock(), "AAPL"))
        with trio.fail_after(LIMIT):
            while not client.exists("bz:ratings:latest:AAPL"):
                await trio.sleep(0.02)
    blank = 0
    while blank < 3:
        [rating, *_] = market.opine(upstream.clock() + 1, "AAPL")
        [commented, *_] = market.comment(upstream.clock() + 1, record_of(rating))
        content = json.loads(commented.text)["data"]["content"]
        blank += not content["security"]["isin"]
    async with running(upstream, server, tmp_path, **options) as bridge:
        await settled(bridge, client)
    for stream in STREAMS:
        found = {
            key.rpartition(":")[2]
            for key in client.scan_iter(f"bz:{stream}:record:*")
            if client.hget(key, "_symbol") == "AAPL"
        }
        assert found == of_the_watch_list(upstream, stream, {"AAPL"})
        assert set(client.zrange(f"bz:{stream}:symbols", 0, -1)) == {"AAPL"}
        assert not entries(client, stream, "gap")


async def test_without_rest_a_gap_tells_of_it(
    upstream: Simulator, server: embedded.Server, client: Any, tmp_path: Path
) -> None:
    async with running(upstream, server, tmp_path, no_rest=True) as bridge:
        with trio.fail_after(LIMIT):
            while any(
                m.ledger.continuity.asking or len(m.backlog) for m in bridge.mirrors
            ):
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
            while client.exists(*(f"bz:{s}:alive" for s in STREAMS)) < 2:
                await trio.sleep(0.05)
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
