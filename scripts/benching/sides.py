"""What is measured: how each side is started, one entry each in SIDES."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import trio

from benching.feed.feeder import Gone
from benching.feed.frames import PATHS, Stream

PEERS: Final = Path(__file__).parent.parent / "bench_peers"
GOODBYE: Final = 10.0  # s from SIGTERM to SIGKILL
PREFIX: Final = "bz"
KEPT: Final = 20_000  # entries of the log, about: the default


@attrs.frozen
class Place:
    """Where a side finds upstream and Redis, and a folder of its own."""

    port: int
    redis: str
    folder: Path
    prefix: str = PREFIX
    streams: Sequence[Stream] = ("ratings",)
    rest: int = 0  # port; 0: none

    def key(self, name: str) -> str:
        return f"{self.prefix}:{self.streams[0]}:{name}"


@attrs.frozen
class Side:
    """A program, what it promises, and why it cannot be had here ("": it can)."""

    name: str
    about: str
    command: Callable[[Place], Sequence[str]]
    environ: Callable[[Place], Mapping[str, str]]
    lacks: Callable[[], str] = lambda: ""
    settles: float = 1.0  # s from its connection until it has nothing more to do


def _bridge(place: Place) -> list[str]:
    command = [sys.executable, "-P", "-m", "bzredis", "run"]
    for stream in place.streams:
        command += ["--stream", stream]
    command += ["--upstream", f"ws://127.0.0.1:{place.port}", "--redis", place.redis]
    command += ["--state-dir", str(place.folder / "state"), "--log-level", "warning"]
    command += ["--prefix", place.prefix, "--events-maxlen", str(KEPT)]
    if place.rest:
        return [*command, "--rest", f"http://127.0.0.1:{place.rest}"]
    return [*command, "--no-rest"]


def _peer(place: Place) -> dict[str, str]:
    return {
        "BENCH_UPSTREAM": f"ws://127.0.0.1:{place.port}{PATHS[place.streams[0]]}",
        "BENCH_REDIS": place.redis,
        "BENCH_PREFIX": f"{place.prefix}:{place.streams[0]}:",
        "BENCH_MAXLEN": str(KEPT),
    }


def _lacks_node() -> str:
    if not shutil.which("node"):
        return "there is no node here"
    lacking = [
        name
        for name in ("ws", "ioredis")
        if not (PEERS / "node_modules" / name / "package.json").exists()
    ]
    return f"npm's {' and '.join(lacking)} could not be installed" if lacking else ""


def _lacks_websockets() -> str:
    try:
        import websockets  # noqa: F401, PLC0415 - only to see whether it is there
    except ImportError:
        return "pip's websockets could not be installed"
    return ""


SIDES: Final = {
    side.name: side
    for side in (
        Side(
            "bridge",
            "bzredis run",
            _bridge,
            lambda _: {"BENZINGA_TOKEN": "bench"},
            settles=3.0,  # it has asked for a replay, and waits whether one comes
        ),
        Side(
            "equal",
            "Node, ws and ioredis, a Lua script a message: the same promises",
            lambda _: ["node", str(PEERS / "equal.js")],
            _peer,
            _lacks_node,
        ),
        Side(
            "plain",
            "Node, ws and ioredis, XADD and HSET: no promise",
            lambda _: ["node", str(PEERS / "plain.js")],
            _peer,
            _lacks_node,
        ),
        Side(
            "asyncio",
            "Python, websockets and redis.asyncio, XADD and HSET: no promise",
            lambda _: [sys.executable, "-P", str(PEERS / "plain.py")],
            _peer,
            _lacks_websockets,
        ),
    )
}


@asynccontextmanager
async def started(side: Side, place: Place) -> AsyncIterator[trio.Process]:
    """Run a side as a process of its own; it is gone at the end of the block."""
    place.folder.mkdir(parents=True, exist_ok=True)
    said = place.folder / "said.txt"
    with said.open("wb") as file:
        process = await trio.lowlevel.open_process(
            list(side.command(place)),
            env={**os.environ, **side.environ(place)},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        yield process
    except Gone as gone:
        words = said.read_text("utf-8", "replace").strip().rpartition("\n")[-1]
        raise Gone(f"{gone}; it said last: {words or 'nothing'}") from gone
    finally:
        with trio.CancelScope(shield=True):
            process.terminate()
            with trio.move_on_after(GOODBYE):
                await process.wait()
            process.kill()
            await process.wait()
