"""`bzredis keys`: what stands in Redis."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from bzredis.bridge.status import CONTRACT
from bzredis.commands.form import with_options
from bzredis.contract import asyncapi, pages
from bzredis.contract.schemas import schemas
from bzredis.settings.config import Config
from bzredis.store.acl import bridge, mender, reactor, reader
from bzredis.streams.installed import stream
from bzredis.streams.stream import Stream


@click.command()
@with_options({"prefix", "stream"})
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
    streams = [*map(stream, config.streams)]
    if acl:
        return _show_rules(config.prefix, streams)
    if form in {"jsonschema", "asyncapi"}:
        is_api = form == "asyncapi"
        shown = (
            asyncapi.document(config.prefix, CONTRACT, streams)
            if is_api
            else schemas(streams)
        )
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return 0
    page = {"text": pages.text, "markdown": pages.markdown}[form]
    for line in page(config.prefix, streams):
        click.echo(line)
    return 0


def _show_rules(prefix: str, streams: Sequence[Stream]) -> int:
    click.echo(f"# The bridge\n{bridge(prefix, streams)}\n")
    click.echo(
        f"# Who only reads, from Redis 7.0 on\n{reader(prefix, '%R~', streams)}\n"
    )
    click.echo(f"# The same on Redis 6.2\n{reader(prefix, '~', streams)}\n")
    click.echo(f"# Who runs react\n{reactor(prefix, streams)}\n")
    click.echo(f"# Who runs rebuild, redrive and forget\n{mender(prefix, streams)}")
    return 0
