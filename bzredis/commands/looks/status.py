"""`bzredis status`: how the bridge is, and whether what stands in Redis is fresh."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import click

from bzredis.commands.form import with_options
from bzredis.commands.looks.asked import PLACE, place, put_json, reading, streams
from bzredis.commands.looks.words import health
from bzredis.reader import Status
from bzredis.settings.config import Config

NOT_FRESH: Final = 1  # exit code


@click.command()
@with_options(PLACE | {"stream"})
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One object, by stream: fields as they stand in Redis, `fresh`, and `says`.",
)
def status(config: Config, *, as_json: bool) -> int:
    """Show how each stream stands, and whether it is fresh.

    It asks Redis alone, where the bridge leaves word each second. The exit code is 0
    where all streams are fresh, 1 where one is not, and 2 where Redis cannot be asked.
    """
    return 0 if show(config, as_json=as_json) else NOT_FRESH


def show(config: Config, *, as_json: bool = False) -> bool:
    """Show how each stream stands; return whether all are fresh."""
    with reading(config) as reader:
        states = {name: reader.status(name) for name in streams(config)}
    if as_json:
        put_json(_fields(states))
    else:
        from bzredis.commands.looks.drawn.pen import Pen  # noqa: PLC0415 - likewise
        from bzredis.commands.looks.drawn.streams import draw  # noqa: PLC0415

        pen = Pen()
        is_empty = not any(each.text for each in states.values())
        head = [f"Nothing stands {place(config)}.", ""] if is_empty else []
        pen.show(*head, *draw(pen, states))
    return all(each.fresh for each in states.values())


def _fields(states: dict[str, Status]) -> dict[str, Any]:
    now = datetime.now(UTC)
    found: dict[str, Any] = {}
    for name, each in states.items():
        told = health(each, now)
        says = {"says": told.why} if told.why else {}
        found[name] = {"fresh": told.fresh, **says, **each.text}
    return found
