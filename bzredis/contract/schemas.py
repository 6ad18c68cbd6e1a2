"""The contract as JSON Schema: an entry or a hash, as the object that a reader gets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from bzredis.contract import fields
from bzredis.contract.fields import Field, Type
from bzredis.streams import STREAMS, Stream

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
# Of a hash, what is upstream's own: ours begin with just one `_`.
UPSTREAMS: Final = "^(?!_[^_])"

Schema = dict[str, Any]


def schemas() -> Schema:
    """Return all of them, each under `STREAM-KIND` in `$defs`."""
    found: Schema = {}
    for stream in STREAMS:
        kinds = of(stream)
        kinds["entry"] = {"oneOf": [kinds["entry"], kinds["gap"]]}
        found |= {f"{stream.name}-{kind}": each for kind, each in kinds.items()}
    return {"$schema": DRAFT, "title": "What stands in Redis", "$defs": found}


def of(stream: Stream) -> dict[str, Schema]:
    """Return those of one stream by kind; its log has entries, and gaps."""
    record = _object(fields.ours(stream))
    record["patternProperties"] = {UPSTREAMS: TEXT}
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
    return found


def _object(of: Iterable[Field]) -> Schema:
    named = tuple(of)
    return {
        "type": "object",
        "properties": {field.name: _value(field) for field in named},
        "required": [field.name for field in named if not field.absent],
        "additionalProperties": False,
    }


def _value(field: Field) -> Schema:
    told: Schema = {"type": "string", "description": field.meaning}
    if field.words:
        return {**told, "enum": [*field.words]}
    pattern = PATTERNS.get(field.type)
    return {**told, "pattern": pattern} if pattern else {**told, "minLength": 1}
