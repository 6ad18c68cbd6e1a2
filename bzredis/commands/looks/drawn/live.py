"""The board that is watched: as many lines as the terminal has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from bzredis.commands.looks.drawn import news, sheet, streams
from bzredis.commands.looks.drawn.pen import DOWN, FAINT, GAP, STRONG, Pen
from bzredis.commands.looks.watching import Watched
from bzredis.commands.looks.words import Health, clock, health, one_line

END = "q ends"


def draw(
    pen: Pen, watched: Watched, place: str, foot: Sequence[Text] = ()
) -> list[Text]:
    """Return exactly as many lines as fit, none of them wider than the terminal.

    `foot` are the last of them: of more than fit below half of the board, the last.
    """
    console, height = pen.console, pen.console.height
    foot = (foot or [Text(END, FAINT)])[-max(1, height // 2) :]
    room = height - len(foot)
    drawn = [_head(pen, watched, place), *_states(pen, watched), Text("")]
    drawn += _symbol(pen, watched) if watched.symbol else news.draw(pen, watched.news)
    if not watched.symbol and not watched.news:
        drawn.append(Text("Nothing has come yet.", FAINT))
    shown = drawn[:room]
    shown += [Text("")] * (room - len(shown))
    shown += foot
    for line in shown:
        line.no_wrap = True
        line.truncate(console.width, overflow="ellipsis" if pen.letters else "crop")
    return shown


def _head(pen: Pen, watched: Watched, place: str) -> Text:
    time = clock(pen.now, pen.now)
    about = sheet.about_it(pen, watched.sheet) if watched.sheet else Text("")
    left = Text.assemble((watched.symbol or "bzredis", STRONG), "  ", about or place)
    room = pen.width - left.cell_len - len(time)
    return Text.assemble(left, " " * max(room, GAP), (time, FAINT))


def _states(pen: Pen, watched: Watched) -> list[Text]:
    """Say in a line how each stream stands, and below why it is not fresh."""
    if watched.trouble:
        since = f" since {clock(watched.since, pen.now)}" if watched.since else ""
        away = f"Redis is away{since}: {one_line(watched.trouble)}"
        return [Text(away, DOWN), Text("It is asked again each second.", FAINT)]
    rows = [streams.row(pen, name, each) for name, each in watched.states.items()]
    lines = pen.columns(rows, {2: 8, 3: 12})
    told: list[Text] = []
    why = [health(each, pen.now).why for each in watched.states.values()]
    for line, words, before in zip(lines, why, ["", *why], strict=False):
        told.append(line)
        if words and words != before:
            told.append(Text(f"  {words}", DOWN))
    return told


def _symbol(pen: Pen, watched: Watched) -> list[Text]:
    """Draw all that there is about the symbol; the most important first."""
    found = watched.sheet
    if found is None or not found.is_there:
        return [Text(f"Nothing is here about {watched.symbol} yet.", FAINT)]
    drawn: list[RenderableType] = [*sheet.watched(pen, found, watched.history)]
    return [*_lines(pen, drawn)]


def _lines(pen: Pen, drawn: list[RenderableType]) -> Iterator[Text]:
    options = pen.console.options.update(height=None)
    for each in drawn:
        for line in pen.console.render_lines(each, options, pad=False):
            yield Text.assemble(*((part.text, part.style or "") for part in line))


def states_in_words(pen: Pen, watched: Watched) -> dict[str, str]:
    """Say of each stream how it stands, for who reads through a pipe."""
    if watched.trouble:
        return {"redis": f"Redis is away: {one_line(watched.trouble)}"}
    found: dict[str, Health] = {
        name: health(each, pen.now) for name, each in watched.states.items()
    }
    return {
        name: f"{name}: {each.word}{', ' if each.why else ''}{each.why}"
        for name, each in found.items()
    }
