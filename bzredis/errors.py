"""The few ways in which the bridge can fail, named for what the reader should do.

Every text is one line of words for a person, and never holds a secret.
"""

from __future__ import annotations

from typing import TypeVar

E = TypeVar("E", bound=BaseException)


class BridgeError(Exception):
    """The base of what this package raises on purpose."""


class ConfigError(BridgeError):
    """Stop: an option or the surroundings are wrong; a person has to mend them."""


class FeedLost(BridgeError):
    """Again: the connection failed in a way that a new one may cure."""

    def __init__(
        self, words: str, *, status: int | None = None, unusable: bool = False
    ) -> None:
        super().__init__(words)
        self.status = status  # of HTTP, where that was the answer: 429, 503
        self.unusable = unusable  # whether a frame that nobody can read was the reason


class FeedRefused(BridgeError):
    """Stop this stream: upstream turned us away until a person mends it (401, 403)."""

    def __init__(self, words: str, *, status: int = 0) -> None:
        super().__init__(words)
        self.status = status  # of HTTP


class RestDown(BridgeError):
    """Again, later: REST did not answer, or not with what was asked for."""

    def __init__(
        self,
        words: str,
        *,
        gist: str = "",
        retry_after: float | None = None,
        status: int = 0,
    ) -> None:
        super().__init__(words)
        self.gist = gist or words  # without what was asked for
        self.status = status  # of HTTP, where an answer came that was none
        self.retry_after = retry_after  # s; how long upstream asked us to stay away


class RestRefused(BridgeError):
    """Stop asking REST: it turned us away until a person mends it (401, 403)."""

    def __init__(self, words: str, *, gist: str = "", status: int = 0) -> None:
        super().__init__(words)
        self.gist = gist or words  # without what was asked for
        self.status = status  # of HTTP


class Unusable(BridgeError):
    """Set aside: this frame cannot be used, and only this one."""


class StoreDown(BridgeError):
    """Again: Redis did not take the batch, but may take the same one later."""


class StoreSlow(StoreDown):
    """Again, with less at once: Redis did not answer in time."""


class StoreUnready(StoreDown):
    """Again, as it was: it is the server's state, whatever it is asked to take."""


class StoreEvicts(StoreDown):
    """Mend: the server takes keys away when it likes; ours may be among them."""


class StoreForeign(BridgeError):
    """Stop: what stands under our keys in Redis came from another upstream."""

    def __init__(self, host: str) -> None:
        super().__init__(f"the keys in Redis hold what came from {host}")
        self.host = host


class SpoolFull(BridgeError):
    """Again, later: there is no room on disk for what Redis has not confirmed."""


class SpoolLocked(SpoolFull):
    """Again, soon: another process holds the lock of what is on disk."""


class SpoolUnusable(BridgeError):
    """Set aside: this spool file is damaged, or of another format."""


def first(group: BaseExceptionGroup[E]) -> E:
    """Return one error of a group, or of a group in it."""
    error = group.exceptions[0]
    return first(error) if isinstance(error, BaseExceptionGroup) else error
