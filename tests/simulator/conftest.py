"""A quick simulator on a loopback port, and clients of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from bzredis.simulator import Settings, Simulator

TOKEN = "s3cret"
PATHS = {
    "ratings": "/api/v2.1/calendar/ratings/stream",
    "insights": "/api/v1/analyst/insights/stream",
    "consensus": "/api/v1/consensus-ratings/stream",
}
QUICK: dict[str, Any] = {
    "token": TOKEN,
    "rate": 0.0,
    "history": 40,
    "status_frame": False,
    "refusal_delay": 0.02,
    "linger": 0.1,
    "close_limit": 0.2,
    "rest_limit": 1_000,
}

Start = Callable[..., Awaitable[Simulator]]
Connect = Callable[..., AbstractAsyncContextManager[WebSocketConnection]]


async def alarm() -> None:
    """Let no test hang, since virtual time cannot be had with real sockets."""
    await trio.sleep(60)
    raise trio.TooSlowError


@pytest.fixture
def start(nursery: trio.Nursery) -> Start:
    """Give a function that starts a simulator with settings other than QUICK's."""

    async def started(**changes: object) -> Simulator:
        nursery.start_soon(alarm)
        simulator = Simulator(Settings(**QUICK | changes))
        await nursery.start(simulator.serve)
        return simulator

    return started


@pytest.fixture
def connect() -> Connect:
    """Give a context manager that connects to a stream, with the token if none."""

    @asynccontextmanager
    async def connected(
        simulator: Simulator, stream: str = "ratings", **query: str
    ) -> AsyncIterator[WebSocketConnection]:
        path = f"{PATHS.get(stream, stream)}?{urlencode({'token': TOKEN} | query)}"
        # The transport is ours to close: trio-websocket leaves it open at times.
        wire = await trio.open_tcp_stream("127.0.0.1", simulator.port)
        async with wire, trio.open_nursery() as nursery:
            socket = await wrap_client_stream(
                nursery, wire, "localhost", path, message_queue_size=1_000
            )
            while stream in PATHS and not simulator.connections(stream):
                await trio.sleep(0.001)
            yield socket
            with trio.move_on_after(1):
                await socket.aclose()
            nursery.cancel_scope.cancel()

    return connected


@pytest.fixture
def client() -> Callable[[Simulator], httpx.AsyncClient]:
    """Give a REST client that has the key in its header and wants JSON."""

    def made(simulator: Simulator) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{simulator.port}",
            headers={"Authorization": f"token {TOKEN}", "Accept": "application/json"},
            trust_env=False,
        )

    return made
