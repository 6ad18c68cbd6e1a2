"""How a check looks: with signs and columns on a terminal, as plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bzredis.commands.looks.asked import put
from bzredis.commands.looks.drawn.pen import (
    DOWN,
    FAINT,
    GAP,
    ODD,
    STRONG,
    UP,
    Pen,
    Sign,
)
from bzredis.commands.looks.words import one_line
from bzredis.commands.running.called import typed
from bzredis.commands.setup.checks.lines import Finding, Sheet, State, merged

SIGNS: Final[dict[State, Sign]] = {
    "ok": Sign("✓", "+", UP),
    "warning": Sign("!", "!", ODD),
    "error": Sign("✗", "x", DOWN),
    "skipped": Sign("·", "-", FAINT),
}
INDENT: Final = 2
BUSY: Final = "Asking Redis and upstream, 20 s at the most ..."
GONE: Final = "\r\x1b[2K"  # for a terminal: that line is empty again


@contextmanager
def busy(pen: Pen) -> Iterator[None]:
    """Say on a terminal that something goes on, as long as it does."""
    is_told = pen.fancy and not pen.console.is_dumb_terminal
    if is_told:
        put(BUSY)
    yield
    if is_told:
        put(GONE)


def draw(
    pen: Pen, sheet: Sheet, summary: str, state: State
) -> Iterator[RenderableType]:
    """Draw all that was found; elsewhere than on a terminal, a line for each."""
    if not pen.fancy:
        for finding in sheet:
            words, todo = _told(finding)
            todo = f" {pen.arrow} {todo}" if todo else ""
            yield Text(f"{finding.state:8}{finding.name}: {words}{todo}")
        yield Text(summary)
        return
    width = max((len(each.name) for each in sheet), default=0)
    for section, findings in sheet.sections():
        if findings:
            yield Text(section, STRONG)
            yield Padding(_table(pen, findings, width), (0, 0, 1, INDENT))
    yield Text(f"{_letter(pen, state)} {summary}", f"bold {SIGNS[state].style}")


def _table(pen: Pen, findings: list[Finding], width: int) -> Table:
    table = Table.grid(padding=(0, GAP, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, min_width=width)
    table.add_column(overflow="fold")
    for each in merged(findings):
        sign, faint = SIGNS[each.state], FAINT if each.state == "skipped" else ""
        words, todo = _told(each)
        told = [Text(words, faint)]
        if todo:
            told.append(Text(f"{pen.arrow} {todo}", sign.style))
        letter = Text(_letter(pen, each.state), sign.style)
        table.add_row(letter, Text(each.name, faint), Text("\n").join(told))
    return table


def _told(finding: Finding) -> tuple[str, str]:
    return typed(one_line(finding.words)), typed(one_line(finding.todo))


def _letter(pen: Pen, state: State) -> str:
    return SIGNS[state].letter if pen.letters else SIGNS[state].ascii
