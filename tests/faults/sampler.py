"""Compare `alive` with the truth ten times a second: *fresh* must never be a lie.

What upstream sent is known to the moment, and `alive` and the log are read in one
transaction. What was sent longer ago than a bridge may take to notice a dead link has
to be in the log, set aside, announced as missing, or superseded over REST; and
`latest` has to be what the log says: else `alive` lies. How long it is away though
nothing is missing is counted beside it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from random import Random
from typing import Any, Final, NoReturn

import attrs
import trio
from faults import model
from faults.checker import Fields, _is_covered, _order
from faults.model import Message
from faults.press import STREAMS
from faults.represented import Sent
from faults.rig import Rig
from faults.worker import Taken
from redis import Redis
from redis.exceptions import RedisError

EVERY: Final = 0.1  # s
ANSWER: Final = 2.0  # s
# s: a dead link is noticed after 40 at the latest, and then and there `alive` goes;
# some more for both of our clocks, and for a status that is on its way.
BOUND: Final = 46.0
# s that `alive` outlives a bridge that is no more, or cannot take it away just now, and
# the troubles that do that.
OUTLIVES: Final = 15.0
HINDER: Final = (
    *("bridge_killed", "bridge_frozen", "redis_frozen", "redis_in_a_black_hole"),
    *("redis_out_of_reach", "redis_answers_get_lost", "redis_hangs_up"),
    *("redis_read_only", "redis_without_memory", "redis_far_away"),
)
LATE: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, BOUND)  # s, how old the oldest one was


@attrs.define
class Log:
    """One stream as upstream said it, and as Redis has it."""

    stream: str
    sent: list[Message] = attrs.field(factory=list)
    open: list[Message] = attrs.field(factory=list)  # not accounted for
    here: set[int] = attrs.field(factory=set)
    entries: list[Fields] = attrs.field(factory=list)
    gaps: list[Fields] = attrs.field(factory=list)
    newest: dict[str, Fields] = attrs.field(factory=dict)  # entries that made `latest`
    symbols: dict[str, str] = attrs.field(factory=dict)  # of records
    left: set[str] = attrs.field(factory=set)  # symbols that a record left, or came to
    worked: int = 0  # entries that a reader removed, and what they were
    worked_numbers: set[int] = attrs.field(factory=set)
    worked_gaps: list[Fields] = attrs.field(factory=list)
    last: str = "0-0"
    last_rejected: str = "0-0"

    def forget(self) -> None:
        """Begin anew: Redis came back older, or empty."""
        self.open = [*self.sent]
        self.here, self.entries, self.gaps = set(), [], []
        self.newest, self.symbols, self.left = {}, {}, set()
        self.last = self.last_rejected = "0-0"

    def take(self, entries: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> None:
        for identity, fields in entries:
            self.last = identity.decode()
            told = {k.decode(): v.decode(errors="replace") for k, v in fields.items()}
            if told["action"] == "gap":
                self.gaps.append(told)
            else:
                self.entries.append(told)
                self._note_symbol(told)
                if told["source"] != "rest":
                    self.here.add(number_in(told["raw"]))

    def _note_symbol(self, entry: Fields) -> None:
        record, symbol = entry.get("record"), entry.get("symbol", "")
        if record and (before := self.symbols.setdefault(record, symbol)) != symbol:
            self.left |= {before, symbol}
            self.symbols[record] = symbol
        if entry["effect"] == "latest":
            self.newest[symbol] = entry

    def take_rejected(
        self, entries: Sequence[tuple[bytes, dict[bytes, bytes]]]
    ) -> None:
        for identity, fields in entries:
            self.last_rejected = identity.decode()
            self.here.add(number_in(fields.get(b"raw", b"").decode(errors="replace")))

    def note_worked(self, taken: Sequence[Fields]) -> None:
        """Take what a reader removed so far, however Redis came back since."""
        for entry in taken[self.worked :]:
            self.worked_numbers.add(number_in(entry.get("raw", "")))
            if entry["action"] == "gap":
                self.worked_gaps.append(entry)
        self.worked = len(taken)

    def oldest_missing(self, before: float, *, rest: bool) -> Message | None:
        """Return the oldest that was sent before then and is not accounted for."""
        here, worked, gaps = (
            self.here,
            self.worked_numbers,
            self.gaps + self.worked_gaps,
        )
        self.open = [
            each
            for each in self.open
            if each.number not in here and each.number not in worked
        ]
        found = [
            each
            for each in self.open
            if each.sent < before and not _is_covered(each, gaps)
        ]
        if found and rest:
            found = self._not_superseded(found)
        return found[0] if found else None

    def _not_superseded(self, missing: list[Message]) -> list[Message]:
        said = Sent(self.stream, self.sent)
        logged = [said.meant_by(entry) for entry in self.entries]
        superseded = said.superseded(missing, logged)
        superseded |= {each.number for each in logged}
        return [
            each
            for each in missing
            if each.number not in superseded and not said.was_untold(each)
        ]


def number_in(raw: str) -> int:
    """Return the number of a message of the press, -1 of any other frame."""
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        return int(json.loads(raw)["number"])
    return -1


@attrs.define
class Sampler:
    """What was found, in s; `first` is the first lie in words."""

    rig: Rig
    rest: bool
    troubles: Callable[[], str] = str  # what goes on just now
    taken: Taken = attrs.field(factory=dict)
    fresh: float = 0.0
    lies: float = 0.0
    needless: float = 0.0
    longest_needless: float = 0.0
    first: str = ""
    lateness: dict[float, float] = attrs.field(factory=dict)
    _logs: dict[str, Log] = attrs.field(
        factory=lambda: {name: Log(name) for name in STREAMS}
    )
    _noted: int = 0
    _run: str = ""  # of the server
    _rng: Random = attrs.field(factory=lambda: Random(1))
    _old: dict[str, str] = attrs.field(factory=dict)  # a `latest` that is, by stream
    _hindered_at: float = -OUTLIVES  # s, when such a trouble went on last
    _away_since: dict[str, float] = attrs.field(factory=dict)

    async def run(self) -> NoReturn:
        """Look until cancelled."""
        last = trio.current_time()
        while True:
            await trio.sleep(EVERY)
            now, elapsed = time.time(), trio.current_time() - last
            last += elapsed
            self._note_sent()
            if any(name in HINDER for name in self.troubles().split(", ")):
                self._hindered_at = now
            with suppress(RedisError, OSError, trio.TooSlowError):
                alive = await trio.to_thread.run_sync(self._look)
                self._note_sent()  # what came meanwhile may stand there already
                for stream, is_alive in alive.items():
                    self._judge(stream, now, min(elapsed, 1.0), is_alive=is_alive)

    def _note_sent(self) -> None:
        sent = self.rig.simulator.sent
        for stream, text in islice(sent, self._noted, None):
            self._noted += 1
            if text.startswith('{"id":"' + stream):  # else none of the press
                message = model.message(text)
                self._logs[stream].sent.append(message)
                self._logs[stream].open.append(message)

    def _look(self) -> dict[str, bool]:
        """Read what is new; in a thread, for Redis may be frozen."""
        with Redis.from_url(self.rig.server.url, socket_timeout=ANSWER) as redis:
            for stream, taken in self.taken.items():
                self._logs[stream].note_worked([*taken.values()])
            run = str(redis.info("server")["run_id"])
            if run != self._run:
                self._run = run
                for log in self._logs.values():
                    log.forget()
            return {name: self._read(redis, log) for name, log in self._logs.items()}

    def _read(self, redis: Redis, log: Log) -> bool:
        """Read what is new of a stream, and whether `alive` is there; at one moment."""
        stem = f"bz:{log.stream}"
        symbol = self._rng.choice([*(log.newest.keys() - log.left)] or [""])
        asked: Any = redis.pipeline(transaction=True)
        asked.exists(f"{stem}:alive")
        asked.xrange(f"{stem}:events", f"({log.last}")
        asked.xrange(f"{stem}:rejected", f"({log.last_rejected}")
        asked.xinfo_stream(f"{stem}:events")
        asked.hget(f"{stem}:latest:{symbol}", "_version")
        answers = asked.execute(raise_on_error=False)
        is_alive, entries, rejected, told, version = answers
        newest = "0-0"
        if not isinstance(told, Exception):  # there is such a stream
            newest = told["last-generated-id"].decode()
        if _order(newest) < _order(log.last):
            log.forget()
            return self._read(redis, log)
        log.take(entries)
        log.take_rejected(rejected)
        held = log.newest.get(symbol)
        self._old[log.stream] = ""
        # What falls back to another record, the log does not say by itself.
        is_told = held and held["action"] != "deleted" and symbol not in log.left
        if held and is_told and log.stream not in self.taken:
            found = version.decode() if isinstance(version, bytes) else "none"
            if found != held["version"]:
                old = f"latest:{symbol} is of {found}, not of {held['version']}"
                self._old[log.stream] = old
        return bool(is_alive)

    def _judge(
        self, stream: str, now: float, elapsed: float, *, is_alive: bool
    ) -> None:
        log = self._logs[stream]
        if not is_alive:
            self._judge_absence(log, now, elapsed)
            return
        self._away_since.pop(stream, None)
        self.fresh += elapsed
        if old := self._old[stream]:
            self.lies += elapsed
            self.first = self.first or f"{stream} was fresh at {now:.1f} though {old}"
        missing = log.oldest_missing(now - LATE[0], rest=self.rest)
        if missing is None:
            return
        age = now - missing.sent
        limit = max(limit for limit in LATE if limit <= age)
        self.lateness[limit] = self.lateness.get(limit, 0.0) + elapsed
        is_hindered = now - self._hindered_at < OUTLIVES
        if age > BOUND + (OUTLIVES if is_hindered else 0.0):
            self.lies += elapsed
            self.first = self.first or (
                f"{stream} was fresh at {now:.1f} though #{missing.number} of"
                f" {missing.about}, sent {age:.1f} s before, is missing;"
                f" going on: {self.troubles()}"
            )

    def _judge_absence(self, log: Log, now: float, elapsed: float) -> None:
        is_needless = (
            self.rig.is_connected(log.stream)
            and log.oldest_missing(now - LATE[0], rest=self.rest) is None
        )
        if not is_needless:
            self._away_since.pop(log.stream, None)
            return
        self.needless += elapsed
        since = self._away_since.setdefault(log.stream, now)
        self.longest_needless = max(self.longest_needless, now - since)

    def told(self) -> str:
        late = ", ".join(
            f"{seconds:.1f} s over {limit:g} s"
            for limit, seconds in sorted(self.lateness.items())
        )
        return (
            f"alive {self.fresh:.0f} s, a lie {self.lies:.1f} s, away needlessly"
            f" {self.needless:.0f} s ({self.longest_needless:.0f} s at once);"
            f" what was missing meanwhile: {late or 'nothing'}"
        )
