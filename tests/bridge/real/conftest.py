"""The simulator with its REST, and a real server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import trio
from bridge.real.nights import QUICK

from bzredis.bridge import coverage
from bzredis.commands import embedded
from bzredis.simulator import Settings, Simulator


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask REST at once: it has what the stream sent."""
    monkeypatch.setattr(coverage, "REST_HAS", 0.5)


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
