"""What is asked of Redis. How it is reached, and its errors: see connection.py.

What a batch does is in lua/; what came of it is told change by change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar, cast

import attrs
import msgspec
from redis import Redis

from bzredis.contract.keys import internal, key, pattern
from bzredis.errors import StoreDown, StoreEvicts, StoreForeign
from bzredis.ports import Applied, Batch, Behind, Coverage, Hole, Sign
from bzredis.store.connection import Connection
from bzredis.store.script import Limits, script, status_script
from bzredis.store.wire import Ask, Script
from bzredis.streams import Stream

T = TypeVar("T")

ALIVE_S: Final = 15
TOLD_EVICTS: Final = (
    "Redis may evict our keys (maxmemory-policy is allkeys-*, and its memory is nearly "
    "full, or it has evicted some): nothing counts as fresh until it cannot; set "
    "maxmemory-policy noeviction, then `bzredis rebuild` writes again what is gone"
)
_holes = msgspec.msgpack.Decoder(tuple[Hole, ...]).decode


@attrs.define
class Store:
    """One Redis, under one prefix. All that it does may raise StoreDown."""

    url: str = attrs.field(repr=False)
    prefix: str = "bz"
    limits: Limits = attrs.field(factory=Limits)
    others: Sequence[str] = attrs.field(default=(), repr=False)  # of the same cluster
    _at: Connection = attrs.field(init=False, repr=False)
    # By stream, made when it is wanted.
    _apply: dict[str, Script] = attrs.field(init=False, repr=False, factory=dict)
    _permitted: set[str] = attrs.field(init=False, factory=set)  # streams, till refused
    _status: Script = attrs.field(init=False, repr=False)
    _evicted: bytes = attrs.field(init=False, default=b"")  # run and keys, at first
    # By stream, the server's TIME in s when a status was last answered.
    _answered: dict[str, int | bytes] = attrs.field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        """Prepare the client; nothing is sent yet."""
        self._at = Connection(self.url, self.others)
        self._status = Script(status_script())

    async def apply(
        self, stream: Stream, batch: Batch, following: Batch | None = None
    ) -> Applied | Behind:
        """Apply a batch of changes of one stream, in order, as one atomic step.

        `following` is what the next call will bring, so that Redis has it at hand; it
        takes effect only after this batch, and it may be sent again, as any. Raises
        StoreDown, and StoreForeign where what Redis has came from elsewhere; the same
        batch may be sent again, and takes effect once.
        """
        is_known = stream.name in self._permitted  # else the next is asked otherwise
        then = self._ask(stream, following) if following and is_known else None
        try:
            answer = await self._at.script(self._ask(stream, batch), then)
        except StoreDown:
            self._permitted.discard(stream.name)  # the next server may know us less
            raise
        self._permitted.add(stream.name)
        return _told(*answer)

    def _ask(self, stream: Stream, batch: Batch) -> Ask:
        args: list[str | bytes] = [_header(batch), b"".join(batch.packed)]
        if stream.name not in self._permitted:  # find out what this user may not do
            args.append("permissions")
        if (apply := self._apply.get(stream.name)) is None:
            apply = self._apply[stream.name] = Script(script(stream, self.limits))
        return Ask(apply, [key(self.prefix, stream, "events")], args)

    async def write_status(
        self, stream: Stream, fields: Mapping[str, str], sign: Sign
    ) -> bool:
        """Write a stream's status whole, and its sign of life.

        Returns False where `alive` does not stand as was wanted: another bridge holds
        it, and we are not connected; Redis has less than it confirmed; it did not
        answer for so long that this process may have slept since the sign was made; or
        what it has came from another upstream. Raises StoreDown, and StoreEvicts where
        the server may evict our keys, or did: then the status is written, and `alive`
        is not.
        """
        pairs = [part for pair in fields.items() for part in pair]
        ours = ("holder", f"log:{sign.log}", "coverage")
        names = ("status", "alive", *map(internal, ours))
        keys = [key(self.prefix, stream, name) for name in names]
        args: list[str | bytes | int] = [
            sign.bridge,
            ALIVE_S,
            sign.presence,
            sign.confirmed,
        ]
        answered = self._answered.get(stream.name, "")
        args += [fields.get("upstream", ""), self._evicted, sign.why, answered, *pairs]
        answer = await self._at.script(Ask(self._status, keys, args))
        stands, evicted, time = cast("tuple[int, bytes, int | bytes]", answer)
        self._answered[stream.name] = time
        # Each run of a server counts for itself, where it names that; but it may only
        # have been away.
        is_new = evicted.partition(b" ")[0] != self._evicted.partition(b" ")[0]
        if evicted and (is_new or not self._evicted):
            self._evicted = evicted
        if stands < 0:
            raise StoreEvicts(TOLD_EVICTS)
        return stands == 1

    async def symbols(self, stream: Stream) -> list[str]:
        """Return the symbols that have a `latest`, the newest change first.

        Raises StoreDown.
        """
        name = key(self.prefix, stream, "symbols")
        all_of_them = await self._at.run(lambda redis: redis.zrevrange(name, 0, -1))
        return list(_texts(cast("list[bytes]", all_of_them)))

    async def is_empty(self, stream: Stream) -> bool:
        """Tell whether nothing of a stream stands there. Raises StoreDown."""
        names = ("events", "status", internal("coverage"))
        keys = [key(self.prefix, stream, name) for name in names]
        return not await self._at.run(lambda redis: redis.exists(*keys))

    async def remove(self, stream: Stream, upstream: str | None) -> bool:
        """Remove all keys of a stream, if they came from this upstream's host.

        None: whatever host. Returns whether they did. Raises StoreDown.
        """
        last = key(self.prefix, stream, internal("coverage")).encode()
        if upstream is not None:
            host = await self._at.run(lambda redis: redis.hget(last, "upstream"))
            if host != upstream.encode():
                return False
        cursor, again = 0, True
        while again:  # in pages, for others may have millions of keys here
            page = partial(self._removed, stream, last, cursor)
            cursor = await self._at.run(page)
            again = cursor != 0
        await self._at.run(lambda redis: redis.unlink(last))  # it tells whose they are
        return True

    def _removed(self, stream: Stream, last: bytes, cursor: int, redis: Redis) -> int:
        redis.exists(last)  # of a cluster, the node that has our keys
        everything = f"{pattern(key(self.prefix, stream, ''))}*"
        following, found = cast(
            "tuple[int, list[bytes]]", redis.scan(cursor, everything, 1_000)
        )
        names = [name for name in found if name != last]
        if names:
            redis.unlink(*names)
        return following

    async def ask(self, call: Callable[[Redis], T]) -> T:
        """Ask what no other method does, as mending.py. Raises StoreDown."""
        return await self._at.run(call)

    async def ping(self) -> None:
        await self._at.run(lambda redis: redis.ping())

    def close(self) -> None:
        self._at.close()


def _header(batch: Batch) -> bytes:
    """Return what batch.lua has to know of a batch, as MessagePack."""
    log = batch.log
    since = False if batch.since is None else batch.since
    return msgspec.msgpack.encode(
        (
            *(log.id, batch.first, log.subscription, log.window, log.upstream),
            *(since, batch.may_hold, [*map(len, batch.packed)]),
        )
    )


def _told(kind: bytes, first: Any, *rest: Any) -> Applied | Behind:
    """Read an answer of batch.lua; raises StoreForeign."""
    if kind == b"foreign":
        raise StoreForeign(first.decode(errors="replace"))
    if kind == b"behind":
        return Behind(first)
    results, symbols, fetched, since, until, subscription, reader, holes = rest
    coverage = Coverage(
        since=since,
        until=until,
        subscription=subscription.decode(errors="replace"),
        reader=reader.decode(errors="replace"),
        holes=_holes(holes) if holes else (),
    )
    return Applied(first, _texts(results), _texts(symbols), fetched, coverage)


def _texts(found: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(text.decode(errors="replace") for text in found)
