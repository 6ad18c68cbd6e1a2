"""The published schemas without what they allow for later, to hold the code to."""

from __future__ import annotations

from typing import Final

from bzredis.contract.schemas import TEXT, Schema

# Of a hash, what is upstream's own: ours begin with just one `_`.
UPSTREAMS: Final = "^(?!_[^_])"


def closed(schema: Schema) -> Schema:
    """Return a schema that allows exactly the fields of the tables, and upstream's."""
    if "oneOf" in schema:
        return {**schema, "oneOf": [closed(each) for each in schema["oneOf"]]}
    if "properties" not in schema:
        return schema
    strict = {**schema, "additionalProperties": False}
    action = schema["properties"].get("_action")
    if action and "deleted" not in action["enum"]:  # a hash that is not gone
        strict["patternProperties"] = {UPSTREAMS: TEXT}
    return strict
