"""Values as a person would write them: in a table, in JSON, as a line of TOML. Pure.

Nothing that is written here holds a secret: addresses are without user and password,
and of the token only its file is told.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from bzredis.messages.times import DAY, HOUR, MINUTE
from bzredis.settings.addresses import Listener, Origin, RedisURL
from bzredis.settings.config import Token
from bzredis.settings.options import Option

HIDDEN: Final = "***"
# Of each metavar, what its counts are written in: the largest that gives a whole.
_UNITS: Final = {
    "TIME": {"d": DAY, "h": HOUR, "m": MINUTE, "s": 1},
    "SIZE": {"TiB": 2**40, "GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "": 1},
}


def as_json(option: Option, value: object) -> object:
    """Return a value in what JSON has: text, numbers, true and false, lists, null."""
    match value:
        case tuple():
            return [as_json(option, each) for each in value]
        case RedisURL(shown=text):
            return text
        case Token(path=path):
            return str(path or HIDDEN)
        case Origin() | Path() | Listener():
            return str(value)
        case int() | float():
            return _count(option, value)
    return value


def _count(option: Option, value: float) -> object:
    for unit, worth in _UNITS.get(option.form.metavar, {}).items():
        if value % worth == 0:
            return f"{value / worth:.0f}{unit}"
    return value


def as_text(option: Option, value: object) -> str:
    """Return a value for a table, in words where it is none."""
    match as_json(option, value):
        case None | []:
            return option.shown
        case bool(found):
            return str(found).lower()
        case list(found):
            return ", ".join(map(str, found))
        case found:
            return str(found)


def as_toml(option: Option, value: object) -> str:
    """Return a line of TOML."""
    written = json.dumps(as_json(option, value), ensure_ascii=False)
    return f"{option.name} = {written}"
