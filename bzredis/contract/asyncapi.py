"""The contract as AsyncAPI 3.0: what the bridge sends, and where.

The document's application is the bridge, so each operation says `send`; who reads does
the reverse. All that the spec says of Redis' bindings is that they are empty: whether a
channel is a stream or pub/sub stands in `x-redis-type`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bzredis.contract.keys import Key, key
from bzredis.contract.pages import keys_of
from bzredis.contract.schemas import Schema, of
from bzredis.streams import STREAMS, Stream

VERSION: Final = "3.0.0"
ABOUT: Final = (
    "What the bridge sends. It is the application of this document: who reads receives"
    " what is told here as `send`. All values are text, and **what is not known has no"
    " field**. An entry of a stream is the object that a client makes of its fields."
    " The schemas of what stands in hashes are among the components."
)
HEARD: Final = {
    "stream": "A stream: XREAD, XREADGROUP, XRANGE.",
    "pub/sub channel": "Pub/sub: SUBSCRIBE; who is not connected misses it.",
}
SERVER: Final = {
    "host": "{host}:{port}",
    "pathname": "/{database}",
    "protocol": "redis",
    "description": "Redis or Valkey, 6.2 or newer; `rediss` where it wants TLS.",
    "variables": {
        "host": {"default": "127.0.0.1"},
        "port": {"default": "6379"},
        "database": {"default": "0"},
    },
}
LOGGED: Final = ("entry", "gap")  # the messages of `events`; all others have one
SYMBOL: Final = {
    "description": "The ticker in capitals; bare for US exchanges.",
    "examples": ["AAPL", "BRK.B", "TSX:SHOP"],
    "location": "$message.payload#/symbol",
}


def document(prefix: str, contract: str, streams: Iterable[Stream] = STREAMS) -> Schema:
    """Return the document; `contract` is the number of the contract."""
    channels: Schema = {}
    messages: Schema = {}
    schemas: Schema = {}
    for stream in streams:
        keys = {one.name.partition(":")[0]: one for one in keys_of(stream)}
        for kind, schema in of(stream).items():
            one = keys["events" if kind in LOGGED else kind]
            where = f"`{key(prefix, stream, one.name)}`: {one.content}"
            said = {"description": where, "x-redis-type": one.type}
            schemas[f"{stream.name}-{kind}"] = said | schema
            if one.type in HEARD:
                messages[_id(stream, kind)] = _message(stream, one, kind)
        for name, one in keys.items():
            if one.type in HEARD:
                kinds = LOGGED if name == "events" else (name,)
                sent = [_id(stream, kind) for kind in kinds]
                channels[_id(stream, name)] = _channel(prefix, stream, one, sent)
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "bzredis",
            "version": contract,
            "description": ABOUT,
            "license": {"name": "MIT"},
        },
        "servers": {"redis": SERVER},
        "channels": channels,
        "operations": {
            f"send{name[:1].upper()}{name[1:]}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{name}"},
            }
            for name in channels
        },
        "components": {"messages": messages, "schemas": schemas},
    }


def _id(stream: Stream, kind: str) -> str:
    first, *others = stream.name.split("-")
    return "".join((first, *map(str.capitalize, (*others, kind))))


def _message(stream: Stream, one: Key, kind: str) -> Schema:
    said: Schema = {"payload": {"$ref": f"#/components/schemas/{stream.name}-{kind}"}}
    return said if one.type == "stream" else {"contentType": "text/plain", **said}


def _channel(prefix: str, stream: Stream, one: Key, messages: Iterable[str]) -> Schema:
    """Describe a channel; what stands between braces in an address is a parameter."""
    parameters: Schema = {}
    if "{" in prefix:
        parameters["prefix"] = {"enum": [prefix], "default": prefix}
        prefix = "{prefix}"
    if "SYM" in one.name:
        parameters["symbol"] = SYMBOL
    told = {
        "address": key(prefix, stream, one.name.replace("SYM", "{symbol}")),
        "description": f"{one.content}. {HEARD[one.type]}",
        "servers": [{"$ref": "#/servers/redis"}],
        "messages": {m: {"$ref": f"#/components/messages/{m}"} for m in messages},
        "bindings": {"redis": {}},
        "x-redis-type": one.type,
    }
    return told | ({"parameters": parameters} if parameters else {})
