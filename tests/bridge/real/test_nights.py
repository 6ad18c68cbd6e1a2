"""Nights without a bridge, over real sockets: the simulator, REST, a real server."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio
from bridge.real.nights import (
    LIMIT,
    QUICK,
    STREAMS,
    entries,
    live,
    night,
    no_duplicates,
    record_of,
    running,
    same_as,
    settled,
)

from bzredis.commands import embedded
from bzredis.simulator import Settings, Simulator
from bzredis.simulator.market.book import BY_SYMBOL
from bzredis.simulator.market.records import Insight, Rating


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
        await settled(bridge)
    for stream in STREAMS:
        same_as(upstream, client, stream)
    news = night(upstream, 500, seconds, seed)
    async with running(upstream, server, tmp_path, timeline_length=500) as bridge:
        await settled(bridge)
        counted = sum(line.intake.status.fetched for line in bridge.lines)
    for stream in STREAMS:
        same_as(upstream, client, stream)
        no_duplicates(client, stream)
        assert not entries(client, stream, "gap")
        status = client.hgetall(f"bz:{stream}:status")
        assert int(status["fetched"]) > 0
        assert status["gaps"] == status["rejected"] == "0"
        assert "error" not in status
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
        await settled(bridge)
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
        await settled(bridge)
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
            await settled(bridge)
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
            while not all(line.intake.holes.is_connected for line in bridge.lines):
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
        await settled(bridge)
    for stream in STREAMS:
        found = {
            key.rpartition(":")[2]
            for key in client.scan_iter(f"bz:{stream}:record:*")
            if client.hget(key, "_symbol") == "AAPL"
        }
        assert found == of_the_watch_list(upstream, stream, {"AAPL"})
        assert set(client.zrange(f"bz:{stream}:symbols", 0, -1)) == {"AAPL"}
        assert not entries(client, stream, "gap")
