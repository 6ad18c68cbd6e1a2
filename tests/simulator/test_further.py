"""Streams besides the three: what happens in them, and how REST tells of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import Any, Final

import httpx
import pytest
import trio
from trio_websocket import WebSocketConnection

from bzredis.simulator import Further, Simulator
from bzredis.simulator.further import KEPT, Sideline

Start = Callable[..., Awaitable[Simulator]]
Connect = Callable[..., AbstractAsyncContextManager[WebSocketConnection]]
Client = Callable[[Simulator], httpx.AsyncClient]

NOW: Final = 1_795_000_000.0


def make(rng: Random, _: float) -> dict[str, object]:
    ticker, exchange = rng.choice((("AAPL", "NASDAQ"), ("T", "TSX"), ("ODD", "XYZ")))
    return {"ticker": ticker, "exchange": exchange, "says": rng.randint(0, 10**9)}


DEALS: Final = Further(
    "deals", "/api/v1/deals/stream", make, "deal", "/api/v1/deals", "deals", "deals"
)


def data_of(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)["data"]
    return found


def test_equal_seeds_make_equal_streams() -> None:
    def told(seed: int) -> list[str]:
        return [each.text for each in Sideline(DEALS, seed).past(NOW, 300, 9_000)]

    assert told(1) == told(1)
    assert told(1) != told(2)
    other = Further("other", "/x", make)
    seen = [each.text for each in Sideline(other, 1).past(NOW, 300, 9_000)]
    assert [data_of(text)["id"] for text in seen] != [
        data_of(text)["id"] for text in told(1)
    ]


def test_records_come_are_revised_and_go() -> None:
    line = Sideline(DEALS)
    said = [each for each in line.past(NOW, 2_000, 9_000) if each.at < NOW]
    actions = Counter(data_of(each.text)["action"].lower() for each in said)
    assert actions["created"] > actions["updated"] > actions["deleted"] > 20
    whose: dict[str, tuple[str, str]] = {}
    for each in said:
        data = data_of(each.text)
        content = data.get("content")
        if content is None:
            assert data["action"].lower() == "deleted"
            continue
        assert content["id"] == data["id"]
        assert content["updated"] == int(each.at)
        about = content["ticker"], content["exchange"]
        assert whose.setdefault(data["id"], about) == about
        symbol = each.company.symbol if each.company else ""
        assert symbol == {"AAPL": "AAPL", "T": "TSX:T", "ODD": ""}[about[0]]
    assert {*line.live} == {*whose} - {*line.gone}


def test_a_long_run_stays_small() -> None:
    line = Sideline(DEALS)
    for number in range(KEPT + 500):
        line.say(NOW + number)
    assert len(line.live) == KEPT


def test_it_keeps_its_pace() -> None:
    line = Sideline(DEALS)
    line.pace(2.0, NOW)
    assert 150 < len([*line.advance(NOW + 100)]) < 250
    line.pace(0, NOW + 100)
    assert [*line.advance(NOW + 10_000)] == []
    silent = Sideline(Further("quiet", "/x"))
    silent.pace(2.0, NOW)
    assert [*silent.advance(NOW + 100)] == [*silent.past(NOW, 9, 9)] == []


async def test_its_stream_is_there_with_filters_and_replay(
    start: Start, connect: Connect
) -> None:
    simulator = await start(further=(DEALS,), history=60)
    with trio.fail_after(60):
        for query, wanted in (({"tickers": "AAPL"}, "AAPL ODD"), ({}, "AAPL ODD T")):
            async with connect(simulator, DEALS.path, **query) as client:
                await client.send_message("replay")
                await client.send_message("ping")
                found = []
                while (text := str(await client.get_message())) != "pong":
                    content = data_of(text).get("content", {})
                    found.append(content.get("ticker", "ODD"))
                assert {*found} == {*wanted.split()}
            await trio.sleep(0.2)  # the slot is free again
    assert simulator.faults["deals"].refuse is None


async def test_rest_has_its_rows_and_what_went(start: Start, client: Client) -> None:
    simulator = await start(further=(DEALS,), history=0)
    line, now = simulator.sidelines["deals"], simulator.clock()
    for number in range(5):
        simulator.broadcast(*line.say(now + number))
    first, *others = line.live
    simulator.broadcast(line.retract(now + 9, first))
    async with client(simulator) as http:
        rows = (await http.get(DEALS.rows, params={"pagesize": 3})).json()["deals"]
        assert [row["id"] for row in rows] == others[:0:-1][:3]
        late = {"parameters[updated]": int(now + 4)}
        rows = (await http.get(DEALS.rows, params=late)).json()["deals"]
        assert [row["id"] for row in rows] == others[-1:]
        at_home = {"parameters[tickers]": "XYZ:ODD,NASDAQ:AAPL,T"}
        rows = (await http.get(DEALS.rows, params=at_home)).json()["deals"]
        assert len(rows) == 4
        none = await http.get(DEALS.rows, params={"parameters[tickers]": "MSFT"})
        assert none.json() == []
        removed = "/api/v2.1/calendar-removed/"
        gone = (await http.get(removed, params={"type": "deals"})).json()["removed"]
        assert gone == [{"id": first, "type": "deals", "updated": int(now + 9)}]
        assert (await http.get(removed)).json() == {"removed": []}
        simulator.rest_faults["deals"].wrong_type = True
        assert (await http.get(DEALS.rows)).json()["deals"][0] == "no record"
    assert len(simulator.asked("deals")) == 5


@pytest.mark.parametrize("rate", [0.0, 40.0])
async def test_they_share_the_rate(start: Start, rate: float) -> None:
    others = tuple(Further(f"s{n}", f"/s{n}", make) for n in range(2))
    simulator = await start(further=others, rate=rate, history=0)
    simulator.advance(simulator.clock() + 100)
    count = Counter(stream for stream, _ in simulator.sent)
    if not rate:
        assert not count
        return
    assert 3_300 < count.total() < 4_700
    assert 600 < count["s0"] < 1_000
