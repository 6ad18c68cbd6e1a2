"""`bzredis manual`: how it is installed and removed, and what can go wrong."""

from __future__ import annotations

from importlib.resources import files

import click

from bzredis.commands.looks.asked import put

PAGE = "manual.md"


@click.command()
def manual() -> int:
    """Show how to upgrade or remove it, and what can go wrong."""
    put(files(__package__).joinpath(PAGE).read_text("utf-8"))
    return 0
