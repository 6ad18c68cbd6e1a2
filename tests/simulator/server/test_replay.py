"""What ``replay`` brings back."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import trio
from trio_websocket import WebSocketConnection

from bzredis.simulator import Simulator

Start = Callable[..., Awaitable[Simulator]]
Connect = Callable[..., AbstractAsyncContextManager[WebSocketConnection]]


async def replayed(socket: WebSocketConnection) -> list[str]:
    """Ask for the replay, and take what comes before the pong that ends it."""
    await socket.send_message("replay")
    await socket.send_message("ping")
    frames: list[str] = []
    while (frame := str(await socket.get_message())) != "pong":
        frames.append(frame)
    return frames


async def test_right_after_the_start_there_is_a_past(
    start: Start, connect: Connect
) -> None:
    simulator = await start(history=300)
    for stream in ("ratings", "insights", "consensus"):
        async with connect(simulator, stream) as socket:
            frames = await replayed(socket)
        assert len(frames) == 100
        assert len({json.loads(frame)["id"] for frame in frames}) == 100


async def test_the_same_text_comes_again(start: Start, connect: Connect) -> None:
    simulator = await start(history=0, replay_size=3)
    for n in range(5):
        simulator.publish("ratings", f"frame {n}")
    async with connect(simulator) as socket:
        for _ in range(2):
            assert await replayed(socket) == ["frame 2", "frame 3", "frame 4"]


async def test_a_cache_of_nothing(start: Start, connect: Connect) -> None:
    simulator = await start(replay_size=0)
    async with connect(simulator) as socket:
        assert await replayed(socket) == []


async def test_filters_apply(start: Start, connect: Connect) -> None:
    simulator = await start(history=0)
    simulator.publish("ratings", "a", "AAPL")
    simulator.publish("ratings", "t", "T")
    async with connect(simulator, tickers="T") as socket:
        assert await replayed(socket) == ["t"]


async def test_new_envelope_ids(start: Start, connect: Connect) -> None:
    simulator = await start(history=0, replay_new_ids=True)
    texts = [
        '{"id":"abc","data":{"id":"r1"}}',
        '{"data":{"id":"r2"}}',
        "[]",
        "no json",
    ]
    for text in texts:
        simulator.publish("ratings", text)
    simulator.broadcast(*simulator.market.opine(simulator.clock(), "AAPL"))
    async with connect(simulator) as socket:
        first, *others, rating = await replayed(socket)
    frame = json.loads(first)
    assert frame["id"] != "abc"
    assert frame["data"] == {"id": "r1"}
    assert others == texts[1:]
    original = json.loads(simulator.sent[-2][1])
    again = json.loads(rating)
    assert again.pop("id") != original.pop("id")
    assert again == original
    async with connect(simulator, "consensus", simplify="true") as socket:
        [consensus] = await replayed(socket)
    assert set(json.loads(consensus)["data"]["aggregate_ratings"]) <= {
        "buy",
        "hold",
        "sell",
    }
    assert json.loads(consensus)["id"] != json.loads(simulator.sent[-1][1])["id"]


async def test_ignored(start: Start, connect: Connect) -> None:
    simulator = await start()
    simulator.faults["ratings"].ignore_replay = True
    async with connect(simulator) as socket:
        assert await replayed(socket) == []


async def test_with_live_messages_in_between(start: Start, connect: Connect) -> None:
    simulator = await start(history=0)
    for text in ("1", "2", "3"):
        simulator.publish("ratings", text)
    simulator.faults["ratings"].during_replay = ["live a", "live b"]
    async with connect(simulator) as socket:
        assert await replayed(socket) == ["1", "live a", "2", "live b", "3"]
        assert await replayed(socket) == ["1", "2", "3", "live a", "live b"]


async def test_without_end(start: Start, connect: Connect) -> None:
    simulator = await start(history=0, queue_size=5)
    simulator.publish("ratings", "1", "AAPL")
    simulator.publish("ratings", "2", "T")
    faults = simulator.faults["ratings"]
    faults.endless_replay = True
    async with connect(simulator, tickers="AAPL") as socket:
        await socket.send_message("replay")
        assert {await socket.get_message() for _ in range(500)} == {"1"}
    async with connect(simulator, "insights") as socket:
        assert simulator.connections("insights")
    await trio.sleep(0.15)
    async with connect(simulator) as socket:
        await socket.send_message("replay")
        assert await socket.get_message() == "1"
        faults.endless_replay = False
        await socket.send_message("ping")
        while await socket.get_message() != "pong":
            pass
