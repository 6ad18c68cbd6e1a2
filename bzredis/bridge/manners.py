"""How upstream is spoken to, and listened to: some servers have odd manners. Pure."""

from __future__ import annotations

from typing import Final

import attrs

from bzredis.messages.times import HOUR

STEADY: Final = 60.0  # s of a session that was healthy: forget the failures before it
BRUSQUE: Final = 3.0  # s: a session that ends so soon after our first text frame, …
BRUSQUE_TIMES: Final = 3  # … so often in a row, and with no answer, ends because of it
POISONED_TIMES: Final = 2  # a frame ended so many connections: the replay brings it
NOTICES: Final = 20  # different ones that are told in an hour; others are but counted
OTHERS: Final = "(others)"
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


@attrs.define
class Notices:
    """What upstream or Redis says: each is told once, and then how often it came.

    A server may say the same, or never the same, to each frame. Times are s.
    """

    _untold: dict[str, int] = attrs.field(factory=dict)
    _since: float | None = None

    def is_news(self, text: str) -> bool:
        """Tell whether a notice is to be told; if not, it is counted."""
        if text not in self._untold and len(self._untold) < NOTICES:
            self._untold[text] = 0
            return True
        text = text if text in self._untold else OTHERS
        self._untold[text] = self._untold.get(text, 0) + 1
        return False

    def again(self, now: float) -> dict[str, int]:
        """Once an hour return what came again, and how often.

        What did not is news when it comes the next time.
        """
        if self._since is None or now - self._since < HOUR:
            self._since = now if self._since is None else self._since
            return {}
        again = {text: count for text, count in self._untold.items() if count}
        self._since, self._untold = now, dict.fromkeys(again, 0)
        return again
