"""`bzredis board`: a line for each symbol."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Final

import click

from bzredis.commands.form import with_options
from bzredis.commands.looks.asked import PLACE, put, put_json, reading
from bzredis.errors import ConfigError
from bzredis.reader import Rating
from bzredis.settings.config import Config

# The columns of a spreadsheet, and from which field of the hash each comes.
COLUMNS: Final = {
    "symbol": "_symbol",
    "published_utc": "",
    "firm": "_firm",
    "analyst": "analyst_name",
    "direction": "_direction",
    "action": "action_company",
    "rating": "rating_current",
    "rating_prior": "rating_prior",
    "pt": "pt_current",
    "pt_prior": "pt_prior",
    "pt_change_pct": "_pt_change_pct",
    "currency": "currency",
    "importance": "importance",
    "name": "name",
    "exchange": "exchange",
    "isin": "isin",
    "record": "_record",
}
NUMBERS: Final = {"pt", "pt_prior", "pt_change_pct", "importance"}
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute


@click.command()
@with_options(PLACE)
@click.option(
    *("--count", "-n"),
    type=click.IntRange(min=1),
    metavar="COUNT",
    help="So many symbols at the most. [all]",
)
@click.option(
    "--csv",
    "as_csv",
    is_flag=True,
    help="For spreadsheets: RFC 4180, with a header; text that would be taken for a"
    " formula has a ' before it.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="A list of objects: fields as they stand in Redis.",
)
def board(config: Config, *, count: int | None, as_csv: bool, as_json: bool) -> int:
    """Show the newest rating of each symbol, the last change first.

    The exit code is 2 where Redis cannot be asked.
    """
    if as_csv and as_json:
        raise ConfigError("--csv and --json: only one can be meant")
    with reading(config) as reader:
        found = [*reader.newest("ratings", count)]
    if as_csv:
        put(_csv(found))
    elif as_json:
        put_json([{**each.text} for each in found])
    elif found:
        _draw(found)
    else:
        click.echo(
            f"bzredis: no symbol is here yet under the prefix {config.prefix}", err=True
        )
    return 0


def _csv(found: Iterable[Rating]) -> str:
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(COLUMNS)
    for each in found:
        lines.writerow(_cell(each, column) for column in COLUMNS)
    return text.getvalue()


def _cell(rating: Rating, column: str) -> str:
    if column == "published_utc":
        at = rating.published
        return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""
    text = rating.text.get(COLUMNS[column], "")
    if column in NUMBERS and text.lstrip("-").replace(".", "", 1).isdecimal():
        return text
    return f"'{text}" if text.startswith(FORMULA) else text


def _draw(found: Iterable[Rating]) -> None:
    from bzredis.commands.looks.drawn import boards  # noqa: PLC0415 - for who looks
    from bzredis.commands.looks.drawn.pen import Pen  # noqa: PLC0415 - likewise

    pen = Pen()
    pen.show(*boards.draw(pen, found))
