"""The demo on a terminal: the board of `watch`, and below it what can be copied."""

from __future__ import annotations

import io
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import trio
from rich.text import Text

from bzredis.commands.demo.followed import Followed
from bzredis.commands.demo.told import FROM, MADE_UP, Place, folded
from bzredis.commands.logs import configure_logs
from bzredis.commands.looks import screen
from bzredis.commands.looks.drawn.pen import FAINT, ODD, STRONG, Pen
from bzredis.commands.outlet import MISSING, Outlet
from bzredis.settings.config import Config

ENDS: Final = "q or Ctrl-C ends it"
KEPT: Final = 200  # lines of the log, for the end
SHOWN: Final = 60.0  # s that one of them stands on the board


class Kept(io.StringIO):
    """Takes the log, which would spoil the board; the newest line can be shown there.

    It writes as for standard error, to which the lines go in the end.
    """

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.lines = deque[str](maxlen=KEPT)
        self._until = 0.0

    def write(self, text: str) -> int:
        self.lines.append(text)
        self._until = time.monotonic() + SHOWN
        return len(text)

    def isatty(self) -> bool:
        return sys.stderr is not None and sys.stderr.isatty()

    @property
    def newest(self) -> str:
        """The newest line, for a while."""
        is_recent = bool(self.lines) and time.monotonic() < self._until
        return " ".join(self.lines[-1].split()) if is_recent else ""


@contextmanager
def log_kept(config: Config) -> Iterator[Kept]:
    """Keep the log to the end of the block, then write it to standard error.

    One that goes elsewhere than the terminal spoils nothing, and goes there at once.
    """
    level, form, kept = config.log_level, config.log_format, Kept()
    if not kept.isatty():
        yield kept
        return
    configure_logs(level, (), kept, form=form)
    try:
        yield kept
    finally:
        configure_logs(level, (), form=form)
        if sys.stderr is not None and kept.lines:
            outlet = Outlet(sys.stderr, MISSING)
            outlet.write("".join(kept.lines))
            outlet.flush()  # before what comes to standard output


async def show(
    outlet: Outlet,
    followed: Followed,
    place: Place,
    kept: Kept,
    end: Callable[[], None],
) -> None:
    """Fill the screen until it is cancelled; `end` is what q does."""
    changed = screen.Changed()
    below = partial(foot, followed, place, kept)
    with trio.open_signal_receiver(signal.SIGWINCH) as resized:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(screen.fill, outlet, followed, changed, end, below)
            async for _ in resized:
                changed.tell()


def foot(followed: Followed, place: Place, kept: Kept, pen: Pen) -> list[Text]:
    """Return what stands below the board all the time."""
    newest = Text.from_ansi(kept.newest)
    newest.stylize(ODD)
    came = followed.tally.short(followed.streams)
    return [
        Text(("─" if pen.letters else "-") * pen.width, FAINT),
        *([newest] if newest.plain else []),
        Text(MADE_UP, STRONG),
        *(Text(line, STRONG) for line in place.in_browser()),
        Text(FROM),
        *(Text(line) for each in place.commands() for line in folded(each, pen.width)),
        Text(pen.joined(ENDS, came).plain, FAINT),
    ]
