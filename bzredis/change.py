"""Change: one message, ready to apply. A plain value; what it does is in apply.lua.

Pure: no trio, no socket, no clock. `read` is the whole way from a frame to a change.
"""

from __future__ import annotations

from hashlib import blake2b
from itertools import chain
from typing import Any, Literal

import attrs
import msgspec

from bzredis.errors import Unusable
from bzredis.message import Envelope, Json, Notice, Pong, canonical, json_text, parse
from bzredis.message import text as scalar
from bzredis.streams.stream import Reading, Stream
from bzredis.times import comparable, milliseconds, rfc3339

Source = Literal["live", "replay", "rest"]

FINGERPRINT = 12  # bytes: with a billion messages, one false match in 10^11 years
MOST_FIELDS = 1_000  # of a hash: more is no record, and would overflow Lua's stack
LONGEST_RECORD = 200  # characters of a record id
LONGEST_REASON = 500  # characters of a reason in `rejected`

_pack = msgspec.msgpack.Encoder().encode
unpack = msgspec.msgpack.Decoder(dict[str, Any]).decode


@attrs.frozen
class Change:
    """One message: what to log, what to write, and under which version.

    Times are in ms since 1970. Text only: Redis' MessagePack knows no binary.
    """

    kind: Literal["message"] = attrs.field(default="message", init=False)
    action: str
    record: str
    symbol: str
    version: int
    source: Source
    envelope: str
    timestamp: str  # as sent
    received: str
    published: int
    published_at: str
    dated: bool  # False: `published` is only the time of this message
    # The same message has one of these in common with its other copies …
    known_by: tuple[str, ...]
    # … and leaves these behind.
    remember: tuple[str, ...]
    # What orders equal versions, as [field of the hash, comparable time].
    moments: tuple[tuple[str, str], ...]
    headline: tuple[str, ...]  # name, value, name, value, …
    fields: tuple[str, ...]  # of the hash: name, value, name, value, …
    raw: str
    updated: int = 0  # what the content said, if it did: what REST is asked from

    def pack(self) -> bytes:
        """Return the change as apply.lua reads it."""
        return _pack(self)


@attrs.frozen
class Rejected:
    """A frame that cannot be used, kept where a person can look at it."""

    kind: Literal["rejected"] = attrs.field(default="rejected", init=False)
    reason: str
    received: str
    raw: str
    known_by: tuple[str, ...]
    remember: tuple[str, ...]

    def pack(self) -> bytes:
        """Return the frame as apply.lua reads it."""
        return _pack(self)


@attrs.frozen
class Owe:
    """From here on messages may hide what is missing: fix where REST has to resume.

    It stands in the backlog between what came before a connection and what comes
    after. `since` (ms) counts where Redis knows nothing, or nothing of a part of the
    subscription; `again`: Redis has lost something, so that no fetch from before can
    make it good.
    """

    kind: Literal["owe"] = attrs.field(default="owe", init=False)
    since: int
    again: bool
    subscription: str  # `*` or the list
    received: str
    known_by: tuple[str, ...] = ()
    remember: tuple[str, ...] = ()

    def pack(self) -> bytes:
        """Return the mark as apply.lua reads it."""
        return _pack(self)


@attrs.frozen
class Paid:
    """All that REST owed since a time (ms) stands in the backlog before this."""

    kind: Literal["paid"] = attrs.field(default="paid", init=False)
    since: int
    subscription: str
    received: str
    known_by: tuple[str, ...] = ()
    remember: tuple[str, ...] = ()

    def pack(self) -> bytes:
        """Return the mark as apply.lua reads it."""
        return _pack(self)


@attrs.frozen
class Gap:
    """Between two times (RFC 3339) messages may be missing."""

    kind: Literal["gap"] = attrs.field(default="gap", init=False)
    begin: str
    end: str
    cause: str
    recovered: int
    received: str
    known_by: tuple[str, ...]
    remember: tuple[str, ...]

    def pack(self) -> bytes:
        """Return the gap as apply.lua reads it."""
        return _pack(self)


def read(
    stream: Stream, frame: str | bytes, *, received: int, source: Source, sole: str = ""
) -> Change | Rejected | Pong | Notice:
    """Read one frame of a stream that came at `received` (ms since 1970).

    `sole` is the symbol of a subscription to one single security, else "".
    """
    try:
        message = parse(frame, flat=stream.flat)
        if not isinstance(message, Envelope):
            return message
        raw = frame if isinstance(frame, str) else frame.decode()
        return change(stream, message, raw, received=received, source=source, sole=sole)
    except Unusable as error:
        return rejected(str(error), frame, received=received)
    except RecursionError:
        return rejected("nested too deeply", frame, received=received)


def change(  # noqa: PLR0913 - what a change is made of, all by name
    stream: Stream,
    message: Envelope,
    raw: str,
    *,
    received: int,
    source: Source,
    sole: str = "",
    reading: Reading | None = None,
) -> Change:
    """Make an envelope into a change; raises Unusable.

    `reading` stands in for what the stream's definition would read.
    """
    if stream.keyed == "record" and not message.record:
        msg = "no record id"
        raise Unusable(msg)
    if len(message.record) > LONGEST_RECORD:
        msg = f"a record id over {LONGEST_RECORD} characters"
        raise Unusable(msg)
    reading = reading or stream.read(message, sole)
    version, published = reading.updated, reading.published
    if version is None or published is None:
        sent = milliseconds(message.timestamp)
        if version is None:
            version = received if sent is None else sent
        if published is None:
            published = version if sent is None else sent
    known_by, remember = _fingerprints(stream, message, reading, version, source)
    return Change(
        action=message.action,
        record=message.record,
        symbol=reading.symbol,
        version=version,
        source=source,
        envelope=message.id,
        timestamp=message.timestamp,
        received=rfc3339(received),
        published=published,
        published_at=rfc3339(published),
        dated=reading.published is not None,
        known_by=known_by,
        remember=remember,
        moments=(
            ("_timestamp", comparable(message.timestamp)),
            *reading.moments,
        ),
        headline=tuple(
            chain.from_iterable(zip(stream.headline, reading.headline, strict=True))
        ),
        fields=_fields(message.content or {}, reading),
        raw=raw,
        # A time to come, from a clock gone wrong, would hide all that is missing.
        updated=min(reading.updated or 0, received) if message.content else 0,
    )


def rejected(reason: str, frame: str | bytes, *, received: int) -> Rejected:
    """Set a frame aside. The same bytes again, in a replay say, are not kept twice."""
    raw = frame if isinstance(frame, str) else frame.decode(errors="backslashreplace")
    identity = (_fingerprint("rejected", raw or reason),)
    reason = reason[:LONGEST_REASON]
    return Rejected(reason, rfc3339(received), raw, identity, identity)


def gap(*, begin: int, end: int, cause: str, recovered: int = 0) -> Gap:
    """Announce that messages between two times (ms) may be missing."""
    span = (rfc3339(begin), rfc3339(end))
    identity = (_fingerprint("gap", *span, cause),)
    return Gap(*span, cause, recovered, span[1], identity, identity)


def owe(*, since: int, now: int, again: bool = False, subscription: str = "*") -> Owe:
    """Fix where REST has to resume; times in ms."""
    return Owe(since, again, subscription, rfc3339(now))


def paid(*, since: int, now: int, subscription: str = "*") -> Paid:
    """Mark the end of what REST gave since a time; times in ms."""
    return Paid(since, subscription, rfc3339(now))


def instead(packed: bytes, reason: str) -> Rejected:
    """Return a rejected frame to stand in the place of a packed change."""
    was = unpack(packed)
    return rejected(
        reason, was.get("raw", ""), received=milliseconds(was["received"]) or 0
    )


def received_of(packed: bytes) -> str:
    """Return when a packed change was received (RFC 3339), "" for none."""
    return str(unpack(packed)["received"]) if packed else ""


def _fingerprint(*parts: str) -> str:
    # A length before each part would matter only if ids held a NUL.
    return blake2b("\0".join(parts).encode(), digest_size=FINGERPRINT).hexdigest()


def _fingerprints(
    stream: Stream, message: Envelope, reading: Reading, version: int, source: Source
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what tells this message from others (contract.md, promise 1).

    First what other copies of it may have left behind, then what this one leaves. Of a
    frame's copies a row of REST comes last: apply.lua looks at that one more closely.
    """
    owner = message.record or reading.symbol
    seen = blake2b(canonical(message.content), digest_size=FINGERPRINT)
    seen.update(f"\0{message.action}\0{owner}\0".encode())
    if reading.updated is None:
        seen.update(message.timestamp.encode())
    same: tuple[str, ...] = (seen.hexdigest(),)
    if message.id:
        same = (_fingerprint("envelope", message.id, message.record), *same)
    # The version tells only where one of the two copies came over REST: two messages of
    # a stream may well share one.
    ending = "deleted" if message.action == "deleted" else "live"
    if stream.keyed == "record":
        version //= 1_000  # REST knows seconds only, also of what a stream tells in ms
    else:
        owner = reading.symbol or owner  # REST knows no record
    of_rest = _fingerprint("version", owner, str(version), ending)
    of_stream = f"{of_rest}s"
    if source == "rest":
        # A row without a time has a version of its own each time that it comes.
        undated = same if message.record and reading.updated is None else ()
        return (*same, of_rest, of_stream), (*undated, of_rest)
    return (*same, of_rest), (*same, of_stream)


def _fields(content: Json, reading: Reading) -> tuple[str, ...]:
    """Return the fields of the hash: the content's own, flattened, then ours."""
    flat = _flatten(content)
    if len(flat) > MOST_FIELDS:
        msg = f"over {MOST_FIELDS} fields"
        raise Unusable(msg)
    for name, value in reading.derived:
        if value:
            flat[name] = value
    return tuple(chain.from_iterable(flat.items()))


def _flatten(content: Json) -> dict[str, str]:
    """Return the fields under the names that they have in the hash.

    Null and "" are absent fields; arrays and booleans are JSON text.
    """
    flat = {
        key: value
        for key, value in content.items()
        if type(value) is str and value and key[:1] != "_"  # as most are
    }
    holders = [("", {k: v for k, v in content.items() if k not in flat})]
    for prefix, holder in holders:  # the flattest first: on a collision its name wins
        for key, value in holder.items():
            name = prefix + key
            kind = type(value)
            if kind is str:
                held = value
            elif kind is dict:
                holders.append((f"{name}_", value))
                continue
            elif kind is list:
                held = json_text(value)
            else:
                held = scalar(value)
            if held:
                if name[:1] == "_":  # our own names begin with just one
                    name = f"_{name}"
                flat.setdefault(name, held)
    return flat
