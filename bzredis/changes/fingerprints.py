"""By what a message is known when it comes again (contract.md, promise 1). Pure."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from bzredis.changes.kinds import Source
from bzredis.messages.envelope import Envelope, canonical
from bzredis.streams.stream import Reading, Stream

SIZE: Final = 12  # bytes: with a billion messages, one false match in 10^11 years
# Begins what a row of REST leaves: that it is known by such a one alone does not tell
# that the stream had brought a message before.
ROW: Final = "r"


def fingerprint(*parts: str) -> str:
    # A length before each part would matter only if ids held a NUL.
    return _hash("\0".join(parts).encode())


def _hash(data: bytes) -> str:
    return blake2b(data, digest_size=SIZE).hexdigest()


def fingerprints(
    stream: Stream, message: Envelope, reading: Reading, version: int, source: Source
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what other copies of a message may have left, and what this one leaves.

    What rows left comes last: record.lua looks at such a match more closely.
    """
    owner = message.record or reading.symbol
    moment = message.timestamp if reading.updated is None else ""
    about = f"\0{message.action}\0{owner}\0{moment}"
    same: tuple[str, ...] = (_hash(canonical(message.content) + about.encode()),)
    # A row without a time has a version of its own each time that it comes.
    undated: tuple[str, ...] = ()
    if message.record and reading.updated is None:
        undated = (ROW + same[0],)
    if message.id:
        same = (fingerprint("envelope", message.id, message.record), *same)
    # The version tells only where one of the two copies came over REST: two messages of
    # a stream may well share one.
    ending = "deleted" if message.action == "deleted" else "live"
    if stream.state == "records":
        version //= 1_000  # REST knows seconds only, also of what a stream tells in ms
    else:
        owner = reading.symbol or owner  # REST knows no record
    at_version = fingerprint("version", owner, str(version), ending)
    of_rest, of_stream = ROW + at_version, f"{at_version}s"
    if source == "rest":
        return (*same, of_stream, *undated, of_rest), (*undated, of_rest)
    return (*same, *undated, of_rest), (*same, of_stream)
