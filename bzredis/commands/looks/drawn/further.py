"""What other streams say of a symbol: their fields, for nobody here knows better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from bzredis.commands.looks.drawn.pen import STRONG, Pen
from bzredis.commands.looks.words import clean, one_line
from bzredis.reader import Entry
from bzredis.reader.values import Hash

# What says which record it is, and not what it says.
WHICH: Final = {"id", "ticker", "exchange", "isin", "cusip", "name", "updated"}
ENOUGH: Final = 24  # letters, after which no other value is told
SHORT: Final = 24  # letters of a value, in a line that has more of them


def draw(pen: Pen, of: Mapping[str, Hash]) -> Iterator[RenderableType]:
    """Draw the newest of each stream, a line for each of its fields."""
    for stream, found in of.items():
        yield ""
        yield Text(stream.capitalize().replace("-", " "), STRONG)
        yield pen.labelled(
            (one_line(name), Text(clean(value)))
            for name, value in found.text.items()
            if name[:1] != "_" and name not in WHICH
        )


def says(one: Entry) -> tuple[str, str]:
    """Write the headline of an entry: with names, and where room is short without."""
    said = dict[str, str]()
    for name, value in one.other.items():
        if sum(map(len, said.values())) < ENOUGH:
            said[one_line(name)] = _short(value)
    gone = ["deleted"] if one.action == "deleted" else []
    named = ", ".join([*gone, *(f"{name} {value}" for name, value in said.items())])
    return named, " ".join([*gone, *said.values()])


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= SHORT else f"{line[: SHORT - 3]}..."
