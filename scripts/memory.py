"""Measure what Redis needs: bytes for an entry and for a symbol, at the default limits.

A made-up market's messages go through the bridge's own script into a server of its own,
which then tells the memory of each key (`MEMORY USAGE key SAMPLES 0`). Nothing leaves
this machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import redis
import trio

from bzredis.changes.from_frame import read
from bzredis.changes.kinds import Change
from bzredis.commands import embedded
from bzredis.ports import Batch, Log
from bzredis.simulator.market.market import Market
from bzredis.store.client import Store
from bzredis.store.script import Limits
from bzredis.streams import STREAMS, Stream

DAY: Final = 86_400.0  # s
BATCH: Final = 200  # messages
# How the parts of a key are counted; all others are told as a whole.
COUNTED: Final = {
    "events": "XLEN",
    "history": "XLEN",
    "timeline": "ZCARD",
    "symbols": "ZCARD",
    "internal:seen": "ZCARD",
}


@attrs.define
class Use:
    """Keys of one kind: how many, what they hold together, and in how many bytes."""

    keys: int = 0
    parts: int = 0
    bytes: int = 0

    @property
    def each(self) -> float:
        return self.bytes / (self.parts or self.keys or 1)


def packed(ratings: int, days: float) -> Iterator[tuple[Stream, bytes]]:
    """Yield what a market said in so many days, ready for the store."""
    streams = {stream.name: stream for stream in STREAMS}
    market = Market(seed=1, consensus_ticker=True)
    for one in market.past(time.time(), ratings, days * DAY):
        stream = streams[one.stream]
        change = read(stream, one.seen(), received=int(one.at * 1000), source="live")
        if isinstance(change, Change):
            yield stream, change.pack()


async def fill(store: Store, ratings: int, days: float) -> None:
    waiting: dict[Stream, list[bytes]] = {stream: [] for stream in STREAMS}
    sent = dict.fromkeys(STREAMS, 0)
    log = Log("memory", "*", 0, "market.example")

    async def send(stream: Stream) -> None:
        await store.apply(stream, Batch(log, sent[stream], waiting[stream], since=0))
        sent[stream] += len(waiting[stream])
        waiting[stream] = []

    for stream, change in packed(ratings, days):
        waiting[stream].append(change)
        if len(waiting[stream]) == BATCH:
            await send(stream)
    for stream in STREAMS:
        await send(stream)


def measured(client: Any) -> dict[str, dict[str, Use]]:
    """Return by stream and kind of key what it takes."""
    found: dict[str, dict[str, Use]] = {s.name: defaultdict(Use) for s in STREAMS}
    for name in client.scan_iter("bz:*", 1_000):
        stream, kind, *rest = name.split(":")[1:]
        if stream == "internal":
            continue
        use = found[stream]["internal:" + rest[0] if kind == "internal" else kind]
        use.keys += 1
        use.bytes += client.memory_usage(name, samples=0)
        if kind in COUNTED or rest == ["seen"]:
            command = COUNTED[kind if kind in COUNTED else "internal:seen"]
            use.parts += client.execute_command(command, name)
    return found


def told(uses: dict[str, Use], limits: Limits) -> Iterator[str]:
    """Yield lines about one stream."""
    for kind, use in sorted(uses.items()):
        count = use.parts or use.keys
        each, all_of_it = use.each, use.bytes / 1e6
        yield f"  {kind:20} {count:7} of {each:6.0f} bytes {all_of_it:7.1f} MB"
    log = limits.events_maxlen * uses["events"].each
    yield f"  the log at its full length: {log / 1e6:.0f} MB"
    symbol = uses["latest"].each + limits.history_length * uses["history"].each
    if "record" in uses:
        record = uses["record"].each + uses["timeline"].each
        symbol += limits.timeline_length * record
    yield f"  a symbol of which all is kept that may be: {symbol / 1e3:.0f} KB"


async def main(ratings: int, days: float) -> None:
    limits = Limits()
    with tempfile.TemporaryDirectory(prefix="bzredis-memory-") as folder:
        async with embedded.running(Path(folder)) as server:
            store = Store(server.url, limits=limits)
            with redis.Redis.from_url(server.url, decode_responses=True) as client:
                await fill(store, ratings, days)
                about = client.info("server")
                print(
                    f"redis {about['redis_version']}; {ratings} ratings in {days} days"
                )
                for name, uses in measured(client).items():
                    print(f"{name}", *told(uses, limits), sep="\n")
                memory = client.info("memory")
                print(f"all of it: {memory['used_memory'] / 1e6:.0f} MB")
            store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ratings", type=int, default=20_000)
    parser.add_argument("--days", type=float, default=30.0)
    asked = parser.parse_args()
    trio.run(main, asked.ratings, asked.days)
