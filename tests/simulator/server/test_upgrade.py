"""Who is let in, and what the others are told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest
import trio
from trio_websocket import ConnectionRejected, WebSocketConnection

from bzredis.simulator import Refusal, Simulator
from bzredis.simulator.faults import RING_BALANCER

Start = Callable[..., Awaitable[Simulator]]
Connect = Callable[..., AbstractAsyncContextManager[WebSocketConnection]]


async def refused(
    connect: Connect, simulator: Simulator, stream: str = "ratings", **query: str
) -> ConnectionRejected:
    with pytest.RaisesGroup(ConnectionRejected) as caught:
        async with connect(simulator, stream, **query):
            pass
    [rejection] = caught.value.exceptions
    assert isinstance(rejection, ConnectionRejected)
    return rejection


@pytest.mark.parametrize("token", ["wrong", ""])
async def test_a_wrong_or_missing_token(
    start: Start, connect: Connect, token: str
) -> None:
    simulator = await start()
    rejection = await refused(connect, simulator, token=token)
    assert rejection.status_code == 401
    assert b"auth_failed" in (rejection.body or b"")


async def test_forbidden_streams(start: Start, connect: Connect) -> None:
    simulator = await start(forbidden=frozenset({"insights"}))
    assert (await refused(connect, simulator, "insights")).status_code == 403
    async with connect(simulator, "ratings"):
        pass


async def test_unknown_paths(start: Start, connect: Connect) -> None:
    simulator = await start()
    assert (await refused(connect, simulator, "/api/v1/news/stream")).status_code == 404


async def test_one_connection_per_stream(start: Start, connect: Connect) -> None:
    simulator = await start(refusal_delay=0.1)
    async with connect(simulator) as first:
        began = trio.current_time()
        rejection = await refused(connect, simulator)
        assert trio.current_time() - began >= 0.1
        assert (rejection.status_code, rejection.body) == (429, b"")
        async with connect(simulator, "insights"):
            simulator.publish("ratings", "the first stays up")
            assert await first.get_message() == "the first stays up"
    statuses = [(a.stream, a.status) for a in simulator.attempts]
    assert statuses == [("ratings", 101), ("ratings", 429), ("insights", 101)]


async def test_a_clean_close_frees_the_slot_at_once(
    start: Start, connect: Connect
) -> None:
    simulator = await start(linger=60)
    for _ in range(3):
        async with connect(simulator):
            pass
        while simulator.connections("ratings"):
            await trio.sleep(0.001)


async def test_the_slot_lingers_after_an_unclean_drop(
    start: Start, connect: Connect
) -> None:
    simulator = await start(linger=60)
    async with connect(simulator):
        simulator.drop("ratings")
    assert (await refused(connect, simulator)).status_code == 429


async def test_it_lingers_for_a_while_only(start: Start, connect: Connect) -> None:
    simulator = await start(linger=0.15)
    async with connect(simulator):
        simulator.drop("ratings")
    while simulator.connections("ratings"):
        await trio.sleep(0.001)
    await trio.sleep(0.15)
    async with connect(simulator):
        pass


async def test_refusals_one_by_one_then_for_good(
    start: Start, connect: Connect
) -> None:
    simulator = await start()
    faults = simulator.faults["ratings"]
    faults.refusals = [Refusal(502), RING_BALANCER]
    assert (await refused(connect, simulator)).status_code == 502
    rejection = await refused(connect, simulator)
    assert rejection.status_code == 503
    assert b"ring-balancer" in (rejection.body or b"")
    async with connect(simulator) as socket:
        await socket.aclose()
    faults.refuse = Refusal(500, b"<h1>no</h1>", "text/html")
    for _ in range(2):
        assert (await refused(connect, simulator)).status_code == 500


async def test_hanging_up(start: Start, connect: Connect) -> None:
    simulator = await start()
    simulator.faults["ratings"].hang_up = True
    async with await trio.open_tcp_stream("127.0.0.1", simulator.port) as stream:
        await stream.send_all(
            b"GET /api/v2.1/calendar/ratings/stream?token=s3cret HTTP/1.1\r\n"
            b"Host: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        )
        assert await stream.receive_some() == b""
    assert simulator.attempts[-1].status == 0


async def test_holding(start: Start, connect: Connect) -> None:
    simulator = await start()
    simulator.faults["ratings"].hold = True
    with trio.move_on_after(1) as waited:
        async with connect(simulator):
            pass
    assert waited.cancelled_caught
    simulator.faults["ratings"].hold = False
    async with connect(simulator):
        pass


async def test_an_upgrade_that_is_none(start: Start) -> None:
    simulator = await start(linger=0)
    async with await trio.open_tcp_stream("127.0.0.1", simulator.port) as stream:
        await stream.send_all(
            b"GET /api/v2.1/calendar/ratings/stream?token=s3cret HTTP/1.1\r\n"
            b"Host: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        )
        answer = b""
        while data := await stream.receive_some():
            answer += data
    assert b"101" not in answer.split(b"\r\n")[0]


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n", b"", b"GET"])
async def test_what_is_no_http(start: Start, connect: Connect, data: bytes) -> None:
    simulator = await start()
    async with await trio.open_tcp_stream("127.0.0.1", simulator.port) as stream:
        if data:
            await stream.send_all(data)
        await stream.send_eof()
        assert await stream.receive_some() == b""
    async with connect(simulator):
        pass
