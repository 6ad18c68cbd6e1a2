"""What a person asks for with --notify, and in the TOML file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bzredis.commands.react.notify.notify import A_MINUTE, notify
from bzredis.commands.react.notify.services import Service, services
from bzredis.commands.react.notify.texts import Say, sentence, template
from bzredis.commands.react.reaction import Reaction
from bzredis.commands.react.taking.entries import GAP, fields
from bzredis.errors import ConfigError
from bzredis.settings.file import read_text
from bzredis.settings.options import number, path, text
from bzredis.streams import Stream

VARIABLE: Final = "BZREDIS_NOTIFY"
PER_MINUTE: Final = number(1, 1_000)
JOBS: Final = 64  # that wait at a time, so that a flood can become one message
VISIBLE: Final = (
    "this URL holds a secret, and arguments are visible to others: write it into a file"
    f" and name that with --notify-file, or set {VARIABLE}"
)


def _urls(value: object) -> tuple[str, ...]:
    """Return URLs: commas stand within them, so white space is between."""
    if isinstance(value, list):
        return tuple(url for each in value for url in _urls(each))
    return tuple(text(value).split())


def _template(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("has to be text")
    return value


# What stands in a [[reaction]], and what reads it.
KEYS: Final[dict[str, Callable[[object], Any]]] = {
    "notify": _urls,
    "notify_file": path,
    "template": _template,
    "per_minute": PER_MINUTE.read,
}


def given(urls: Sequence[str]) -> Sequence[str]:
    """Return what was given as arguments. Raises ConfigError where it may not be."""
    if any(each.holds_secret for each in services(urls)):
        raise ConfigError(f"--notify: {VISIBLE}")
    return urls


def reaction(
    does: Mapping[str, Any],
    about: Sequence[Stream],
    at: Callable[[str], str],
    seconds: float,
) -> Callable[[], Reaction]:
    """Return what makes the reaction. Raises ConfigError: all is looked at now.

    `at` is how an error about one of the settings begins.
    """
    to = _services(does, at)
    say: Say = sentence
    if "template" in does:
        known = {name for stream in about for name in fields(stream)} | {*GAP, "reason"}
        try:
            say = template(does["template"], known)
        except ValueError as error:
            raise ConfigError(f"{at('template')}: {error}") from None
    a_minute = int(does.get("per_minute", A_MINUTE))
    return lambda: notify(to, say, seconds=seconds, a_minute=a_minute)


def _services(does: Mapping[str, Any], at: Callable[[str], str]) -> Sequence[Service]:
    urls = list(does.get("notify", ()))
    if file := does.get("notify_file"):
        where = at("notify_file")
        lines = read_text(file, where).splitlines()
        found = [line for each in lines if (line := each.partition(" #")[0].strip())]
        urls += [each for each in found if not each.startswith("#")]
        if not urls:
            raise ConfigError(f"{where}: the file {file} names no service")
    return services(urls)
