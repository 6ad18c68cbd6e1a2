"""What is looked at on this machine: settings, token, state folder, spool and disk."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Final

import trio

from bzredis.backlog.spool import waiting
from bzredis.backlog.statefolder import holder
from bzredis.commands.logs import add_secret
from bzredis.commands.looks.words import counted
from bzredis.commands.running.start import TOLD_LEFT_ALONE, target
from bzredis.commands.setup.checks.lines import Finding
from bzredis.commands.setup.checks.memory import BINARY, in_units
from bzredis.commands.setup.checks.presence import Presence
from bzredis.errors import ConfigError
from bzredis.settings.config import Config, Token
from bzredis.settings.credentials import exposed, required, token_reader
from bzredis.settings.file import Found

# Bytes: with less even a flood's first second, or Redis itself, may find no room.
NO_ROOM: Final = 16 * 2**20


def settings(found: Found) -> Finding:
    """Say which file was read."""
    if not found.is_there:
        words = (
            f"no file at {found.file} (`bzredis init` writes one): options, variables"
            " and defaults count"
        )
        return Finding("settings", "ok", words)
    return Finding("settings", "ok", str(found.file))


async def token(
    config: Config, keep: Callable[[Callable[[], str]], None]
) -> AsyncGenerator[Finding, None]:
    """Look at the token and who else may read it; `keep` is given what reads it."""
    try:
        where = required(config.token)
        # A file may lie on a disk that hangs.
        keep(await trio.to_thread.run_sync(_reader, where, abandon_on_cancel=True))
    except ConfigError as error:
        yield Finding("token", "error", str(error))
        return
    if words := await trio.to_thread.run_sync(exposed, where, abandon_on_cancel=True):
        words, _, todo = words.partition("; ")
        yield Finding("token", "warning", words, todo)
        return
    yield Finding("token", "ok", f"in {where.path}" if where.path else where.source)


def _reader(where: Token) -> Callable[[], str]:
    return token_reader(where, add_secret)


async def folder(config: Config, presence: Presence) -> AsyncGenerator[Finding, None]:
    """Look at the state folder, and at what lies in it."""
    place = config.state_dir
    try:
        try:
            held = await trio.to_thread.run_sync(holder, place, abandon_on_cancel=True)
        except ConfigError as error:
            yield Finding("folder", "error", str(error))
            return
        held = held.replace("another bridge", "a bridge")  # it may well be this one's
        presence.in_folder = held
    finally:
        presence.folder_seen.set()
    if held:
        await presence.known()
    yield state(place, held, is_seen=presence.in_redis)
    try:
        found = await trio.to_thread.run_sync(_spooled, config, abandon_on_cancel=True)
    except OSError as error:
        found = [Finding("spool", "error", f"cannot be read: {error.strerror}")]
    for finding in found:
        yield finding


def state(place: Path, held: str, *, is_seen: bool | None) -> Finding:
    """Judge who holds the folder: the bridge that is seen in Redis, or another one.

    Where Redis does not tell, it is taken for that: it may keep what Redis lacks.
    """
    if not held:
        return Finding("folder", "ok", str(place))
    if is_seen:
        return Finding("folder", "ok", f"{place}, held by {held}, which runs")
    if is_seen is None:
        told = (
            f"{place}, held by {held}, which runs; Redis does not say where it writes"
        )
        return Finding("folder", "ok", told)
    words = f"the state folder {place} is in use by {held}"
    todo = "stop that one, or give this one a folder of its own with --state-dir"
    return Finding("folder", "error", words, todo)


def _spooled(config: Config) -> list[Finding]:
    above = (config.state_dir, *config.state_dir.absolute().parents)
    there = next(each for each in above if each.exists())
    own = f"{target(config)} {config.upstream.host}"
    lies = {whose: count for _, whose, count in waiting(config.state_dir / "spool")}
    free = shutil.disk_usage(there).free
    return [spooled(own, lies), room(free, config.spool_limit, there)]


def spooled(own: str, lies: dict[str, int]) -> Finding:
    """Judge what waits: for this bridge, or for whom else, which nobody may miss."""
    ours = lies.get(own, 0)
    count = counted(ours, "message")
    told = f"waiting for Redis: {count}" if ours else "nothing waits"
    others = {whose: count for whose, count in lies.items() if whose != own}
    if not others:
        return Finding("spool", "ok", told)
    listed = "; ".join(
        f"{counted(count, 'message')} for {_named(whose)}"
        for whose, count in others.items()
    )
    todo = "run a bridge with those settings once, where that is still wanted"
    return Finding("spool", "warning", f"{told}. {TOLD_LEFT_ALONE}: {listed}", todo)


def _named(whose: str) -> str:
    prefix, _, rest = whose.partition(" ")
    redis, _, upstream = rest.rpartition(" ")
    return f"prefix {prefix}, Redis {redis}, upstream {upstream}"


def room(free: int, limit: int, place: Path) -> Finding:
    """Judge whether what may have to wait has room on the disk."""
    words = (
        f"{in_units(free, BINARY)} free in {place}, and --spool-limit allows"
        f" {in_units(limit, BINARY)}"
    )
    if free < NO_ROOM:
        todo = "make room, or name a folder on another disk with --state-dir"
        return Finding("disk", "error", f"the disk is full: {words}", todo)
    if free < limit:
        todo = "make room, or lower --spool-limit"
        return Finding("disk", "warning", words, todo)
    return Finding("disk", "ok", words)
