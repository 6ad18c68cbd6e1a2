"""A reaction that tells people: on a phone, by mail, in a chat (apprise)."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, NoReturn

import attrs
import trio

from bzredis.commands.react.notify.services import Service
from bzredis.commands.react.notify.texts import Said, Say, summed_up
from bzredis.commands.react.reaction import Happening, NotDone, React
from bzredis.commands.running.beside import beside

MINUTE: Final = 60.0  # s
A_MINUTE: Final = 10  # messages; more of them nobody reads
# s that what happens at the same time is waited for, to tell of it in order.
GATHER: Final = 0.1
AT_ONCE: Final = 100  # that wait to be summed up; the rest waits in Redis


@attrs.define(eq=False)
class _Letter:
    """What is to be told, and whether it was."""

    at: tuple[int, ...]  # its place among what happened
    said: Said
    left: set[int]  # services that have not got it
    done: trio.Event = attrs.field(factory=trio.Event)
    failed: str = ""


@asynccontextmanager
async def notify(
    services: Sequence[Service], say: Say, *, seconds: float, a_minute: int = A_MINUTE
) -> AsyncIterator[React]:
    """Tell people of each thing that happened, in a message of its own.

    More than `a_minute` become one message. `seconds` is how long a service may take.
    """
    desk = _Desk(services, seconds, a_minute)

    async def react(happened: Happening) -> None:
        await desk.tell(happened, say(happened))

    async with beside(desk.run):
        yield react


@attrs.define(eq=False)
class _Desk:
    """Sends what waits: one by one, and what is too much for that together."""

    _services: Sequence[Service]
    _seconds: float
    _a_minute: int
    _waiting: deque[_Letter] = attrs.field(init=False, factory=deque)
    _came: trio.Event = attrs.field(init=False, factory=trio.Event)
    _sent: deque[float] = attrs.field(init=False, factory=deque)  # in this minute
    # Which services have yet to get what failed: the others are not told again.
    _left: dict[tuple[str, ...], set[int]] = attrs.field(init=False, factory=dict)

    async def tell(self, happened: Happening, said: Said) -> None:
        """Return when all services took it. Raises NotDone."""
        key = (happened.kind, happened.stream, happened.event)
        left = self._left.pop(key, None) if happened.event else None
        at = tuple(int(each) for each in happened.event.split("-") if each.isdecimal())
        letter = _Letter(at, said, left or {each.number for each in self._services})
        self._waiting.append(letter)
        self._came.set()
        try:
            await letter.done.wait()
        except trio.Cancelled:
            letter.left.clear()  # nobody waits for it any more
            raise
        if letter.failed:
            self._remember(key, letter.left)
            raise NotDone(letter.failed)

    def _remember(self, key: tuple[str, ...], left: set[int]) -> None:
        if key[-1] and len(left) < len(self._services):
            self._left[key] = left
            while len(self._left) > AT_ONCE:
                del self._left[next(iter(self._left))]

    async def run(self) -> NoReturn:
        while True:
            await self._came.wait()
            await trio.sleep(GATHER)
            self._came = trio.Event()
            while self._waiting:
                await self._send_some()

    async def _send_some(self) -> None:
        """Send what waits, as far as this minute allows."""
        room = self._room()
        if not room:
            await trio.sleep_until(self._sent[0] + MINUTE)
            return
        self._waiting = deque(sorted(self._waiting, key=lambda each: each.at))
        together = len(self._waiting) > room
        count = len(self._waiting) if together else 1
        letters = [self._waiting.popleft() for _ in range(count)]
        letters = [each for each in letters if each.left]
        if letters:
            await self._send(letters)

    def _room(self) -> int:
        """Return how many messages may be sent now."""
        now = trio.current_time()
        while self._sent and self._sent[0] + MINUTE <= now:
            self._sent.popleft()
        return self._a_minute - len(self._sent)

    async def _send(self, letters: Sequence[_Letter]) -> None:
        """Send letters in one message for each service, to all at the same time."""
        self._sent.append(trio.current_time())
        failed = dict[int, str]()

        async def send(service: Service) -> None:
            mine = [each.said for each in letters if service.number in each.left]
            if not mine:
                return
            try:
                await service.send(summed_up(mine), self._seconds)
            except NotDone as error:
                failed[service.number] = str(error)

        async with trio.open_nursery() as nursery:
            for service in self._services:
                nursery.start_soon(send, service)
        for each in letters:
            each.left &= failed.keys()
            each.failed = "; ".join(failed[number] for number in sorted(each.left))
            each.done.set()
