"""The demo through a pipe: what was there in a line a stream, then what comes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from bzredis.commands.demo.followed import Followed
from bzredis.commands.demo.told import (
    FROM,
    MADE_UP,
    WIDTH,
    Place,
    filled,
    folded,
    width,
)
from bzredis.commands.looks.drawn import live, news
from bzredis.commands.looks.drawn.pen import SIGNS, Pen
from bzredis.commands.looks.screen import EVERY, look
from bzredis.commands.looks.words import one_line, way
from bzredis.commands.outlet import Outlet
from bzredis.reader import Entry, Gap

CATCH_UP: Final = 30.0  # s; what is still missing then comes among what is new
SYMBOL, FIRM, SAYS = 8, 19, 22  # letters of the columns; who has more moves the rest


async def write(outlet: Outlet, followed: Followed, place: Place) -> None:
    """Write a line for each change, once what was there before has come.

    It ends where nobody reads that any more.
    """
    say = partial(_say, outlet)
    say(f"{MADE_UP}\n{filled(place.words)}\n")
    await _catch_up(say, followed)
    commands = (line for each in place.commands() for line in folded(each))
    say("\n".join(["", *place.in_browser(), FROM, *commands]))
    say("Ctrl-C ends the demo.\n")
    told = {str(name): f"{name}: fresh" for name in followed.streams}
    while not outlet.is_broken:
        await trio.sleep(EVERY)
        found = await look(followed)
        pen = Pen()
        states = live.states_in_words(pen, followed)
        for key, words in states.items():
            if told.get(key) != words:
                say(filled(f"{_time(pen)}  {words}"))
        told = states
        for each in found:
            say(line(pen, each))


async def _catch_up(say: Callable[[str], None], followed: Followed) -> None:
    """Write a line for each stream, as soon as what was there before has come."""
    waiting = [*followed.streams]
    wide = width(waiting)
    with trio.move_on_after(CATCH_UP):
        while waiting:
            await trio.sleep(EVERY)
            await look(followed)
            for name in [name for name in waiting if _is_fresh(followed, name)]:
                say(followed.tally.caught_up(name, wide))
                waiting.remove(name)
    for name in waiting:
        say(followed.tally.caught_up(name, wide))


def _is_fresh(followed: Followed, name: str) -> bool:
    return name in followed.states and followed.states[name].fresh


def _say(outlet: Outlet, text: str) -> None:
    outlet.write(f"{text}\n")


def line(pen: Pen, one: Entry | Gap) -> str:
    """Write a change in columns that stay where they are."""
    if isinstance(one, Gap):
        return filled(f"{_time(pen)}  {news.gap(pen, one).plain}")
    sign = SIGNS.get(way(one) or "")
    letter = " " if sign is None else sign.letter if pen.letters else sign.ascii
    says = news.says(pen, one)
    columns = (
        _time(pen),
        f"{one_line(one.symbol or ''):{SYMBOL}}",
        f"{news.firm(one):{FIRM}}",
        f"{letter} {says if isinstance(says, str) else says[0]:{SAYS}}",
        news.target(pen, one),
    )
    row = "  ".join(columns).rstrip()
    return row if len(row) <= WIDTH else "  ".join(each.rstrip() for each in columns)


def _time(pen: Pen) -> str:
    return f"{pen.now.astimezone():%H:%M:%S}"
