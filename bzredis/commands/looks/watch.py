"""`bzredis watch`: what stands in Redis, and what comes, until it is ended."""

from __future__ import annotations

import click
import trio

from bzredis.commands.form import with_options
from bzredis.commands.looks.asked import PLACE, streams
from bzredis.settings.config import Config


@click.command()
@click.argument("symbol", required=False, default="", metavar="[SYMBOL]")
@with_options(PLACE | {"stream"})
def watch(config: Config, *, symbol: str) -> int:
    """Watch what comes, or of a SYMBOL what each firm says.

    On a terminal it fills the screen until q or Ctrl-C; elsewhere it writes a line for
    each change. While Redis is away it says so, and goes on when it is back.
    """
    from bzredis.commands.looks import screen  # noqa: PLC0415 - for who looks
    from bzredis.commands.looks.watching import Watched  # noqa: PLC0415 - likewise

    named = symbol.strip().removeprefix("$").upper()
    return trio.run(screen.watch, Watched(config, streams(config), named))
