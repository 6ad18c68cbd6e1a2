"""The screen of `bzredis watch`, and its lines where there is none."""

from __future__ import annotations

import io
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NoReturn, TextIO, cast

import attrs
import trio
from rich.console import Group
from rich.live import Live
from rich.text import Text

from bzredis.commands.form import endings
from bzredis.commands.looks.drawn import live, news
from bzredis.commands.looks.drawn.pen import Pen, terminal
from bzredis.commands.looks.watching import Watched
from bzredis.commands.looks.words import clock
from bzredis.commands.outlet import MISSING, Outlet
from bzredis.errors import ConfigError, first
from bzredis.reader import Entry, Gap, ReaderError

EVERY: Final = 1.0  # s between looks: `status` is written as often
AGAIN: Final = 0.05  # s between looks whether the terminal takes more
END: Final = b"q"
STOPPED: Final = 0  # exit code

Foot = Callable[[Pen], Sequence[Text]]  # what stands below


async def watch(watched: Watched) -> int:
    """Watch until a key or a signal ends it; raises ConfigError."""
    full, words = is_there(), ""
    outlet = Outlet(sys.stdout, MISSING)
    try:
        with trio.open_signal_receiver(*endings(), signal.SIGWINCH) as signals:
            async with trio.open_nursery() as nursery:
                scope, changed = nursery.cancel_scope, Changed()
                if full:
                    nursery.start_soon(fill, outlet, watched, changed, scope.cancel)
                else:
                    nursery.start_soon(_write, outlet, watched, changed, scope)
                async for number in signals:
                    if number != signal.SIGWINCH:
                        break
                    changed.tell()
                scope.cancel()
    except* ReaderError as group:
        words = str(first(group))
    except* (OSError, termios.error):
        pass  # the terminal is gone, and with it who watched
    if words:
        shown = ", ".join(each.shown for each in watched.config.redis)
        raise ConfigError(f"{words} (--redis {shown})")
    return STOPPED


def is_there() -> bool:
    """Whether there is a screen that can be filled."""
    pen = Pen()
    return pen.fancy and not pen.console.is_dumb_terminal


@attrs.define
class Changed:
    """Something is to be drawn anew."""

    _event: trio.Event = attrs.field(factory=trio.Event)

    def tell(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Wait until it is told, or for so long."""
        with trio.move_on_after(seconds):
            await self._event.wait()
        self._event = trio.Event()


async def look(watched: Watched) -> list[Entry | Gap]:
    """Read on; return what is news. Raises what will not pass."""
    try:
        seen = await trio.to_thread.run_sync(watched.look, abandon_on_cancel=True)
    except ReaderError as error:
        watched.lost(error)
        return []
    return watched.take(seen)


# ---- on a terminal


class _Paper(io.TextIOBase):
    """The terminal for rich: one that is paused holds up nothing."""

    def __init__(self, outlet: Outlet) -> None:
        """Write through an outlet."""
        self._outlet = outlet

    def write(self, text: str) -> int:
        self._outlet.write(text)
        return len(text)


async def fill(
    outlet: Outlet,
    watched: Watched,
    changed: Changed,
    end: Callable[[], None],
    foot: Foot = lambda _: (),
) -> None:
    """Fill the screen, and draw it anew when something changed, or is older by 1 s.

    `end` is called when q is typed.
    """
    await look(watched)  # what will not pass is told on the usual screen
    place = f"{watched.config.redis[0].shown}  {watched.config.prefix}"
    console = terminal(cast("TextIO", _Paper(outlet)))
    try:
        with (
            _keyboard() as keys,
            Live(console=console, screen=True, auto_refresh=False) as shown,
        ):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_q, keys, end)
                nursery.start_soon(_look_on, watched, changed)
                while True:
                    pen = Pen(console=console)
                    drawn = live.draw(pen, watched, place, foot(pen))
                    shown.update(Group(*drawn), refresh=True)
                    await changed.wait(EVERY)
                    while not outlet.is_idle:  # noqa: ASYNC110 - it is a thread's
                        await trio.sleep(AGAIN)
    finally:
        outlet.flush()


async def _look_on(watched: Watched, changed: Changed) -> NoReturn:
    while True:
        await trio.sleep(EVERY)
        await look(watched)
        changed.tell()


async def _until_q(keys: int | None, end: Callable[[], None]) -> None:
    """End it all when q is typed; without a keyboard nothing is."""
    while keys is not None:
        await trio.lowlevel.wait_readable(keys)
        typed = os.read(keys, 64)
        if END in typed.lower():
            end()
        if not typed:
            return


def _is_anothers(fd: int) -> bool:
    """Whether we are in the background: who changes the terminal then is stopped."""
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:  # it controls nobody
        return False


@contextmanager
def _keyboard() -> Iterator[int | None]:
    """Give what is typed, each key at once; afterwards all is as it was."""
    fd = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    if fd is None or _is_anothers(fd):
        yield None
        return
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd, termios.TCSANOW)  # a paused one never drains
        yield fd
    finally:
        termios.tcsetattr(fd, termios.TCSANOW, before)


# ---- elsewhere


async def _write(
    outlet: Outlet, watched: Watched, changed: Changed, scope: trio.CancelScope
) -> None:
    """Write a line for each change; who reads slowly holds up nothing."""
    said: dict[str, str] = {}
    while not outlet.is_broken:
        found = await look(watched)
        pen = Pen()
        for name, words in live.states_in_words(pen, watched).items():
            if said.get(name) != words:
                outlet.write(f"{clock(pen.now, pen.now)}  {words}\n")
        said = live.states_in_words(pen, watched)
        for line in news.draw(pen, found):
            outlet.write(f"{line.plain}\n")
        await changed.wait(EVERY)
    scope.cancel()
