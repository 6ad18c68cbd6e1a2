"""The configuration: one table of options, and one pure function that reads it.

Each field of `Config` is an option: flag, variable and TOML key derive from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import attrs

from bzredis.errors import ConfigError
from bzredis.messages.times import DAY, HOUR
from bzredis.settings.addresses import Origin, RedisURL, origin, redis_url
from bzredis.settings.options import (
    Option,
    Parser,
    boolean,
    choice,
    duration,
    isin,
    number,
    path,
    prefix,
    several,
    size,
    ticker,
)
from bzredis.streams import STREAMS

TOKEN_VARIABLE = "BENZINGA_TOKEN"  # noqa: S105 - its name is no secret
LOG_LEVELS = ("debug", "info", "warning", "error")
NAMES = tuple(stream.name for stream in STREAMS)
# Redis trims a stream by blocks of 100 entries, and one replay can bring 100: a shorter
# log could lose what no reader has seen yet. The most is about 10 GB.
EVENTS = (100, 10_000_000)
# One security gets a few records a week, and each stands in Redis as long as it counts.
TIMELINE = (1, 10_000)
# Less could not hold one flood's second; more than 1 TiB is a slip of the keyboard.
SPOOL = (16 * 2**20, 2**40)
BACKFILL = (60.0, 365 * DAY)  # of more than a year, upstream would send for hours
# A round takes half a second for each symbol, and upstream counts the requests.
REFRESH = (60.0, 30 * DAY)


@attrs.frozen
class Token:
    """Where the token stands: in a file that is read at each use, or else here."""

    source: str  # what a person has to look at to mend it
    literal: str = attrs.field(default="", repr=False)
    path: Path | None = None


def _option(parse: Parser, default: object, words: str, **more: object) -> Any:
    """Make a field of `Config` an option, of the field's name unless one is given."""
    return attrs.field(
        default=default, metadata={"parse": parse, "help": words, **more}
    )


@attrs.frozen
class Config:
    """What the bridge was told."""

    upstream: Origin = _option(
        origin("wss", "ws"),
        Origin("wss", "api.benzinga.com", 443),
        "WebSocket origin; ws:// for loopback hosts only.",
        metavar="URL",
        shown="wss://api.benzinga.com",
    )
    rest: Origin | None = _option(
        origin("https", "http"),
        None,
        "REST origin; http:// for loopback hosts only.",
        metavar="URL",
        shown="upstream's host",
    )
    no_rest: bool = _option(
        boolean,
        default=False,
        words="Ask REST for nothing: no back-fill, no consensus look-ups.",
        shown="it is asked",
    )
    redis: RedisURL = _option(
        redis_url,
        redis_url("redis://127.0.0.1:6379/0"),
        "Redis, as redis://, rediss:// or unix://.",
        metavar="URL",
    )
    streams: tuple[str, ...] = _option(
        several(choice(NAMES), maybe_none=False),
        NAMES,
        f"Stream to follow: {', '.join(NAMES)}.",
        name="stream",
        metavar="NAME",
        shown="all",
    )
    tickers: tuple[str, ...] = _option(
        several(ticker),
        (),
        "Watch-list of tickers, comma-separated.",
        metavar="LIST",
        shown="everything",
    )
    isins: tuple[str, ...] = _option(
        several(isin),
        (),
        "Watch-list of ISINs, comma-separated.",
        metavar="LIST",
        shown="everything",
    )
    simplify: bool = _option(
        boolean,
        default=False,
        words="Consensus in Buy, Hold and Sell only.",
        shown="upstream's",
    )
    aggregate_type: Literal["number", "percentage"] | None = _option(
        choice(("number", "percentage")),
        None,
        "How consensus tells its ratings.",
        metavar="number|percentage",
        shown="upstream's",
    )
    backfill: float = _option(
        duration(*BACKFILL),
        float(DAY),
        "How far back REST is asked on the first start, as 90m, 12h or 7d.",
        metavar="TIME",
        shown="1d",
    )
    consensus_refresh: float = _option(
        duration(*REFRESH),
        6.0 * HOUR,
        "How often each consensus is looked up over REST again.",
        metavar="TIME",
        shown="6h",
    )
    no_replay: tuple[str, ...] = _option(
        several(choice(NAMES)),
        (),
        "Stream that must not be sent `replay`.",
        metavar="NAME",
        shown="none",
    )
    no_ping: tuple[str, ...] = _option(
        several(choice(NAMES)),
        (),
        "Stream that must not be sent `ping`.",
        metavar="NAME",
        shown="none",
    )
    prefix: str = _option(
        prefix,
        "bz",
        "What every key begins with; a hash tag, as {bz}, on Redis Cluster.",
        metavar="TEXT",
    )
    events_maxlen: int = _option(
        number(*EVENTS), 20_000, "Entries kept in each log, about.", metavar="COUNT"
    )
    timeline_length: int = _option(
        number(*TIMELINE), 50, "Records kept for each symbol.", metavar="COUNT"
    )
    state_dir: Path = _option(
        path,
        Path("bzredis-state"),
        "Folder for what must outlive the process; locked while it runs.",
        metavar="FOLDER",
        shown="the user's state folder",
    )
    spool_limit: int = _option(
        size(*SPOOL),
        2**30,
        "The most that may wait on disk while Redis is away.",
        metavar="SIZE",
        shown="1GiB",
    )
    log_level: str = _option(
        choice(LOG_LEVELS),
        "info",
        "The least that is logged.",
        metavar="|".join(LOG_LEVELS),
    )
    token: Token | None = _option(
        path,
        None,
        f"File that holds the token, if {TOKEN_VARIABLE} does not.",
        name="token-file",
        metavar="FILE",
        shown=f"the token in {TOKEN_VARIABLE}",
        variables=(f"{TOKEN_VARIABLE}_FILE",),
    )

    @property
    def rest_origin(self) -> Origin | None:
        """Where REST is: the streams' host unless one is named; None: not asked."""
        if self.no_rest:
            return None
        scheme = "https" if self.upstream.secure else "http"
        return self.rest or attrs.evolve(self.upstream, scheme=scheme)

    def query(self, parameters: Iterable[str]) -> dict[str, str]:
        """Return those of a stream's query `parameters` that are set, but no token."""
        known = {
            "tickers": ",".join(self.tickers),
            "isins": ",".join(self.isins),
            "simplify": "true" if self.simplify else "",
            "aggregate_type": self.aggregate_type or "",
        }
        return {name: known[name] for name in parameters if known[name]}


def _from_field(field: attrs.Attribute[Any]) -> Option:
    told = {
        "name": field.name.replace("_", "-"),
        "shown": str(field.default),
        "repeatable": isinstance(field.default, tuple),
        "switch": isinstance(field.default, bool),
    }
    return Option(field=field.name, **told | field.metadata)


OPTIONS = tuple(_from_field(field) for field in attrs.fields(Config))
_FLAG, _VARIABLE, _FILE = "flag", "variable", "file"
_TOKEN_FILE = next(option for option in OPTIONS if option.field == "token")


@attrs.frozen
class _Given:
    """A value as it was given, and where: what an error about it begins with."""

    source: str
    value: object = attrs.field(repr=False)
    layer: str

    @property
    def is_blank(self) -> bool:
        """Whether it is a variable that container tools wrote without a value."""
        return self.layer == _VARIABLE and not str(self.value).strip()


def configure(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    toml: Mapping[str, object],
    *,
    file: str = "the configuration file",
    state_dir: Path | None = None,
) -> Config:
    """Return the configuration: flags before variables before the TOML `file`.

    `flags` are by key (`no_replay`); None and () are flags that were not given.
    `state_dir` is this machine's default. Raises ConfigError: one line that names the
    option and where it came from. No file is read, not even the token's.
    """
    settings = _settings(toml, file)
    values: dict[str, Any] = {} if state_dir is None else {"state_dir": state_dir}
    for option in OPTIONS:
        layers = _layers(option, flags, environ, settings)
        if option is _TOKEN_FILE:
            values[option.field] = _token(layers, environ.get(TOKEN_VARIABLE))
        elif layers:
            values[option.field] = _parsed(layers[0], option)
    return Config(**values)


def _layers(
    option: Option,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    settings: Mapping[str, _Given],
) -> list[_Given]:
    """Return what was given for one option; what comes first goes before the rest."""
    # Unknown BZREDIS_ variables are not ours to refuse: Kubernetes sets some, as
    # BZREDIS_PORT, in every pod that stands beside a service of our name.
    layers = [
        _Given(name, environ[name], _VARIABLE)
        for name in (option.variable, *option.variables)
        if name in environ
    ]
    if (value := flags.get(option.key)) not in (None, ()):
        layers.insert(0, _Given(option.flag, value, _FLAG))
    if option.key in settings:
        layers.append(settings[option.key])
    return layers


def _parsed(given: _Given, option: Option) -> Any:
    try:
        return option.parse(given.value)
    except ValueError as error:
        raise ConfigError(f"{given.source}: {error}") from None


def _token(layers: list[_Given], literal: str | None) -> Token | None:
    """Return where the token stands; who uses it will see whether it is one."""
    given = [*layers, _Given(TOKEN_VARIABLE, literal or "", _VARIABLE)]
    for layer in (_FLAG, _VARIABLE, _FILE):
        found = [each for each in given if each.layer == layer and not each.is_blank]
        if len({str(each.value) for each in found}) > 1:
            names = " and ".join(each.source for each in found)
            raise ConfigError(f"{names} are set, and only one can be meant")
        if found and found[0].source == TOKEN_VARIABLE:
            return Token(TOKEN_VARIABLE, literal or "")
        if found:
            return Token(found[0].source, path=_parsed(found[0], _TOKEN_FILE))
    return None if literal is None else Token(TOKEN_VARIABLE)


def _settings(toml: Mapping[str, object], file: str) -> dict[str, _Given]:
    """Return the TOML values by key; refuse those that nobody would read."""
    known = {option.key: option.name for option in OPTIONS}
    settings: dict[str, _Given] = {}
    for name, value in toml.items():
        key = name.replace("-", "_")
        source = f"{file}: {name}"
        if key == "token":
            raise ConfigError(
                f"{source}: a token has no place among settings, which get shown and"
                f" copied; set {TOKEN_VARIABLE}, or {_TOKEN_FILE.name} to its file"
            )
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"; is {known[near[0]]} meant?" if near else ""
            raise ConfigError(f"{source}: there is no such option{hint}")
        if key in settings:
            raise ConfigError(f"{source}: stands there twice")
        settings[key] = _Given(source, value, _FILE)
    return settings
