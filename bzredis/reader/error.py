"""The one way in which reading can fail. Pure."""

from __future__ import annotations

from bzredis.errors import BridgeError


class ReaderError(BridgeError):
    """What was asked for cannot be had; the text says why, and never holds a secret.

    `passes`: it may go well later by itself (Redis is away, or starts).
    """

    def __init__(self, words: str, *, passes: bool = False) -> None:
        super().__init__(words)
        self.passes = passes
