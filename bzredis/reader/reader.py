"""Reads what the bridge keeps in Redis, from any thread."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, Self, overload

import attrs

from bzredis.reader.asking import Asked, Command, Redis
from bzredis.reader.convert import structure
from bzredis.reader.error import ReaderError
from bzredis.reader.following import NOW, Follower, told
from bzredis.reader.values import (
    Consensus,
    Entry,
    Gap,
    Hash,
    Insight,
    Rating,
    Record,
    Status,
)

KINDS: Final[dict[str, type[Hash]]] = {
    "ratings": Rating,
    "insights": Insight,
    "consensus": Consensus,
}
NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")  # of a stream that is followed too
MANY: Final = 100  # hashes at once; some 300 KB of insights


def _asked(where: str | Redis) -> Asked:
    return Asked.at(where)


@attrs.frozen(eq=False)
class Reader:
    """What stands in one Redis under one prefix. Threads may share it.

    `url` is ``redis://…``, ``rediss://…`` or ``unix://…``; or a client of redis-py's
    that decodes what comes, made by whoever needs more (Sentinel: `master_for`), who
    closes it, too.

    A symbol is a ticker, with its exchange where that is not in the United States:
    ``AAPL``, ``TSX:SHOP``. All methods may raise ReaderError.
    """

    _redis: Asked = attrs.field(converter=_asked, repr=False, alias="url")
    prefix: str = "bz"

    @overload
    def latest(self, stream: Literal["ratings"], symbol: str) -> Rating | None: ...
    @overload
    def latest(self, stream: Literal["insights"], symbol: str) -> Insight | None: ...
    @overload
    def latest(self, stream: Literal["consensus"], symbol: str) -> Consensus | None: ...
    @overload
    def latest(self, stream: str, symbol: str) -> Hash | None: ...

    def latest(self, stream: str, symbol: str) -> Hash | None:
        """Return the newest of a symbol, of whichever firm; None where there is none.

        That it is fresh, `fresh` tells.
        """
        key = self._key(stream, f"latest:{_symbol(symbol)}")
        (fields,) = self._redis.ask(("HGETALL", key))
        return _hash(stream, fields) if fields else None

    def symbols(self, stream: str) -> tuple[str, ...]:
        """Return the symbols that have a `latest`, that which changed last first."""
        key = self._key(stream, "symbols")
        (found,) = self._redis.ask(("ZREVRANGE", key, 0, -1))
        return tuple(found)

    @overload
    def newest(
        self, stream: Literal["ratings"], count: int | None = None
    ) -> Iterator[Rating]: ...
    @overload
    def newest(
        self, stream: Literal["insights"], count: int | None = None
    ) -> Iterator[Insight]: ...
    @overload
    def newest(
        self, stream: Literal["consensus"], count: int | None = None
    ) -> Iterator[Consensus]: ...
    @overload
    def newest(self, stream: str, count: int | None = None) -> Iterator[Hash]: ...

    def newest(self, stream: str, count: int | None = None) -> Iterator[Hash]:
        """Yield the newest of every symbol, that which changed last first.

        Of `count` symbols at the most. Each is whole, though not all are of one moment:
        they are read as they are wanted, some hundred at once.
        """
        symbols = self.symbols(stream)[:count]
        for begin in range(0, len(symbols), MANY):
            keys = [
                self._key(stream, f"latest:{symbol}")
                for symbol in symbols[begin : begin + MANY]
            ]
            for fields in self._redis.ask(*(("HGETALL", key) for key in keys)):
                if fields:  # else it went meanwhile
                    yield _hash(stream, fields)

    def opinions(self, symbol: str) -> tuple[Rating, ...]:
        """Return what each firm says of a symbol now: its newest rating, newest first.

        All as they stood at one moment, and of the newest 50 ratings of the symbol (the
        bridge's `--timeline-length`). A firm that ended its coverage is among them,
        with `direction` ``end``. A rating that names no firm is one of its own.
        """
        line = self._key("ratings", f"timeline:{_symbol(symbol)}")
        names: tuple[str, ...] = ()
        while True:
            keys = [self._key("ratings", f"record:{name}") for name in names]
            reads = [("HGETALL", key) for key in keys]
            newest, *hashes = self._redis.ask(("ZREVRANGE", line, 0, -1), *reads)
            if {*newest} <= {*names}:
                break  # all that stands there now was read in the same step
            names = tuple(newest)
        standing = dict(zip(names, hashes, strict=True))
        return tuple(_of_each_firm(filter(None, map(standing.__getitem__, newest))))

    def history(self, stream: str, symbol: str, count: int = 50) -> tuple[Entry, ...]:
        """Return what was news about a symbol, newest first, at most `count` of it."""
        key = self._key(stream, f"history:{_symbol(symbol)}")
        (found,) = self._redis.ask(("XREVRANGE", key, "+", "-", "COUNT", count))
        return tuple(
            structure(Entry, fields, stream=stream, id=one, text=fields)
            for one, fields in found
        )

    def recent(self, stream: str, count: int = 50) -> tuple[Entry | Gap, ...]:
        """Return what came last, newest first, at most `count` of it.

        From the first one's `id` on, `events` tells what comes.
        """
        key = self._key(stream, "events")
        (found,) = self._redis.ask(("XREVRANGE", key, "+", "-", "COUNT", count))
        return tuple(told(stream, one, fields) for one, fields in found)

    def events(
        self, stream: str, after: str = NOW, *, follow: bool = True
    ) -> Iterator[Entry | Gap]:
        """Yield what stands in the log after an id, then what comes, without end.

        `after` is the `id` of an Entry or a Gap, ``0`` for all that is there, or ``$``
        for what comes from the first `next` on. Each entry is given once; while Redis
        is away this waits, and then goes on where it was. With `follow=False` it ends
        where the log ends, and raises ReaderError where Redis is away.
        """
        return self._follow(self.follower(stream, after, follow=follow))

    def status(self, stream: str) -> Status:
        """Return how a stream stands."""
        fields, alive = self._redis.ask(
            ("HGETALL", self._key(stream, "status")),
            ("GET", self._key(stream, "alive")),
        )
        return structure(Status, fields, stream=stream, alive=alive, text=fields)

    def fresh(self, stream: str) -> bool:
        """Tell whether what `latest` says is fresh: all that upstream sent is in it."""
        (found,) = self._redis.ask(("EXISTS", self._key(stream, "alive")))
        return bool(found)

    def close(self) -> None:
        """Close its connections."""
        self._redis.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def follower(
        self, stream: str, after: str = NOW, *, follow: bool = True
    ) -> Follower:
        """Return a place in a log, for who waits in a way of their own (in_trio.py).

        What it asks is for `ask`.
        """
        return Follower(stream, self._key(stream, "events"), after, follow)

    def ask(self, *commands: Command) -> list[Any]:
        """Return what Redis answers; to several commands, at one moment."""
        return self._redis.ask(*commands)

    def _follow(self, follower: Follower) -> Iterator[Entry | Gap]:
        while not follower.ended:
            found: list[Entry | Gap] = []
            wait = 0.0
            try:
                found = follower.answer(self.ask(*follower.ask()))
            except ReaderError as error:
                wait = follower.lost(error)
            yield from found
            time.sleep(wait)

    def _key(self, stream: str, name: str) -> str:
        if stream not in KINDS and not _is_a_stream(stream):
            there = ", ".join(KINDS)
            words = f"there are {there}, and what `bzredis plugins` lists"
            raise ReaderError(f"there is no stream {stream!r}: {words}")
        return f"{self.prefix}:{stream}:{name}"


def _is_a_stream(name: object) -> bool:
    """Tell whether there may be a stream of a name, which is none of the three.

    Not where one of those was meant: that would be answered with nothing, for ever.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return False
    return name.rstrip("s") not in {known.rstrip("s") for known in KINDS}


def _hash(stream: str, fields: dict[str, str]) -> Hash:
    return structure(KINDS.get(stream, Record), fields, text=fields)


def _symbol(ticker: str) -> str:
    return ticker.strip().removeprefix("$").upper()


def _of_each_firm(hashes: Iterable[dict[str, str]]) -> Iterator[Rating]:
    """Yield the first of each firm, which has an id, a name or both."""
    seen: set[str | None] = set()
    for fields in hashes:
        rating = structure(Rating, fields, text=fields)
        firm = {rating.firm, rating.firm_id} - {None}
        if not firm & seen:
            yield rating
        seen |= firm
