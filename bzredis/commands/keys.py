"""`bzredis keys`: what stands in Redis."""

from __future__ import annotations

import json

import click

from bzredis.bridge.status import CONTRACT
from bzredis.commands.form import with_options
from bzredis.contract import asyncapi, pages
from bzredis.contract.schemas import schemas
from bzredis.settings.config import Config
from bzredis.store.acl import bridge, mender, reader


@click.command()
@with_options({"prefix"})
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "jsonschema", "asyncapi"]),
    default="text",
    show_default=True,
    help="A list; a page with every field; JSON Schemas; or an AsyncAPI document.",
)
@click.option(
    "--acl",
    is_flag=True,
    help="Show the ACL SETUSER commands for a bridge, for who reads, and who mends.",
)
def keys(config: Config, *, form: str, acl: bool) -> int:
    """Show the keys and fields that stand in Redis."""
    if acl:
        return _show_rules(config.prefix)
    if form in {"jsonschema", "asyncapi"}:
        is_api = form == "asyncapi"
        shown = asyncapi.document(config.prefix, CONTRACT) if is_api else schemas()
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return 0
    for line in {"text": pages.text, "markdown": pages.markdown}[form](config.prefix):
        click.echo(line)
    return 0


def _show_rules(prefix: str) -> int:
    click.echo(f"# The bridge\n{bridge(prefix)}\n")
    click.echo(f"# Who only reads, from Redis 7.0 on\n{reader(prefix, '%R~')}\n")
    click.echo(f"# The same on Redis 6.2\n{reader(prefix, '~')}\n")
    click.echo(f"# Who runs rebuild, redrive and forget\n{mender(prefix)}")
    return 0
