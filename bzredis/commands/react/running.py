"""One reaction at work: what it is told of, in order, and how often it is tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Any, Final

import attrs
import structlog
import trio

from bzredis.commands.react.reaction import Happening, NotDone, React
from bzredis.commands.react.taking import failures
from bzredis.commands.react.taking.complaints import Complaints
from bzredis.commands.react.taking.entries import (
    RAW,
    happening,
    reads_latest,
)
from bzredis.commands.react.taking.freshness import Freshness
from bzredis.commands.react.taking.group import Given, Group, Key
from bzredis.commands.react.taking.patient import Command, Patient
from bzredis.errors import StoreDown
from bzredis.streams import Stream

log = structlog.get_logger(__name__)

TRIES: Final = 5
FIRST_WAIT: Final = 1.0  # s after the first try that failed; then twice as long each
IN_HAND: Final = 100  # entries; some 400 KB of insights
# s that what runs may take to its end when we are stopped, that a read may if nothing
# runs, and that the rest may: all of it ends within 5 s (contract.md, 4).
GRACE, A_READ, LAST_WORDS = 3.0, 1.5, 0.5
LOOK: Final = 0.05  # s between looks whether anything runs still
IDLE: Final = 1.0  # s between looks where there is nothing to read for
NEVER_ENDED: Final = "bzredis react was ended each time while this was handled"


@attrs.frozen
class Wanted:
    """What a reaction is told of."""

    streams: Sequence[Stream]
    kinds: frozenset[str] = frozenset({"entry"})  # of Happening; stale and fresh as one
    all_of_them: bool = False  # entries that are no news as well
    when: Callable[[Mapping[str, Any]], bool] = lambda _: True
    raw: bool = False

    def __call__(self, found: Happening) -> bool:
        """Tell whether something is meant."""
        if found.kind not in self.kinds:
            return False
        if found.kind != "entry":
            return True
        is_news = self.all_of_them or found.fields.get("news") is True
        return is_news and self.when(found.fields)

    def cut(self, found: Happening) -> Happening:
        """Return it as it is given to a reaction."""
        if self.raw:
            return found
        told = {name: value for name, value in found.fields.items() if name != RAW}
        return attrs.evolve(found, fields=told)

    @property
    def reads_log(self) -> bool:
        return bool(self.kinds & {"entry", "gap"})


@attrs.define(eq=False)
class Held:
    """An entry in hand."""

    given: Given
    happened: Happening
    due: float = 0.0  # by trio's clock
    is_running: bool = False
    begun: bool = False  # a try was counted that came to no end


@attrs.define(eq=False)
class Running:
    """Runs one reaction until it is stopped."""

    name: str
    wanted: Wanted
    react: React
    redis: Patient
    jobs: int
    group: Group
    stop: trio.Event
    _held: dict[Key, Held] = attrs.field(init=False, factory=dict)
    _complaints: Complaints = attrs.field(init=False)
    _changed: trio.Event = attrs.field(init=False, factory=trio.Event)
    _saying: bool = attrs.field(init=False, default=False)  # what went stale or fresh

    def __attrs_post_init__(self) -> None:
        self._complaints = Complaints(self.name)

    async def run(self) -> None:
        """Run until `stop` is set and what ran then has ended, or had its time."""
        async with trio.open_nursery() as nursery:
            work = nursery.cancel_scope
            async with trio.open_nursery() as workers:
                if self.wanted.reads_log:
                    workers.start_soon(self._take)
                    for _ in range(self.jobs):
                        workers.start_soon(self._work)
                if "stale" in self.wanted.kinds:
                    workers.start_soon(self._watch)
                nursery.start_soon(self._end, work)
                nursery.start_soon(self._complaints.remind)
            work.cancel()
        with trio.move_on_after(LAST_WORDS) as limit, suppress(StoreDown):
            limit.shield = True
            left = list(self._held.values())
            begun = [each.given for each in left if each.begun]
            await self.group.release([each.given for each in left], begun)

    async def _end(self, work: trio.CancelScope) -> None:
        await self.stop.wait()
        self._tell()
        with trio.move_on_after(GRACE):
            await trio.sleep(A_READ)
            while self._saying or any(each.is_running for each in self._held.values()):  # noqa: ASYNC110 - it is a matter of seconds
                await trio.sleep(LOOK)
        work.cancel()

    # ---- taking

    async def _take(self) -> None:
        """Read on while there is room, and say every now and then that we are here."""
        await self.group.open()
        while not self.stop.is_set():
            if self.group.is_due():
                room = IN_HAND - len(self._held)
                found, lost = await self.group.beat(self._held.keys(), room)
                for key in lost:
                    if key in self._held and not self._held[key].is_running:
                        del self._held[key]
                await self._hold([each for each in found if each.fields])
                await self._say_gone([each for each in found if not each.fields])
            elif (room := IN_HAND - len(self._held)) > 0:
                await self._hold(await self.group.read(room))
            else:
                await self._wait(IDLE)

    async def _hold(self, given: Sequence[Given]) -> None:
        """Keep what is meant in hand; acknowledge the rest."""
        # What is in hand may come again where the group was made anew.
        given = [each for each in given if each.key not in self._held]
        if not given:
            return
        latest = await self._latest(given)
        passed = list[Given]()
        for one in given:
            found = happening(one.stream, one.id, one.fields, latest.get(one.key))
            if self.wanted(found):
                held = Held(one, self.wanted.cut(found))
                self._held[one.key] = held
            else:
                passed.append(one)
        self._tell()
        if passed:
            await self.group.passed_over(passed)

    async def _latest(self, given: Sequence[Given]) -> dict[Key, dict[str, str]]:
        """Return the hashes that say more than the entries, by entry."""
        asked = [
            (one, self.redis.key(one.stream.name, "latest", symbol))
            for one in given
            if reads_latest(one.stream) and (symbol := one.fields.get("symbol"))
        ]
        if not asked:
            return {}
        answers = await self.redis.ask(*(("HGETALL", key) for _, key in asked))
        return {one.key: hash_ for (one, _), hash_ in zip(asked, answers, strict=True)}

    async def _say_gone(self, gone: Sequence[Given]) -> None:
        if gone:
            words = "entries were trimmed from the log before they were handled"
            log.warning(words, reaction=self.name, entries=len(gone))
            await self.group.passed_over(gone)

    # ---- handling

    async def _work(self) -> None:
        """Handle what is due, the oldest first."""
        while not self.stop.is_set():
            now = trio.current_time()
            waiting = [each for each in self._held.values() if not each.is_running]
            due = [each for each in waiting if each.due <= now]
            if not due:
                await self._wait(min((each.due - now for each in waiting), default=60))
                continue
            one = min(due, key=attrgetter("given.place"))
            one.is_running = True
            try:
                await self._handle(one)
            finally:
                one.is_running = False

    async def _handle(self, one: Held) -> None:
        tries = await self.group.begin(one.given)
        one.begun = True
        if tries > TRIES:
            await self._give_up(one, NEVER_ENDED, tries - 1)
            return
        try:
            await self.react(one.happened)
        except NotDone as error:
            one.begun = False
            if tries >= TRIES:
                await self._give_up(one, str(error), tries)
            else:
                one.due = trio.current_time() + wait_after(tries)
                self._failed(one.happened, error, tries)
                self._tell()
            return
        await self._done(one)

    async def _give_up(self, one: Held, reason: str, tries: int) -> None:
        key = failures.at(self.redis, self.name)
        await self._done(one, failures.keep(key, one.happened, reason, tries))
        self._complaints.gave_up(one.happened, reason)

    async def _done(self, one: Held, *also: Command) -> None:
        one.begun = False
        await self.group.done([one.given], *also)
        self._held.pop(one.given.key, None)
        self._tell()

    # ---- fresh and stale

    async def _watch(self) -> None:
        """Tell of what went stale or fresh, in order; it is in no log."""
        watched = Freshness(self.redis, self.wanted.streams)
        while not self.stop.is_set():
            for found in await watched.look():
                await self._say(found)

    async def _say(self, found: Happening) -> None:
        self._saying = True
        try:
            await self._try_to_say(found)
        finally:
            self._saying = False

    async def _try_to_say(self, found: Happening) -> None:
        for tries in range(1, TRIES + 1):
            try:
                await self.react(found)
            except NotDone as error:
                reason = str(error)
                self._failed(found, error, tries)
            else:
                return
            if tries < TRIES:
                await self._wait_for_stop(wait_after(tries))
            if self.stop.is_set():  # the next one tells of it where it is so still
                return
        key = failures.at(self.redis, self.name)
        await self.redis.ask(failures.keep(key, found, reason, TRIES))
        self._complaints.gave_up(found, reason)

    # ---- words and waits

    def _failed(self, what: Happening, error: NotDone, tries: int) -> None:
        count = f"{tries} of {TRIES}"
        self._complaints.failed(what, str(error), count, error.output)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _wait(self, seconds: float) -> None:
        """Wait until something changed, or for so long."""
        if self.stop.is_set():
            return
        with trio.move_on_after(max(0.0, seconds)):
            await self._changed.wait()

    async def _wait_for_stop(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self.stop.wait()


def wait_after(tries: int) -> float:
    """Return how many s after so many tries the next is made."""
    return float(FIRST_WAIT * 2 ** (tries - 1))
