"""What a server says of itself and of who asks: for a person who checks. It only reads.

All of it may raise StoreDown, also where one is not allowed to ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import attrs

from bzredis.contract.keys import internal, key
from bzredis.store.connection import Connection
from bzredis.store.script import KEYS_OF_STATUS, UNDECLARED, lua
from bzredis.store.wire import Script
from bzredis.streams import Stream


@attrs.frozen
class Signs:
    """What bridges left of one stream."""

    status: Mapping[str, str]  # the fields that the last one wrote
    is_alive: bool  # what `latest` says is fresh
    is_held: bool  # a bridge wrote its status within the last 15 s


async def info(at: Connection) -> dict[str, str]:
    """Return all that INFO tells."""
    told = await at.run(lambda redis: redis.info())
    return {name: str(value) for name, value in told.items()}


async def snapshots(at: Connection) -> str:
    """Return when it saves all to disk, "" for never."""
    told = await at.run(lambda redis: redis.config_get("save"))
    found = cast("dict[Any, Any]", told)
    value = found.get("save", found.get(b"save", b""))
    return value.decode() if isinstance(value, bytes) else str(value)


async def signs(at: Connection, prefix: str, stream: Stream) -> Signs:
    names = ("status", "alive", internal("holder"))
    status, *others = (key(prefix, stream, name) for name in names)
    told = await at.run(lambda redis: (redis.hgetall(status), *map(redis.get, others)))
    fields, alive, holder = cast("tuple[dict[bytes, bytes], Any, Any]", told)
    texts = {_text(name): _text(value) for name, value in fields.items()}
    return Signs(texts, alive is not None, holder is not None)


async def denied(at: Connection, prefix: str, stream: Stream) -> str:
    """Return which key of a status this user may not write, "" for none.

    Raises StoreDown too where the server writes nothing at all, as a replica does.
    """
    names = [key(prefix, stream, name) for name in ("events", *KEYS_OF_STATUS)]
    script, keys, args = Script(f"{UNDECLARED}\n{lua('rights')}"), names[:1], names[1:]
    return _text(await at.run(lambda redis: script.run(redis, keys=keys, args=args)))


def _text(found: bytes) -> str:
    return found.decode(errors="replace")
