"""What Redis works for what the contract demands, as plain commands in pipelines.

No duplicate check, no version, nothing decided: with less of it no bridge keeps its
promises, however it is written.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any, Final

import attrs

from benching.measures.work import logged, of_redis
from benching.sides import KEPT, PREFIX

MOST: Final = 2_000  # records that are looked at; there are no more at the end
BATCH: Final = 150  # events in a pipeline
HISTORY: Final = 200  # entries
TIMELINE: Final = 50  # records of a symbol: the default; those before them go

Fields = dict[bytes, bytes]


@attrs.frozen
class Sample:
    """What the bridge left: a record's hash and entry each, and prints an event."""

    records: list[tuple[Fields, Fields]]
    prints: int


def sample(client: Any) -> Sample:
    """Look at what the bridge made of a load of ratings."""
    log = f"{PREFIX}:ratings:events"
    entries = [fields for _, fields in client.xrevrange(log, count=MOST)]
    reads = client.pipeline(transaction=False)
    for fields in entries:
        reads.hgetall(b"bz:ratings:record:" + fields[b"record"])
    held = reads.execute()
    seen = client.zcard(f"{PREFIX}:ratings:internal:seen")
    records = [(h, entry) for h, entry in zip(held, entries, strict=True) if h]
    return Sample(records, round(seen / logged(client, log)))


def written(client: Any, of: Sample, count: int) -> dict[str, float]:
    """Write so many events to an empty Redis; return the µs that it worked for each."""
    before = of_redis(client)
    lines: dict[bytes, deque[bytes]] = defaultdict(deque)
    for first in range(0, count, BATCH):
        batch = client.pipeline(transaction=False)
        for number in range(first, min(first + BATCH, count)):
            held, entry = of.records[number % len(of.records)]
            line = lines[held[b"_symbol"]]
            record = held[b"_record"][:-8] + f"{number:08x}".encode()
            line.append(record)
            marks = [f"{n}{number:023x}" for n in range(of.prints)]
            _write(batch, held, entry, record, marks)
            if len(line) > TIMELINE:
                _remove(batch, held[b"_symbol"], line.popleft())
        batch.execute()
    return {"redis_us": (of_redis(client) - before) / count * 1e6}


def _write(
    batch: Any, held: Fields, entry: Fields, record: bytes, marks: Sequence[str]
) -> None:
    symbol, published = held[b"_symbol"], int(held[b"_published"])
    stem = b"bz:ratings:"
    key = stem + b"record:" + record
    batch.hset(key, mapping=held)
    batch.xadd(stem + b"events", entry, maxlen=KEPT, approximate=True)
    if b"news" in entry:
        told = {k: v for k, v in entry.items() if k != b"raw"} | {b"event": b"1-0"}
        history = stem + b"history:" + symbol
        batch.xadd(history, told, maxlen=HISTORY, approximate=True)
    batch.zadd(stem + b"timeline:" + symbol, {record: published})
    batch.zadd(stem + b"symbols", {symbol: published})
    batch.zadd(stem + b"internal:seen", dict.fromkeys(marks, published))
    batch.copy(key, stem + b"latest:" + symbol, replace=True)
    batch.publish(stem + b"changed", symbol + b" 1700000000000-0")


def _remove(batch: Any, symbol: bytes, record: bytes) -> None:
    batch.zrem(b"bz:ratings:timeline:" + symbol, record)
    batch.delete(b"bz:ratings:record:" + record)
