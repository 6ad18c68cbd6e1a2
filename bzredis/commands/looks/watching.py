"""What is watched, read again and again; Redis may go and come."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from copy import copy
from datetime import UTC, datetime
from itertools import chain
from typing import Final

import attrs

from bzredis.commands.looks.asked import reader_at
from bzredis.commands.looks.drawn.sheet import Sheet
from bzredis.commands.running.called import typed
from bzredis.reader import Entry, Gap, Reader, ReaderError, Status
from bzredis.reader.following import START, Follower
from bzredis.settings.config import Config

KEPT: Final = 200  # changes: more than the highest terminal has lines
# Of the end of each log, for something to be seen at the start; one in three is news.
FIRST: Final = 100
AGAIN: Final = 15  # looks until a symbol is read again though nothing was said of it


@attrs.frozen
class Seen:
    """What one look found."""

    states: dict[str, Status]
    came: dict[str, list[Entry | Gap]]  # oldest first
    sheet: Sheet | None
    history: tuple[Entry, ...]
    places: dict[str, Follower]  # in the logs, after that


@attrs.define
class Watched:
    """What was read last. `look` is for a thread and changes nothing that is drawn."""

    config: Config
    streams: tuple[str, ...]
    symbol: str = ""  # of which all is wanted; "" for what comes of any
    states: dict[str, Status] = attrs.field(factory=dict)
    news: deque[Entry | Gap] = attrs.field(factory=lambda: deque(maxlen=KEPT))
    sheet: Sheet | None = None
    history: tuple[Entry, ...] = ()  # of the symbol's consensus, newest first
    trouble: str = ""  # why Redis cannot be asked
    since: datetime | None = None  # … and since when
    _places: dict[str, Follower] = attrs.field(factory=dict)
    _looks: int = 0
    _turn: int = 0
    _reader: Reader | None = None

    def look(self) -> Seen:
        """Read on; raises ReaderError."""
        if self._reader is None:
            # Of several nodes of a cluster, by turns, any may be gone for longer.
            url = self.config.redis[self._turn % len(self.config.redis)]
            self._reader = reader_at(url, self.config.prefix)
        reader, symbol = self._reader, self.symbol
        states = {name: reader.status(name) for name in self.streams}
        read = {name: self._on(reader, name) for name in self.streams}
        came = {name: ones for name, (ones, _) in read.items()}
        places = {name: place for name, (_, place) in read.items()}
        found, history = self.sheet, self.history
        if symbol and (
            not self._looks % AGAIN or any(map(self._news_of, came.values()))
        ):
            found = Sheet.read(reader, symbol, self.streams)
            history = reader.history("consensus", symbol)
        return Seen(states, came, found, history, places)

    def take(self, seen: Seen) -> list[Entry | Gap]:
        """Have this drawn from now on; return what is news in it, oldest first."""
        self.states, self.sheet, self.history = seen.states, seen.sheet, seen.history
        self.trouble, self.since = "", None
        self._looks += 1
        self._places = seen.places
        came = chain.from_iterable(map(self._news_of, seen.came.values()))
        found = sorted(came, key=_came)
        self.news.extendleft(found)
        return found

    def lost(self, error: ReaderError) -> None:
        """Have it drawn that Redis is away; raises what will not pass."""
        if self._reader is not None:
            self._reader.close()
        self._reader = None
        self._turn += 1
        self._looks = 0  # the symbol is read again, too
        self.trouble, self.since = typed(str(error)), self.since or datetime.now(UTC)
        if not error.passes:
            raise error

    def _on(self, reader: Reader, name: str) -> tuple[list[Entry | Gap], Follower]:
        """Read on in a log; return what came, and the place after it."""
        if name not in self._places:
            first = [*reversed(reader.recent(name, FIRST))]
            return first, reader.follower(name, first[-1].id if first else START)
        # A copy: this look may fail at the next log, and is made again then.
        found, place = list[Entry | Gap](), copy(self._places[name])
        while True:
            place.look()
            came = place.answer(reader.ask(*place.ask()))
            if not came:
                return found, place
            found += came

    def _news_of(self, ones: Sequence[Entry | Gap]) -> list[Entry | Gap]:
        """Return what is to be told: of the symbol, if one is watched."""
        return [one for one in ones if self._matters(one)]

    def _matters(self, one: Entry | Gap) -> bool:
        if isinstance(one, Gap):
            return True
        return one.news and self.symbol in {"", one.symbol}


def _came(one: Entry | Gap) -> datetime:
    return one.received or datetime.now(UTC)
