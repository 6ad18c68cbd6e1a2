"""The contract as JSON Schema: an entry or a hash, as the object that a reader gets.

They allow what is not known yet, since fields may be added under the same number of the
contract, and upstream's come through whatever they are. What the bridge writes is held
to exactly the fields of the tables by tests.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from bzredis.contract import fields
from bzredis.contract.fields import UNITS
from bzredis.streams import STREAMS, Stream
from bzredis.streams.field import DIRECTIONS, SHIFTS, Field, Type

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
TEXT: Final = {"type": "string", "minLength": 1}
PATTERNS: Final[dict[Type, str]] = {
    "ms": r"^[0-9]{1,16}$",
    "count": r"^[0-9]+$",
    "time": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
    "id": r"^[0-9]+-[0-9]+$",
    "flag": "^1$",
}
CHANGED: Final = r"^\S+ [0-9]+-[0-9]+$"  # SYM ENTRY
# What is alike in all streams has one schema, and what is made of it one name.
WORDS: Final = {
    "action": fields.ACTIONS,
    "cause": fields.CAUSES,
    "direction": DIRECTIONS,
    "effect": fields.EFFECTS,
    "shift": SHIFTS,
    "source": fields.SOURCES,
    "state": fields.STATES,
    "written": fields.ACTIONS[:2],
}
SHARED: Final = ("gap", "rejected", "status", "changed", "fresh")

Schema = dict[str, Any]


def schemas(streams: Iterable[Stream] = STREAMS) -> Schema:
    """Return all of them, each under `STREAM-KIND` in `$defs`."""
    found: Schema = {
        name: {"title": _title(name), "type": "string", "enum": [*words]}
        for name, words in WORDS.items()
    }
    for stream in streams:
        for kind, schema in of(stream).items():
            name = f"{stream.name}-{kind}"
            if kind in SHARED:
                found[kind] = {**_short(schema), "title": _title(kind)}
                found[name] = _ref(kind)
            elif kind == "entry":
                _put(found, f"{stream.name}-message", schema)
                found[name] = _one_of(name, f"{stream.name}-message", "gap")
            elif kind == "record":
                live, gone = schema["oneOf"]
                _put(found, f"{stream.name}-live-record", live)
                _put(found, "deleted-record", gone)
                found[name] = _one_of(
                    name, f"{stream.name}-live-record", "deleted-record"
                )
            else:
                _put(found, name, schema)
    return {"$schema": DRAFT, "title": "What stands in Redis", "$defs": found}


def of(stream: Stream) -> dict[str, Schema]:
    """Return those of one stream by kind; its log has entries, and gaps.

    None of them refers to another.
    """
    record = _object((*fields.ours(stream), *stream.content))
    latest = {**record, "required": ["_symbol", *record["required"]]}
    found = {
        "entry": _object(fields.entry(stream)),
        "gap": _object(fields.GAP),
        "history": _object(fields.history(stream)),
        "latest": latest,
        "record": {"oneOf": [record, _object(fields.GONE)]},
        "rejected": _object(fields.REJECTED),
        "status": _object(fields.STATUS),
        "changed": {"type": "string", "pattern": CHANGED},
        "fresh": {"type": "string", "enum": [*fields.FRESH]},
    }
    if stream.state != "records":
        del found["record"]
    return {
        kind: {"title": _title(f"{stream.name}-{kind}"), **schema}
        for kind, schema in found.items()
    }


def _put(found: Schema, name: str, schema: Schema) -> None:
    found[name] = {**_short(schema), "title": _title(name)}


def _short(schema: Schema) -> Schema:
    """Refer to the words that stand elsewhere; one word alone needs no name."""
    if "properties" not in schema:
        return schema
    properties = {field: _named(value) for field, value in schema["properties"].items()}
    return {**schema, "properties": properties}


def _named(value: Schema) -> Schema:
    names = {words: name for name, words in WORDS.items()}
    words, about = tuple(value.get("enum", ())), {"description": value["description"]}
    if name := names.get(words):
        return {**_ref(name), **about}
    return {"type": "string", "const": words[0], **about} if len(words) == 1 else value


def _one_of(name: str, *others: str) -> Schema:
    return {"title": _title(name), "oneOf": [_ref(other) for other in others]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _title(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))


def _object(of: Iterable[Field]) -> Schema:
    named = tuple(of)
    return {
        "type": "object",
        "properties": {field.name: _value(field) for field in named},
        "required": [field.name for field in named if not field.absent],
        "additionalProperties": TEXT,
    }


def _value(field: Field) -> Schema:
    told: Schema = {"type": "string", "description": _description(field)}
    if field.words:
        return {**told, "enum": [*field.words]}
    pattern = PATTERNS.get(field.type)
    return {**told, "pattern": pattern} if pattern else {**told, "minLength": 1}


def _description(field: Field) -> str:
    """Say what the page says of it, but for its words, which stand beside."""
    unit = "" if field.words else f" Type: {UNITS.get(field.type, field.type)}."
    absent = f"Absent where {field.absent}." if field.absent else "Always there."
    return f"{field.meaning}.{unit} {absent}"
