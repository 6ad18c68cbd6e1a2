"""What could not be done in the end, kept with the reason until a person looks.

It stands under `PREFIX:react:NAME:failed`: beside the streams' own keys and under none
of their names, since the bridge promises what stands there, and `forget` and the demo
take it away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, cast, get_args

import attrs
import msgspec

from bzredis.commands.react.reaction import Happening, Kind
from bzredis.commands.react.taking.patient import Command, Patient
from bzredis.messages.times import rfc3339

KEPT: Final = 10_000  # about; half of what a log has, some 30 MB of insights
PAGE: Final = 200

_write = msgspec.json.Encoder(decimal_format="number").encode
_read = msgspec.json.Decoder(float_hook=Decimal).decode


@attrs.frozen
class Failure:
    """Something that a reaction could not do."""

    id: str  # in the stream of failures
    happened: Happening
    reason: str
    tries: int
    when: str


def at(redis: Patient, name: str) -> str:
    return redis.key("react", name, "failed")


def keep(key: str, happened: Happening, reason: str, tries: int) -> Command:
    """Return what keeps a failure."""
    now = round(1_000 * datetime.now(UTC).timestamp())
    told = {
        "reason": reason,
        "tries": tries,
        "when": rfc3339(now),
        "kind": happened.kind,
        "stream": happened.stream,
        "symbol": happened.symbol,
        "event": happened.event,
        "fields": _write(dict(happened.fields)),
    }
    pairs = [part for name, value in told.items() if value for part in (name, value)]
    return ("XADD", key, "MAXLEN", "~", KEPT, "*", *pairs)


async def kept(redis: Patient, name: str) -> list[Failure]:
    """Return what is kept, oldest first. Raises StoreDown."""
    found, after = list[Failure](), "-"
    while True:
        ask = ("XRANGE", at(redis, name), after, "+", "COUNT", PAGE)
        [answer] = await redis.once(ask)
        found += [_failure(key, fields) for key, fields in answer]
        if len(answer) < PAGE:
            return found
        after = f"({answer[-1][0]}"


async def drop(redis: Patient, name: str, ones: Sequence[Failure]) -> None:
    """Keep these no longer. Raises StoreDown."""
    await redis.once(("XDEL", at(redis, name), *(one.id for one in ones)))


def _failure(key: str, told: Mapping[str, str]) -> Failure:
    kind = told.get("kind", "")
    try:
        fields = _read(told.get("fields", "{}"))
    except msgspec.DecodeError:
        fields = {}
    happened = Happening(
        cast("Kind", kind if kind in get_args(Kind) else "entry"),
        told.get("stream", ""),
        told.get("symbol", ""),
        told.get("event", ""),
        fields if isinstance(fields, dict) else {},
    )
    tries = told.get("tries", "")
    count = int(tries) if tries.isascii() and tries.isdecimal() else 0
    return Failure(key, happened, told.get("reason", ""), count, told.get("when", ""))
