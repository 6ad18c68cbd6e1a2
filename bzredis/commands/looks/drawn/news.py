"""What comes, a line for each message."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from bzredis.commands.looks.asked import STREAMS
from bzredis.commands.looks.drawn import further
from bzredis.commands.looks.drawn.pen import FAINT, ODD, STRONG, Cell, Pen
from bzredis.commands.looks.words import day, one_line, price, span, way
from bzredis.reader import Entry, Gap, Span


def draw(pen: Pen, found: Sequence[Entry | Gap]) -> list[Text]:
    """Put entries and gaps under each other, in their order."""
    entries = [each for each in found if isinstance(each, Entry)]
    rows = [_row(pen, each) for each in entries]
    lines = iter(pen.columns(rows, {3: 14, 4: 20}, right=(0, 5)))
    return [
        next(lines) if isinstance(each, Entry) else gap(pen, each) for each in found
    ]


def gap(pen: Pen, found: Gap) -> Text:
    """Say that something may be missing."""
    when = ""
    if found.begin and found.end:
        when = f" from {span(Span(found.begin, found.end), pen.now)}"
    cause = f" ({one_line(found.cause)})" if found.cause else ""
    words = f"{found.stream}: messages may be missing{when}{cause}"
    return Text(words, ODD, no_wrap=True)


def _row(pen: Pen, one: Entry) -> tuple[Cell, ...]:
    at = one.received
    return (
        Text(day(at, pen.now) if at else "", FAINT),
        Text(one_line(one.symbol or "?"), STRONG),
        pen.sign(way(one)),
        firm(one),
        says(pen, one),
        target(pen, one),
    )


def firm(one: Entry) -> str:
    if one.stream == "consensus":
        return "all firms"
    return one_line((one.firm if one.stream in STREAMS else one.stream) or "")


def says(pen: Pen, one: Entry) -> str | tuple[str, str]:
    """Write what is said, and was; and in short what is said."""
    if one.stream not in STREAMS:
        return further.says(one)
    current = one.rating or ""
    if one.value is not None:
        current = f"{current} {price(one.value)}".strip()
    if one.action == "deleted":
        return f"deleted: {current}" if current else "deleted"
    if one.stream == "insights":
        return f"insight: {current}" if current else "insight"
    return pen.change(one.rating_prior, current), current


def target(pen: Pen, one: Entry) -> str:
    if one.stream == "consensus":
        return price(one.target) if one.target is not None else ""
    return pen.prices(one.pt_prior, one.pt)
