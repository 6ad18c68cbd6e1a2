"""What is asked of Redis; nothing is written there."""

from __future__ import annotations

import shlex
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import attrs

from bzredis.commands.looks.words import one_line, when
from bzredis.commands.run import TOLD_FOREIGN
from bzredis.commands.setup.checks import told
from bzredis.commands.setup.checks.lines import REDIS, Finding
from bzredis.commands.setup.checks.memory import need
from bzredis.commands.setup.checks.presence import Presence
from bzredis.errors import StoreDown, StoreForeign
from bzredis.ports import Batch, Log
from bzredis.settings.addresses import RedisURL
from bzredis.settings.config import Config
from bzredis.store import about
from bzredis.store.about import Signs
from bzredis.store.client import Store
from bzredis.store.connection import Connection
from bzredis.streams import Stream
from bzredis.streams.installed import stream

RIGHTS: Final = "`bzredis keys --acl` prints the commands that make a user who may"
MENDS: Final = (  # by what Redis, or the script, says
    *(("may not", RIGHTS), ("permission", RIGHTS)),
    ("read only replica", "name its master with --redis"),
)
LOOPBACK, PORT = "127.0.0.1", 6379  # where redis-cli looks by itself
START: Final = "start it, or name another one with --redis"
UNASKED: Final = "not asked, since Redis cannot be asked"
# Nobody's log, of which the first change is missing: so nothing is applied.
ASKED: Final = "check"
SECOND: Final = (
    "nothing, if that is meant: a second bridge waits until the first one is gone;"
    " else name another --prefix"
)


@attrs.frozen
class Asked:
    """Whom we ask, and on behalf of which streams."""

    config: Config
    at: Connection
    store: Store
    streams: Sequence[Stream]

    @classmethod
    def by(cls, config: Config) -> Asked:
        url, *others = (each.url for each in config.redis)
        streams = [*map(stream, config.streams)]
        store = Store(url, config.prefix, others=others)
        return cls(config, Connection(url, others), store, streams)

    def close(self) -> None:
        self.at.close()
        self.store.close()


async def redis(config: Config, presence: Presence) -> AsyncGenerator[Finding, None]:
    """Look at the server, at what we may do there, and at who else is there."""
    asked, signs = Asked.by(config), dict[str, Signs]()
    try:
        await asked.at.run(lambda redis: redis.ping())
        with suppress(StoreDown):  # of a user who may not look; `rights` will tell
            signs = await _signs(asked)
            presence.is_silent = False
            presence.in_redis = any(map(_is_there, signs.values()))
            presence.on_streams = held(signs, config.upstream.host)
    except StoreDown as error:
        words = str(error)
        is_away = words.startswith("cannot reach")
        presence.is_silent, todo = not is_away, START if is_away else ""
        yield Finding("redis", "error", words, todo)
        for name in REDIS[1:]:
            yield Finding(name, "skipped", UNASKED)
        return
    finally:
        presence.redis_seen.set()
    shown = ", ".join(each.shown for each in config.redis)
    yield Finding("redis", "ok", f"{shown} answers")
    for finding in await _rights(asked):
        yield finding
    for finding in await _server(asked):
        yield finding
    await presence.known()
    yield bridge(config.prefix, signs, presence.in_folder, datetime.now(UTC))
    asked.close()


async def _signs(asked: Asked) -> dict[str, Signs]:
    prefix = asked.config.prefix
    return {
        stream.name: await about.signs(asked.at, prefix, stream)
        for stream in asked.streams
    }


async def _rights(asked: Asked) -> list[Finding]:
    """Ask as the bridge does at its start: what it may do, and whose all that is."""
    prefix, host = asked.config.prefix, asked.config.upstream.host
    log = Log(ASKED, "", 0, host)
    try:
        for stream in asked.streams:
            await asked.store.apply(stream, Batch(log, 1, [], None))
        for stream in asked.streams:
            if name := await about.denied(asked.at, prefix, stream):
                words = f"this user may not write {name}"
                return [Finding("rights", "error", words, RIGHTS), _unknown()]
    except StoreForeign as error:
        words, _, todo = TOLD_FOREIGN.format(error, host).partition(": ")
        return [_may(), Finding("keys", "error", words, todo)]
    except StoreDown as error:
        words = str(error)
        todo = next((todo for said, todo in MENDS if said in words), "")
        return [Finding("rights", "error", words, todo), _unknown()]
    words = f"nothing under {prefix} is of another upstream than {host}"
    return [_may(), Finding("keys", "ok", words)]


def _may() -> Finding:
    return Finding("rights", "ok", "all that the bridge needs is there, and allowed")


def _unknown() -> Finding:
    return Finding("keys", "skipped", "whose they are could not be asked")


async def _server(asked: Asked) -> list[Finding]:
    """Ask what the server tells of itself, as far as it does."""
    info, snapshots, known = dict[str, str](), None, 0
    with suppress(StoreDown):
        info = await about.info(asked.at)
    with suppress(StoreDown):
        snapshots = await about.snapshots(asked.at)
    with suppress(StoreDown):
        for stream in asked.streams:
            known = max(known, len(await asked.store.symbols(stream)))
    found = [
        told.version(info),
        told.eviction(info),
        told.persistence(info, snapshots),
        told.memory(info, need(asked.config, asked.streams, known)),
    ]
    typed = redis_cli(asked.config.redis[0])
    return [
        attrs.evolve(each, todo=each.todo.replace("`redis-cli ", f"`{typed} "))
        for each in found
    ]


def redis_cli(url: RedisURL) -> str:
    """Return how redis-cli reaches a server, without its password.

    What it would be told of by Sentinels, or is beyond TLS, is for who knows it to add.
    """
    parts = urlsplit(url.shown)
    if parts.scheme == "unix":
        return f"redis-cli -s {shlex.quote(parts.path)}"
    if parts.scheme not in {"redis", "rediss"}:
        return "redis-cli"
    host, port = parts.hostname or LOOPBACK, parts.port or PORT
    where = "" if host in {LOOPBACK, "localhost"} else f" -h {shlex.quote(host)}"
    where += "" if port == PORT else f" -p {port}"
    return f"redis-cli{where}{' --tls' if parts.scheme == 'rediss' else ''}"


def _is_there(sign: Signs) -> bool:
    return sign.is_alive or sign.is_held


def held(signs: Mapping[str, Signs], host: str) -> dict[str, str]:
    """Say by stream which bridge has the one connection that upstream allows.

    One that is not connected just now is about to be; but one that is refused tries
    again so seldom that it has nothing to lose.
    """
    return {
        name: "a bridge has the one connection that upstream allows"
        for name, sign in signs.items()
        if _is_there(sign)
        and sign.status.get("state") != "refused"
        and sign.status.get("upstream", host) == host
    }


def bridge(
    prefix: str, signs: Mapping[str, Signs], in_folder: str, now: datetime
) -> Finding:
    """Say who else writes there; `in_folder`: who holds the state folder."""
    there = [*filter(_is_there, signs.values())]
    if not signs:
        words = "whether one writes there could not be asked"
        return Finding("bridge", "skipped", words)
    if not there:
        return Finding("bridge", "ok", f"none writes under {prefix} now")
    status = there[0].status
    told = [f"version {one_line(status.get('version', 'unknown'))}"]
    if host := status.get("upstream"):
        told.append(f"of {one_line(host)}")
    with suppress(KeyError, ValueError):
        since = datetime.fromisoformat(status["started_at"])
        told.append(f"started {when(since, now)}")
    which = ", ".join(told)
    if in_folder:
        words = f"it runs already ({in_folder}): {which}"
        return Finding("bridge", "warning", words, "nothing: one is enough")
    words = f"one writes under {prefix} already: {which}"
    return Finding("bridge", "warning", words, SECOND)
