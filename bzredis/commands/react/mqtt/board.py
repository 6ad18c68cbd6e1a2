"""What stands in the broker: told as a whole, and then what changes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import attrs
import trio

from bzredis.commands.react.mqtt.link import Heard, Link, Lost, Message
from bzredis.commands.react.mqtt.payloads import (
    FRESH,
    GONE,
    NOTHING,
    ONLINE,
    STALE,
    bridge_device,
    sensors,
    state,
    symbol_device,
)
from bzredis.commands.react.mqtt.topics import BIRTH, BORN, BRIDGE, Topics, name, symbol
from bzredis.commands.react.reaction import Happening, NotDone
from bzredis.commands.react.taking.patient import Patient
from bzredis.errors import StoreDown
from bzredis.streams import Stream

SOON: Final = 30.0  # s that one thing that happened may take
AT_ONCE: Final = 100  # hashes that are asked for together; some 100 KB

Ask = Callable[..., Awaitable[list[Any]]]  # of Patient: `ask` or `once`


@attrs.frozen
class State:
    """The state of a symbol."""

    whose: tuple[str, str]  # stream and symbol
    message: Message
    shown: tuple[str | None, ...]  # the record of which it tells, and what sensors show
    currency: str


@attrs.define(eq=False)
class Board:
    """Keeps topics as `latest` stands, for watched symbols.

    Without a link nothing is sent: all is told anew when there is one again.
    """

    topics: Topics
    link: Link | None = attrs.field(init=False, default=None)
    heard: trio.Event = attrs.field(init=False, factory=trio.Event)
    _watched: Sequence[str]
    _streams: Sequence[Stream]
    _redis: Patient
    # One at a time reads and sends: else what is older might be sent later.
    _lock: trio.Lock = attrs.field(init=False, factory=trio.Lock)
    _told: dict[tuple[str, str], State] = attrs.field(init=False, factory=dict)
    _fresh: dict[str, bytes] = attrs.field(init=False, factory=dict)  # told, by topic
    _is_born: bool = attrs.field(init=False, default=False)  # Home Assistant, anew
    _left_over: set[str] = attrs.field(init=False, factory=set)  # devices of before

    # ---- the whole

    async def tell_all(self, link: Link) -> None:
        """Say all that there is to say. Raises Lost."""
        async with self._lock:
            fresh = await self._which_are_fresh(self._redis.ask)
            states = [
                each
                for about in self._streams
                for each in await self._states(about, self._watched, self._redis.ask)
            ]
            messages = [*self._devices(states), *(each.message for each in states)]
            online = (self.topics.availability, ONLINE)
            await link.publish([*messages, *fresh, online])
            self._told = {each.whose: each for each in states}
            self._fresh = dict(fresh)
            self.link = link

    async def _which_are_fresh(self, ask: Ask) -> list[Message]:
        """Read it; raises StoreDown."""
        keys = [self._redis.key(each.name, "alive") for each in self._streams]
        alive = await ask(*(("EXISTS", key) for key in keys))
        return [
            (self.topics.stream(about.name), FRESH if is_fresh else STALE)
            for about, is_fresh in zip(self._streams, alive, strict=True)
        ]

    def _devices(self, states: Sequence[State]) -> Iterator[Message]:
        streams = [each.name for each in self._streams]
        yield self.topics.config(BRIDGE), bridge_device(self.topics, streams)
        currencies = {each.whose[1]: each.currency for each in states if each.currency}
        for each in self._watched:
            currency = currencies.get(each, "")
            told = symbol_device(self.topics, each, streams, currency)
            yield self.topics.config(name(each)), told

    # ---- what is heard from the broker

    def hear(self, found: Heard) -> None:
        """Take note that Home Assistant started, or of what we told it once."""
        if found.topic == BIRTH:
            self._is_born |= found.payload == BORN and not found.retained
        elif found.retained and found.payload:
            which = self.topics.which(found.topic)
            known = {BRIDGE, *map(name, self._watched)}
            self._left_over |= {which} - known if which else set()
        if self._is_born or self._left_over:
            self.heard.set()

    async def answer(self, link: Link) -> None:
        """Do what follows from what was heard. Raises Lost."""
        self.heard = trio.Event()
        if self._is_born:
            self._is_born = False
            await self.tell_all(link)
        gone, self._left_over = self._left_over, set()
        messages = [(self.topics.config(each), GONE) for each in gone]
        symbols = filter(None, map(symbol, gone))
        messages += [
            (self.topics.state(about.name, each), GONE)
            for each in symbols
            for about in self._streams
        ]
        await link.publish(messages)

    # ---- what happens

    async def react(self, happened: Happening) -> None:
        """Send what changed. Raises NotDone."""
        reason = f"it was not done within {SOON:g} s"
        with trio.move_on_after(SOON):
            async with self._lock:
                reason = await self._react(happened)
        if reason:
            raise NotDone(reason)

    async def _react(self, happened: Happening) -> str:
        """Return why it was not done, "" where it was, or will be with all else."""
        if self.link is None:
            return ""
        try:
            states = await self._news(happened)
            messages = [each.message for each in states]
            if happened.kind in {"stale", "fresh"}:
                topic = self.topics.stream(happened.stream)
                messages.append((topic, happened.kind.encode()))
                self._fresh[topic] = happened.kind.encode()
            await self.link.publish(messages)
        except Lost:
            return ""
        except StoreDown as error:
            return str(error)
        self._told |= {each.whose: each for each in states}
        return ""

    async def _news(self, happened: Happening) -> list[State]:
        """Return the states that an entry changed: not what was told already."""
        about = next((e for e in self._streams if e.name == happened.stream), None)
        if about is None or happened.kind != "entry":
            return []
        symbols = {happened.symbol} & {*self._watched} | await self._moved(about)
        states = await self._states(about, sorted(symbols), self._redis.once)
        return [
            each
            for each in states
            if each.whose not in self._told
            or self._told[each.whose].message != each.message
        ]

    async def look_again(self, link: Link) -> None:
        """Send what changed without an entry: it was forgotten, say. Raises Lost.

        Also which streams are fresh: that may have turned twice between two looks.
        """
        with suppress(StoreDown):
            async with self._lock:
                fresh = await self._which_are_fresh(self._redis.once)
                turned = [each for each in fresh if self._fresh.get(each[0]) != each[1]]
                await link.publish(turned)
                self._fresh |= dict(turned)
                for about in self._streams:
                    moved = sorted(await self._moved(about))
                    states = await self._states(about, moved, self._redis.once)
                    await link.publish([each.message for each in states])
                    self._told |= {each.whose: each for each in states}

    async def _moved(self, about: Stream) -> set[str]:
        """Return the symbols whose `latest` is another record than was told, or gone.

        An entry names one symbol; of a record that left another one, there are two. And
        of what says something else than was told no entry need tell: it was mended.
        """
        found, shown = set[str](), [each.field for each in sensors(about)]
        for some in _batches(self._watched):
            keys = [self._redis.key(about.name, "latest", each) for each in some]
            asked = (("HMGET", key, "_version", "_record", *shown) for key in keys)
            for each, now in zip(some, await self._redis.once(*asked), strict=True):
                told = self._told.get((about.name, each))
                if told is not None:
                    was_there, is_there = told.message[1] != NOTHING, now[0] is not None
                    if was_there != is_there or told.shown != (now[1] or "", *now[2:]):
                        found.add(each)
        return found

    async def _states(
        self, about: Stream, symbols: Sequence[str], ask: Ask
    ) -> list[State]:
        """Read states. Raises StoreDown."""
        found = list[State]()
        for some in _batches(symbols):
            keys = [self._redis.key(about.name, "latest", each) for each in some]
            hashes = await ask(*(("HGETALL", key) for key in keys))
            for each, latest in zip(some, hashes, strict=True):
                topic = self.topics.state(about.name, each)
                found.append(
                    State(
                        (about.name, each),
                        (topic, state(about, latest)),
                        (
                            latest.get("_record", ""),
                            *(latest.get(each.field) for each in sensors(about)),
                        ),
                        latest.get("currency", ""),
                    )
                )
        return found


def _batches(symbols: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(symbols), AT_ONCE):
        yield symbols[first : first + AT_ONCE]
