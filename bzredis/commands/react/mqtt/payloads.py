"""What stands under the topics: states, and what Home Assistant is told. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import attrs
import msgspec

from bzredis import __version__
from bzredis.commands.react.mqtt.topics import BRIDGE, Topics, name
from bzredis.commands.react.taking.entries import fields, values
from bzredis.contract import fields as contract
from bzredis.streams import Stream

ONLINE, OFFLINE = b"online", b"offline"
FRESH, STALE = b"fresh", b"stale"
NOTHING: Final = b"{}"  # the state of a symbol of which nothing is known
GONE: Final = b""  # what is retained no longer


@attrs.frozen
class Sensor:
    """What is shown of a symbol: a field of a stream's hash."""

    title: str
    stream: str
    field: str
    icon: str
    is_number: bool = False


SENSORS: Final = (
    Sensor("Rating", "ratings", "rating_current", "mdi:account-tie"),
    Sensor("Target", "ratings", "pt_current", "mdi:bullseye-arrow", is_number=True),
    Sensor("Consensus", "consensus", "consensus_rating", "mdi:account-group"),
)


def sensors(stream: Stream) -> tuple[Sensor, ...]:
    return tuple(each for each in SENSORS if each.stream == stream.name)


_json = msgspec.json.Encoder(decimal_format="number").encode


def state(stream: Stream, latest: Mapping[str, str]) -> bytes:
    """Return a symbol's hash as JSON: the contract's names, numbers as numbers."""
    known = {**fields(stream), **{each.name: each for each in contract.OURS}}
    return _json(values(known, latest)) if latest else NOTHING


def symbol_device(
    topics: Topics, symbol: str, streams: Collection[str], currency: str = ""
) -> bytes:
    """Return what Home Assistant is told of a symbol: a device of up to three sensors.

    `currency` is that of its targets, "" where it is not known.
    """
    whose = name(symbol)
    sensors = {
        each.title.lower(): _sensor(topics, symbol, each, currency)
        for each in SENSORS
        if each.stream in streams
    }
    device = {"name": symbol, "via_device": topics.device(BRIDGE)}
    return _device(topics, whose, device, sensors)


def bridge_device(topics: Topics, streams: Collection[str]) -> bytes:
    """Return what Home Assistant is told of the streams: whether one has a problem."""
    problems = {
        stream: {
            "platform": "binary_sensor",
            "name": f"{stream.replace('-', ' ').capitalize()} stale",
            "unique_id": f"{topics.device(BRIDGE)}_{stream}",
            "device_class": "problem",
            "entity_category": "diagnostic",
            "state_topic": topics.stream(stream),
            "payload_on": STALE.decode(),
            "payload_off": FRESH.decode(),
        }
        for stream in streams
    }
    device = {"name": "bzredis", "sw_version": __version__}
    return _device(topics, BRIDGE, device, problems)


def _sensor(topics: Topics, symbol: str, one: Sensor, currency: str) -> dict[str, Any]:
    topic = topics.state(one.stream, symbol)
    # Of a number "None" makes the state unknown, and "" leaves it as it was.
    nothing = "None" if one.is_number else ""
    found: dict[str, Any] = {
        "platform": "sensor",
        "name": one.title,
        "unique_id": f"{topics.device(name(symbol))}_{one.title.lower()}",
        "icon": one.icon,
        "state_topic": topic,
        "value_template": f"{{{{ value_json.{one.field} | default('{nothing}') }}}}",
        "json_attributes_topic": topic,
    }
    if one.is_number:
        found["state_class"] = "measurement"  # which draws a curve of it
        if currency:
            found["unit_of_measurement"] = currency
    return found


def _device(
    topics: Topics, which: str, device: dict[str, str], parts: dict[str, Any]
) -> bytes:
    told = {
        "device": {
            "identifiers": [topics.device(which)],
            "manufacturer": "Benzinga",
            "model": "Analyst ratings",
            **device,
        },
        "origin": {"name": "bzredis", "sw_version": __version__},
        "components": parts,
        "availability_topic": topics.availability,
        "qos": 1,
    }
    return _json(told)
