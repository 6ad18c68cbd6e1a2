"""The first file of settings says what there is, and changes nothing by itself."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import attrs
import pytest

from bzredis.commands.setup.template import WIDTH, template
from bzredis.settings.config import OPTIONS, Config, Token
from bzredis.settings.settle import configure

TOKEN, STATE = Path('/home/me/ä "b"/token'), Path("/home/me/state")
TEXT = template(TOKEN, STATE)


def test_as_it_is_it_names_the_tokens_file_and_no_more() -> None:
    toml = tomllib.loads(TEXT)
    assert toml == {"token-file": str(TOKEN)}
    config = configure({}, {}, toml, file="f")
    assert config == Config(token=Token("f: token-file", path=TOKEN))


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_each_option_is_there_with_its_default_or_an_example(option: object) -> None:
    option = next(each for each in OPTIONS if each is option)
    [line] = re.findall(rf"^#?({option.name} = .*)$", TEXT, re.MULTILINE)
    value = getattr(configure({}, {}, tomllib.loads(line)), option.field)
    default = getattr(attrs.evolve(Config(), state_dir=STATE), option.field)
    assert (value == default) == (not option.sample and option.name != "token-file")


def test_it_fits_a_terminal() -> None:
    assert max(map(len, TEXT.splitlines())) <= WIDTH


def test_all_of_it_may_be_in_force_at_once() -> None:
    configure({}, {}, tomllib.loads(re.sub("(?m)^#(?! )", "", TEXT)))
