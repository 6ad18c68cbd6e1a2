"""The form of a stream's definition, and what its `read` makes of a message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import attrs

from bzredis.messages.envelope import Envelope


@attrs.frozen
class Reading:
    """What a stream's definition knows of one message; the rest is the same for all."""

    symbol: str = ""  # "" where it is not certain, or not plausible
    updated: int | None = None  # ms; None where the content does not say
    published: int | None = None  # ms; None where the content has no date
    headline: tuple[str, ...] = ()  # values for `Stream.headline`, "" where unknown
    derived: tuple[tuple[str, str], ...] = ()  # our own fields of the hash, all "_…"
    # What orders equal versions: field of the hash, comparable time, …
    moments: tuple[str, ...] = ()


@attrs.frozen
class Stream:
    """All that sets one upstream stream apart from another.

    `read` takes an envelope and the symbol of a subscription to one single security
    (else ""); it raises Unusable.
    """

    name: str
    path: str
    parameters: tuple[str, ...]  # of the query, besides the token
    # Where the state stands: a hash per record with a timeline and a latest per symbol,
    # or just one hash per symbol with a history.
    keyed: Literal["record", "symbol"]
    headline: tuple[str, ...]  # fields of each log entry, so that alerts need no JSON
    read: Callable[[Envelope, str], Reading] = attrs.field(repr=False)
    # Content may stand in `data` itself, which then has one of these fields.
    flat: tuple[str, ...] = ()
