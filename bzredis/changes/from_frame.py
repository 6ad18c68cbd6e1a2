"""From a frame to a change: the whole way. Pure: no trio, no socket, no clock."""

from __future__ import annotations

from typing import Final

from msgspec import structs

from bzredis.changes.fingerprints import fingerprint, fingerprints
from bzredis.changes.kinds import Change, Incoming, Packed, Rejected, Source
from bzredis.errors import Unusable
from bzredis.messages.envelope import Envelope, Json, Notice, Pong, json_text, parse
from bzredis.messages.envelope import text as scalar
from bzredis.messages.times import comparable, milliseconds, rfc3339
from bzredis.streams.stream import Reading, Stream

MOST_FIELDS: Final = 1_000  # of a hash: more is none, and would overflow Lua's stack
LONGEST_RECORD: Final = 200  # characters of a record id
LONGEST_REASON: Final = 500  # characters of a reason in `rejected`
CUT: Final = "; cut, since Redis did not take it whole"
CUT_TO: Final = 4  # a quarter: the limits of servers lie far apart
# ms by which upstream's clock may be ahead of ours. What it dates later comes from a
# clock gone wrong, and would hide all that is missing until then.
AHEAD: Final = 3_600_000


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
    if stream.state == "records" and not message.record:
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
    known_by, remember = fingerprints(stream, message, reading, version, source)
    updated = (reading.updated or 0) if message.content else 0
    return Change(
        t=received,
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
        dated=reading.published is not None,
        moments=("_timestamp", comparable(message.timestamp), *reading.moments),
        headline=reading.headline,
        fields=_fields(message.content or {}, reading),
        has_market=reading.has_market,
        # One that is ahead of us alone must not hide what comes after it.
        updated=min(updated, received) if updated <= received + AHEAD else 0,
    )


def rejected(reason: str, frame: str | bytes, *, received: int) -> Rejected:
    """Set a frame aside. The same bytes again, in a replay say, are not kept twice."""
    raw = frame if isinstance(frame, str) else frame.decode(errors="backslashreplace")
    identity = (fingerprint("rejected", raw or reason),)
    reason = reason[:LONGEST_REASON]
    return Rejected(received, rfc3339(received), identity, identity, raw, reason)


def instead(was: Packed, reason: str) -> Rejected:
    """Return a rejected frame to stand in the place of what Redis cannot take."""
    raw = was.raw if isinstance(was, Incoming) else ""
    return rejected(reason, raw, received=was.t)


def shorter(was: Rejected) -> Rejected | None:
    """Return a rejected frame with less of its text; None where nothing is left."""
    if not was.raw:
        return None
    reason = was.reason.removesuffix(CUT) + CUT
    raw = was.raw[: len(was.raw) // CUT_TO]
    return structs.replace(was, raw=raw, reason=reason)


def _fields(content: Json, reading: Reading) -> tuple[str, ...]:
    """Return the fields of the hash: the content's own, flattened, then ours."""
    flat = _flatten(content)
    if len(flat) > MOST_FIELDS:
        msg = f"over {MOST_FIELDS} fields"
        raise Unusable(msg)
    for name, value in reading.derived:
        if value:
            flat[name] = value
    pairs = [""] * (2 * len(flat))
    pairs[::2], pairs[1::2] = flat, flat.values()
    return tuple(pairs)


def _flatten(content: Json) -> dict[str, str]:
    """Return the fields under the names that they have in the hash.

    Null and "" are absent fields; arrays and booleans are JSON text.
    """
    flat: dict[str, str] = {}
    holders = [("", content)]
    for prefix, holder in holders:  # the flattest first: on a collision its name wins
        for key, value in holder.items():
            if (kind := type(value)) is str:
                held = value
            elif kind is dict:
                holders.append((f"{prefix}{key}_", value))
                continue
            else:
                held = json_text(value) if kind is list else scalar(value)
            if held:
                name = prefix + key if prefix else key
                if name[:1] == "_":  # our own names begin with just one
                    name = f"_{name}"
                flat.setdefault(name, held)
    return flat
