"""The streams in good health, over real sockets."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from bzredis.simulator import Settings, Simulator

Start = Callable[..., Awaitable[Simulator]]
Connect = Callable[..., AbstractAsyncContextManager[WebSocketConnection]]


@pytest.mark.parametrize("stream", ["ratings", "insights", "consensus"])
async def test_publishes_to_those_subscribed(
    start: Start, connect: Connect, stream: str
) -> None:
    simulator = await start()
    async with connect(simulator, stream) as socket:
        simulator.publish(stream, "anything at all: ünïcode")
        assert await socket.get_message() == "anything at all: ünïcode"
    assert list(simulator.sent) == [(stream, "anything at all: ünïcode")]


async def test_streams_are_apart(start: Start, connect: Connect) -> None:
    simulator = await start()
    async with (
        connect(simulator, "ratings") as ratings,
        connect(simulator, "consensus") as consensus,
    ):
        simulator.publish("consensus", "c")
        simulator.publish("ratings", "r")
        assert await ratings.get_message() == "r"
        assert await consensus.get_message() == "c"


async def test_greets_with_a_status(start: Start, connect: Connect) -> None:
    simulator = await start(status_frame=True)
    async with connect(simulator) as socket:
        status = json.loads(await socket.get_message())
    assert set(status) == {"type", "message"}


async def test_the_market_is_broadcast(start: Start, connect: Connect) -> None:
    simulator = await start(rate=300)  # as fast as a busy machine can make them too
    async with connect(simulator) as socket:
        frames = [await socket.get_message() for _ in range(100)]
    sent = [text for stream, text in simulator.sent if stream == "ratings"]
    first = sent.index(str(frames[0]))
    assert sent[first : first + 100] == frames


async def test_the_market_goes_on_while_nobody_listens(
    start: Start, connect: Connect
) -> None:
    simulator = await start(rate=500, replay_size=20)
    while len(simulator.sent) < 100:
        await trio.sleep(0.01)
    simulator.market.pace(0, simulator.clock())
    await trio.sleep(0.05)
    async with connect(simulator, "ratings") as socket:
        await socket.send_message("replay")
        frames = [await socket.get_message() for _ in range(20)]
    sent = [text for stream, text in simulator.sent if stream == "ratings"]
    assert frames == sent[-20:]


async def test_the_pace_can_be_changed(start: Start) -> None:
    simulator = await start()
    simulator.market.pace(1_000, simulator.clock())
    while not simulator.sent:
        await trio.sleep(0.01)


async def test_several_thousand_a_second(start: Start, connect: Connect) -> None:
    simulator = await start(rate=0)
    async with connect(simulator) as socket:
        now = simulator.clock()
        simulator.market.pace(3_000, now)
        simulator.advance(now + 1)
        simulator.market.pace(0, now)
        ratings = [text for stream, text in simulator.sent if stream == "ratings"]
        assert len(simulator.sent) == pytest.approx(3_000, rel=0.1)
        assert [await socket.get_message() for _ in ratings] == ratings


async def test_equal_seeds_send_equal_frames(nursery: trio.Nursery) -> None:
    sent = []
    for _ in range(2):
        simulator = Simulator(Settings(rate=0, seed=7, history=9), clock=lambda: 1.8e9)
        simulator.market.pace(50, 1.8e9)
        simulator.advance(1.8e9 + 3)
        sent.append(list(simulator.sent))
    assert sent[0] == sent[1] != []


async def test_scripted_market_events(start: Start, connect: Connect) -> None:
    simulator = await start()
    async with connect(simulator, "consensus") as socket:
        simulator.broadcast(*simulator.market.opine(simulator.clock(), "AAPL"))
        frame = json.loads(await socket.get_message())
    assert frame["data"]["unique_analyst_count"] >= 1


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["A", "T", "X", "?"]),
        ({"tickers": "aapl"}, ["A", "?"]),
        ({"tickers": "AAPL, T"}, ["A", "T", "X", "?"]),
        ({"tickers": "TSX:T"}, ["X", "?"]),
        ({"isins": "US0378331005,US00206R1023"}, ["A", "T", "?"]),
        ({"tickers": "AAPL", "isins": "US00206R1023"}, ["A", "T", "?"]),
    ],
)
async def test_filters(
    start: Start, connect: Connect, query: dict[str, str], found: list[str]
) -> None:
    simulator = await start()
    async with connect(simulator, **query) as socket:
        for symbol, text in (("AAPL", "A"), ("T", "T"), ("TSX:T", "X"), (None, "?")):
            simulator.publish("ratings", text, symbol)
        assert [await socket.get_message() for _ in found] == found


async def test_consensus_as_asked_for(start: Start, connect: Connect) -> None:
    simulator = await start(history=0, consensus_ticker=True)
    query = {"simplify": "true", "aggregate_type": "percentage"}
    async with connect(simulator, "consensus", **query) as socket:
        simulator.broadcast(*simulator.market.opine(simulator.clock(), "AAPL"))
        live = await socket.get_message()
        await socket.send_message("replay")
        assert await socket.get_message() == live
    data = json.loads(live)["data"]
    assert data["aggregate_type"] == "percentage"
    assert set(data["aggregate_ratings"]) <= {"buy", "hold", "sell"}
    assert data["ticker"] == "AAPL"


async def test_text_commands(start: Start, connect: Connect) -> None:
    simulator = await start(history=0)
    async with connect(simulator) as socket:
        await socket.send_message("ping")
        assert await socket.get_message() == "pong"
        await socket.send_message("dance")
        error = json.loads(await socket.get_message())
    assert error["type"] == "error"
    assert set(error) == {"type", "message", "params"}
    assert list(simulator.heard) == [("ratings", "ping"), ("ratings", "dance")]


async def test_pings_and_drops_who_does_not_answer(
    start: Start, nursery: trio.Nursery
) -> None:
    simulator = await start(ping_interval=0.02, pong_limit=0.05, linger=0)
    async with await trio.open_tcp_stream("127.0.0.1", simulator.port) as stream:
        await stream.send_all(
            b"GET /api/v2.1/calendar/ratings/stream?token=s3cret HTTP/1.1\r\n"
            b"Host: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        received = b""
        with trio.fail_after(20):
            while data := await stream.receive_some():
                received += data
    head, frames = received.split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    assert frames[:1] == b"\x89"


async def test_who_answers_stays(start: Start, connect: Connect) -> None:
    simulator = await start(ping_interval=0.01, pong_limit=2)
    async with connect(simulator) as socket:
        await trio.sleep(2.5)  # who does not answer is gone by then
        simulator.publish("ratings", "still here")
        assert await socket.get_message() == "still here"
        # trio-websocket's client fails where a PING meets its close frame, so that
        # the server closes here.
        simulator.close("ratings")
        with pytest.raises(ConnectionClosed):
            await socket.get_message()


async def test_who_does_not_read_is_dropped_and_others_are_not_held_up(
    start: Start, connect: Connect
) -> None:
    simulator = await start(queue_size=200)
    async with (
        connect(simulator, "insights") as reader,
        await trio.open_tcp_stream("127.0.0.1", simulator.port) as lazy,
    ):
        await lazy.send_all(
            b"GET /api/v2.1/calendar/ratings/stream?token=s3cret HTTP/1.1\r\n"
            b"Host: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        while not simulator.connections("ratings"):
            await trio.sleep(0.001)
        while simulator.connections("ratings"):
            for _ in range(50):
                simulator.publish("ratings", "x" * 50_000)
            simulator.publish("insights", "quick")
            assert await reader.get_message() == "quick"


async def test_serves_again_on_the_same_port(nursery: trio.Nursery) -> None:
    simulator = Simulator(Settings(rate=0, history=0))
    ports = []
    for _ in range(2):
        async with trio.open_nursery() as life:
            ports.append(await life.start(simulator.serve))
            life.cancel_scope.cancel()
    assert ports[0] == ports[1] == simulator.port


async def test_no_token_is_ever_logged(
    start: Start, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    simulator = await start()
    with (
        caplog.at_level(logging.DEBUG),
        caplog.at_level(logging.DEBUG, "trio-websocket"),
    ):
        async with connect(simulator) as socket:
            simulator.publish("ratings", "x")
            await socket.get_message()
    lines = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("server-") for line in lines)
    assert not [line for line in lines if "s3cret" in line]
    assert "s3cret" not in repr(simulator.settings)
    assert "s3cret" not in repr(simulator)


async def test_a_client_that_leaves_is_forgotten(
    start: Start, connect: Connect
) -> None:
    simulator = await start()
    async with connect(simulator) as socket:
        await socket.aclose()
        with pytest.raises(ConnectionClosed):
            await socket.get_message()
    while simulator.connections("ratings"):
        await trio.sleep(0.001)
    simulator.publish("ratings", "to nobody")
