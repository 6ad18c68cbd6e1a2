"""How upstream is spoken to, and listened to: some servers have odd manners. Pure."""

from __future__ import annotations

from typing import Final

import attrs

STEADY: Final = 60.0  # s of a session that was healthy: forget the failures before it
BRUSQUE: Final = 3.0  # s: a session that ends so soon after our first text frame, …
BRUSQUE_TIMES: Final = 3  # … so often in a row, and with no answer, ends because of it
POISONED_TIMES: Final = 2  # a frame ended so many connections: the replay brings it
TOLD_MUTE: Final = (
    "upstream drops us whenever we send text: no `replay` and `ping` on this stream "
    "until it has been connected for a while without"
)


@attrs.define
class Manners:
    """What a stream's server may be sent. Times are s that only go forward."""

    replays: bool = True  # whether it may be sent `replay` at all, …
    pings: bool = True  # … and `ping`
    _asked_at: float | None = None  # our first text of a connection, unanswered
    _brusque: int = 0
    _is_mute: bool = False  # upstream seems to drop whoever sends it text
    _unusable: int = 0  # frames that ended a connection since a replay was whole
    _is_poisoned: bool = False  # the replay holds such a frame

    @property
    def may_ping(self) -> bool:
        return self.pings and not self._is_mute

    def may_replay(self) -> bool:
        """Tell whether the replay may be asked for; a poisoned one is left out once."""
        poisoned, self._is_poisoned = self._is_poisoned, False
        return self.replays and not (self._is_mute or poisoned)

    def connected(self) -> None:
        self._asked_at = None

    def asked(self, now: float) -> None:
        self._asked_at = self._asked_at or now

    def answered(self) -> None:
        self._asked_at = None

    def replayed(self) -> None:
        self._unusable = 0

    def ended_by_a_frame(self, *, is_replaying: bool) -> None:
        self._unusable += 1
        self._is_poisoned = is_replaying and self._unusable >= POISONED_TIMES

    def ended(self, now: float, stood: float) -> str:
        """Note the end of a connection that stood so many s; return words for people.

        One that was only going down a few times looks the same: after a connection that
        stood without a word of ours it is tried once more.
        """
        asked, self._asked_at = self._asked_at, None
        if self._is_mute:
            self._is_mute = stood <= STEADY
        elif asked is None or now - asked > BRUSQUE:
            self._brusque = 0
        else:
            self._brusque += 1
            self._is_mute = self._brusque >= BRUSQUE_TIMES
            if self._is_mute:
                return TOLD_MUTE
        return ""
