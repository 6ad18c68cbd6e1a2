"""How a bridge is: whether it works at all, and whether what it keeps is fresh.

It works while its event loop turns and each stream's writer, and its status, get to ask
Redis again and again: whatever Redis or upstream then say is no fault that a restart
would mend. Each of these waits has a limit of some seconds, so that whoever has not
asked for a minute hangs. Not where a disk is waited for: a restart would wait there as
well, and lose what is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs
import trio

from bzredis.bridge.bridge import Bridge, Line

HUNG: Final = 60.0  # s; a call has 12, and the longest break between two is 5
# What a stream's state says where it is not connected, …
STATES: Final = {
    "connecting": "not connected yet",
    "retrying": "no connection to upstream",
    "refused": "upstream refuses us",
    "full": "there is no room on disk for what Redis does not take",
    "stopped": "stopped",
}
REASONS: Final = {  # … and where it is, what is in the way (`Line.presence`)
    "disconnected": "Redis has not answered yet",
    "silent": "upstream does not answer",
    "behind": "what was read waits for Redis",
    "missing": "what was missed is being fetched",
}


@attrs.frozen
class Health:
    """How a bridge is, asked whenever somebody wants to know."""

    bridge: Bridge
    began: float = attrs.field(factory=trio.current_time)

    def hangs(self) -> str:
        """Say what hangs, and would not if the bridge were started again; else ""."""
        return "; ".join(self._hanging())

    def _hanging(self) -> Iterator[str]:
        for line in self.bridge.lines:
            asked = {
                "a change": line.writer.asked_at,
                "its status": line.intake.status.told_at,
            }
            waits_for_disk = line.backlog.disk.lock.locked()
            for what, at in asked.items():
                is_late = trio.current_time() - max(at, self.began) > HUNG
                if is_late and not waits_for_disk:
                    stream = line.intake.stream.name
                    yield f"{stream}: {what} was not written for a minute"

    def is_fresh(self) -> bool:
        return all(line.intake.status.is_fresh for line in self.bridge.lines)

    def words(self) -> Iterator[str]:
        """Yield how each stream stands, a line for each."""
        for line in self.bridge.lines:
            yield f"{line.intake.stream.name}: {how(line)}"

    def summary(self) -> str:
        """Say it all in one line."""
        if self.is_fresh():
            return "all is fresh"
        alike = dict[str, list[str]]()
        for line in self.bridge.lines:
            alike.setdefault(how(line), []).append(line.intake.stream.name)
        if len(alike) == 1 < len(self.bridge.lines):
            return f"all streams: {next(iter(alike))}"
        return "; ".join(
            f"{', '.join(names)}: {words}" for words, names in alike.items()
        )


def how(line: Line) -> str:
    """Say how a stream stands, in words without secrets."""
    status = line.intake.status
    if status.is_fresh:
        return "fresh"
    _, why = line.presence()
    reason = STATES.get(status.state) or REASONS.get(why, "not confirmed by Redis yet")
    error = " ".join(status.error.split())
    return f"not fresh: {reason}" + (f" ({error})" if error else "")
