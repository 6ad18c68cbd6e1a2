"""The README is under test: it names what there is, all of it, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bzredis.config import OPTIONS
from bzredis.options import RUN, Option
from bzredis.store.keys import KEYS, Key, entry_fields
from bzredis.streams import RATINGS, STREAMS

README = (Path(__file__).parent.parent / "README.md").read_text()
RUN_OPTIONS = [option for option in OPTIONS if RUN in option.commands]


@pytest.mark.parametrize("option", RUN_OPTIONS, ids=lambda option: option.name)
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
    stream = "ratings" if "record" in key.keyed else "consensus"
    row = f"| `bz:{stream}:{key.name}` | {key.type} |"
    assert row in README


def test_no_key_is_told_that_does_not_exist() -> None:
    names = "|".join(stream.name for stream in STREAMS)
    kinds = {key.name.partition(":")[0] for key in KEYS}
    assert set(re.findall(rf"bz:(?:{names}):([a-z]+)", README)) <= kinds


def test_the_fields_of_a_log_entry_are_told() -> None:
    for field in entry_fields(RATINGS):
        assert f"`{field}`" in README


def test_scripts_that_it_names_exist() -> None:
    for name in re.findall(r"scripts/([a-z]+)", README):
        assert (Path(__file__).parent.parent / "scripts" / name).is_file()
