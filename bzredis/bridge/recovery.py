"""Whether REST gives back what a stream missed before it connected, and from when on.

Told by the mirror when a connection stands, and by whoever asks REST when all that was
owed is on its way to Redis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
import trio

PATIENCE: Final = 60.0  # s from the connection; what REST has not given then is a gap


@attrs.define(eq=False)
class Recovery:
    """One stream's debt to REST."""

    window: float = 0.0  # s that REST is asked for where Redis knows of nothing
    covered: int | None = None  # ms: from there on nothing is missing; None: not known
    # What Redis said of the last connection's mark, in its own words: from when (ms),
    # and whether not even Redis knew of anything ("window").
    words: str = ""
    owed: int | None = None
    is_window: bool = False
    recovered: int = 0  # rows that took effect since the connection
    # From the start on: what an earlier process left open waits for the first
    # connection, which takes its time.
    _until: float = attrs.field(factory=lambda: trio.current_time() + PATIENCE)
    _mark: int | None = None  # the number of that mark in the backlog
    _news: trio.Event = attrs.field(factory=trio.Event)
    times: int = 0  # connections so far

    def begin(self, mark: int | None = None) -> None:
        """Note a connection, and the number of its mark, if it has one."""
        self.covered = self.owed = None
        self.recovered = 0
        self._until = trio.current_time() + PATIENCE
        self._mark = mark
        self.times += 1
        self._tell()

    def answered(self, number: int, result: str) -> None:
        """Take what Redis said of a mark: ``owed SINCE MARK``, perhaps ``window``."""
        if number != self._mark or not result.startswith("owed "):
            return
        self.words = result.removeprefix("owed ")
        since, _, *window = self.words.split()
        self.owed, self.is_window = int(since), bool(window)
        self._tell()

    def done(self, since: int = 0) -> None:
        """Note that all that was owed since a time (ms) stands in the backlog."""
        self.covered = since

    @property
    def is_open(self) -> bool:
        """Whether REST may still give back in time what was missed."""
        return self.covered is None and trio.current_time() < self._until

    async def run_out(self) -> None:
        """Wait until the time in which REST may give back what was missed is over."""
        await trio.sleep_until(self._until)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for a connection, or an answer, that makes something so."""
        while not is_so():
            await self._news.wait()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()
