"""One reader for all pages: follows the logs, and tells each page what it wants.

It follows the logs rather than the channel `changed`: that one says the same, and loses
what is said while nobody listens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import cycle
from typing import Final, NoReturn, TypeVar

import attrs
import trio

from bzredis.commands.running.called import typed
from bzredis.commands.web.live.kept import SHOWN, Kept, News, Wanted
from bzredis.errors import first
from bzredis.messages.times import EASTERN
from bzredis.reader import (
    Entry,
    Gap,
    Reader,
    ReaderError,
    Status,
    StreamName,
    TrioReader,
)

LOOK: Final = 0.5  # s between looks at how the streams stand
AGAIN: Final = 1.0  # s until Redis is asked again after it could not be
FLUSH: Final = 0.2  # s between what a page is told
STATE: Final = 1.0  # s between signs that this board lives, with how all stands
MOVED: Final = 5.0  # s between tables of who moved
# A look takes milliseconds. So old, what it said may be as wrong as it likes.
OLD: Final = 3.0  # s
OURS: Final = ".benzinga.com"  # what the hosts' names end with that are upstream's own
FIRST: Final = 1_000  # entries of each log's end; one in three is news
BEHIND: Final = 24  # messages that may wait for a page: some 5 s
MOST: Final = 200  # pages at once

T = TypeVar("T")


@attrs.frozen
class Drawing:
    """What draws pieces of pages, as HTML."""

    news: Callable[[Entry | Gap], str]
    strip: Callable[[Hub], str]  # how the streams stand, in a line
    cards: Callable[[Hub], str]  # … and in full
    moved: Callable[[Hub], str]


@attrs.define(eq=False)
class Page:
    """Who looks: what it wants, and the way to it."""

    wanted: Wanted | None  # news; None: none
    symbols: frozenset[str]  # a change of which has it read itself again
    to: trio.MemorySendChannel[bytes]


def told(event: str, text: str) -> bytes:
    """Write a server-sent event."""
    lines = [line for line in text.split("\n") if line] or [""]
    data = "".join(f"data: {line}\n" for line in lines)
    return f"event: {event}\n{data}\n".encode()


def today() -> datetime:
    """Return the time where the markets are."""
    return datetime.now(EASTERN)


@attrs.define(eq=False)
class Hub:
    """What is known of Redis, and who wants to know."""

    streams: Sequence[StreamName]
    place: str  # as it may be shown
    prefix: str
    _open: Sequence[Callable[[], TrioReader]]  # one for each address, by turns
    draw: Drawing = attrs.field(repr=False)
    states: dict[StreamName, Status] = attrs.field(factory=dict)
    asked: datetime | None = None  # when they were as they stand
    trouble: str = ""  # why Redis cannot be asked
    kept: Kept = attrs.field(factory=Kept)
    serial: int = 0  # grows with what pages show
    ready: trio.Event = attrs.field(factory=trio.Event)
    _reader: TrioReader | None = None
    _after: dict[StreamName, str] = attrs.field(factory=dict)
    _pages: set[Page] = attrs.field(factory=set)
    _rows: list[News] = attrs.field(factory=list)
    _changed: set[str] = attrs.field(factory=set)
    _turned: trio.Event = attrs.field(factory=trio.Event)  # fresh or not: told at once

    # ---- for pages

    @property
    def is_old(self) -> bool:
        """Whether nothing can be said any more of how the streams stand."""
        if self.asked is None:
            return True
        return abs((datetime.now(UTC) - self.asked).total_seconds()) > OLD

    @property
    def is_known(self) -> bool:
        """Whether it is known just now how the streams stand."""
        return not self.is_old and not self.trouble

    def is_fresh(self, stream: str) -> bool:
        """Whether what stands in Redis of a stream is; what is not known is not."""
        found = {name: status.fresh for name, status in self.states.items()}
        return self.is_known and any(found[name] for name in found if name == stream)

    @property
    def foreign(self) -> list[str]:
        """Hosts of which this is, and that are not Benzinga's: a simulator's, say."""
        hosts = {status.upstream or "" for status in self.states.values()} - {""}
        return sorted(each for each in hosts if not f".{each}".endswith(OURS))

    @property
    def moved(self) -> dict[str, list[Entry]]:
        return self.kept.moved(today().date())

    async def read(self, call: Callable[[Reader], T]) -> T:
        """Read what a page needs. Raises ReaderError."""
        if self._reader is None or self.trouble:
            raise ReaderError(self.trouble or "Redis was not asked yet", passes=True)
        return await self._reader.read(call)

    def join(
        self, wanted: Wanted | None, symbols: frozenset[str]
    ) -> tuple[Page, trio.MemoryReceiveChannel[bytes]] | None:
        """Have a page told from now on; None where there are too many."""
        if len(self._pages) >= MOST:
            return None
        to, come = trio.open_memory_channel[bytes](BEHIND)
        page = Page(wanted, symbols, to)
        self._pages.add(page)
        hello = told("hello", str(self.serial)) + told("strip", self.draw.strip(self))
        to.send_nowait(hello)
        return page, come

    def leave(self, page: Page) -> None:
        """Tell a page nothing more; what waits for it, it still gets."""
        self._pages.discard(page)
        page.to.close()

    # ---- what is done

    async def run(self) -> NoReturn:
        """Follow Redis, and tell pages, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_news)
            nursery.start_soon(self._tell_state)
            for at in cycle(self._open):
                self._reader = reader = at()
                await self._follow(reader)
                # In a thread, since it waits for who reads just now; at the end of all
                # nobody has to.
                await trio.to_thread.run_sync(reader.close, abandon_on_cancel=True)
                await trio.sleep(AGAIN)
        raise AssertionError  # it is never done

    async def _follow(self, reader: TrioReader) -> None:
        """Follow one address as long as it answers."""
        try:
            async with trio.open_nursery() as nursery:
                await self._look(reader)
                await self._read_first(reader)
                self.trouble = ""
                self._turned.set()
                self._all_changed()
                self.ready.set()
                for name in self.streams:
                    nursery.start_soon(self._read_on, reader, name)
                while True:
                    await trio.sleep(LOOK)
                    await self._look(reader)
        except* ReaderError as group:
            self.trouble = typed(str(first(group)))
            self._turned.set()
            self.ready.set()

    async def _look(self, reader: TrioReader) -> None:
        begin = datetime.now(UTC)  # what is said is as old as the asking
        states = {name: await reader.status(name) for name in self.streams}
        if _fresh(states) != _fresh(self.states):
            self._turned.set()
        self.states, self.asked = states, begin

    async def _read_first(self, reader: TrioReader) -> None:
        new = [name for name in self.streams if name not in self._after]
        for name in new:
            found = await reader.recent(name, FIRST)
            self._after[name] = found[0].id if found else "0"
            for one in reversed(found):
                self._keep(one)
        if new:
            self.kept.sort()

    async def _read_on(self, reader: TrioReader, name: StreamName) -> None:
        async for one in reader.events(name, self._after[name]):
            self._after[name] = one.id
            if isinstance(one, Entry) and one.symbol and one.effect != "none":
                self._changed.add(one.symbol)
                self.serial += 1
            if news := self._keep(one):
                self._rows.append(news)
                self.serial += 1  # a gap is about no symbol

    def _keep(self, one: Entry | Gap) -> News | None:
        if isinstance(one, Entry):
            if not one.news:
                return None
            one = attrs.evolve(one, raw=None, text={})  # kilobytes that no page shows
        news = News(one, self.draw.news(one))
        self.kept.add(news, today().date())
        return news

    # ---- what is told

    def _all_changed(self) -> None:
        """Have every page read itself again."""
        self.serial += 1
        self._tell(lambda _: told("changed", ""))

    async def _tell_news(self) -> NoReturn:
        """Tell at most some five times a second, however much comes."""
        while True:
            await trio.sleep(FLUSH)
            rows, changed = self._rows, self._changed
            if rows or changed:
                self._rows, self._changed = [], set()
                self._tell(lambda page: _for(page, rows, changed))  # noqa: B023 - now

    async def _tell_state(self) -> NoReturn:
        moved, until = "", 0.0
        while True:
            with trio.move_on_after(STATE):
                await self._turned.wait()
            self._turned = trio.Event()
            if not self._pages:
                continue
            news = told("strip", self.draw.strip(self))
            full = news + told("cards", self.draw.cards(self))
            if (now := trio.current_time()) >= until:
                before, moved, until = moved, self.draw.moved(self), now + MOVED
                full += told("moved", moved) if moved != before else b""
            self._tell(lambda page: full if page.wanted else news)  # noqa: B023 - now

    def _tell(self, what: Callable[[Page], bytes]) -> None:
        """Tell each page; one that is too far behind is to read itself again."""
        for page in [*self._pages]:
            if text := what(page):
                try:
                    page.to.send_nowait(text)
                except trio.WouldBlock:
                    self.leave(page)
                except trio.BrokenResourceError:
                    self.leave(page)  # it is gone


def _fresh(states: Mapping[StreamName, Status]) -> set[StreamName]:
    return {name for name, status in states.items() if status.fresh}


def _for(page: Page, rows: list[News], changed: set[str]) -> bytes:
    text = b""
    if page.wanted and (found := [*_wanted(page.wanted, rows)]):
        text += told("rows", "\n".join(found))
    if page.symbols & changed:
        text += told("changed", "")
    return text


def _wanted(wanted: Wanted, rows: list[News]) -> Iterator[str]:
    """Yield what a page shows of this, newest first."""
    left = SHOWN
    for each in reversed(rows):
        if left and wanted(each.one):
            left -= 1
            yield each.html
