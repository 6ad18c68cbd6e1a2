"""Who is let in at an upgrade, and who is told what instead."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import inf

import attrs
import trio

from bzredis.simulator.faults import Faults
from bzredis.simulator.server import rest
from bzredis.simulator.server.request import Request
from bzredis.simulator.server.rest import Answer
from bzredis.simulator.settings import Settings

PATHS = {
    "/api/v1/analyst/insights/stream": "insights",
    "/api/v2.1/calendar/ratings/stream": "ratings",
    "/api/v1/consensus-ratings/stream": "consensus",
}
STREAMS = tuple(PATHS.values())
SWITCHING = 101


@attrs.frozen
class Attempt:
    """An upgrade: ``at`` in trio's seconds, ``status`` 0 where none was ever told."""

    at: float
    stream: str  # "" for an unknown path
    status: int


@attrs.frozen
class Verdict:
    """An answer other than a WebSocket, and how many seconds it is held back."""

    answer: Answer
    delay: float = 0.0


@attrs.define(eq=False)
class Admission:
    """Knows the key and the one slot per stream."""

    settings: Settings
    faults: Mapping[str, Faults]
    attempts: deque[Attempt] = attrs.field(init=False)
    _taken_until: dict[str, float] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Start with every slot free."""
        self.attempts = deque(maxlen=self.settings.log_size)

    def judge(self, stream: str, request: Request) -> Verdict | None:
        """Say what an upgrade gets, ``None`` for a WebSocket, and note the attempt."""
        verdict = self._verdict(stream, request)
        faults = self.faults.get(stream, Faults())
        status = SWITCHING if verdict is None else verdict.answer.status
        silent = faults.hold or faults.hang_up
        now = trio.current_time()
        self.attempts.append(Attempt(now, stream, 0 if silent else status))
        return verdict

    def enter(self, stream: str) -> None:
        self._taken_until[stream] = inf

    def leave(self, stream: str, *, clean: bool) -> None:
        """Free the slot, after a while where the end was unclean."""
        wait = 0.0 if clean else self.settings.linger
        self._taken_until[stream] = trio.current_time() + wait

    def _verdict(self, stream: str, request: Request) -> Verdict | None:
        if not stream:
            answer = rest.failed(404, "not_found", "path", "no such stream")
            return Verdict(answer)
        faults = self.faults[stream]
        refusal = faults.refusals.pop(0) if faults.refusals else faults.refuse
        if refusal is not None:
            return Verdict(Answer(refusal.status, refusal.body, refusal.content_type))
        if request.query.get("token") != self.settings.token:
            return Verdict(rest.unauthorized(request))
        if stream in self.settings.forbidden:
            answer = rest.failed(403, "forbidden", "entitlement", f"no {stream}")
            return Verdict(answer)
        if trio.current_time() < self._taken_until.get(stream, 0.0):
            return Verdict(Answer(429), self.settings.refusal_delay)
        return None
