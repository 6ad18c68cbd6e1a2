"""What a person asked for, on the command line or in the TOML file: reactions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from bzredis.commands.react.mqtt import asked as mqtt
from bzredis.commands.react.notify import asked as notify
from bzredis.errors import ConfigError
from bzredis.settings.config import REACTIONS, stream_name
from bzredis.settings.names import meant
from bzredis.settings.options import boolean, choice, duration, number, several, text
from bzredis.streams import Stream, installed

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
ON: Final = ("entry", "gap", "stale")
TIMEOUT: Final = duration("1s", "1h")
JOBS: Final = number(1, 64)
SECONDS: Final = 60.0
# What else than a program can be done, by the keys that say so; and what goes with it.
WAYS: Final = {
    "notify": "notify",
    "notify_file": "notify",
    "mqtt": "mqtt",
    "mqtt_file": "mqtt",
}
GOES_WITH: Final = {"template": "notify", "per_minute": "notify", "watch": "mqtt"}


@attrs.frozen(kw_only=True)
class Asked:
    """A reaction as it was asked for."""

    name: str
    where: str = ""  # what an error about it begins with
    streams: tuple[str, ...] = ()  # none: those that are followed
    on: tuple[str, ...] = ("entry",)
    when: str = ""
    all_of_them: bool = False
    raw: bool = False
    from_start: bool = False
    timeout: float = SECONDS
    jobs: int = 1
    command: tuple[str, ...] = ()
    does: Mapping[str, Any] = attrs.field(factory=dict, repr=False)  # may hold secrets

    @property
    def way(self) -> str:
        """Return what is done: `command`, `notify` or `mqtt`."""
        return next((WAYS[key] for key in self.does if key in WAYS), "command")

    def at(self, key: str) -> str:
        """Return how an error about one of its settings begins."""
        return f"{self.where}: {key}" if self.where else f"--{key.replace('_', '-')}"


def _texts(value: object) -> tuple[str, ...]:
    """Return a command, part by part: none of it is trimmed."""
    if isinstance(value, str):
        raise ValueError('has to be a list, as ["notify-send", "a downgrade"]')
    if not isinstance(value, list) or not value:
        raise ValueError("has to be a list of texts")
    for each in value:
        if not isinstance(each, str) or "\0" in each:
            raise ValueError("has to be a list of texts")
    return tuple(value)


def _when(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("has to be text")
    if not value.strip():  # a shell's variable that was never set, say
        raise ValueError("there is nothing in it")
    return value


def _name(value: object) -> str:
    found = text(value)
    if not NAME.fullmatch(found):
        told = "may have letters, digits, '.', '_' and '-', at most 64"
        raise ValueError(f"{found!r} {told}")
    return found


def _some(known: Sequence[str]) -> Callable[[object], Any]:
    return several(choice(known).read, "NAME", maybe_none=False).read


def _time(value: object) -> float:
    return float(str(TIMEOUT.read(value)))


# What stands in a [[reaction]]: the key, what reads it, and where it goes.
KEYS: Final[dict[str, tuple[Callable[[object], Any], str]]] = {
    "name": (_name, "name"),
    "stream": (several(stream_name, "NAME", maybe_none=False).read, "streams"),
    "on": (_some(ON), "on"),
    "when": (_when, "when"),
    "all": (boolean, "all_of_them"),
    "raw": (boolean, "raw"),
    "from_start": (boolean, "from_start"),
    "timeout": (_time, "timeout"),
    "jobs": (JOBS.read, "jobs"),
    "command": (_texts, "command"),
    **{key: (read, "does") for key, read in {**notify.KEYS, **mqtt.KEYS}.items()},
}


def reactions(toml: Mapping[str, Any], file: str) -> list[Asked]:
    """Return what a TOML file asks for; raises ConfigError, which says where."""
    tables = toml.get(REACTIONS, [])
    if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        told = f"write [[{REACTIONS}]] above each, in two pairs of brackets"
        raise ConfigError(f"{file}: {REACTIONS}: {told}")
    found: dict[str, Asked] = {}
    for count, table in enumerate(tables, 1):
        one = _reaction(table, f"{file}: {REACTIONS} {count}")
        if one.name in found:
            raise ConfigError(f"{one.where}: there are two of that name")
        found[one.name] = one
    return list(found.values())


def _reaction(table: Mapping[str, Any], place: str) -> Asked:
    shown = table.get("name")
    where = f"{place} ({shown})" if isinstance(shown, str) and shown else place
    values: dict[str, Any] = {"where": where}
    for written, value in table.items():
        key = written.replace("-", "_")
        if key not in KEYS:
            hint = meant(key, KEYS) or f"; there are {', '.join(KEYS)}"
            raise ConfigError(f"{where}: there is no {written} in a reaction{hint}")
        read, attribute = KEYS[key]
        try:
            found = read(value)
            before = values.get(attribute, {})
            values[attribute] = {**before, key: found} if attribute == "does" else found
        except ValueError as error:
            raise ConfigError(f"{where}: {written}: {error}") from None
    if "name" not in values:
        raise ConfigError(f"{where}: it has no name")
    return checked(Asked(**values))


def checked(asked: Asked) -> Asked:
    """Return it if it makes sense; raises ConfigError."""
    if "entry" not in asked.on:
        for key, told in (("when", asked.when), ("all", asked.all_of_them)):
            if told:
                words = "it is about entries, and `on` has none: add entry to it"
                raise ConfigError(f"{asked.at(key)}: {words}")
    where = asked.where or asked.name
    ways = {WAYS[key] for key in asked.does if key in WAYS}
    if not (asked.command or ways):
        told = (
            "give it a command, notify or mqtt"
            if asked.where
            else "end with -- COMMAND, --notify URL or --mqtt URL"
        )
        raise ConfigError(f"{where}: nothing says what is to be done: {told}")
    if len(ways) + bool(asked.command) > 1:
        both = " and ".join([*sorted(ways), *(["a command"] if asked.command else [])])
        raise ConfigError(f"{where}: one thing is done, not {both}: make two reactions")
    for key, way in GOES_WITH.items():
        if key in asked.does and way not in ways:
            raise ConfigError(f"{asked.at(key)}: it goes with {way} alone")
    return _of_its_way(asked)


def _of_its_way(asked: Asked) -> Asked:
    """Return it with what its way brings along; raises ConfigError."""
    if asked.way == "notify":
        # Many wait at a time, so that a flood can become one message.
        return attrs.evolve(asked, jobs=max(asked.jobs, notify.JOBS))
    if asked.way == "mqtt":
        if asked.when:
            told = "states are kept as they stand; watch names those that are meant"
            raise ConfigError(f"{asked.at('when')}: it does not go with mqtt: {told}")
        return attrs.evolve(asked, on=tuple({*asked.on, "entry", "stale"}))
    return asked


def streams(asked: Asked, followed: Sequence[str]) -> tuple[Stream, ...]:
    """Return the streams that a reaction is about."""
    return tuple(installed.stream(name) for name in asked.streams or followed)
