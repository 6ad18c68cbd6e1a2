"""The commands that there are: one file each, and here one line."""

from __future__ import annotations

from typing import Final

import click

from bzredis import __version__
from bzredis.commands.form import Group
from bzredis.settings.file import APP

# Each is loaded when it is asked for: who runs the bridge for months needs no board.
PLACES: Final = {
    "init": "setup.init",
    "check": "setup.check",
    "run": "run",
    "service": "service.service",
    "demo": "demo.demo",
    "get": "looks.get",
    "status": "looks.status",
    "board": "looks.board",
    "watch": "looks.watch",
    "react": "react.react",
    "config": "setup.config",
    "keys": "keys",
    "plugins": "plugins",
    "rebuild": "mending.rebuild",
    "redrive": "mending.redrive",
    "forget": "mending.forget",
    "manual": "setup.manual",
    "simulate": "simulate",
}


@click.group(
    cls=Group,
    places={name: f"bzredis.commands.{place}" for name, place in PLACES.items()},
    invoke_without_command=True,
)
@click.version_option(__version__, message=f"{APP} %(version)s")
@click.pass_context
def bzredis(context: click.Context) -> None:
    """Keep Redis current with Benzinga's analyst ratings, insights and consensus.

    Each option can also be a variable or a line of the TOML file; what stands in
    brackets after it is its variable and its default.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
