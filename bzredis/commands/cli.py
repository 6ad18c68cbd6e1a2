"""The commands that there are: one file each, and here one line."""

from __future__ import annotations

import click

from bzredis import __version__
from bzredis.commands.demo.demo import demo
from bzredis.commands.form import Group
from bzredis.commands.keys import keys
from bzredis.commands.looks.board import board
from bzredis.commands.looks.get import get
from bzredis.commands.looks.status import status
from bzredis.commands.looks.watch import watch
from bzredis.commands.run import run
from bzredis.commands.service.service import service
from bzredis.commands.setup.check import check
from bzredis.commands.setup.config import config
from bzredis.commands.setup.init import init
from bzredis.commands.setup.manual import manual
from bzredis.commands.simulate import simulate


@click.group(
    cls=Group,
    commands=[
        *(init, run, service, demo),
        *(get, status, board, watch),
        *(check, config, keys, manual, simulate),
    ],
    invoke_without_command=True,
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def bzredis(context: click.Context) -> None:
    """Keep Redis current with Benzinga's analyst ratings, insights and consensus.

    Each option can also be a variable or a line of the TOML file; what stands in
    brackets after it is its variable and its default.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
