"""One stream's keys, for the commands that mend: read in pages, written in steps.

No call keeps Redis from others for more than some milliseconds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, Final, cast

import attrs
import msgspec

from bzredis.contract.keys import internal, key, pattern
from bzredis.store.client import Store
from bzredis.store.script import lua
from bzredis.store.wire import Script
from bzredis.streams import Stream

PAGE: Final = 200  # entries of some KB each
NAMES: Final = 1_000  # keys that SCAN looks at in a call
WRONG_TYPE: Final = "WRONGTYPE"  # how Redis begins to say so
START: Final = "0-0"  # before all entries
_MEND, _FORGET, _REJECTED = (Script(lua(n)) for n in ("mend", "forget", "rejected"))

Fields = dict[str, str]
Entry = tuple[str, Fields]
# A symbol's part of what mend.lua takes: it tells what stands where.
Step = tuple[
    str,
    Sequence[str],
    Sequence[tuple[str, Sequence[str], str]],
    Sequence[str] | bool,
    str | bool,
    str | bool,
    str | bool,
]


@attrs.frozen
class Hash:
    """A hash as it stands; None where a key of another type does."""

    fields: Fields | None
    expires: bool = False


@attrs.frozen
class Symbol:
    """What stands of a symbol: the records of its timeline with their scores."""

    latest: Hash
    timeline: dict[str, int] | None  # None: it is of another type
    listed: bool  # whether it is among `symbols`


@attrs.frozen
class Looked:
    """What stood at one moment: what the log said since then, and of whom what."""

    now: int  # ms, by the clock of Redis
    newer: list[Entry]
    symbols: dict[str, Symbol]
    records: dict[str, Hash]
    entries: dict[str, Fields]  # of the log, where they are there still


@attrs.frozen
class Keys:
    """The keys of one stream. All that it does may raise StoreDown."""

    store: Store
    stream: Stream

    def key(self, name: str) -> str:
        return key(self.store.prefix, self.stream, name)

    # ---- read

    async def log(self, after: str, name: str = "events") -> list[Entry]:
        """Return the next entries of the log, or of another stream of Redis."""
        at, start = self.key(name), f"({after}"
        return _entries(
            await self.store.ask(lambda redis: redis.xrange(at, start, "+", PAGE))
        )

    async def last(self, name: str = "events") -> str:
        """Return the id of the newest entry."""
        at = self.key(name)
        found = _entries(await self.store.ask(lambda r: r.xrevrange(at, count=1)))
        return found[0][0] if found else START

    async def is_sieved(self) -> bool:
        """Tell whether single entries were taken out of the log, if the server knows.

        Redis 6.2 does not.
        """
        at = self.key("events")

        def ask(redis: Any) -> bool:
            if not redis.exists(at):
                return False
            info = redis.xinfo_stream(at)
            first, gone = info.get("first-entry"), info.get("max-deleted-entry-id")
            return bool(first and gone) and place(_text(gone)) > place(_text(first[0]))

        return await self.store.ask(ask)

    async def hash(self, name: str) -> Fields:
        at = self.key(name)
        return _fields(await self.store.ask(lambda redis: redis.hgetall(at)))

    async def names(self, of: str) -> AsyncIterator[list[str]]:
        """Yield what follows after `of` in the names of the keys, page by page."""
        stem = self.key(of)
        cursor = 0
        while True:
            cursor, found = await self.store.ask(partial(_scanned, stem, cursor))
            if found:
                yield found
            if not cursor:
                return

    async def listed(self) -> list[str]:
        """Return the symbols that are said to have a `latest`."""
        calls = [("ZRANGE", self.key("symbols"), 0, -1)]
        found = await self.store.ask(partial(_asked, calls))
        return [] if isinstance(found[0], Exception) else list(map(_text, found[0]))

    async def count(self, names: Sequence[str]) -> list[int]:
        """Return how much each key has: 1 for a hash, 0 for none or a wrong type."""
        calls = [(_counting(name), self.key(name)) for name in names]
        answers = await self.store.ask(partial(_asked, calls))
        return [0 if isinstance(each, Exception) else int(each) for each in answers]

    async def whose(self, records: Sequence[str]) -> list[str]:
        """Return the symbol of each record, "" where it says none."""
        calls = [("HGET", self.key(f"record:{each}"), "_symbol") for each in records]
        answers = await self.store.ask(partial(_asked, calls))
        return ["" if isinstance(each, Exception) else _text(each) for each in answers]

    async def timelines(self, symbols: Sequence[str]) -> list[list[str]]:
        """Return the records of each symbol's timeline."""
        calls = [("ZRANGE", self.key(f"timeline:{s}"), 0, -1) for s in symbols]
        answers = await self.store.ask(partial(_asked, calls))
        return [
            [] if isinstance(each, Exception) else list(map(_text, each))
            for each in answers
        ]

    async def look(
        self,
        after: str,
        symbols: Sequence[str],
        records: Sequence[str],
        entries: Sequence[str],
    ) -> Looked:
        """Return what stands of them, and what the log says since, at one moment."""
        calls: list[tuple[Any, ...]] = [("TIME",)]
        calls.append(("XRANGE", self.key("events"), f"({after}", "+", "COUNT", PAGE))
        for symbol in symbols:
            latest, line = self.key(f"latest:{symbol}"), self.key(f"timeline:{symbol}")
            calls += (("HGETALL", latest), ("PTTL", latest))
            calls.append(("ZRANGE", line, 0, -1, "WITHSCORES"))
            calls.append(("ZSCORE", self.key("symbols"), symbol))
        for record in records:
            at = self.key(f"record:{record}")
            calls += (("HGETALL", at), ("PTTL", at))
        events = self.key("events")
        calls += [("XRANGE", events, each, each) for each in entries]
        answers = iter(await self.store.ask(partial(_asked, calls, at_once=True)))
        seconds, micros = next(answers)
        newer = _entries(next(answers))
        told = {
            symbol: Symbol(
                _hash(next(answers), next(answers)),
                _line(next(answers)),
                _is_there(next(answers)),
            )
            for symbol in symbols
        }
        hashes = {each: _hash(next(answers), next(answers)) for each in records}
        held = dict(entry for found in answers for entry in _entries(found))
        now = 1_000 * int(seconds) + int(micros) // 1_000
        return Looked(now, newer, told, hashes, held)

    # ---- write

    async def mend(self, read: str, steps: Sequence[Step]) -> list[bool]:
        """Write what was found; return of which it was done.

        Of the others the log says something since `read`.
        """
        args: list[str | bytes | int] = [read, msgspec.msgpack.encode(steps)]
        run = partial(_MEND.run, keys=[self.key("events")], args=args)
        return [done == 1 for done in await self.store.ask(run)]

    async def forget(self, symbol: str) -> int:
        """Remove all that is said of a symbol but the log; return how many keys."""
        run = partial(_FORGET.run, keys=[self.key("events")], args=[symbol])
        return cast("int", await self.store.ask(run))

    async def take_out(self, rejected: Sequence[str]) -> None:
        """Remove entries of `rejected`."""
        at = self.key("rejected")
        if rejected:
            await self.store.ask(lambda redis: redis.xdel(at, *rejected))

    async def say_why(self, rejected: str, fields: Fields) -> None:
        """Put an entry of `rejected` anew, with these fields."""
        flat = [part for pair in fields.items() for part in pair]
        run = partial(
            _REJECTED.run, keys=[self.key("rejected")], args=[rejected, *flat]
        )
        await self.store.ask(run)

    async def drop(self, name: str) -> None:
        at = self.key(name)
        await self.store.ask(lambda redis: redis.unlink(at))

    async def upstream(self) -> str:
        """Return the host that all this came from, "" where that is not known."""
        return (await self.hash(internal("coverage"))).get("upstream", "")

    async def is_held(self) -> bool:
        """Tell whether a bridge runs here, connected or not."""
        names = (self.key("alive"), self.key(internal("holder")))
        return bool(await self.store.ask(lambda redis: redis.exists(*names)))


def place(entry: str) -> tuple[int, int]:
    """Return what orders the ids of entries; (0, 0) for what is none."""
    first, _, second = entry.partition("-")
    if first.isdecimal() and second.isdecimal():
        return int(first), int(second)
    return 0, 0


def _scanned(stem: str, cursor: int, redis: Any) -> tuple[int, list[str]]:
    redis.exists(stem)  # of a cluster, the node that has our keys
    cursor, found = redis.scan(cursor, f"{pattern(stem)}*", NAMES)
    return cursor, [_text(each)[len(stem) :] for each in found]


def _asked(
    calls: Sequence[tuple[Any, ...]], redis: Any, *, at_once: bool = False
) -> list[Any]:
    """Return the answers; a key of a wrong type answers with that error alone."""
    if not calls:
        return []
    with redis.pipeline(transaction=at_once) as together:
        for call in calls:
            together.execute_command(*call)
        answers = together.execute(raise_on_error=False)
    for each in answers:
        if isinstance(each, Exception) and not str(each).startswith(WRONG_TYPE):
            raise each
    return cast("list[Any]", answers)


def _counting(name: str) -> str:
    kinds = {"timeline": "ZCARD", "history": "XLEN", "events": "XLEN"}
    return kinds.get(name.partition(":")[0], "EXISTS")


def _text(value: bytes | str | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else value.decode(errors="backslashreplace")


def _fields(found: Any) -> Fields:
    return {_text(name): _text(value) for name, value in found.items()}


def _entries(found: Any) -> list[Entry]:
    if isinstance(found, Exception):  # no log at all
        return []
    return [(_text(entry), _fields(fields)) for entry, fields in found if fields]


def _hash(found: Any, ttl: Any) -> Hash:
    if isinstance(found, Exception):
        return Hash(None)
    return Hash(_fields(found), expires=ttl >= 0)


def _line(found: Any) -> dict[str, int] | None:
    if isinstance(found, Exception):
        return None
    return {
        _text(record): round(float(score))
        for record, score in zip(found[::2], found[1::2], strict=True)
    }


def _is_there(score: Any) -> bool:
    return score is not None and not isinstance(score, Exception)
