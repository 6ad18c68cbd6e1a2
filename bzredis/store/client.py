"""What is asked of Redis. How it is reached, and its errors: see connection.py.

What a batch does is in apply/; what came of it is told change by change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.resources import files
from typing import Any, Final, cast

import attrs
import msgspec
from redis import Redis
from redis.commands.core import Script

from bzredis.messages.times import milliseconds
from bzredis.ports import Presence
from bzredis.store.connection import Connection
from bzredis.store.keys import entry_fields, key
from bzredis.store.script import script
from bzredis.streams import STREAMS, Stream

DAY_MS: Final = 86_400_000
REMEMBERED_DAYS: Final = 7  # contract.md, promise 1
# … and never fewer than 10,000 messages, each of which leaves up to three fingerprints.
REMEMBERED_LEAST: Final = 30_000
TOMBSTONE_DAYS: Final = 35  # contract.md, promise 4
REJECTED_MAXLEN: Final = 1_000
HISTORY_MAXLEN: Final = 1_000
ALIVE_S: Final = 15
OLDEST: Final = 1_000  # entries: more than a replay, and what comes as it is fetched
_Answer = tuple[list[bytes], bytes | None, list[bytes]]


@attrs.frozen
class Limits:
    """How much of each stream is kept."""

    events_maxlen: int = 20_000
    timeline_length: int = 50
    watched: bool = False  # only what a watch-list names; removals do not say whose


@attrs.frozen
class Applied:
    """What came of a batch: results, the newest log entry, and whose records changed.

    A result is ``latest``, ``record`` or ``none`` (the change's effect),
    ``unattributed``, ``duplicate``, ``rejected``, ``gap``, ``owed SINCE``, ``paid``,
    or ``refused WHY``.
    """

    results: tuple[str, ...]
    entry: str  # "" where nothing was logged
    concerned: tuple[str, ...]  # the symbols of which a record changed


def settings(stream: Stream, limits: Limits) -> bytes:
    """Return what the script has to know of a stream, as MessagePack."""
    return msgspec.msgpack.encode(
        {
            "headline": stream.headline,
            "entry_fields": (
                *entry_fields(stream),
                *("from", "to", "cause", "recovered"),
            ),
            "events_maxlen": limits.events_maxlen,
            "timeline_length": limits.timeline_length,
            "watched": limits.watched,
            "rejected_maxlen": REJECTED_MAXLEN,
            "history_maxlen": HISTORY_MAXLEN,
            "remembered_ms": REMEMBERED_DAYS * DAY_MS,
            "remembered_least": REMEMBERED_LEAST,
            "tombstone_s": TOMBSTONE_DAYS * DAY_MS // 1000,
        }
    )


def _texts(found: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(text.decode(errors="replace") for text in found)


def _array(packed: Sequence[bytes]) -> bytes:
    """Join packed changes to one MessagePack array."""
    count = len(packed)
    head = bytes([0x90 | count]) if count < 16 else b"\xdc" + count.to_bytes(2, "big")  # noqa: PLR2004 - MessagePack: fixarray holds up to 15
    return head + b"".join(packed)


@attrs.define
class Store:
    """One Redis, under one prefix. All that it does may raise StoreDown."""

    url: str = attrs.field(repr=False)
    prefix: str = "bz"
    limits: Limits = Limits()
    _at: Connection = attrs.field(init=False, repr=False)
    _apply: dict[str, Script] = attrs.field(init=False, repr=False)  # by `keyed`
    _status: Script = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Prepare the client; nothing is sent yet."""
        self._at = Connection(self.url)
        register = self._at.first.register_script
        kinds = {stream.keyed: stream for stream in STREAMS}
        self._apply = {kind: register(script(one)) for kind, one in kinds.items()}
        self._status = register(
            (files("bzredis.store") / "lua" / "status.lua").read_text()
        )

    async def apply(
        self, stream: Stream, packed: Sequence[bytes], acknowledged: str = ""
    ) -> Applied:
        """Apply packed changes of one stream, in order, as one atomic step.

        `acknowledged` is the newest log entry that Redis confirmed to us before. Raises
        StoreDown; the same batch may be sent again, and takes effect once.
        """
        keys = [key(self.prefix, stream, "events")]
        args: list[str | bytes] = [settings(stream, self.limits), _array(packed)]
        run = partial(self._apply[stream.keyed], keys, [*args, acknowledged])
        results, entry, concerned = cast("_Answer", await self._at.run(run))
        return Applied(_texts(results), (entry or b"").decode(), _texts(concerned))

    async def write_status(
        self, stream: Stream, fields: Mapping[str, str], bridge: str, presence: Presence
    ) -> bool:
        """Write a stream's status whole, and its sign of life.

        Returns False where another bridge holds them, and we are not connected. Raises
        StoreDown.
        """
        pairs = [part for pair in fields.items() for part in pair]
        names = ("status", "alive", "holder")
        keys = [key(self.prefix, stream, name) for name in names]
        args: list[str | int] = [bridge, ALIVE_S, presence, *pairs]
        return bool(await self._at.run(partial(self._status, keys, args)) == 1)

    async def read_status(self, stream: Stream) -> dict[str, str]:
        """Return a stream's status as some bridge left it, {} if none did.

        What stands there and is no hash is nobody's: it will be written over.
        """
        name = key(self.prefix, stream, "status")

        def ask(redis: Redis) -> dict[bytes, bytes]:
            if redis.type(name) != b"hash":
                return {}
            return cast("dict[bytes, bytes]", redis.hgetall(name))

        found = await self._at.run(ask)
        return dict(zip(_texts([*found]), _texts([*found.values()]), strict=True))

    async def newest(self, stream: Stream) -> tuple[str, str]:
        """Return the log's newest entry, and when it was received; "" for none."""
        name = key(self.prefix, stream, "events")
        last = await self._at.run(lambda redis: redis.xrevrange(name, count=1))
        found = cast("list[tuple[bytes, dict[bytes, bytes]]]", last)
        entry, fields = found[0] if found else (b"", {})
        received = fields.get(b"received", b"")
        return entry.decode(), received.decode(errors="replace")

    async def earliest(self, stream: Stream) -> int | None:
        """Return the earliest time (ms) that anything here is of, None for nothing.

        A record may be older than its entry in the log: a replay and the first fetch
        bring such, and they stand at the log's old end. What the log had to drop is at
        least as old as the symbol that has not changed for longest. Raises StoreDown.
        """
        events = key(self.prefix, stream, "events")
        symbols = key(self.prefix, stream, "symbols")

        def ask(redis: Redis) -> list[Any]:
            with redis.pipeline(transaction=False) as pipe:
                pipe.xrange(events, count=OLDEST)
                pipe.zrange(symbols, 0, 0, withscores=True)
                return pipe.execute()

        entries, oldest = await self._at.run(ask)
        found = [int(score) for _, score in oldest]
        for _, entry in entries:
            told = (entry.get(name, b"") for name in (b"received", b"version"))
            found += filter(
                None, (milliseconds(t.decode(errors="replace")) for t in told)
            )
        return min(found, default=None)

    async def symbols(self, stream: Stream) -> list[str]:
        """Return the symbols that have a `latest`, the newest change first.

        Raises StoreDown.
        """
        name = key(self.prefix, stream, "symbols")
        all_of_them = await self._at.run(lambda redis: redis.zrevrange(name, 0, -1))
        found = cast("list[bytes]", all_of_them)
        return list(_texts(found))

    async def marker(self, proposed: str) -> str:
        """Return what tells this database from others, for our prefix.

        Where nothing does yet, `proposed` does from now on. Raises StoreDown.
        """
        name = f"{self.prefix}:marker"

        def ask(redis: Redis) -> bytes | None:
            redis.set(name, proposed, nx=True)
            return cast("bytes | None", redis.get(name))

        return (await self._at.run(ask) or b"").decode(errors="replace")

    async def ping(self) -> None:
        """Raise StoreDown, in words, where Redis does not answer."""
        await self._at.run(lambda redis: redis.ping())

    def close(self) -> None:
        """Close the connections that no call is using."""
        self._at.close()
