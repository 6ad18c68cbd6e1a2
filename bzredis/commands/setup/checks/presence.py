"""What the families tell each other: whether a bridge runs, which is left alone."""

from __future__ import annotations

import attrs
import trio


@attrs.define
class Presence:
    """Who is seen where; the events are set once that is known, or cannot be known."""

    in_folder: str = ""  # who holds the state folder, "" for nobody
    on_streams: dict[str, str] = attrs.field(factory=dict)  # by stream, in words
    folder_seen: trio.Event = attrs.field(factory=trio.Event)
    redis_seen: trio.Event = attrs.field(factory=trio.Event)

    async def known(self) -> None:
        await self.folder_seen.wait()
        await self.redis_seen.wait()
