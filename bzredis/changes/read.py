"""Change: one message, ready to apply. A plain value; what it does is in store/apply/.

Pure: no trio, no socket, no clock. `read` is the whole way from a frame to a change.
"""

from __future__ import annotations

from hashlib import blake2b
from itertools import chain
from typing import Literal

import msgspec

from bzredis.errors import Unusable
from bzredis.messages.envelope import (
    Envelope,
    Json,
    Notice,
    Pong,
    canonical,
    json_text,
    parse,
)
from bzredis.messages.envelope import text as scalar
from bzredis.messages.times import comparable, milliseconds, rfc3339
from bzredis.streams.stream import Reading, Stream

Source = Literal["live", "replay", "rest"]

FINGERPRINT = 12  # bytes: with a billion messages, one false match in 10^11 years
MOST_FIELDS = 1_000  # of a hash: more is no record, and would overflow Lua's stack
LONGEST_RECORD = 200  # characters of a record id
LONGEST_REASON = 500  # characters of a reason in `rejected`

_FIXMAP, _MAP_16 = 0x8, 0xDE  # MessagePack: how maps of those sizes begin

_pack = msgspec.msgpack.Encoder().encode


class Packed(msgspec.Struct, frozen=True, array_like=True, tag_field="kind"):
    """What stands in the backlog: a plain value, packed as the script reads it.

    An array that begins with its kind: text and numbers only, since Redis' MessagePack
    knows no binary. Times are in ms since 1970, but for those in words (RFC 3339).
    """

    received: str
    # The same message has one of these in common with its other copies …
    known_by: tuple[str, ...]
    # … and leaves these behind.
    remember: tuple[str, ...]

    def pack(self) -> bytes:
        """Return it as MessagePack."""
        return _pack(self)


class Change(Packed, frozen=True, array_like=True, tag="message"):
    """One message: what to log, what to write, and under which version."""

    raw: str
    symbol: str
    action: str
    record: str
    version: int
    source: Source
    envelope: str
    timestamp: str  # as sent
    published: int
    published_at: str
    dated: bool  # False: `published` is only the time of this message
    # What orders equal versions: field of the hash, comparable time, …
    moments: tuple[str, ...]
    headline: tuple[str, ...]  # values for `Stream.headline`
    fields: tuple[str, ...]  # of the hash: name, value, name, value, …
    updated: int = 0  # what the content said, if it did: what REST is asked from


class Rejected(Packed, frozen=True, array_like=True, tag="rejected"):
    """A frame that cannot be used, kept where a person can look at it."""

    raw: str
    reason: str


class Owe(Packed, frozen=True, array_like=True, tag="owe"):
    """From here on messages may hide what is missing: fix where REST has to resume.

    It stands in the backlog between what came before a connection and what comes
    after. `since` counts where Redis knows nothing, or nothing of a part of the
    subscription.
    """

    since: int
    subscription: str  # `*` or the list


class Paid(Packed, frozen=True, array_like=True, tag="paid"):
    """All that REST owed, in the words of Redis, stands in the backlog before this."""

    debt: str
    subscription: str


class Gap(Packed, frozen=True, array_like=True, tag="gap"):
    """Between two times (RFC 3339) messages may be missing."""

    begin: str
    end: str
    cause: str
    recovered: int


unpack = msgspec.msgpack.Decoder(Change | Rejected | Owe | Paid | Gap).decode


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
        received=rfc3339(received),
        known_by=known_by,
        remember=remember,
        raw=raw,
        symbol=reading.symbol,
        action=message.action,
        record=message.record,
        version=version,
        source=source,
        envelope=message.id,
        timestamp=message.timestamp,
        published=published,
        published_at=rfc3339(published),
        dated=reading.published is not None,
        moments=("_timestamp", comparable(message.timestamp), *reading.moments),
        headline=reading.headline,
        fields=_fields(message.content or {}, reading),
        # A time to come, from a clock gone wrong, would hide all that is missing.
        updated=min(reading.updated or 0, received) if message.content else 0,
    )


def rejected(reason: str, frame: str | bytes, *, received: int) -> Rejected:
    """Set a frame aside. The same bytes again, in a replay say, are not kept twice."""
    raw = frame if isinstance(frame, str) else frame.decode(errors="backslashreplace")
    identity = (_fingerprint("rejected", raw or reason),)
    reason = reason[:LONGEST_REASON]
    return Rejected(rfc3339(received), identity, identity, raw, reason)


def gap(*, begin: int, end: int, cause: str, recovered: int = 0) -> Gap:
    """Announce that messages between two times (ms) may be missing."""
    span = (rfc3339(begin), rfc3339(end))
    identity = (_fingerprint("gap", *span, cause),)
    return Gap(span[1], identity, identity, *span, cause, recovered)


def owe(*, since: int, now: int, subscription: str = "*") -> Owe:
    """Fix where REST has to resume; times in ms."""
    return Owe(rfc3339(now), (), (), since, subscription)


def paid(*, owed: str, now: int, subscription: str = "*") -> Paid:
    """Mark the end of what REST gave for what was owed; `now` in ms."""
    return Paid(rfc3339(now), (), (), owed, subscription)


def renewed(packed: bytes) -> bytes:
    """Return a change as it is packed now: a spool's first format held maps."""
    if packed[0] != _MAP_16 and packed[0] >> 4 != _FIXMAP:
        return packed
    was = msgspec.msgpack.decode(packed)
    kind = was.pop("kind")
    if kind == "message":
        was["moments"] = [part for pair in was["moments"] for part in pair]
        was["headline"] = was["headline"][1::2]  # without the names
    elif kind == "owe":
        was["subscription"] = "*"  # nobody noted it
    elif kind == "paid":
        was |= {"debt": "", "subscription": "*"}  # no debt's words: it is fetched again
    kinds = (Change, Rejected, Owe, Paid, Gap)
    model = next(m for m in kinds if m.__struct_config__.tag == kind)
    return model(**{name: was[name] for name in model.__struct_fields__}).pack()


def instead(packed: bytes, reason: str) -> Rejected:
    """Return a rejected frame to stand in the place of a packed change."""
    was = unpack(packed)
    raw = was.raw if isinstance(was, Change | Rejected) else ""
    return rejected(reason, raw, received=milliseconds(was.received) or 0)


def received_of(packed: bytes) -> str:
    """Return when a packed change was received (RFC 3339), "" for none."""
    return unpack(packed).received if packed else ""


def symbol_of(packed: bytes) -> str:
    """Return the symbol of a packed message, "" for any other change."""
    change = unpack(packed)
    return change.symbol if isinstance(change, Change) else ""


def _fingerprint(*parts: str) -> str:
    # A length before each part would matter only if ids held a NUL.
    return _hash("\0".join(parts).encode())


def _hash(data: bytes) -> str:
    return blake2b(data, digest_size=FINGERPRINT).hexdigest()


def _fingerprints(
    stream: Stream, message: Envelope, reading: Reading, version: int, source: Source
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what tells this message from others (contract.md, promise 1).

    First what other copies of it may have left behind, then what this one leaves. Of a
    frame's copies a row of REST comes last: record.lua looks at that one more closely.
    """
    owner = message.record or reading.symbol
    moment = message.timestamp if reading.updated is None else ""
    about = f"\0{message.action}\0{owner}\0{moment}"
    same: tuple[str, ...] = (_hash(canonical(message.content) + about.encode()),)
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
    flat = {}
    if "\0_" not in "\0" + "\0".join(content):  # the rule: no name begins with "_"
        flat = {k: v for k, v in content.items() if type(v) is str and v}
        content = {k: v for k, v in content.items() if type(v) is not str}
    holders = [("", content)]
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
