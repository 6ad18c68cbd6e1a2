"""`bzredis get`: all that is known of a symbol."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any, Final

import click

from bzredis.commands.form import complain, with_options
from bzredis.commands.looks.asked import PLACE, empty, put_json, reading, streams
from bzredis.commands.looks.words import nearest
from bzredis.reader import Reader
from bzredis.settings.config import Config

NOT_THERE: Final = 1  # exit code


@click.command()
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL…")
@with_options(PLACE | {"stream"})
@click.option("--whole", is_flag=True, help="Show all of a long insight.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One object, by symbol: fields as they stand in Redis, and what is fresh.",
)
def get(config: Config, *, symbols: tuple[str, ...], whole: bool, as_json: bool) -> int:
    """Show what is known of a symbol, and what each firm says.

    A symbol is a ticker, outside the United States with its exchange: AAPL, TSX:SHOP.
    What other streams say is shown where --stream names them. The exit code is 1 where
    there is nothing about one of the symbols, and 2 where Redis cannot be asked.
    """
    # Most of what follows is for who looks: the bridge is to start without it.
    from bzredis.commands.looks.drawn.pen import Pen  # noqa: PLC0415
    from bzredis.commands.looks.drawn.sheet import Sheet, draw  # noqa: PLC0415

    wanted = dict.fromkeys(each.strip().removeprefix("$").upper() for each in symbols)
    with reading(config) as reader:
        names = streams(config)
        sheets = [Sheet.read(reader, symbol, names) for symbol in wanted]
        states = {name: reader.status(name) for name in names}
        known = () if all(each.is_there for each in sheets) else _known(reader, names)
    there = [each for each in sheets if each.is_there]
    if as_json:
        fresh = {name: status.fresh for name, status in states.items()}
        found: dict[str, Any] = {
            each.symbol: {"fresh": fresh, **each.fields()} for each in there
        }
        put_json(found)
    else:
        pen = Pen()
        for number, sheet in enumerate(there):
            drawn = draw(pen, sheet, states, whole=whole)
            pen.show(*([""] if number else []), *drawn)
    for sheet in sheets:
        if not sheet.is_there:
            _tell(sheet.symbol, known, config)
    return 0 if len(there) == len(sheets) else NOT_THERE


def _known(reader: Reader, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(chain.from_iterable(map(reader.symbols, names)))


def _tell(symbol: str, known: tuple[str, ...], config: Config) -> None:
    near = nearest(symbol, known)
    words = f"the nearest there are: {', '.join(near)}" if near else "nor anything near"
    if not known:
        words = empty(config)
    shown = symbol if symbol.isprintable() else repr(symbol)
    complain(f"there is nothing about {shown}; {words}")
