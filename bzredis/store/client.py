"""The one module that knows redis-py: its errors stop here, ours go on.

redis-py's blocking client in a worker thread, because its asyncio client does not run
on trio. What a batch does is in apply/; what came of it is told change by change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.resources import files
from typing import Any, Final, TypeVar, cast

import attrs
import msgspec
import trio
from redis import Redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from bzredis.errors import StoreDown, StoreRolledBack, StoreSlow
from bzredis.store.keys import entry_fields, key
from bzredis.store.script import script
from bzredis.streams import STREAMS, Stream
from bzredis.times import milliseconds

T = TypeVar("T")

ANSWER: Final = 5.0  # s; a batch takes milliseconds: so late, a connection is dead
CALL: Final = 12.0  # s for all of a call: name look-up, connect, send, answer
DAY_MS: Final = 86_400_000
REMEMBERED_DAYS: Final = 7  # contract.md, promise 1
# … and never fewer than 10,000 messages, each of which leaves up to three fingerprints.
REMEMBERED_LEAST: Final = 30_000
TOMBSTONE_DAYS: Final = 35  # contract.md, promise 4
REJECTED_MAXLEN: Final = 1_000
HISTORY_MAXLEN: Final = 1_000
ALIVE_S: Final = 15
OLDEST: Final = 1_000  # entries: more than a replay, and what comes as it is fetched
ROLLED_BACK: Final = (
    "Redis came back older, or emptied, without what it had confirmed; it gets again "
    "what the bridge still holds, and the rest is fetched or announced as a gap"
)


@attrs.frozen
class Limits:
    """How much of each stream is kept."""

    events_maxlen: int = 20_000
    timeline_length: int = 50
    watched: bool = False  # only what a watch-list names; removals do not say whose


@attrs.frozen
class Applied:
    """What came of a batch: a result per change, and the newest entry of the log.

    A result is ``latest``, ``record`` or ``none`` (the change's effect),
    ``unattributed``, ``duplicate``, ``rejected``, ``gap``, ``owed SINCE``, ``paid``,
    or ``refused WHY``.
    """

    results: tuple[str, ...]
    entry: str  # "" where nothing was logged


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


def _array(packed: Sequence[bytes]) -> bytes:
    """Join packed changes to one MessagePack array."""
    count = len(packed)
    head = bytes([0x90 | count]) if count < 16 else b"\xdc" + count.to_bytes(2, "big")  # noqa: PLR2004 - MessagePack: fixarray holds up to 15
    return head + b"".join(packed)


def _client(url: str) -> Redis:
    client: Redis = Redis.from_url(
        url,
        socket_timeout=ANSWER,
        socket_connect_timeout=ANSWER,
        # redis-py would retry ten times inside a call that cannot be cancelled.
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # the one answer to HELLO that every server and proxy gives
        client_name="bzredis",
    )
    return client


@attrs.define
class Store:
    """One Redis. Each call takes one connection; nothing is kept between calls."""

    url: str = attrs.field(repr=False)
    prefix: str = "bz"
    limits: Limits = Limits()
    _redis: Redis = attrs.field(init=False, repr=False)
    _apply: dict[str, Script] = attrs.field(init=False, repr=False)  # by `keyed`
    _status: Script = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Prepare the client; nothing is sent yet."""
        self._redis = _client(self.url)
        register = self._redis.register_script
        kinds = {stream.keyed: stream for stream in STREAMS}
        self._apply = {kind: register(script(one)) for kind, one in kinds.items()}
        self._status = register((files("bzredis.store") / "status.lua").read_text())

    async def apply(
        self, stream: Stream, packed: Sequence[bytes], acknowledged: str = ""
    ) -> Applied:
        """Apply packed changes of one stream, in order, as one atomic step.

        `acknowledged` is the newest log entry that Redis confirmed to us before. Raises
        StoreDown; the same batch may be sent again, and takes effect once.
        """
        call = partial(
            self._apply[stream.keyed],
            keys=[key(self.prefix, stream, "events")],
            args=[settings(stream, self.limits), _array(packed), acknowledged],
        )
        results, entry = cast("tuple[list[bytes], bytes | None]", await _call(call))
        return Applied(
            tuple(result.decode(errors="replace") for result in results),
            (entry or b"").decode(),
        )

    async def write_status(
        self, stream: Stream, fields: Mapping[str, str], bridge: str, *, alive: bool
    ) -> bool:
        """Write a stream's status whole, and its sign of life.

        Returns False where another bridge is alive, whose status it is. Raises
        StoreDown.
        """
        pairs = [part for pair in fields.items() for part in pair]
        call = partial(
            self._status,
            keys=[key(self.prefix, stream, name) for name in ("status", "alive")],
            args=[bridge, ALIVE_S if alive else 0, *pairs],
        )
        return bool(await _call(call) == 1)

    async def read_status(self, stream: Stream) -> dict[str, str]:
        """Return a stream's status as some bridge left it, {} if none did."""
        call = partial(self._redis.hgetall, key(self.prefix, stream, "status"))
        found = cast("dict[bytes, bytes]", await _call(call))
        return {
            name.decode(errors="replace"): value.decode(errors="replace")
            for name, value in found.items()
        }

    async def newest(self, stream: Stream) -> tuple[str, str]:
        """Return the log's newest entry, and when it was received; "" for none."""
        name = key(self.prefix, stream, "events")
        call = partial(self._redis.xrevrange, name, count=1)
        found = cast("list[tuple[bytes, dict[bytes, bytes]]]", await _call(call))
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

        def call() -> list[Any]:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.xrange(events, count=OLDEST)
                pipe.zrange(symbols, 0, 0, withscores=True)
                return pipe.execute()

        entries, oldest = await _call(call)
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
        found = cast(
            "list[bytes]", await _call(partial(self._redis.zrevrange, name, 0, -1))
        )
        return [symbol.decode(errors="replace") for symbol in found]

    async def marker(self, proposed: str) -> str:
        """Return what tells this database from others, for our prefix.

        Where nothing does yet, `proposed` does from now on. Raises StoreDown.
        """
        name = f"{self.prefix}:marker"

        def call() -> bytes | None:
            self._redis.set(name, proposed, nx=True)
            return cast("bytes | None", self._redis.get(name))

        return (await _call(call) or b"").decode(errors="replace")

    async def ping(self) -> None:
        """Raise StoreDown, in words, where Redis does not answer."""
        await _call(self._redis.ping)

    def close(self) -> None:
        """Close the connections that no call is using."""
        self._redis.close()


async def _call(call: Callable[[], T]) -> T:
    """Run a blocking call in a thread; at its limit the thread is left to itself.

    The socket's own limits end that thread soon after.
    """
    try:
        with trio.fail_after(CALL):
            return await trio.to_thread.run_sync(
                partial(_translated, call), abandon_on_cancel=True
            )
    except trio.TooSlowError:
        msg = f"Redis did not answer within {CALL:.0f} s"
        raise StoreSlow(msg) from None


def _translated(call: Callable[[], T]) -> T:
    try:
        return call()
    except RedisError as error:
        down = _down(error)
    except (OSError, UnicodeError) as error:
        # redis-py lets some through, of a TLS handshake or a strange host name say.
        down = StoreDown(f"cannot reach Redis: {error}")
    # Not raised above, for then it would lead to frames of redis-py that hold the
    # password.
    raise down


def _down(error: RedisError) -> StoreDown:
    words = str(error)
    if words.startswith("ROLLBACK"):
        return StoreRolledBack(ROLLED_BACK)
    if isinstance(error, RedisTimeoutError):
        return StoreSlow(f"Redis did not answer within {ANSWER:.0f} s")
    if isinstance(error, NoScriptError):  # flushed between the load and the call
        return StoreDown("Redis lost our script; it is loaded again")
    if type(error) is RedisConnectionError:
        return StoreDown(f"cannot reach Redis: {words}")
    return StoreDown(f"Redis refused: {words}")
