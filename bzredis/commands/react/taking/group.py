"""A reaction's consumer group in Redis: what this process has, and for how long.

An entry that was given is ours for LEASE, and is ours on while we say so every BEAT.
Whoever died says nothing more: then another takes over what it had, at the latest LEASE
after. How long a reaction takes does not matter to that.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Any, Final
from uuid import uuid4

import attrs
import trio

from bzredis.commands.react.taking import trimmed
from bzredis.commands.react.taking.patient import Command, Patient
from bzredis.errors import StoreDown
from bzredis.streams import Stream

LEASE: Final = 30.0  # s
BEAT: Final = 5.0  # s
# ms that one read waits: a thread that is left to itself ends after that, and a program
# that is stopped waits for it.
BLOCK: Final = 1_000
MANY: Final = 1_000  # entries; more than one process ever has in hand
FORGOTTEN: Final = 604_800  # s until tries that nobody finished are forgotten
UNUSED: Final = 86_400_000  # ms until the name of a process that is gone is, too
DETAIL: Final = {"parse_detail": True}
IDS: Final = {"parse_justid": True}
NOW, START = "$", "0-0"
Key = tuple[str, str]  # a stream's name and an entry's id


@attrs.frozen(eq=False)
class Given:
    """An entry that was given to us; without fields it is no longer in the log."""

    stream: Stream
    id: str
    fields: dict[str, str] = attrs.field(repr=False)

    @property
    def key(self) -> Key:
        return self.stream.name, self.id

    @property
    def place(self) -> tuple[int, int]:
        ms, _, number = self.id.partition("-")
        return int(ms), int(number)


@attrs.define(eq=False)
class Group:
    """One reaction's group, over its logs. All but `release` waits for Redis."""

    redis: Patient
    name: str
    streams: Sequence[Stream]
    since: str = NOW  # where a new group begins
    me: str = attrs.field(init=False)
    _last: dict[str, str] = attrs.field(init=False, factory=dict)  # id read, by stream
    _beat: float = attrs.field(init=False, default=float("-inf"))
    _told: set[str] = attrs.field(init=False, factory=set)
    # Those that are acknowledged now.
    _ending: set[Key] = attrs.field(init=False, factory=set)
    _claiming: trio.Lock = attrs.field(init=False, factory=trio.Lock)
    _anew: set[str] = attrs.field(init=False, factory=set)  # whose group was gone

    @me.default
    def _named(self) -> str:
        return f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:6]}"

    def log(self, stream: Stream) -> str:
        return self.redis.key(stream.name, "events")

    @property
    def tries(self) -> str:
        return self.redis.key("react", self.name, "tries")

    # ---- taking

    async def open(self) -> None:
        """Make the group where it is not there yet, and tell of what it missed."""
        await self._make()
        for stream in self.streams:
            if last := await trimmed.delivered(self.redis, self.log(stream), self.name):
                self._last[stream.name] = last
            await self._look_back(stream)
            await self._forget_the_dead(stream)

    async def read(self, count: int) -> list[Given]:
        """Return what came, waiting for it a little; none is no error."""
        logs = [self.log(each) for each in self.streams]
        ask: Command = (
            *("XREADGROUP", "GROUP", self.name, self.me, "COUNT", count),
            *("BLOCK", BLOCK, "STREAMS", *logs, *(">" for _ in logs)),
        )
        try:
            [answer] = await self.redis.ask(ask)
        except StoreDown:  # NOGROUP: all else is waited for
            await self._make_anew()
            return []
        found = self._given(answer or [])
        for each in found:
            self._last[each.stream.name] = each.id
        return found

    def is_due(self) -> bool:
        return trio.current_time() - self._beat >= BEAT

    def _is_late(self) -> bool:
        return trio.current_time() - self._beat > LEASE / 2

    async def beat(
        self, held: Collection[Key], room: int
    ) -> tuple[list[Given], set[Key]]:
        """Say that we are here; return whose entries we take over, and what we lost.

        `held` is what we have in hand, also while we ask. What is ours and not in hand
        was given to a read whose answer nobody saw.
        """
        late, is_first = self._is_late(), self._beat == float("-inf")
        found, lost = list[Given](), set[Key]()
        for stream in self.streams:
            known = {key for name, key in held if name == stream.name}
            try:
                ids = await self._ours(stream)
                # After a pause others are late as well: they are waited for.
                if room > 0 and (is_first or not late):
                    ids |= await self._of_the_dead(stream, room)
                if not self._is_late() or stream.name in self._anew:
                    ids |= await self._of_nobody(stream, held, ids)
                self._anew.discard(stream.name)
            except StoreDown:  # NOGROUP
                await self._make_anew()
                ids = known
            lost |= {(stream.name, key) for key in known - ids}
            found += await self._entries(stream, ids - known)
            if len(held) >= room:  # we are behind, by how much nobody knows
                await self._look_back(stream)
        self._beat = trio.current_time()
        return sorted(found, key=attrgetter("place")), lost

    async def _ours(self, stream: Stream) -> set[str]:
        """Return what is ours, and have it be so on."""
        at = self.log(stream)
        ask: Command = ("XPENDING", at, self.name, "-", "+", MANY, self.me, DETAIL)
        [answer] = await self.redis.ask(ask)
        ids = {each["message_id"] for each in answer}
        if ids:
            claim = ("XCLAIM", at, self.name, self.me, 0, *sorted(ids))
            await self.redis.ask((*claim, "JUSTID", IDS))
        return ids

    async def _of_the_dead(self, stream: Stream, room: int) -> set[str]:
        """Take over what those had who have not been heard of for LEASE."""
        ask = ("XAUTOCLAIM", self.log(stream), self.name, self.me, _ms(LEASE), START)
        [ids] = await self.redis.ask((*ask, "COUNT", room, "JUSTID", IDS))
        return set(ids)

    async def _of_nobody(
        self, stream: Stream, held: Collection[Key], known: Collection[str]
    ) -> set[str]:
        """Have what we hold be ours again where the group forgot that it is.

        While we are heard of in time, nobody else did what we have in hand.
        """
        at, found = self.log(stream), set[str]()
        async with self._claiming:  # else one that is done meanwhile would come back
            for key in [key for name, key in held if name == stream.name]:
                if key in known or (stream.name, key) in self._ending:
                    continue
                ask = ("XPENDING", at, self.name, key, key, 1, DETAIL)
                [others] = await self.redis.ask(ask)
                if not others:
                    found.add(key)
            if found:
                claim = ("XCLAIM", at, self.name, self.me, 0, *sorted(found))
                await self.redis.ask((*claim, "FORCE", "JUSTID", IDS))
        return found

    async def _entries(self, stream: Stream, ids: Iterable[str]) -> list[Given]:
        at, found = self.log(stream), list[Given]()
        for key in ids:
            [answer] = await self.redis.ask(("XRANGE", at, key, key))
            found.append(Given(stream, key, answer[0][1] if answer else {}))
        return found

    def _given(self, answer: Sequence[Any]) -> list[Given]:
        by_log = {self.log(each): each for each in self.streams}
        found = [
            Given(by_log[at], key, fields or {})
            for at, entries in answer
            for key, fields in entries
        ]
        return sorted(found, key=attrgetter("place"))

    # ---- what came of it

    async def begin(self, one: Given) -> int:
        """Count a try before it is made, lest one end us for ever; return the count."""
        field = f"{one.stream.name} {one.id}"
        count, _ = await self.redis.ask(
            ("HINCRBY", self.tries, field, 1), ("EXPIRE", self.tries, FORGOTTEN)
        )
        return int(count)

    async def done(self, ones: Sequence[Given], *also: Command) -> None:
        """Acknowledge; what is to be done along with it is done, too, or neither."""
        fields = [f"{one.stream.name} {one.id}" for one in ones]
        forget = ("HDEL", self.tries, *fields)
        async with self._claiming:
            self._ending |= {one.key for one in ones}
        try:
            await self.redis.ask(*also, *self._acknowledge(ones), forget)
        finally:
            self._ending -= {one.key for one in ones}

    async def passed_over(self, ones: Sequence[Given]) -> None:
        """Acknowledge what nothing was to be done for."""
        await self.redis.ask(*self._acknowledge(ones))

    def _acknowledge(self, ones: Sequence[Given]) -> Iterator[Command]:
        for stream in self.streams:
            if ids := [one.id for one in ones if one.stream is stream]:
                yield "XACK", self.log(stream), self.name, *ids

    async def release(self, ones: Sequence[Given], begun: Sequence[Given]) -> None:
        """Leave to the next who comes what we have in hand. Raises StoreDown."""
        commands = list[Command]()
        for stream in self.streams:
            if ids := [one.id for one in ones if one.stream is stream]:
                claim = ("XCLAIM", self.log(stream), self.name, self.me, 0, *ids)
                commands.append((*claim, "IDLE", _ms(LEASE), "JUSTID", IDS))
        for one in begun:  # it was no fault of theirs
            field = f"{one.stream.name} {one.id}"
            commands.append(("HINCRBY", self.tries, field, -1))
        if commands:
            await self.redis.once(*commands)

    # ---- the group itself

    async def _make_anew(self) -> None:
        self._anew |= {each.name for each in self.streams}
        await self._make()

    async def _make(self) -> None:
        """Make the group for each log that has none."""
        for stream in self.streams:
            since = await self._since(stream)
            make = ("XGROUP", "CREATE", self.log(stream), self.name, since, "MKSTREAM")
            with suppress(StoreDown):  # BUSYGROUP: it is there already
                await self.redis.ask(make)

    async def _since(self, stream: Stream) -> str:
        """Return where a group begins anew.

        After what was read last, where that is or was there; else the log is another
        one, as of a Redis that was emptied, and all of it was written since.
        """
        last = self._last.get(stream.name)
        if last is None:
            return self.since
        [there] = await self.redis.ask(("XRANGE", self.log(stream), last, last))
        return last if there or await self._was_removed(stream, last) else START

    async def _was_removed(self, stream: Stream, last: str) -> bool:
        """Whether an entry may be one that a reader removed (Redis 7 remembers)."""
        with suppress(StoreDown):  # there is no log
            [log_] = await self.redis.once(("XINFO STREAM", self.log(stream)))
            newest = log_.get("max-deleted-entry-id", START)
            return trimmed.place(newest) >= trimmed.place(last)
        return False

    async def _look_back(self, stream: Stream) -> None:
        """Tell once where the log was trimmed beyond what was read."""
        if stream.name not in self._told:
            at = self.log(stream)
            if await trimmed.told(self.redis, at, self.name, stream.name):
                self._told.add(stream.name)

    async def _forget_the_dead(self, stream: Stream) -> None:
        """Remove names of processes that are long gone and had nothing in hand."""
        at = self.log(stream)
        with suppress(StoreDown):  # another time
            [consumers] = await self.redis.once(("XINFO CONSUMERS", at, self.name))
            for each in consumers:
                if not each["pending"] and each["idle"] > UNUSED:
                    gone = ("XGROUP", "DELCONSUMER", at, self.name, each["name"])
                    await self.redis.once(gone)


def _ms(seconds: float) -> int:
    return round(1_000 * seconds)
