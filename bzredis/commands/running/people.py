"""A line of the log as people read it on a terminal: local times, no empty values."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from functools import partial
from textwrap import fill
from typing import Any, Final, TextIO

import attrs
import click

from bzredis.commands.looks.words import clock, lasted, one_line
from bzredis.commands.running.called import typed

COLOURS: Final = {"warning": "yellow", "error": "red", "critical": "red"}
NARROW: Final = 40  # columns; to break lines for less would leave a word in each
FILLED: Final = partial(
    fill, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
)
# What the processors before put there, and what has a place of its own.
BELOW: Final = ("stack", "exception", "output")
ASIDE: Final = {"timestamp", "level", "logger", "event", "error", *BELOW}
OUR_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@attrs.frozen
class ForPeople:
    """Makes lines, on a terminal as wide as that is just now.

    `hide` takes out secrets: a line that was broken may hold one in two parts.
    """

    hide: Callable[[str], str]
    terminal: TextIO | None = None
    has_time: bool = True

    def __call__(self, _: Any, __: str, event: MutableMapping[str, Any]) -> str:
        """Return a line, as structlog's last processor does."""
        said = line(event, has_time=self.has_time)
        text, level = self.hide(typed(one_line(said))), event["level"]
        text = fitting(text, self.terminal)
        is_coloured = self.terminal is not None and "NO_COLOR" not in os.environ
        if level in COLOURS and is_coloured:
            shown = click.style(f"{level}:", fg=COLOURS[level], bold=True)
            text = text.replace(f"{level}:", shown, 1)
        more = [event[each] for each in BELOW if event.get(each)]
        return "\n".join([text, *more])


def fitting(text: str, stream: TextIO | None) -> str:
    """Return a line broken between words, where that is a terminal and needs it."""
    width = columns(stream)
    return FILLED(text, width) if width >= NARROW else text


def columns(stream: TextIO | None) -> int:
    """Return how wide a terminal is just now; 0 of what is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns if stream else 0
    except (AttributeError, OSError, ValueError):
        return 0


def line(event: MutableMapping[str, Any], *, has_time: bool = True) -> str:
    """Write time, level and what happened, then what goes along with it."""
    now = datetime.fromisoformat(event["timestamp"]).astimezone()
    level = event["level"]
    head = [f"{now:%Y-%m-%d %H:%M:%S %Z}"] if has_time else []
    head += [f"{level}:"] if level in COLOURS else []
    said = [str(event["event"]), *([str(event["error"])] if event.get("error") else [])]
    told = {name: value for name, value in event.items() if name not in ASIDE}
    more = ", ".join(_pair(name, value) for name, value in told.items() if value)
    return " ".join([*head, ": ".join(said), *([f"({more})"] if more else [])])


def _pair(name: str, value: Any) -> str:
    match name, value:
        case "seconds", int():
            return f"after {lasted(value)}"
        case (("streams" | "redis"), (list() | tuple())):
            return ", ".join(value)
        case _, (list() | tuple()):
            return f"{name} {', '.join(map(str, value))}"
        case _, int():
            return f"{value:,} {name}"
        case _, str() if OUR_TIME.fullmatch(value):
            value = clock(datetime.fromisoformat(value), datetime.now(UTC))
    return value if name == "stream" else f"{name} {value}"
