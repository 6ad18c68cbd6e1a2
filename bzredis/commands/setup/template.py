"""A first TOML file: every option with what it means and how it is written. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Final

from bzredis.settings.config import FILE_VARIABLE, Token
from bzredis.settings.names import PREFIX
from bzredis.settings.settle import Setting, settle
from bzredis.settings.written import as_text, as_toml

WIDTH: Final = 79
HEAD: Final = (
    "Settings of bzredis. A line counts once the # before it is gone; `bzredis config`"
    f" shows what is in force. Flags and variables ({PREFIX}…) go before this file, and"
    f" another file is named by --config or {FILE_VARIABLE}."
)


def template(token: Path, state_dir: Path) -> str:
    """Return the text of a file that names the token's file, and else the defaults."""
    settings = settle({}, {}, {}, state_dir=state_dir)
    first = sorted(settings, key=lambda each: each.option.field != "token")
    paragraphs = [
        _comment(HEAD),
        *([*_comment(each.option.help), *_line(each, token)] for each in first),
    ]
    return "\n\n".join("\n".join(lines) for lines in paragraphs) + "\n"


def _line(setting: Setting, token: Path) -> Iterator[str]:
    option = setting.option
    if option.field == "token":
        yield as_toml(option, Token("", path=token))
    elif option.sample:
        yield f"# By default: {as_text(option, setting.value)}. As an example:"
        yield f"#{as_toml(option, option.form.read(option.sample))}"
    else:
        yield f"#{as_toml(option, setting.value)}"


def _comment(words: str) -> list[str]:
    return [f"# {line}" for line in wrap(words, WIDTH - 2)]
