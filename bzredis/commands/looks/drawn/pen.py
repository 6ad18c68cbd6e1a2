"""How it looks: columns, signs and colours on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, TextIO

import attrs
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from bzredis.commands.looks.asked import has_letters, put
from bzredis.commands.looks.words import Health, one_line, price
from bzredis.reader import Rating

GAP: Final = 2  # cells between columns
LEAST: Final = 6  # cells that a column keeps
ENDLESS: Final = (
    100_000  # cells of a line through a pipe: whoever reads it may break it
)
UP, DOWN, FAINT, STRONG, ODD = "green", "red", "dim", "bold", "yellow"

# What stands in a column: a text; and another where there is no room for that.
Cell = Text | str | tuple[str, str]


@attrs.frozen
class Sign:
    """What a direction is shown as: a letter, the same in ASCII, and a style."""

    letter: str
    ascii: str
    style: str = ""


SIGNS: Final = {
    "up": Sign("▲", "+", UP),
    "down": Sign("▼", "-", DOWN),
    "same": Sign("=", "=", FAINT),
    "new": Sign("●", "*", "cyan"),
    "end": Sign("◌", "x", FAINT),
}
FRESH, STALE = Sign("●", "*", UP), Sign("○", "!", DOWN)
BARS: Final = "▁▂▃▄▅▆▇█"


def terminal(file: TextIO) -> Console:
    """Return a console for the terminal on standard output, written to as `file`."""
    # NO_COLOR and TERM are seen to by rich. A size in a variable is of yesterday.
    told = {k: v for k, v in os.environ.items() if k not in {"COLUMNS", "LINES"}}
    return Console(file=file, force_terminal=True, highlight=False, _environ=told)


def _console() -> Console:
    stream = sys.stdout
    if stream is not None and stream.isatty():
        return terminal(stream)
    return Console(
        file=io.StringIO(), width=ENDLESS, color_system=None, force_terminal=False
    )


@attrs.frozen
class Pen:
    """Writes for a terminal or for a pipe, at one moment."""

    now: datetime = attrs.field(factory=lambda: datetime.now(UTC))
    console: Console = attrs.field(factory=_console, repr=False)
    letters: bool = attrs.field(
        factory=has_letters
    )  # whether there are more than ASCII's

    @property
    def fancy(self) -> bool:
        """Whether somebody looks: colours, signs and columns that fit."""
        return self.console.is_terminal

    @property
    def width(self) -> int:
        return self.console.width

    # ---- pieces of text

    @property
    def arrow(self) -> str:
        return "→" if self.letters else "->"

    @property
    def dot(self) -> str:
        return "·" if self.letters else "|"

    def sign(self, direction: str | None) -> Text:
        """Return a direction as a sign; for a pipe as the word that it is."""
        if direction is None:
            return Text("")
        if not self.fancy:
            return Text(direction)
        found = SIGNS.get(direction, Sign("?", "?"))
        return Text(found.letter if self.letters else found.ascii, found.style)

    def styled(self, text: str, direction: str | None) -> Text:
        found = SIGNS.get(direction or "")
        strong = found and direction in {"up", "down"}
        return Text(one_line(text), found.style if found and strong else "")

    def state(self, found: Health) -> Text:
        if not self.fancy:
            return Text(found.word)
        sign = FRESH if found.fresh else STALE
        letter = sign.letter if self.letters else sign.ascii
        return Text.assemble((f"{letter} {found.word}", sign.style))

    def change(self, prior: str | None, current: str | None) -> str:
        """Write what was, where it was something else, and what is."""
        if prior and current and prior != current:
            return f"{one_line(prior)} {self.arrow} {one_line(current)}"
        return one_line(current or prior or "")

    def says(self, one: Rating) -> tuple[str, str]:
        """Write what a firm says, and said; and in short what it says."""
        current = one.rating_current or one.rating_prior or ""
        return self.change(one.rating_prior, one.rating_current), current

    def prices(self, prior: Decimal | None, current: Decimal | None) -> str:
        if prior == current:
            prior = None
        texts = [price(each) if each is not None else None for each in (prior, current)]
        return self.change(*texts)

    def joined(self, *parts: Text | str) -> Text:
        """Put what there is behind each other, a dot between."""
        there = [each for each in parts if each]
        return Text(f" {self.dot} ").join(
            each if isinstance(each, Text) else Text(each) for each in there
        )

    # ---- what is drawn

    def columns(
        self,
        rows: Sequence[Sequence[Cell]],
        give: Mapping[int, int],
        right: Collection[int] = (),
    ) -> list[Text]:
        """Put rows under each other. `give`: columns, and how narrow they may be."""
        if not rows:
            return []
        widths = [
            max(_text(each).cell_len for each in of) for of in zip(*rows, strict=True)
        ]
        room = self.width - GAP * (sum(width > 0 for width in widths) - 1)
        for least in (give, dict.fromkeys(give, LEAST)) if self.fancy else ():
            while sum(widths) > room:
                widest = max(give, key=lambda at: widths[at] - least[at])
                if widths[widest] <= least[widest]:
                    break
                widths[widest] -= 1
        return [self._row(row, widths, right) for row in rows]

    def _row(
        self, row: Sequence[Cell], widths: Sequence[int], right: Collection[int]
    ) -> Text:
        line = Text(no_wrap=True, overflow="ellipsis" if self.letters else "crop")
        for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
            if not width:
                continue
            text = _text(cell)
            if text.cell_len > width and isinstance(cell, tuple):
                text = _text(cell[1])
            text.truncate(width, overflow="ellipsis" if self.letters else "crop")
            blank = " " * (width - text.cell_len)
            before, behind = (blank, "") if column in right else ("", blank)
            line.append((" " * GAP if line.plain else "") + before)
            line.append_text(text).append(behind)
        line.rstrip()
        return line

    def labelled(self, rows: Iterable[tuple[str, RenderableType]]) -> Table:
        """Put what belongs to a word beside it."""
        table = Table.grid(padding=(0, GAP, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for label, content in rows:
            table.add_row(Text(label, STRONG), content)
        return table

    def show(self, *drawn: RenderableType) -> None:
        """Write it to standard output; raises ConfigError where that cannot be."""
        with self.console.capture() as captured:
            self.console.print(Group(*drawn))
        text = captured.get()
        if not self.fancy:
            text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
        put(text)


def _text(cell: Cell) -> Text:
    if isinstance(cell, Text):
        return cell.copy()
    return Text(one_line(cell if isinstance(cell, str) else cell[0]))


def bar(pen: Pen, share: float, width: int) -> str:
    """Return a bar of a share of a width, at least a trace of it."""
    filled = max(1, round(share * width)) if share > 0 else 0
    return ("█" if pen.letters else "#") * filled


def sparkline(values: Sequence[Decimal], width: int) -> str:
    """Return one letter for each of the last values, the lowest ones low."""
    shown = values[-width:]
    low, high = min(shown), max(shown)
    if low == high:
        return BARS[3] * len(shown)
    steps = len(BARS) - 1
    return "".join(BARS[round((each - low) / (high - low) * steps)] for each in shown)


def spaced(*parts: Text) -> Text:
    """Put what there is behind each other."""
    return Text(" ").join([each for each in parts if each.plain])
