"""What is said at the start: what runs, from where to where, and what lies spooled."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import structlog

from bzredis import __version__
from bzredis.backlog.spool import Spool, left_alone, opened
from bzredis.bridge.bridge import Bridge
from bzredis.errors import ConfigError, SpoolFull, SpoolUnusable
from bzredis.settings.config import Config
from bzredis.settings.file import Found
from bzredis.upstream.proxy import Proxy

log = structlog.get_logger(__name__)

TOLD_NO_REST: Final = (
    "REST is switched off (--no-rest): what a replay no longer holds is announced as a "
    "gap and not fetched, and consensus that names no security stays unattributed"
)
TOLD_WAITS: Final = "what was read before and is not in Redis yet goes there now"
TOLD_LEFT_ALONE: Final = (
    "what waits in the state folder for another prefix, Redis or upstream stays there"
)


def say_start(
    found: Found, proxies: Iterable[Proxy | None], folder: Path, bridge: Bridge
) -> None:
    """Say in one line what was asked for; then what lies spooled, and for whom."""
    config = found.config
    told: dict[str, object] = {
        "version": __version__,
        "streams": config.streams,
        "upstream": config.upstream.host,
        "redis": [each.shown for each in config.redis],
        "prefix": config.prefix,
        "state": str(config.state_dir),
        "settings": str(found.file) if found.is_there else None,
    }
    if through := {each.shown for each in proxies if each is not None}:
        told["proxy"] = sorted(through)
    log.info("bzredis starts", **told)
    if config.no_rest:
        log.warning(TOLD_NO_REST)
    own = cast("Spool", bridge.spool)
    if waiting := sum(own.count(line.name) for line in bridge.lines):
        whose = _named(f"{target(config)} {config.upstream.host}")
        log.info(TOLD_WAITS, waiting=waiting, **whose)
    for other, count in left_alone(folder / "spool", own.path):
        log.warning(TOLD_LEFT_ALONE, waiting=count, **_named(other))


def _named(whose: str) -> dict[str, str]:
    """Take apart whose a spool is."""
    prefix, _, rest = whose.partition(" ")
    redis, _, upstream = rest.rpartition(" ")
    return {"prefix": prefix, "redis": redis, "upstream": upstream}


def spool(config: Config, folder: Path, host: str) -> Spool:
    """Open the spool; one that is damaged is set aside, and told of."""
    place, whose = folder / "spool", f"{target(config)} {host}"
    try:
        spool, news = opened(place, whose, config.spool_limit)
    except (OSError, SpoolFull, SpoolUnusable) as error:
        words = f"cannot spool in the state folder {folder}"
        raise ConfigError(f"{words}: {error}") from None
    if news:
        log.error("a damaged spool was set aside; a new one is begun", error=news)
    return spool


def target(config: Config) -> str:
    """Name the prefix and the database, whoever logs in and whatever name this has."""
    at = urlsplit(config.redis[0].shown)
    if at.scheme.endswith("+sentinel"):
        return f"{config.prefix} {at.netloc.rpartition('@')[2]}{at.path}"
    if at.scheme == "unix":
        return f"{config.prefix} unix://{at.path}{at.query and '?' + at.query}"
    host = "127.0.0.1" if at.hostname in {"localhost", "::1"} else at.hostname
    return f"{config.prefix} {host}:{at.port or 6379}/{at.path.strip('/') or 0}"
