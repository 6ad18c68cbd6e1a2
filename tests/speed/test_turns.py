"""How many turns of the event loop lie between a frame's bytes and its script.

Each hop from one task to another is a turn, and at one event a time each is a wait.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from bridge.real.nights import LIMIT, QUICK, running, settled

from bzredis.commands import embedded
from bzredis.simulator import Settings, Simulator
from bzredis.store.wire import Line
from bzredis.upstream.transport import Wire

EVENTS: Final = 5
# From who reads the socket to who reads frames, and from there to the writer.
MOST: Final = 2


class Turns(trio.abc.Instrument):
    """Counts the turns of the loop."""

    count = 0

    def before_io_wait(self, _timeout: float) -> None:
        self.count += 1


async def test_a_frame_is_with_redis_within_two_turns(
    nursery: trio.Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = Turns()
    came: dict[bytes, int] = {}  # by the part of it that is seen: at which turn
    sent: dict[bytes, int] = {}
    read, send = Wire._read, Line.send

    async def reads(self: Wire, most: int | None) -> bytes:
        data = await read(self, most)
        note(came, data)
        return data

    async def sends(self: Line, words: Any, limit: float) -> None:
        note(sent, *(word for word in words if isinstance(word, bytes)))
        await send(self, words, limit)

    def note(where: dict[bytes, int], *parts: bytes) -> None:
        for envelope in awaited:
            if any(envelope in part for part in parts):
                where.setdefault(envelope, turns.count)

    monkeypatch.setattr(Wire, "_read", reads)
    monkeypatch.setattr(Line, "send", sends)
    awaited: list[bytes] = []
    upstream = Simulator(Settings(**QUICK), lambda: time.time() - 3_600)
    await nursery.start(upstream.serve)
    async with (
        embedded.running(tmp_path / "redis") as server,
        running(upstream, server, tmp_path) as bridge,
    ):
        await settled(bridge)
        trio.lowlevel.add_instrument(turns)
        for _ in range(EVENTS):
            [rating] = upstream.market.opine(upstream.clock())[:1]
            awaited.append(json.loads(rating.text)["id"].encode())
            upstream.broadcast(rating)
            with trio.fail_after(LIMIT):
                while len(sent) < len(awaited):
                    await trio.sleep(0.01)
        trio.lowlevel.remove_instrument(turns)
    found = [sent[envelope] - came[envelope] for envelope in awaited]
    assert len(found) == EVENTS
    # One may wait for a connection, where a status is on its way over the other.
    assert min(found) <= MOST, f"{found}: who hands it on to whom?"
