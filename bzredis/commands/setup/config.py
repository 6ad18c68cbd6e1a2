"""`bzredis config`: what is in force, and who said so."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from textwrap import wrap
from typing import Any, Final

import click

from bzredis import __version__
from bzredis.commands.form import ALL, complain, with_options
from bzredis.commands.running.called import typed
from bzredis.settings import credentials
from bzredis.settings.config import Token
from bzredis.settings.file import Found, expanded
from bzredis.settings.settle import Setting
from bzredis.settings.written import HIDDEN, as_json, as_text

NARROWEST: Final = 20  # columns that a value has at the least
ENDLESS: Final = 10_000  # columns of what is no terminal: there a line is an option


@click.command()
@with_options(ALL, origins=True)
@click.option("--json", "is_json", is_flag=True, help="The same for programs.")
def config(found: Found, *, is_json: bool) -> int:
    """Show what is in force, and who said so; secrets are masked.

    It takes the options of `run`, so that one sees what they would change. Where `run`
    would refuse, so does this, in the same words.
    """
    if is_json:
        click.echo(json.dumps(_document(found), indent=2, ensure_ascii=False))
    else:
        for line in page(found, _columns()):
            click.echo(line)
    _check(found.config.token)
    return 0


def _check(token: Token | None) -> None:
    """Raise ConfigError where `run` would, and warn where it would."""
    token = credentials.required(token)
    # What gives a token once would be empty for whoever comes next.
    if token.path is None or not credentials.gives_once(expanded(token.path)):
        credentials.read(token)
    if words := credentials.exposed(token):
        complain(words)


def _document(found: Found) -> dict[str, Any]:
    return {
        "version": __version__,
        "file": {
            "path": str(found.file),
            "exists": found.is_there,
            "named_by": found.named_by or None,
        },
        "options": {
            each.option.name: {
                "value": as_json(each.option, each.value),
                "from": each.kind,
                "source": each.source or None,
                "passed_over": list(each.passed_over),
            }
            for each in found.settings
        },
    }


def _columns() -> int:
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return shutil.get_terminal_size().columns if is_terminal else ENDLESS


def page(found: Found, columns: int) -> Iterator[str]:
    """Yield the lines of two tables: what somebody said, and what nobody did."""
    state = "" if found.is_there else typed(" (not there; `bzredis init` writes one)")
    yield from _lines("Settings file  ", f"{found.file}{state}", columns)
    said = [each for each in found.settings if each.source]
    silent = [each for each in found.settings if not each.source]
    name = max(len(each.option.name) for each in found.settings)
    if said:
        yield f"\n{click.style('Set', bold=True)}"
        source = max(len(_short(each.source, found)) for each in said)
        longest = max(len(_value(each)) for each in said)
        room = max(min(longest, columns - name - source - 6), NARROWEST)
        for each in said:
            first, *others = wrap(_value(each), room, break_on_hyphens=False)
            by = _short(each.source, found)
            yield f"  {each.option.name:{name}}  {first:{room}}  {by}"
            yield from (" " * (name + 4) + other for other in others)
            for after in each.passed_over:
                yield f"{'':{name + room + 4}}  (not {_short(after, found)})"
    yield f"\n{click.style('By default', bold=True)}"
    for each in silent:
        yield from _lines(f"  {each.option.name:{name}}  ", _value(each), columns)


def _lines(head: str, value: str, columns: int) -> list[str]:
    """Return a name and its value, on as many lines as that needs."""
    room = max(columns - len(head), NARROWEST)
    first, *others = wrap(value, room, break_on_hyphens=False)
    return [head + first, *(" " * len(head) + each for each in others)]


def _value(setting: Setting) -> str:
    token = setting.value
    if isinstance(token, Token) and token.path:
        return f"{HIDDEN}, in {token.path}"
    return as_text(setting.option, token)


def _short(source: str, found: Found) -> str:
    return "settings file" if source.startswith(f"{found.file}: ") else source
