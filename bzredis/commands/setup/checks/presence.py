"""What the families tell each other: whether a bridge runs, which is left alone."""

from __future__ import annotations

from typing import Final

import attrs
import trio

# s that Redis and the state folder may take to tell whether a bridge runs. Where Redis
# is there and does not tell, one may; upstream would turn away whichever comes second.
TOLD_BY: Final = 5.0


@attrs.define
class Presence:
    """Who is seen where; the events are set once that is known, or cannot be known."""

    in_folder: str = ""  # who holds the state folder, "" for nobody
    in_redis: bool | None = None  # a bridge writes there; None: Redis does not tell
    is_silent: bool = True  # Redis does not tell; False where it is not there at all
    on_streams: dict[str, str] = attrs.field(factory=dict)  # by stream, in words
    folder_seen: trio.Event = attrs.field(factory=trio.Event)
    redis_seen: trio.Event = attrs.field(factory=trio.Event)

    async def known(self) -> None:
        """Wait until both have told, but not for ever: either may hang."""
        with trio.move_on_after(TOLD_BY):
            await self.folder_seen.wait()
            await self.redis_seen.wait()
