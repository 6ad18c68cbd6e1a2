"""What a stream's `status` hash says: counted and noted here, written by the bridge."""

from __future__ import annotations

from typing import Final, Literal

import attrs

from bzredis.messages.times import rfc3339

CONTRACT: Final = "1"  # the number of contract.md
State = Literal["connecting", "live", "retrying", "refused", "full", "stopped"]


@attrs.frozen
class Identity:
    """Which bridge this is, and what it was told."""

    bridge: str  # instance id
    version: str
    started_at: int  # ms since 1970
    upstream: str  # host only: the URL holds the token
    subscription: str  # `*` or the list


@attrs.define
class StreamStatus:
    """One stream's state and counts since the start. Times are ms since 1970."""

    identity: Identity
    state: State = "connecting"
    since: int = attrs.field()
    connected_at: int | None = None
    last_frame_at: int | None = None
    last_event_at: int | None = None
    last_pong_at: int | None = None
    events: int = 0
    duplicates: int = 0
    rejected: int = 0
    unattributed: int = 0
    gaps: int = 0
    reconnects: int = 0
    fetched: int = 0
    backlog: int = 0
    spooled: int = 0
    error: str = ""

    @since.default
    def _since_start(self) -> int:
        return self.identity.started_at

    def enter(self, state: State, now: int, error: str | None = None) -> None:
        """Note a new state, and the error that led there."""
        if state != self.state:
            self.state, self.since = state, now
        if error is not None:
            self.error = error

    def count(self, result: str) -> None:
        """Count what came of one change (`store.Applied`)."""
        match result:
            case "duplicate" | "duplicate of a row":
                self.duplicates += 1
            case "rejected":
                self.rejected += 1
            case "gap":
                self.gaps += 1
            case "unattributed":
                self.unattributed += 1
                self.events += 1
            case _ if result.startswith("refused"):
                self.rejected += 1
            case _:
                self.events += 1

    def fields(self) -> dict[str, str]:
        """Return the hash, every field of it, as text."""
        identity = self.identity
        return {
            "contract": CONTRACT,
            "state": self.state,
            "since": rfc3339(self.since),
            "bridge": identity.bridge,
            "version": identity.version,
            "started_at": rfc3339(identity.started_at),
            "upstream": identity.upstream,
            "subscription": identity.subscription,
            "connected_at": _time(self.connected_at),
            "last_frame_at": _time(self.last_frame_at),
            "last_event_at": _time(self.last_event_at),
            "last_pong_at": _time(self.last_pong_at),
            "events": str(self.events),
            "duplicates": str(self.duplicates),
            "rejected": str(self.rejected),
            "unattributed": str(self.unattributed),
            "gaps": str(self.gaps),
            "reconnects": str(self.reconnects),
            "fetched": str(self.fetched),
            "backlog": str(self.backlog),
            "spooled": str(self.spooled),
            "error": self.error,
        }


def _time(ms: int | None) -> str:
    return "" if ms is None else rfc3339(ms)
