"""What can go wrong once a stream is open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest
import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
)

from bzredis.simulator import Simulator
from bzredis.simulator.faults import HALF_FRAME, INVALID_UTF8, RESERVED_BITS

Start = Callable[..., Awaitable[Simulator]]
Connect = Callable[..., AbstractAsyncContextManager[WebSocketConnection]]


async def end(socket: WebSocketConnection) -> int:
    """Read to the end and return the code that the client gave it."""
    with pytest.raises(ConnectionClosed) as caught:  # noqa: PT012 - whichever read it is
        while True:
            await socket.get_message()
    assert caught.value.reason is not None
    return caught.value.reason.code


@pytest.mark.parametrize("reset", [False, True])
async def test_a_bare_drop(start: Start, connect: Connect, reset: bool) -> None:  # noqa: FBT001 - a case
    simulator = await start()
    async with connect(simulator) as socket:
        simulator.drop("ratings", reset=reset)
        assert await end(socket) == 1006
    while simulator.connections("ratings"):
        await trio.sleep(0.001)
    simulator.drop("ratings", reset=reset)


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 4000])
async def test_a_close_with_a_code_comes_after_what_was_sent(
    start: Start, connect: Connect, code: int
) -> None:
    simulator = await start(linger=60)
    async with connect(simulator) as socket:
        simulator.publish("ratings", "last words")
        simulator.close("ratings", code)
        assert await socket.get_message() == "last words"
        assert await end(socket) == code
    while simulator.connections("ratings"):
        await trio.sleep(0.001)
    async with connect(simulator):  # a clean end: the slot is free
        pass


async def test_a_close_that_the_client_does_not_answer(
    start: Start, connect: Connect
) -> None:
    simulator = await start(close_limit=0.05)
    async with await trio.open_tcp_stream("127.0.0.1", simulator.port) as stream:
        await upgrade(stream)
        await stream.receive_some()
        while not simulator.connections("ratings"):
            await trio.sleep(0.001)
        simulator.close("ratings")
        received = b""
        while data := await stream.receive_some():
            received += data
    assert received == b"\x88\x02\x03\xe8"


async def upgrade(stream: trio.SocketStream) -> None:
    await stream.send_all(
        b"GET /api/v2.1/calendar/ratings/stream?token=s3cret HTTP/1.1\r\n"
        b"Host: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )


async def test_frozen_means_silent_deaf_and_not_closed(
    start: Start, connect: Connect
) -> None:
    simulator = await start(ping_interval=0.02, pong_limit=1)
    async with connect(simulator) as socket:
        simulator.freeze("ratings")
        simulator.publish("ratings", "unheard")
        await socket.send_message("ping")
        with trio.move_on_after(1.2) as silence:
            await socket.get_message()
        assert silence.cancelled_caught
        assert simulator.connections("ratings")
        assert list(simulator.heard) == []
        with trio.move_on_after(0.05):
            await socket.aclose()
    while simulator.connections("ratings"):
        await trio.sleep(0.001)
    await trio.sleep(0.1)  # the slot lingers
    async with connect(simulator) as socket:
        simulator.publish("ratings", "heard")
        assert await socket.get_message() == "heard"


async def test_half_open_from_the_start(start: Start, connect: Connect) -> None:
    simulator = await start(status_frame=True)
    simulator.faults["ratings"].half_open = True
    async with connect(simulator) as socket:
        with trio.move_on_after(0.1) as silence:
            await socket.get_message()
        with trio.move_on_after(0.05):
            await socket.aclose()
    assert silence.cancelled_caught


async def test_a_close_is_never_answered(start: Start, connect: Connect) -> None:
    simulator = await start()
    simulator.faults["ratings"].ignore_close = True
    async with connect(simulator) as socket:
        with trio.move_on_after(0.1) as waited:
            await socket.aclose()
        assert waited.cancelled_caught
    while simulator.connections("ratings"):
        await trio.sleep(0.001)
    await trio.sleep(0.1)  # the slot lingers
    simulator.faults["ratings"].ignore_close = False
    async with connect(simulator):
        pass


async def test_a_close_ignored_until_the_server_stops(
    connect: Connect, start: Start
) -> None:
    simulator = await start()
    simulator.faults["ratings"].ignore_close = True
    stream = await trio.open_tcp_stream("127.0.0.1", simulator.port)
    await upgrade(stream)
    await stream.receive_some()
    await stream.send_all(b"\x88\x82\x00\x00\x00\x00\x03\xe8")
    with trio.move_on_after(0.1) as silence:
        await stream.receive_some()
    assert silence.cancelled_caught
    stream.socket.close()


async def test_our_own_close_is_swallowed_too(start: Start, connect: Connect) -> None:
    simulator = await start(close_limit=0.02)
    simulator.faults["ratings"].ignore_close = True
    async with connect(simulator) as socket:
        simulator.close("ratings")
        assert await end(socket) == 1006


async def test_the_first_text_ends_it(start: Start, connect: Connect) -> None:
    simulator = await start()
    simulator.faults["ratings"].drop_at_text = True
    async with connect(simulator) as socket:
        await socket.send_message("ping")
        assert await end(socket) == 1006


async def test_pings_may_be_ignored(start: Start, connect: Connect) -> None:
    simulator = await start()
    simulator.faults["ratings"].ignore_ping = True
    async with connect(simulator) as socket:
        await socket.send_message("ping")
        await socket.send_message("?")
        assert "error" in str(await socket.get_message())


@pytest.mark.parametrize("data", [INVALID_UTF8, RESERVED_BITS])
async def test_raw_bytes_come_after_what_was_sent(
    start: Start, connect: Connect, data: bytes
) -> None:
    simulator = await start()
    async with connect(simulator) as socket:
        simulator.publish("ratings", "fine")
        simulator.send_raw("ratings", data)
        assert await socket.get_message() == "fine"
        assert await end(socket) in {1002, 1006, 1007}


async def test_half_a_frame_then_nothing(start: Start, connect: Connect) -> None:
    simulator = await start()
    async with connect(simulator) as socket:
        simulator.send_raw("ratings", HALF_FRAME, cut=True)
        assert await end(socket) == 1006


async def test_a_client_that_speaks_nonsense(start: Start, connect: Connect) -> None:
    simulator = await start()
    async with await trio.open_tcp_stream("127.0.0.1", simulator.port) as stream:
        await upgrade(stream)
        await stream.receive_some()
        await stream.send_all(b"\xff" * 64)
        with trio.fail_after(20):
            while await stream.receive_some():
                pass
    while simulator.connections("ratings"):
        await trio.sleep(0.001)
    await trio.sleep(0.1)
    async with connect(simulator):
        pass
