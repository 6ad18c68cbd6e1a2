"""How the stand-in behaves where upstream behaves as its documents say."""

from __future__ import annotations

import attrs

from bzredis.simulator.further import Further


@attrs.frozen(kw_only=True)
class Settings:
    """All limits in seconds unless said otherwise; the defaults are upstream's."""

    token: str = attrs.field(default="demo", repr=False)  # the one key that is let in
    forbidden: frozenset[str] = frozenset()  # streams the key is not entitled to: 403
    port: int = 0  # on 127.0.0.1; 0: any free one

    seed: int = 0  # equal seeds make equal markets
    rate: float = 1.0  # messages a second over all streams, on average; 0: none
    history: int = 600  # ratings in the ten days before the start
    consensus_ticker: bool = False  # names ticker, exchange and isin in consensus

    further: tuple[Further, ...] = ()  # streams besides the three

    replay_size: int = 100  # messages cached per stream; 0: nothing to replay
    replay_new_ids: bool = False  # nobody knows whether envelopes keep their ids

    status_frame: bool = True  # a notice on connect, of a form nobody published
    refusal_delay: float = 5.0  # how long a second connection waits for its 429
    linger: float = 3.0  # how long a slot stays taken after an unclean drop
    ping_interval: float = 10.0  # between protocol PINGs
    pong_limit: float = 20.0  # how late a PONG may be
    close_limit: float = 2.0  # how long a client may take to answer a close
    queue_size: int = 10_000  # frames waiting for a client; one more and it is dropped
    log_size: int = 100_000  # what is kept of the simulator's own records; 0: nothing

    rest_limit: int = 300  # requests per ``rest_window``; beyond that 429
    rest_window: float = 60.0
    rest_retry_after: bool = True  # whether a 429 says when to come again
    removed_updated: bool = True  # upstream's deletions sometimes say 0
