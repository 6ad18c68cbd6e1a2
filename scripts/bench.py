"""Measure the whole bridge: a real process between real sockets, as a user runs it.

Latency is from the frame's first byte on the socket to the notification in Redis, one
event at a time. Throughput is from the first frame to the last entry in the log, with
all of them sent as fast as the socket takes them. Beside it stands what each side works
for an event, and what Redis alone works for the same writes as plain commands, without
duplicate check, versions, `latest` or notification: no bridge can be faster than that.
Nothing leaves this machine.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import attrs
import redis
import trio

from bzredis.commands import embedded
from bzredis.simulator.market.catalogue import COMPANIES, FIRMS
from bzredis.simulator.market.formats import envelope_id, record_id

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
PONG = b"\x81\x04pong"
CHUNK = 200  # ratings per write, some 220 KB
LIMIT = 120.0  # s for either measurement
BEGIN = datetime(2024, 10, 4, 9, 30)  # noqa: DTZ001 - upstream's wall time
PATIENCE = 0.005  # s between looks at the log's length
PLAIN = 2_000  # records that are all still there at the end
PAUSE = 0.02  # s between single events, so that the bridge is idle before each


def rating(number: int) -> bytes:
    """Return a rating of some 1.1 KB, as documented; like real ones, no two alike.

    Each is its company's latest, until the next one.
    """
    rng = Random(number)
    moment = BEGIN + timedelta(seconds=number)
    company = COMPANIES[number % len(COMPANIES)]
    firm = FIRMS[rng.randrange(len(FIRMS))]
    analyst = firm.analysts[rng.randrange(len(firm.analysts))]
    grade, target = rng.choice(firm.scale)[1], company.price + rng.randrange(300)
    before = target - rng.randrange(1, 100) / Decimal(4)
    record = record_id(rng, moment.timestamp())
    address = f"https://www.benzinga.com/quote/{company.ticker}/analyst-ratings"
    content = {
        "id": record,
        "date": f"{moment:%Y-%m-%d}",
        "time": f"{moment:%H:%M:%S}",
        "ticker": company.ticker,
        "exchange": company.exchange,
        "isin": company.isin,
        "cusip": company.cusip,
        "name": company.name,
        "currency": company.currency,
        "action_pt": "Raises",
        "action_company": "Maintains",
        "rating_current": grade,
        "pt_current": f"{target:.4f}",
        "adjusted_pt_current": f"{target:.4f}",
        "rating_prior": grade,
        "pt_prior": f"{before:.2f}",
        "adjusted_pt_prior": f"{before:.2f}",
        "url": address,
        "url_calendar": address,
        "url_news": f"{address}/news",
        "analyst": firm.name,
        "analyst_id": analyst.id,
        "analyst_name": analyst.name,
        "firm_id": firm.id,
        "importance": rng.randrange(6),
        "notes": "",
        "updated": 1_728_069_666 + number,
        "ratings_accuracy": {
            "smart_score": f"{rng.uniform(30, 90):.1f}",
            "overall_success_rate": f"{rng.uniform(30, 90):.1f}",
        },
    }
    message = {
        "id": envelope_id(rng),
        "api_version": "websocket/v1",
        "kind": "data/v2.1/calendar/ratings",
        "data": {
            "action": "created",
            "id": record,
            "timestamp": f"{moment:%Y-%m-%dT%H:%M:%S}.{rng.randrange(10**9):09d}Z",
            "content": content,
        },
    }
    return json.dumps(message, separators=(",", ":")).encode()


def frame(payload: bytes) -> bytes:
    """Return a server's text frame; all of ours have a 16-bit length."""
    return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload


@attrs.define
class Feeder:
    """A bare WebSocket server: it says yes, and then only writes what it is told."""

    wire: trio.SocketStream = attrs.field(init=False)
    open: trio.Event = attrs.field(factory=trio.Event)
    _turn: trio.Lock = attrs.field(factory=trio.Lock)

    async def serve(self, wire: trio.SocketStream) -> None:
        """Accept one client, and read without listening."""
        head = b""
        while b"\r\n\r\n" not in head:
            head += await wire.receive_some()
        lines = dict(
            line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line
        )
        key = {name.lower(): value for name, value in lines.items()}
        digest = hashlib.sha1(key[b"sec-websocket-key"] + GUID).digest()  # noqa: S324 - RFC 6455 wants it
        await wire.send_all(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
            + base64.b64encode(digest)
            + b"\r\n\r\n"
        )
        self.wire = wire
        self.open.set()
        try:
            while await wire.receive_some():  # `replay` and `ping`, or a PONG
                await self.send(PONG)
        except trio.BrokenResourceError:
            return

    async def send(self, data: bytes) -> None:
        """Write bytes to the client."""
        async with self._turn:
            await self.wire.send_all(data)


@asynccontextmanager
async def bridge(
    server: embedded.Server, folder: Path, port: int
) -> AsyncIterator[trio.Process]:
    """Run the bridge as a process of its own."""
    command = [sys.executable, "-P", "-m", "bzredis", "run", "--stream", "ratings"]
    command += ["--upstream", f"ws://127.0.0.1:{port}", "--redis", server.url]
    command += ["--state-dir", str(folder / "state"), "--log-level", "warning"]
    command += ["--no-rest"]  # the load speaks WebSocket only
    environ = {**os.environ, "BENZINGA_TOKEN": "bench"}
    process = await trio.lowlevel.open_process(command, env=environ)
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()


async def latencies(feeder: Feeder, client: Any, count: int) -> list[float]:
    """Return seconds from a frame's sending to the notification, one per event."""
    listener = client.pubsub(ignore_subscribe_messages=True)
    listener.subscribe("bz:ratings:changed")
    listener.get_message(timeout=1)
    found = []
    for number in range(count):
        data = frame(rating(number))
        began = time.perf_counter()
        await feeder.send(data)
        message = None
        while message is None:
            message = listener.get_message(timeout=1)
        found.append(time.perf_counter() - began)
        await trio.sleep(PAUSE)
    listener.close()
    return found


async def throughput(feeder: Feeder, client: Any, first: int, count: int) -> float:
    """Return events per second, from the first frame sent to the last one written."""
    numbers = range(first, first + count)
    # Whole frames, for an answer to a `ping` may go out between two writes.
    writes = [
        b"".join(frame(rating(number)) for number in numbers[start : start + CHUNK])
        for start in range(0, count, CHUNK)
    ]
    before = _logged(client)
    began = time.perf_counter()
    for data in writes:
        await feeder.send(data)
    while _logged(client) - before < count:  # noqa: ASYNC110 - Redis sets no Event
        await trio.sleep(PATIENCE)
    return count / (time.perf_counter() - began)


def plain(client: Any, count: int) -> float:
    """Return the seconds that Redis works for an event's writes as plain commands.

    They are those of the newest records, once more under other keys.
    """
    writes = client.pipeline(transaction=False)
    for _, entry in client.xrevrange("bz:ratings:events", count=count):
        record, symbol = entry[b"record"], entry[b"symbol"]
        held = client.hgetall(b"bz:ratings:record:" + record)
        writes.hset(b"plain:record:" + record, mapping=held)
        writes.xadd("plain:events", entry, maxlen=count, approximate=True)
        writes.zadd(b"plain:timeline:" + symbol, {record: int(held[b"updated"])})
        writes.zadd("plain:seen", {record: 1, entry[b"envelope"]: 1})
    before = _redis_work(client)
    writes.execute()
    return (_redis_work(client) - before) / count


def _redis_work(client: Any) -> float:
    """Return the seconds that Redis has worked so far."""
    told = client.info("cpu")
    return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])


def _bridge_work(pid: int) -> float:
    """Return the seconds that the bridge has worked so far."""
    clock = ~pid << 3 | 2  # how Linux numbers the clock of another process' work
    return time.clock_gettime(clock) if sys.platform == "linux" else float("nan")


def _logged(client: Any) -> int:
    """Return how many entries the log has had; most of them are trimmed by now."""
    try:
        return int(client.xinfo_stream("bz:ratings:events")["entries-added"])
    except redis.ResponseError:  # there is none yet
        return 0


async def main(single: int, many: int, rounds: int) -> None:
    """Run both measurements and print what they found."""
    with tempfile.TemporaryDirectory(prefix="bzredis-bench-") as name:
        folder = Path(name)
        for number in range(rounds):
            await _round(folder / str(number), single, many)


async def _round(folder: Path, single: int, many: int) -> None:
    feeder = Feeder()
    async with (
        embedded.running(folder / "redis") as server,
        trio.open_nursery() as nursery,
    ):
        listeners = await nursery.start(
            partial(trio.serve_tcp, feeder.serve, 0, host="127.0.0.1")
        )
        port = listeners[0].socket.getsockname()[1]
        async with bridge(server, folder, port) as process:
            client: Any = redis.Redis.from_url(server.url)
            with trio.fail_after(LIMIT):
                await feeder.open.wait()
                await trio.sleep(1)
                found = sorted(await latencies(feeder, client, single))
                before = _redis_work(client), _bridge_work(process.pid)
                rate = await throughput(feeder, client, single, many)
                after = _redis_work(client), _bridge_work(process.pid)
                redis_work, bridge_work = (
                    (then - now) / many * 1e6
                    for now, then in zip(before, after, strict=True)
                )
            memory = _memory(process.pid)
            least = plain(client, min(many, PLAIN)) * 1e6
        nursery.cancel_scope.cancel()
    print(
        f"one event on an idle bridge: median {statistics.median(found) * 1e3:.2f} ms, "
        f"95 % {found[int(len(found) * 0.95)] * 1e3:.2f} ms ({single} events)\n"
        f"{many} ratings at full speed: {rate:,.0f} events/s; "
        f"the bridge's memory {memory} MB\n"
        f"work for each: bridge {bridge_work:.0f} us, Redis {redis_work:.0f} us; "
        f"its writes alone, as plain commands: {least:.0f} us"
    )


def _memory(pid: int) -> int:
    told = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)],  # noqa: S607
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return int(told) // 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--single", type=int, default=200, help="events one by one")
    parser.add_argument("--many", type=int, default=100_000, help="events at once")
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    trio.run(main, given.single, given.many, given.rounds)
