"""`bzredis keys`: what stands in Redis."""

from __future__ import annotations

import click

from bzredis.commands.form import with_options
from bzredis.settings.config import Config
from bzredis.store.acl import bridge, reader
from bzredis.store.keys import KEYS, entry_fields
from bzredis.streams import STREAMS


@click.command()
@with_options({"prefix"})
@click.option(
    "--acl",
    is_flag=True,
    help="Show the ACL SETUSER commands for a bridge and for who reads.",
)
def keys(config: Config, *, acl: bool) -> int:
    """Show what stands in Redis: the keys, and the fields of each log entry."""
    if acl:
        return _show_rules(config.prefix)
    rows = [
        (f"{config.prefix}:{stream.name}:{key.name}", key.type, key.content)
        for stream in STREAMS
        for key in KEYS
        if stream.state in key.state
    ]
    names, types = (max(len(row[column]) for row in rows) for column in (0, 1))
    for name, kind, content in rows:
        click.echo(f"{name:{names}}  {kind:{types}}  {content}")
    for stream in STREAMS:
        click.echo(f"\nAn entry of {config.prefix}:{stream.name}:events has the fields")
        click.echo(f"  {' '.join(entry_fields(stream))}")
    return 0


def _show_rules(prefix: str) -> int:
    click.echo(f"# The bridge\n{bridge(prefix)}\n")
    click.echo(f"# Who only reads, from Redis 7.0 on\n{reader(prefix, '%R~')}\n")
    click.echo(f"# The same on Redis 6.2\n{reader(prefix, '~')}")
    return 0
