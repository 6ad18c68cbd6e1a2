"""What can happen while no bridge runs, and how Redis has to stand after it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any

import trio

from bzredis.bridge.bridge import Bridge, Line
from bzredis.commands import embedded
from bzredis.commands.run import assemble
from bzredis.messages.direction import direction
from bzredis.messages.times import published
from bzredis.settings.addresses import Origin, redis_url
from bzredis.settings.config import Config
from bzredis.simulator import Simulator
from bzredis.simulator.market.records import Insight, Published, Rating, updated
from bzredis.simulator.server.rest import rating_row
from bzredis.store.client import Store
from bzredis.streams.ratings import price_target_change

LIMIT = 60.0  # s for anything that is waited for, on a busy machine too
FAST = 500.0  # requests a second
QUICK: dict[str, Any] = {"rate": 0.0, "history": 60, "rest_limit": 1_000_000}
STREAMS = ("ratings", "insights")


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
        redis=(redis_url(server.url),),
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


async def settled(bridge: Bridge) -> None:
    """Wait until nothing is missing, and Redis has all that was read."""
    with trio.fail_after(LIMIT):
        for line in bridge.lines:
            if line.intake.stream.name in STREAMS:
                while not is_whole(line):
                    await trio.sleep(0.02)


def is_whole(line: Line) -> bool:
    holes = line.intake.holes
    is_over = holes.is_connected and holes.counts and holes._replayed is not None
    return is_over and not (holes.coverage.holes or len(line.backlog))


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
        "_published": published(str(content["date"]), str(content.get("time", ""))),
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
