"""An event that happens again and again."""

from __future__ import annotations

import attrs
import trio


@attrs.define(eq=False)
class Bell:
    """Wakes whoever waits for it at that moment."""

    _next: trio.Event = attrs.field(factory=trio.Event)

    def ring(self) -> None:
        """Wake all who wait."""
        self._next.set()
        self._next = trio.Event()

    async def wait(self) -> None:
        """Wait until it rings."""
        await self._next.wait()
