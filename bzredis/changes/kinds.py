"""The kinds of changes, as they stand in the backlog and as the script reads them.

Plain values, packed as arrays that begin with their kind: text and numbers only, since
Redis' MessagePack knows no binary. Pure.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Source = Literal["live", "replay", "rest"]

_pack = msgspec.msgpack.Encoder().encode


class Packed(msgspec.Struct, frozen=True, array_like=True, tag_field="kind"):
    """What stands in the backlog. Times are ms since 1970, in words RFC 3339."""

    t: int  # by our clock, which never goes back here

    def pack(self) -> bytes:
        return _pack(self)


# ---- what upstream said


class Incoming(Packed, frozen=True, array_like=True):
    """What came, and how its other copies are known."""

    received: str
    # The same message has one of these in common with its other copies …
    known_by: tuple[str, ...]
    # … and leaves these behind. What only a row of REST left begins with ROW.
    remember: tuple[str, ...]
    raw: str


class Change(Incoming, frozen=True, array_like=True, tag="message"):
    """One message, or row of REST: what to log, what to write, under which version."""

    symbol: str
    action: str
    record: str
    version: int
    source: Source
    envelope: str
    timestamp: str  # as sent
    published: int
    dated: bool  # False: `published` is only the time of this message
    # What orders equal versions: field of the hash, comparable time, …
    moments: tuple[str, ...]
    headline: tuple[str, ...]  # values for `Stream.headline`
    has_market: bool = True  # False: a ticker alone was named, which is of its record's
    updated: int = 0  # what the content said, if it did: what REST is asked from
    fields: tuple[str, ...] = ()  # of the hash: name, value, … Last, for packed.lua


class Rejected(Incoming, frozen=True, array_like=True, tag="rejected"):
    """A frame that cannot be used, kept where a person can look at it."""

    reason: str


# ---- marks between them (coverage.md)


class Opened(Packed, frozen=True, array_like=True, tag="opened"):
    """A connection began; `t` was taken after the handshake."""


class Heard(Packed, frozen=True, array_like=True, tag="heard"):
    """All that was sent before `sent` has been read: that is when the ping went out."""

    sent: int


class Replayed(Packed, frozen=True, array_like=True, tag="replayed"):
    """All of the replay stands before this."""


class Filled(Packed, frozen=True, array_like=True, tag="filled"):
    """All that REST had to give for these holes stands before this."""

    ids: tuple[str, ...]


class GaveUp(Packed, frozen=True, array_like=True, tag="gave up"):
    """Nobody filled these holes in time; `keep`: REST still may."""

    ids: tuple[str, ...]
    keep: bool


Mark = Opened | Heard | Replayed | Filled | GaveUp
unpack = msgspec.msgpack.Decoder(Change | Rejected | Mark).decode
