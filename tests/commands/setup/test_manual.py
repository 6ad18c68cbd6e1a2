"""The manual quotes what is said, and names what there is."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import bzredis
from bzredis.commands import cli
from bzredis.commands.react.mqtt import asked as mqtt
from bzredis.commands.react.notify import asked as notify
from bzredis.commands.react.program import PREFIX
from bzredis.commands.react.react import react
from bzredis.commands.react.rules import rule
from bzredis.commands.react.written import reactions, streams
from bzredis.commands.setup.manual import PAGE
from bzredis.settings.config import FILE_VARIABLE, OPTIONS
from bzredis.settings.file import default_file, default_state_dir

ROOT = Path(bzredis.__file__).parent
TEXT = (ROOT / "commands" / "setup" / PAGE).read_text()
TROUBLES = TEXT.partition("## What can go wrong")[2]
ROWS = re.findall(r"^\| (`.+?`) \|", TROUBLES, re.MULTILINE)
QUOTES = [quote for row in ROWS for quote in re.findall(r"`([^`]+)`", row)]


@cache
def said() -> tuple[str, ...]:
    """Return all texts of each module, as one."""
    return tuple("\n".join(texts(file)) for file in ROOT.rglob("*.py"))


def texts(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("quote", QUOTES)
def test_what_one_sees_is_what_is_said(quote: str) -> None:
    parts = [part for part in re.split(r"…", quote) if part.strip(" :")]
    assert parts
    assert any(all(part.strip() in text for part in parts) for text in said())


def test_there_are_troubles() -> None:
    assert len(QUOTES) > 15


def test_it_is_shown() -> None:
    assert CliRunner().invoke(cli.bzredis, ["manual"]).stdout == TEXT


def test_commands_and_options_that_it_names_exist() -> None:
    names = set(re.findall(r"`bzredis (\w+)", TEXT))
    assert names
    assert names <= {*cli.bzredis.list_commands(click.Context(cli.bzredis))}
    flags = set(re.findall(r"`(?:demo )?(--[a-z-]+)", TEXT))
    of_react = {flag for param in react.params for flag in param.opts}
    assert flags <= {*(option.flag for option in OPTIONS), *of_react, "--config"}
    variables = {v for each in OPTIONS for v in (each.variable, *each.variables)}
    told = set(re.findall(r"`(B[A-Z]+_[A-Z_]+)`", TEXT))
    ways = {notify.VARIABLE, mqtt.VARIABLE, f"{PREFIX}EVENT"}
    assert told <= {*variables, *ways, FILE_VARIABLE, "BENZINGA_TOKEN"}


def test_reactions_of_the_settings_are_written_as_it_says() -> None:
    [example] = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    found = reactions(tomllib.loads(example), "config.toml")
    assert [one.way for one in found] == ["notify", "mqtt", "command"]
    for one in found:
        if one.when:
            rule(one.when, streams(one, ("ratings",)))


def test_folders_are_those_of_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for path in (default_file(), default_state_dir() / "spool"):
        assert f"`~/{path.relative_to('/home/me')}`" in TEXT
