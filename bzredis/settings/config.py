"""The configuration: one table of options.

Each field of `Config` is an option: flag, variable and TOML key derive from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import attrs

from bzredis.settings.addresses import (
    Listener,
    Origin,
    RedisURL,
    listener,
    origin,
    redis_urls,
)
from bzredis.settings.names import meant
from bzredis.settings.options import (
    Form,
    Option,
    boolean,
    choice,
    duration,
    number,
    path,
    prefix,
    several,
    size,
    text,
)
from bzredis.settings.securities import isin, ticker
from bzredis.streams import STREAMS
from bzredis.streams.installed import is_known, names

TOKEN_VARIABLE = "BENZINGA_TOKEN"  # noqa: S105 - its name is no secret
FILE_VARIABLE = "BZREDIS_CONFIG"
REACTIONS = "reaction"  # tables of the file that `bzredis react` reads …
# … and where it finds what holds secrets, and so is no argument.
REACTS = ("BZREDIS_NOTIFY", "BZREDIS_MQTT")


def stream_name(value: object) -> str:
    """Return the name of a stream that there is; which, it is loaded to find out."""
    word = text(value).lower()
    if not is_known(word):
        known = names()
        hint = meant(word, known)
        raise ValueError(f"has to be one of {', '.join(known)}, not {word!r}{hint}")
    return word


NAMES = tuple(stream.name for stream in STREAMS)
SOME = several(stream_name, "NAME")
# Redis trims a stream by blocks of 100 entries, and one replay can bring 100: a shorter
# log could lose what no reader has seen yet. The most is about 10 GB.
EVENTS = number(100, 10_000_000)
# One security gets a few records a week, and each stands in Redis as long as it counts.
TIMELINE = number(1, 10_000)
HISTORY = number(1, 100_000)
# Less could not hold one flood's second; more than 1 TiB is a slip of the keyboard.
SPOOL = size(16 * 2**20, 2**40)
# A round takes half a second for each symbol, and upstream counts the requests.
REFRESH = duration("60s", "30d")


@attrs.frozen
class Token:
    """Where the token stands: in a file that is read at each use, or else here."""

    source: str  # what a person has to look at to mend it
    literal: str = attrs.field(default="", repr=False)
    path: Path | None = None


def _option(
    form: Form, default: object, words: str, shown: str = "", **more: object
) -> Any:
    """Make a field of `Config` an option, of the field's name unless one is given.

    A default that is text is read as one that is given.
    """
    value = form.read(default) if isinstance(default, str) else default
    told = {"form": form, "help": words, "shown": shown or str(default), **more}
    told |= {"repeatable": type(value) is tuple, "switch": type(value) is bool}
    return attrs.field(default=value, metadata=told)


@attrs.frozen
class Config:
    """What the bridge was told."""

    upstream: Origin = _option(
        origin("wss", "ws"),
        "wss://api.benzinga.com",
        "WebSocket origin; ws:// for loopback hosts only.",
    )
    rest: Origin | None = _option(
        origin("https", "http"),
        None,
        "REST origin; http:// for loopback hosts only.",
        "upstream's host",
        sample="https://api.benzinga.com",
    )
    no_rest: bool = _option(
        Form(boolean),
        False,
        "Ask REST for nothing: no back-fill, no consensus look-ups.",
        "it is asked",
    )
    redis: tuple[RedisURL, ...] = _option(
        Form(redis_urls, "URL"),
        "redis://127.0.0.1:6379/0",
        "Redis, as redis://, rediss://, unix:// or redis+sentinel://; or nodes of one"
        " cluster.",
    )
    streams: tuple[str, ...] = _option(
        several(stream_name, "NAME", maybe_none=False),
        NAMES,
        f"Stream to follow: {', '.join(NAMES)}; or another that `plugins` lists.",
        "those three",
        name="stream",
    )
    tickers: tuple[str, ...] = _option(
        several(ticker, "LIST"),
        (),
        "Watch-list of tickers, comma-separated.",
        "everything",
        sample="AAPL,BRK.B,TSX:SHOP",
    )
    isins: tuple[str, ...] = _option(
        several(isin, "LIST"),
        (),
        "Watch-list of ISINs, comma-separated.",
        "everything",
        sample="US0378331005,US5949181045",
    )
    simplify: bool = _option(
        Form(boolean), False, "Consensus in Buy, Hold and Sell only.", "upstream's"
    )
    aggregate_type: Literal["number", "percentage"] | None = _option(
        choice(("number", "percentage")),
        None,
        "How consensus tells its ratings.",
        "upstream's",
        sample="number",
    )
    backfill: float = _option(
        duration("60s", "365d"),  # of more, upstream would send for hours
        "1d",
        "How far back REST is asked on the first start, as 90m, 12h or 7d.",
    )
    consensus_refresh: float = _option(
        REFRESH, "6h", "How often each consensus is looked up over REST again."
    )
    no_replay: tuple[str, ...] = _option(
        SOME, (), "Stream that must not be sent `replay`.", "none", sample="ratings"
    )
    no_ping: tuple[str, ...] = _option(
        SOME, (), "Stream that must not be sent `ping`.", "none", sample="ratings"
    )
    prefix: str = _option(
        Form(prefix, "TEXT"),
        "bz",
        "What every key begins with; a hash tag, as {bz}, on Redis Cluster.",
    )
    events_maxlen: int = _option(EVENTS, "20000", "Entries kept in each log, about.")
    timeline_length: int = _option(TIMELINE, "50", "Records kept for each symbol.")
    history_length: int = _option(
        HISTORY, "200", "What was news about each symbol, entries kept, about."
    )
    state_dir: Path = _option(
        Form(path, "FOLDER"),
        "bzredis-state",
        "Folder for what must outlive the process; locked while it runs.",
        "the user's state folder",
    )
    spool_limit: int = _option(
        SPOOL, "1GiB", "The most that may wait on disk while Redis is away."
    )
    log_level: str = _option(
        choice(("debug", "info", "warning", "error")),
        "info",
        "The least that is logged.",
    )
    log_format: Literal["auto", "text", "json"] = _option(
        choice(("auto", "text", "json")),
        "auto",
        "How it is logged; auto: text on a terminal and in the journal, else JSON.",
    )
    metrics: Listener | None = _option(
        Form(listener, "ADDRESS"),
        None,
        "Serve Prometheus' /metrics, /healthz and /fresh there; a port alone is of"
        " this machine only.",
        "off",
        sample="127.0.0.1:9464",
    )
    token: Token | None = _option(
        Form(path, "FILE"),
        None,
        f"File that holds the token, if {TOKEN_VARIABLE} does not.",
        f"the token in {TOKEN_VARIABLE}",
        name="token-file",
        variables=(f"{TOKEN_VARIABLE}_FILE",),
    )

    @property
    def rest_origin(self) -> Origin | None:
        """Where REST is: the streams' host unless one is named; None: not asked."""
        if self.no_rest:
            return None
        scheme = "https" if self.upstream.scheme == "wss" else "http"
        return self.rest or attrs.evolve(self.upstream, scheme=scheme)

    def query(self, parameters: Iterable[str]) -> dict[str, str]:
        """Return those of a stream's query `parameters` that are set, but no token."""
        return {
            name: ",".join(value) if isinstance(value, tuple) else str(value).lower()
            for name in parameters
            if (value := getattr(self, name))
        }


OPTIONS = tuple(
    Option(
        **{"field": field.name, "name": field.name.replace("_", "-")} | field.metadata
    )
    for field in attrs.fields(Config)
)
VARIABLES = frozenset(
    {name for option in OPTIONS for name in (option.variable, *option.variables)}
    | {TOKEN_VARIABLE, FILE_VARIABLE, *REACTS}
)
