"""Reactions of the TOML file, and what is told where one is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest

from bzredis.commands.react.written import Asked, reactions, streams
from bzredis.errors import ConfigError
from bzredis.settings.settle import configure

TEXT = """
prefix = "bz"

[[reaction]]
name = "cuts"
stream = "ratings"
when = '_pt_change_pct < -10'
command = ["./sell.sh", " a b "]
timeout = "2m"
jobs = 4
all = true
raw = true
from-start = true

[[reaction]]
name = "stale"
on = ["stale", "gap"]
command = ["true"]
"""


def read(text: str) -> list[Asked]:
    return reactions(tomllib.loads(text), "f.toml")


def test_they_are_read() -> None:
    cuts, stale = read(TEXT)
    assert attrs.asdict(cuts) == {
        "name": "cuts",
        "where": "f.toml: reaction 1 (cuts)",
        "streams": ("ratings",),
        "on": ("entry",),
        "when": "_pt_change_pct < -10",
        "all_of_them": True,
        "raw": True,
        "from_start": True,
        "timeout": 120.0,
        "jobs": 4,
        "command": ("./sell.sh", " a b "),
        "does": {},
    }
    assert stale.on == ("stale", "gap")
    assert stale.timeout == 60.0
    assert [each.name for each in streams(stale, ["insights"])] == ["insights"]
    assert [each.name for each in streams(cuts, ["insights"])] == ["ratings"]


def test_the_bridge_leaves_them_alone() -> None:
    assert configure({}, {}, tomllib.loads(TEXT)).prefix == "bz"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("reaction = 1", "f.toml: reaction: write [[reaction]] above each"),
        ("[reaction]\nname='a'", "f.toml: reaction: write [[reaction]] above each"),
        ("[[reaction]]\ncommand=['a']", "f.toml: reaction 1: it has no name"),
        (
            "[[reaction]]\nname='a'\ncomand=['a']",
            "f.toml: reaction 1 (a): there is no comand in a reaction; is command",
        ),
        (
            "[[reaction]]\nname='a'\ncommand='a b'",
            "f.toml: reaction 1 (a): command: has to be a list, as",
        ),
        ("[[reaction]]\nname='a'\ncommand=[]", "(a): command: has to be a list of"),
        ("[[reaction]]\nname='a'\ncommand=[1]", "(a): command: has to be a list of"),
        ("[[reaction]]\nname='a'", "f.toml: reaction 1 (a): nothing says what is to"),
        ("[[reaction]]\nname='a b'\ncommand=['a']", "name: 'a b' may have letters"),
        ("[[reaction]]\nname=1\ncommand=['a']", "name: has to be text, not a number"),
        (
            "[[reaction]]\nname='a'\nstream='rating'\ncommand=['a']",
            "(a): stream: has to be one of",
        ),
        (
            "[[reaction]]\nname='a'\non='gaps'\ncommand=['a']",
            "(a): on: has to be one of entry, gap, stale",
        ),
        (
            "[[reaction]]\nname='a'\non='gap'\nwhen='news'\ncommand=['a']",
            "(a): when: it is about entries",
        ),
        ("[[reaction]]\nname='a'\ntimeout=5\ncommand=['a']", "timeout: has to be a"),
        ("[[reaction]]\nname='a'\njobs=0\ncommand=['a']", "jobs: has to be between 1"),
        (
            "[[reaction]]\nname='a'\ncommand=['a']\n" * 2,
            "f.toml: reaction 2 (a): there are two of that name",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(text)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["reactions", "reacton"])
def test_a_table_that_is_named_wrongly_is_told(name: str) -> None:
    toml: dict[str, Any] = {name: [{"name": "a"}]}
    with pytest.raises(ConfigError, match="is reaction meant"):
        configure({}, {}, toml, file=str(Path("f.toml")))
