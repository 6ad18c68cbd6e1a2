"""Measure the board under load: how far pages are behind, and what it costs.

A simulator, a bridge and a board, each a process of its own, on a server of their own.
Pages are what a browser asks: overviews with their news, symbols and watch-lists that
are read again when something changed. At last the bridge is killed, and it is measured
when that is seen.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import attrs
import httpx
import trio

from bzredis.commands import embedded
from bzredis.reader import Reader, StreamName

STREAMS: Final[tuple[StreamName, ...]] = ("ratings", "insights", "consensus")
ROW: Final = re.compile(r'id="n-[a-z]+-(\d+)-\d+"')
EVENTS: Final = re.compile(r'data-events="([^"]*)"')
SYMBOLS: Final = (
    "NVDA",
    "AMZN",
    "META",
    "XOM",
    "IBM",
    "PFE",
    "DIS",
    "UBER",
    "JPM",
    "F",
)
AGAIN: Final = 1.0  # s between two readings of a page, as board.js has it
PATIENCE: Final = 60.0  # s until anything has to be there


@contextmanager
def process(
    *words: str, folder: Path, **environ: str
) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-P", "-m", "bzredis", *words]
    surroundings = {**os.environ, "HOME": str(folder), **environ}
    with (folder / f"{words[0]}.log").open("wb") as said:
        made = subprocess.Popen(command, env=surroundings, stdout=said, stderr=said)
    try:
        yield made
    finally:
        made.terminate()
        try:
            made.wait(10)
        except subprocess.TimeoutExpired:
            made.kill()
            made.wait()


@attrs.define
class Measured:
    """What was seen on the pages."""

    behind: list[float] = attrs.field(factory=list)  # s, of each row when it came
    reads: list[float] = attrs.field(factory=list)  # s that a page took
    rows: int = 0
    reloads: int = 0
    stale: float = 0.0  # when a page said so


async def page(client: httpx.AsyncClient, path: str, seen: Measured) -> None:
    """Be an open page."""
    html = (await client.get(path)).text
    events = EVENTS.findall(html)[0].replace("&amp;", "&")
    read_at = 0.0
    async with client.stream("GET", events) as answer:
        name = ""
        async for line in answer.aiter_lines():
            key, _, text = line.partition(": ")
            if key == "event":
                name = text
            elif key == "data":
                now = time.time()
                if name == "rows":
                    found = ROW.findall(text)
                    seen.rows += len(found)
                    seen.behind += [now - int(ms) / 1000 for ms in found]
                elif name == "strip" and text.count("state stale") == len(STREAMS):
                    seen.stale = seen.stale or now
                elif name == "reload":
                    seen.reloads += 1
                elif name == "changed" and trio.current_time() - read_at > AGAIN:
                    read_at = begin = trio.current_time()
                    (await client.get(path)).raise_for_status()
                    seen.reads.append(trio.current_time() - begin)


def bridge_lag(reader: Reader) -> list[float]:
    """Return by how many s entries were in Redis after the bridge had read them."""
    found = []
    for name in STREAMS:
        for one in reader.recent(name, 2_000):
            if one.received and getattr(one, "source", "") == "live":
                ms = int(one.id.partition("-")[0])
                found.append(ms / 1000 - one.received.timestamp())
    return found


def told(what: str, found: list[float]) -> str:
    if len(found) < 2:  # noqa: PLR2004
        return f"{what}: nothing was seen"
    cuts = quantiles(found, n=100)
    numbers = (
        f"median {median(found):.3f} s, 99 % {cuts[98]:.3f} s, most {max(found):.3f} s"
    )
    return f"{what}: {numbers} ({len(found):,})"


def memory(pid: int) -> float:
    """Return the MB that a process holds."""
    text = Path(f"/proc/{pid}/status").read_text()
    [kb] = re.findall(r"VmRSS:\s+(\d+)", text)
    return int(kb) / 1024


def took(pid: int) -> float:
    """Return the s of a processor that a process took so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def until(holds: Any) -> None:
    with trio.fail_after(PATIENCE):
        while not holds():  # noqa: ASYNC110 - another process does it
            await trio.sleep(0.2)


async def measure(pages: int, rate: float, seconds: float, folder: Path) -> bool:
    async with embedded.running(folder / "redis", embedded.free_port()) as server:
        with ExitStack() as stack:
            port, board_port = embedded.free_port(), embedded.free_port()
            stack.enter_context(
                process(
                    "simulate", "--port", str(port), f"--rate={rate}", folder=folder
                )
            )
            log = folder / "simulate.log"
            await until(lambda: "its token is" in log.read_text())
            [token] = re.findall(r"its token is (\S+)", log.read_text())
            at = ["--redis", server.url]
            bridge = stack.enter_context(
                process(
                    *("run", "--upstream", f"ws://127.0.0.1:{port}", "--no-rest", *at),
                    folder=folder,
                    BENZINGA_TOKEN=token,
                )
            )
            reader = stack.enter_context(Reader(server.url))
            await until(lambda: reader.fresh("ratings"))
            await trio.sleep(seconds / 2)
            print(told("the bridge alone, from socket to Redis", bridge_lag(reader)))
            board = stack.enter_context(
                process("board", "--listen", str(board_port), *at, folder=folder)
            )
            said = folder / "board.log"
            await until(lambda: "The board is at" in said.read_text())
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
            url = f"http://127.0.0.1:{board_port}"
            seen = Measured()
            async with (
                httpx.AsyncClient(
                    base_url=url, limits=limits, timeout=PATIENCE
                ) as client,
                trio.open_nursery() as nursery,
            ):
                for number in range(pages):
                    name = SYMBOLS[number // 3 % len(SYMBOLS)]
                    kinds = ("/", "/", "/", f"/symbol/{name}", "/watch")
                    nursery.start_soon(page, client, kinds[number % len(kinds)], seen)
                await trio.sleep(3)  # all are open, and what was there before is seen
                seen.behind, seen.reads, seen.rows = [], [], 0
                before, begin = took(board.pid), time.monotonic()
                events = sum(reader.status(name).events or 0 for name in STREAMS)
                await trio.sleep(seconds)
                lasted = time.monotonic() - begin
                now = sum(reader.status(name).events or 0 for name in STREAMS)
                used = (took(board.pid) - before) / lasted
                held = memory(board.pid)
                print(f"{pages} pages, {(now - events) / lasted:.0f} events a second:")
                print(told("  rows on pages, after Redis had them", seen.behind))
                print(told("  pages read again", seen.reads))
                print(
                    f"  {seen.rows / lasted:,.0f} rows a second, {seen.reloads} reloads"
                )
                print(told("  the bridge meanwhile", bridge_lag(reader)))
                print(f"  its backlog: {[reader.status(n).backlog for n in STREAMS]}")
                print(f"  the board holds {held:.0f} MB, takes {used:.0%} of a core")
                bridge.send_signal(signal.SIGKILL)
                killed, seen.stale = time.time(), 0.0
                await until(lambda: seen.stale)
                print(f"  stale was shown {seen.stale - killed:.1f} s after a kill -9")
                nursery.cancel_scope.cancel()
    return max(seen.behind) < 2 and held < 120 and seen.stale - killed < 16  # noqa: PLR2004 - what is asked of it


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pages", type=int, default=50)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=30)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bzredis-board-") as folder:
        is_good = trio.run(
            measure, given.pages, given.rate, given.seconds, Path(folder)
        )
    sys.exit(not is_good)


if __name__ == "__main__":
    main()
