"""What can go wrong at upstream, as switches that tests set while it runs."""

from __future__ import annotations

import attrs

INVALID_UTF8 = b"\x81\x02\xc3\x28"  # a whole text frame that is no text
HALF_FRAME = b'\x81\x7e\x04\x00{"id":"'  # 1,024 bytes are promised, few come
RESERVED_BITS = b"\xf1\x02{}"  # flags of an extension that nobody agreed on


@attrs.frozen
class Refusal:
    """An HTTP answer to an upgrade, or to a REST request."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"


RING_BALANCER = Refusal(
    503, b'{"message":"failure to get a peer from the ring-balancer"}'
)


@attrs.define
class Faults:
    """Of one stream; each holds for what happens from the moment it is set."""

    # At the upgrade:
    refusals: list[Refusal] = attrs.Factory(list)  # one each for the next attempts
    refuse: Refusal | None = None  # for every attempt
    hold: bool = False  # never answers
    hang_up: bool = False  # closes TCP instead of an answer
    half_open: bool = False  # new connections never get a byte after the handshake
    # Later:
    ignore_close: bool = False  # the client's close frame is never answered
    drop_at_text: bool = False  # the first text frame ends the connection
    ignore_ping: bool = False  # the text "ping" is not answered
    ignore_replay: bool = False
    endless_replay: bool = False  # the cache over and over, as fast as it is read
    during_replay: list[str] = attrs.Factory(list)
    """Published live, one after each replayed message, and used up by that."""


@attrs.define
class RestFaults:
    """Of one REST path; each holds for the requests that come while it is set."""

    refuse: Refusal | None = None
    delay: float = 0.0  # seconds before the answer
    hang_up: bool = False  # closes TCP instead of an answer
    html: bool = False  # a 200 with a web page
    truncated: bool = False  # JSON that ends half-way, under a true Content-Length
    wrong_type: bool = False  # the records are text, not objects
    unfiltered: bool = False  # "updated" and "type" ignored; removals of other types
