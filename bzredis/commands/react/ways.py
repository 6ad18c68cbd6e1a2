"""What is done about what happens: a program, a message, or topics."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from bzredis.commands.react.mqtt import asked as mqtt
from bzredis.commands.react.notify import asked as notify
from bzredis.commands.react.notify.notify import A_MINUTE
from bzredis.commands.react.program import program
from bzredis.commands.react.reaction import Reaction
from bzredis.commands.react.taking.patient import Patient
from bzredis.commands.react.written import KEYS, Asked
from bzredis.errors import ConfigError
from bzredis.streams import Stream

Make = Callable[[Patient], Reaction]
With = Callable[[str], Callable[..., Any]]  # what reads an option as the file's key

OPTIONS: Final[Sequence[tuple[str, dict[str, Any]]]] = (
    (
        "notify",
        {
            "metavar": "URL",
            "multiple": True,
            "help": "Tell people, through a service of apprise: ntfy://my-topic, say."
            f" What holds a secret goes into a file or a variable. [{notify.VARIABLE}]",
        },
    ),
    (
        "notify_file",
        {"metavar": "FILE", "help": "A file with such URLs, one a line."},
    ),
    (
        "template",
        {
            "metavar": "TEXT",
            "help": "What people are told, in your words: '{symbol}: {firm} {rating}';"
            " {text} is what else they would be told.",
        },
    ),
    (
        "per_minute",
        {
            "metavar": notify.PER_MINUTE.metavar,
            "help": "Messages a minute; what is more becomes one message."
            f" [{A_MINUTE}]",
        },
    ),
    (
        "mqtt",
        {
            "metavar": "URL",
            "help": "Keep `latest` in an MQTT broker, and tell Home Assistant of it:"
            f" mqtt://HOST, mqtts://HOST:PORT/TOPIC. [{mqtt.VARIABLE}; TOPIC: bzredis]",
        },
    ),
    (
        "mqtt_file",
        {
            "metavar": "FILE",
            "help": "A file with that URL, where it has a password:"
            " mqtt://USER:PASSWORD@HOST.",
        },
    ),
    (
        "watch",
        {
            "metavar": mqtt.WATCH.metavar,
            "multiple": True,
            "help": "The symbols that stand in the broker. [those that the bridge"
            " follows]",
        },
    ),
)


def options(read: With) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options of all ways but a program."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for key, how in reversed(OPTIONS):
            flag = f"--{key.replace('_', '-')}"
            command = click.option(flag, key, callback=read(key), **how)(command)
        return command

    return decorate


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Take these options out of a command's, and return those that were given.

    Raises ConfigError for what must be no argument.
    """
    taken = {key: values.pop(key) for key, _ in OPTIONS}
    found = {key: value for key, value in taken.items() if value is not None}
    if "notify" in found:
        notify.given(found["notify"])
    if "mqtt" in found:
        mqtt.given(found["mqtt"])
    return found


def of_the_environment() -> dict[str, Any]:
    """Return what variables say is to be done, where nothing else says it."""
    found = dict[str, Any]()
    for key, name in (("notify", notify.VARIABLE), ("mqtt", mqtt.VARIABLE)):
        if value := os.environ.get(name, "").strip():
            try:
                found[key] = KEYS[key][0](value)
            except ValueError as error:
                raise ConfigError(f"{name}: {error}") from None
    if len(found) > 1:
        told = "unset one of the two, or name it in the settings file"
        raise ConfigError(f"{notify.VARIABLE} and {mqtt.VARIABLE} are set: {told}")
    return found


def made(asked: Asked, about: Sequence[Stream]) -> Make:
    """Return what makes a reaction, of which nothing is wrong. Raises ConfigError."""
    match asked.way:
        case "mqtt":
            return mqtt.reaction(asked.does, about, asked.at)
        case "notify":
            tell = notify.reaction(asked.does, about, asked.at, asked.timeout)
            return lambda _: tell()
        case _:
            return lambda _: program(asked.command, asked.timeout)
