"""Server-sent events, as an ASGI response that ends with its page."""

from __future__ import annotations

from typing import Final

import attrs
import trio
from starlette.types import Receive, Scope, Send

from bzredis.commands.web.live.hub import Hub, told
from bzredis.commands.web.live.kept import Wanted

HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # else a proxy would keep it to itself
]
RETRY: Final = b"retry: 1000\n\n"  # ms until a page asks again


@attrs.frozen
class Feed:
    """What one page is told, as long as it is open."""

    hub: Hub
    wanted: Wanted | None
    symbols: frozenset[str]

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        joined = self.hub.join(self.wanted, self.symbols)
        if joined is None:
            await send(_start(503))
            await send(_part(b"", more=False))
            return
        page, come = joined
        try:
            await send(_start(200))
            await send(_part(RETRY))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
                async for text in come:
                    await send(_part(text))
                # It was too slow, and has to begin anew.
                await send(_part(told("reload", ""), more=False))
                nursery.cancel_scope.cancel()
        finally:
            self.hub.leave(page)


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _start(status: int) -> dict[str, object]:
    return {"type": "http.response.start", "status": status, "headers": HEADERS}


def _part(text: bytes, *, more: bool = True) -> dict[str, object]:
    return {"type": "http.response.body", "body": text, "more_body": more}
