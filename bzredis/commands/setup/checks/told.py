"""What is to be thought of what a Redis tells of itself (INFO). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from bzredis.commands.looks.words import counted
from bzredis.commands.setup.checks.lines import Finding, State
from bzredis.commands.setup.checks.memory import Need, in_units

OLDEST: Final = (6, 2)
NOT_TOLD: Final = "could not be asked: this Redis, or its user, has no INFO"
LASTING: Final = "then `redis-cli config rewrite`, for that to last"
TO_DISK: Final = f"`redis-cli config set appendonly yes`, {LASTING}"
TO_KEEP: Final = f"`redis-cli config set maxmemory-policy noeviction`, {LASTING}"
EVICTS: Final = (
    "under `allkeys-*` `alive` is away while memory is over 90 % full or keys were"
    " evicted"
)
COMES_BACK: Final = "under `volatile-*` a deleted record may come back with a late copy"

Info = Mapping[str, str]


def version(info: Info) -> Finding:
    """Judge which server it is."""
    number = info.get("redis_version", "")
    if dragonfly := info.get("dragonfly_version"):
        words = f"Dragonfly {dragonfly}, with which the bridge is untested"
        return Finding("version", "warning", words)
    if valkey := info.get("valkey_version"):
        return Finding("version", "ok", f"Valkey {valkey}")
    found = re.match(r"(\d+)\.(\d+)", number)
    if found is None:
        return Finding("version", "skipped", "could not be asked: it does not say")
    if (int(found[1]), int(found[2])) < OLDEST:
        words = f"Redis {number}, and the bridge needs 6.2 or newer, or Valkey"
        return Finding("version", "error", words, "install a newer one")
    return Finding("version", "ok", f"Redis {number}")


def eviction(info: Info) -> Finding:
    """Judge what it does where its memory is full."""
    policy, limit = info.get("maxmemory_policy", ""), _number(info, "maxmemory")
    told = f"maxmemory-policy is {policy}"
    if not policy:
        return Finding("eviction", "skipped", NOT_TOLD)
    if policy.startswith("allkeys-"):
        if limit:
            return Finding("eviction", "error", f"{told}: {EVICTS}", TO_KEEP)
        words = f"{told} (no maxmemory is set, so nothing is evicted): {EVICTS}"
        return Finding("eviction", "warning", words, TO_KEEP)
    if policy.startswith("volatile-"):
        return Finding("eviction", "warning", f"{told}: {COMES_BACK}", TO_KEEP)
    return Finding("eviction", "ok", told)


def persistence(info: Info, snapshots: str | None) -> Finding:
    """Judge what outlives the server; `snapshots`: when it saves, None: not told."""
    name = "persistence"
    if "aof_enabled" not in info:
        return Finding(name, "skipped", NOT_TOLD)
    for what in ("rdb_last_bgsave_status", "aof_last_write_status"):
        if info.get(what, "ok") != "ok":
            words = "its last write to disk failed, so that it may refuse ours"
            return Finding(name, "error", words, "see to its log and to its disk")
    if info["aof_enabled"] == "1":
        return Finding(name, "ok", "appendonly is on")
    if snapshots is None:
        words = "appendonly is off; whether it saves at times could not be asked"
        return Finding(name, "warning", words, TO_DISK)
    if snapshots:
        words = (
            "appendonly is off: with the power goes what came after the last snapshot;"
            " that is fetched again, or announced as a gap"
        )
        return Finding(name, "warning", words, TO_DISK)
    words = "nothing is written to disk: after a restart it is empty"
    return Finding(name, "warning", words, TO_DISK)


def memory(info: Info, need: Need) -> Finding:
    """Judge whether what may come to be kept has room."""
    used, limit = _number(info, "used_memory"), _number(info, "maxmemory")
    machine = _number(info, "total_system_memory")
    guessed = "" if need.is_known else "some "
    words = (
        f"up to {in_units(need.most)} at the limits that are set, for"
        f" {guessed}{counted(need.symbols, 'symbol')}, of which the logs take"
        f" {in_units(need.logs)}{_guessed(need.guessed)}"
    )
    of = f"of {in_units(limit)} (maxmemory)" if limit else "and no maxmemory is set"
    now = f"; {in_units(used)} are in use {of}" if used else ""
    if limit and used >= limit:
        return Finding("memory", "error", f"Redis is full: {words}{now}", MORE)
    if limit and need.most > limit:
        state: State = "error" if need.least > limit else "warning"
        return Finding("memory", state, f"{words}{now}", MORE)
    if machine and need.least > machine:
        words = f"{words}, and its machine has {in_units(machine)}"
        return Finding("memory", "warning", words, LESS)
    return Finding("memory", "ok", f"{words}{now}")


def _guessed(streams: Sequence[str]) -> str:
    if not streams:
        return ""
    return f" ({' and '.join(streams)} taken to be as heavy as the heaviest known)"


LESS: Final = (
    "keep less: lower --events-maxlen, --timeline-length or --history-length, or name"
    " what you want with --tickers"
)
MORE: Final = f"raise maxmemory, or {LESS}"


def _number(info: Info, name: str) -> int:
    found = re.match(r"\d+", info.get(name, ""))
    return int(found[0]) if found else 0
