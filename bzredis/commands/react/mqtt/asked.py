"""What a person asks for with --mqtt, and in the TOML file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from bzredis.commands.logs import add_secret
from bzredis.commands.react.mqtt.address import Broker, broker
from bzredis.commands.react.mqtt.link import paho_mqtt
from bzredis.commands.react.mqtt.mqtt import ISIN, mqtt
from bzredis.commands.react.reaction import Reaction
from bzredis.commands.react.taking.patient import Patient
from bzredis.errors import ConfigError
from bzredis.settings.file import read_text
from bzredis.settings.options import path, several, text
from bzredis.settings.securities import ticker
from bzredis.streams import Stream

VARIABLE: Final = "BZREDIS_MQTT"


def _symbol(value: object) -> str:
    if ISIN.fullmatch(given := text(value)):
        raise ValueError(f"{given} is an ISIN: write its ticker")
    return str(ticker(given))


WATCH: Final = several(_symbol, "TICKER[,TICKER]…", maybe_none=False)
MOST: Final = 1_000  # symbols; Home Assistant makes three sensors of each
VISIBLE: Final = (
    "this URL holds a password, and arguments are visible to others: write it into a"
    f" file and name that with --mqtt-file, or set {VARIABLE}"
)


def _url(value: object) -> str:
    url = text(value)
    _keep_secret(broker(url))
    return url


def _watch(value: object) -> tuple[str, ...]:
    found = cast("tuple[str, ...]", WATCH.read(value))
    if len(found) > MOST:
        raise ValueError(f"has more than {MOST:,} symbols in it")
    return found


# What stands in a [[reaction]], and what reads it.
KEYS: Final[dict[str, Callable[[object], Any]]] = {
    "mqtt": _url,
    "mqtt_file": path,
    "watch": _watch,
}


def given(url: str) -> str:
    """Return what was given as an argument. Raises ConfigError where it may not be."""
    if broker(url).password:
        raise ConfigError(f"--mqtt: {VISIBLE}")
    return url


def reaction(
    does: Mapping[str, Any], about: Sequence[Stream], at: Callable[[str], str]
) -> Callable[[Patient], Reaction]:
    """Return what makes the reaction. Raises ConfigError."""
    paho_mqtt()  # it is there
    where, url = at("mqtt"), does.get("mqtt", "")
    if file := does.get("mqtt_file"):
        where = at("mqtt_file")
        url = read_text(file, where).strip()
    try:
        found = broker(url)
    except ValueError as error:
        raise ConfigError(f"{where}: the URL cannot be used: {error}") from None
    _keep_secret(found)
    watched = does.get("watch", ())
    return lambda redis: mqtt(found, watched, about, redis)


def _keep_secret(found: Broker) -> None:
    if found.password:
        add_secret(found.password)
