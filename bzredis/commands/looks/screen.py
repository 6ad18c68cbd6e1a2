"""The screen of `bzredis watch`, and its lines where there is none."""

from __future__ import annotations

import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import attrs
import trio
from rich.console import Group
from rich.live import Live

from bzredis.commands.form import endings
from bzredis.commands.looks.drawn import live, news
from bzredis.commands.looks.drawn.pen import Pen
from bzredis.commands.looks.watching import Watched
from bzredis.commands.looks.words import clock
from bzredis.commands.outlet import Outlet
from bzredis.errors import ConfigError, first
from bzredis.reader import Entry, Gap, ReaderError

EVERY: Final = 1.0  # s between looks: `status` is written as often
END: Final = b"q"
STOPPED: Final = 0  # exit code


async def watch(watched: Watched) -> int:
    """Watch until a key or a signal ends it; raises ConfigError."""
    pen = Pen()
    full = pen.fancy and not pen.console.is_dumb_terminal
    words = ""
    try:
        with trio.open_signal_receiver(*endings(), signal.SIGWINCH) as signals:
            async with trio.open_nursery() as nursery:
                scope, changed = nursery.cancel_scope, Changed()
                nursery.start_soon(_fill if full else _write, watched, changed, scope)
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


async def _look(watched: Watched) -> list[Entry | Gap]:
    """Read on; return what is news. Raises what will not pass."""
    try:
        seen = await trio.to_thread.run_sync(watched.look, abandon_on_cancel=True)
    except ReaderError as error:
        watched.lost(error)
        return []
    return watched.take(seen)


# ---- on a terminal


async def _fill(watched: Watched, changed: Changed, scope: trio.CancelScope) -> None:
    """Fill the screen, and draw it anew when something changed, or is older by 1 s."""
    await _look(watched)  # what will not pass is told on the usual screen
    place = f"{watched.config.redis[0].shown}  {watched.config.prefix}"
    with (
        _keyboard() as keys,
        Live(console=Pen().console, screen=True, auto_refresh=False) as shown,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_q, keys, scope)
            nursery.start_soon(_look_on, watched, changed)
            while True:
                pen = Pen(console=shown.console)
                shown.update(Group(*live.draw(pen, watched, place)), refresh=True)
                await changed.wait(EVERY)


async def _look_on(watched: Watched, changed: Changed) -> NoReturn:
    while True:
        await trio.sleep(EVERY)
        await _look(watched)
        changed.tell()


async def _until_q(keys: int | None, scope: trio.CancelScope) -> None:
    """End it all when q is typed; without a keyboard nothing is."""
    while keys is not None:
        await trio.lowlevel.wait_readable(keys)
        typed = os.read(keys, 64)
        if END in typed.lower():
            scope.cancel()
        if not typed:
            return


@contextmanager
def _keyboard() -> Iterator[int | None]:
    """Give what is typed, each key at once; afterwards all is as it was."""
    if sys.stdin is None or not sys.stdin.isatty():
        yield None
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        yield fd
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


# ---- elsewhere


async def _write(watched: Watched, changed: Changed, scope: trio.CancelScope) -> None:
    """Write a line for each change; who reads slowly holds up nothing."""
    missing = "({} lines are missing here: nobody took them)\n".format
    outlet = Outlet(sys.stdout, missing)
    said: dict[str, str] = {}
    while not outlet.is_broken:
        found = await _look(watched)
        pen = Pen()
        for name, words in live.states_in_words(pen, watched).items():
            if said.get(name) != words:
                outlet.write(f"{clock(pen.now, pen.now)}  {words}\n")
        said = live.states_in_words(pen, watched)
        for line in news.draw(pen, found):
            outlet.write(f"{line.plain}\n")
        await changed.wait(EVERY)
    scope.cancel()
