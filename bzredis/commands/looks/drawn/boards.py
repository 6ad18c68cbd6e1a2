"""A line for each symbol, drawn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich.text import Text

from bzredis.commands.looks.drawn.pen import FAINT, STRONG, Cell, Pen
from bzredis.commands.looks.words import day, one_line
from bzredis.reader import Rating

HEAD: Final = ("symbol", "", "firm", "rating", "target")


def draw(pen: Pen, found: Iterable[Rating]) -> list[Text]:
    """Draw them in their order; for who looks with a header."""
    rows: list[tuple[Cell, ...]] = [_row(pen, each) for each in found]
    if pen.fancy:
        zone = pen.now.astimezone().strftime("%Z")
        rows.insert(0, tuple(Text(word, FAINT) for word in (*HEAD, zone)))
    return pen.columns(rows, {2: 14, 3: 20}, right=(4, 5))


def _row(pen: Pen, one: Rating) -> tuple[Cell, ...]:
    return (
        Text(one_line(one.symbol or ""), STRONG),
        pen.sign(one.direction),
        one_line(one.firm or ""),
        pen.says(one),
        pen.prices(one.pt_prior, one.pt_current),
        Text(day(one.published, pen.now) if one.published else "", FAINT),
    )
