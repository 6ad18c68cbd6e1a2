"""How fast what was missed comes back: rows from REST, and hashes from the log."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any, Final

import trio

from benching.feed.feeder import Feeder, Gone
from benching.measures.throughput import load, written
from benching.sides import PREFIX, SIDES, Place, started
from benching.turn import Turn, server

PAGE: Final = 1_000  # rows, as many as upstream gives at once
LIMIT: Final = 120.0  # s for `rebuild`


async def backfill(feeder: Feeder, rows: int) -> dict[str, float]:
    """Have a fresh bridge fetch so many rows; return rows a second.

    First with the pace at which it asks, out of politeness; then of what comes after
    the last page was asked for alone, when all of them are read and written.
    """
    async with server() as (running, client, folder):
        port = await feeder("listen")
        rest = await feeder("rest", rows, PAGE)
        place = Place(port, running.url, folder, rest=rest)
        async with started(SIDES["bridge"], place) as process:
            await written(client, place.key("events"), rows, process)
            now = time.perf_counter()
        # Not those of another look, which may follow.
        asked = (await feeder("asked"))[: -(-rows // PAGE)]
        await feeder("close")
    return {
        "rows_per_s": rows / (now - asked[0]),
        "rows_per_s_after_the_last_page": rows / (now - asked[-1]),
    }


async def rebuild(turn: Turn, entries: int) -> dict[str, float]:
    """Have each `latest` made anew from the log; return entries a second."""
    await load(turn, 0, entries)
    turn.process.terminate()
    await turn.process.wait()
    client: Any = turn.client
    stem = f"{PREFIX}:ratings"
    for symbol in client.zrange(f"{stem}:symbols", 0, -1):
        client.delete(f"{stem}:latest:{symbol.decode()}")
    held = client.xlen(turn.log)
    command = [sys.executable, "-P", "-m", "bzredis", "rebuild", "--stream", "ratings"]
    command += ["--redis", turn.place.redis, "--prefix", PREFIX]
    began = time.perf_counter()
    with trio.move_on_after(LIMIT) as limit:
        done = await trio.run_process(
            command,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    if limit.cancelled_caught:
        raise Gone(f"rebuild took over {LIMIT:.0f} s")
    took = time.perf_counter() - began
    if done.returncode:
        raise Gone(f"rebuild failed: {done.stderr.decode().strip()[-200:]}")
    return {"entries_per_s": held / took, "seconds": took}
