"""What a log lost before a reaction had read it: counted, and told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import structlog

from bzredis.commands.react.taking.patient import Patient
from bzredis.errors import StoreDown

log = structlog.get_logger(__name__)

NOTHING: Final = "0-0"  # what a group has read that begins with all there is
TOLD: Final = (
    "the log was trimmed before all of it was reacted to: what is missing is lost to"
    " this reaction (run more at a time with --jobs, or the bridge with a longer"
    " --events-maxlen)"
)


async def told(redis: Patient, at: str, group: str, stream: str) -> bool:
    """Tell where a log was trimmed beyond what a group read; return whether it was."""
    try:
        log_, groups = await redis.once(("XINFO STREAM", at), ("XINFO GROUPS", at))
    except StoreDown:  # another time
        return False
    mine = next((each for each in groups if each["name"] == group), None)
    count = missed(log_, mine) if mine else 0
    if count != 0:
        entries = {"entries": count} if count else {}
        log.warning(TOLD, reaction=group, stream=stream, **entries)
    return count != 0


async def delivered(redis: Patient, at: str, group: str) -> str | None:
    """Return the last entry of a log that a group was given; None: not known.

    The group may be gone before anything else is read of it.
    """
    try:
        [groups] = await redis.once(("XINFO GROUPS", at))
    except StoreDown:  # it was emptied just now
        return None
    mine = (each["last-delivered-id"] for each in groups if each["name"] == group)
    return next(mine, None)


def missed(log_: Mapping[str, Any], mine: Mapping[str, Any]) -> int | None:
    """Return how many entries were trimmed before they were read; None: some. Pure."""
    last, first = mine["last-delivered-id"], (log_.get("first-entry") or ("",))[0]
    if last == NOTHING or not first or place(first) <= place(last):
        return 0
    read, added = mine.get("entries-read"), log_.get("entries-added")
    if read is None or added is None:  # before Redis 7, nobody counts them
        return None
    return max(0, int(added) - int(log_["length"]) - int(read))


def place(key: str) -> tuple[int, int]:
    """Return an id as what it is ordered by."""
    ms, _, number = key.partition("-")
    return int(ms), int(number or 0)
