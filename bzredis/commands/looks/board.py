"""`bzredis board`: in the browser; or printed, a line for each symbol."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Final

import click

from bzredis.commands.form import complain, with_options
from bzredis.commands.looks.asked import PLACE, empty, put, put_json, reading
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
PORT: Final = 8399  # where it is served, unless told; as web.started says
NUMBERS: Final = {"pt", "pt_prior", "pt_change_pct", "importance"}
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute


@click.command()
@with_options(PLACE | {"stream", "state-dir"})
@click.option(
    "--listen",
    metavar="ADDRESS",
    help="Where it is to be seen: a port, or an address of this machine and one. Beyond"
    f" this machine a token is asked for. [127.0.0.1:{PORT}]",
)
@click.option(
    "--allow-origin",
    "origins",
    metavar="ORIGIN",
    multiple=True,
    help="A site whose pages may read its JSON, as https://example.com; repeatable."
    " [none]",
)
@click.option("--text", is_flag=True, help="Print it, a line for each symbol.")
@click.option(
    "--csv",
    is_flag=True,
    help="Print it for spreadsheets: RFC 4180, with a header; text that would be taken"
    " for a formula has a ' before it.",
)
@click.option(
    "--json",
    is_flag=True,
    help="Print a list of objects: fields as they stand in Redis.",
)
@click.option(
    *("--count", "-n"),
    type=click.IntRange(min=1),
    metavar="COUNT",
    help="Print so many symbols at the most. [all]",
)
def board(
    config: Config,
    *,
    listen: str | None,
    origins: tuple[str, ...],
    count: int | None,
    **forms: bool,
) -> int:
    """Show all that stands in Redis in the browser, as it comes.

    With --text, --csv or --json it prints the newest rating of each symbol instead, the
    last change first. The exit code is 2 where Redis cannot be asked for that.
    """
    wanted = [f"--{name}" for name, is_wanted in forms.items() if is_wanted]
    if len(wanted) > 1:
        raise ConfigError(f"{' and '.join(wanted)}: only one can be meant")
    if not wanted:
        if count is not None:
            raise ConfigError("--count: so many of what? Say --text, --csv or --json")
        return _serve(config, listen, origins)
    if listen is not None or origins:
        words = "--listen" if listen is not None else "--allow-origin"
        raise ConfigError(f"{words} and {wanted[0]}: only one can be meant")
    with reading(config) as reader:
        found = [*reader.newest("ratings", count)]
    if forms["csv"]:
        put(_csv(found))
    elif forms["json"]:
        put_json([{**each.text} for each in found])
    elif found:
        _draw(found)
    else:
        complain(empty(config))
    return 0


def _serve(config: Config, listen: str | None, origins: tuple[str, ...]) -> int:
    from bzredis.commands.web import started  # noqa: PLC0415 - an extra

    return started.board(config, listen, origins)


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
