"""The README is under test: it names what there is, all of it, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import click
import pytest

from bzredis.bridge.status import CONTRACT, FIELDS, State
from bzredis.commands.keys import keys
from bzredis.contract.fields import CAUSES, ENTRY, GAP, HEADLINES, REASONS
from bzredis.contract.keys import KEYS, Key
from bzredis.settings.config import OPTIONS
from bzredis.settings.options import Option
from bzredis.store.script import TOMBSTONE_DAYS
from bzredis.streams import STREAMS, Stream

README = (Path(__file__).parent.parent / "README.md").read_text()


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_is_told_with_its_variables(option: Option) -> None:
    [row] = [
        line
        for line in README.splitlines()
        if re.match(rf"\| `{option.flag}[ `]", line)
    ]
    for variable in (option.variable, *option.variables):
        assert f"`{variable}`" in row


def test_no_option_is_told_that_does_not_exist() -> None:
    known = {option.flag for option in OPTIONS} | {
        "--acl",
        "--format",
        "--days",
        "--seconds",
        "--config",
        "--help",
        "--minutes",
        "--seed",
    }
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) <= known
    variables = {v for option in OPTIONS for v in (option.variable, *option.variables)}
    told = set(re.findall(r"\b(?:BZREDIS|BENZINGA)_[A-Z_]*[A-Z]\b", README))
    assert told <= variables | {"BENZINGA_TOKEN"}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_every_key_is_told_with_its_type(key: Key) -> None:
    stream = "ratings" if "records" in key.state else "consensus"
    row = f"| `bz:{stream}:{key.name}` | {key.type} |"
    assert row in README


def test_no_key_is_told_that_does_not_exist() -> None:
    names = "|".join(stream.name for stream in STREAMS)
    kinds = {key.name.partition(":")[0] for key in KEYS} | {"internal"}
    assert set(re.findall(rf"bz:(?:{names}):([a-z]+)", README)) <= kinds


def test_the_fields_of_a_log_entry_are_told() -> None:
    for field in (*ENTRY, *GAP):
        assert f"`{field.name}`" in README
    for cause in CAUSES:
        assert f"`{cause}`" in README


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_each_streams_headline_is_told(stream: Stream) -> None:
    told = ", ".join(f"`{field.name}`" for field in HEADLINES[stream.name])
    assert re.search(rf"\b{stream.name} {re.escape(told)}[;)]", README)


def test_the_status_is_told_as_it_is() -> None:
    table = README.partition("| field of `status` |")[2].partition("\n\n")[0]
    told = [row.split("|")[1:3] for row in table.splitlines()[2:]]
    names = [name for row in told for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(names) == sorted(FIELDS)
    [states] = [words for name, words in told if "`state`" in name]
    assert set(re.findall(r"`(\w+)`", states)) == set(get_args(State))
    assert f"this page: {CONTRACT} |" in README


def test_why_nothing_is_fresh_is_told() -> None:
    told = README.partition("says `0`, the reason is ")[2].partition(";")[0]
    assert tuple(re.findall(r"`(\w+)`", told)) == REASONS


def test_every_format_of_the_contract_is_told() -> None:
    [option] = [each for each in keys.params if each.name == "form"]
    assert isinstance(option.type, click.Choice)
    for form in set(option.type.choices) - {option.default}:
        assert f"--format {form}`" in README


def test_how_long_a_deleted_record_is_remembered_is_told() -> None:
    assert f"for {TOMBSTONE_DAYS} days" in README


def test_scripts_that_it_names_exist() -> None:
    for name in re.findall(r"scripts/([a-z-]+)", README):
        assert (Path(__file__).parent.parent / "scripts" / name).exists()
