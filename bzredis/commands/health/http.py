"""A small HTTP server for whoever watches over the bridge: three pages to read.

In the bridge's own event loop, so that it says nothing where that hangs; a page takes a
millisecond. Nobody is waited for long, and few at once: more are turned away.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Final, NoReturn

import h11
import trio

PATIENCE: Final = 5.0  # s for all of a request and its answer
MOST: Final = 16  # connections at once
SOME: Final = 4_096  # bytes
TEXT: Final = "text/plain; charset=utf-8"

Answer = tuple[int, str, bytes]  # status, type, content
Pages = Mapping[str, Callable[[str], Answer]]  # by path; given what is accepted


async def serve(listener: socket.socket, pages: Pages) -> NoReturn:
    """Answer whoever asks, until cancelled."""
    at = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
    await trio.serve_listeners(partial(_serve_one, trio.Semaphore(MOST), pages), [at])
    raise AssertionError  # it is never done


async def _serve_one(
    free: trio.Semaphore, pages: Pages, stream: trio.SocketStream
) -> None:
    """Answer one request; whoever called closes the connection then."""
    try:
        free.acquire_nowait()
    except trio.WouldBlock:
        return
    try:
        with trio.move_on_after(PATIENCE), suppress(trio.BrokenResourceError):
            await _answer(pages, stream)
    finally:
        free.release()


async def _answer(pages: Pages, stream: trio.SocketStream) -> None:
    connection, has_body = h11.Connection(h11.SERVER), True
    try:
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(SOME))
        if not isinstance(event, h11.Request):
            return  # it left
        has_body = event.method != b"HEAD"
        status, kind, content = _page(pages, event)
    except h11.RemoteProtocolError as error:
        status, kind, content = error.error_status_hint, TEXT, b"this is no HTTP\n"
    headers = {"Content-Type": kind, "Content-Length": str(len(content))}
    headers |= {"Connection": "close", "Cache-Control": "no-store"}
    events: list[h11.Event] = [
        h11.Response(
            status_code=status,
            headers=[*headers.items()],
            reason=HTTPStatus(status).phrase,
        ),
        *([h11.Data(data=content)] if has_body else []),
        h11.EndOfMessage(),
    ]
    for each in events:
        await stream.send_all(connection.send(each) or b"")


def _page(pages: Pages, request: h11.Request) -> Answer:
    if request.method not in {b"GET", b"HEAD"}:
        return 405, TEXT, b"here is only something to read\n"
    found = pages.get(request.target.decode("ascii", "replace").partition("?")[0])
    if found is None:
        return 404, TEXT, f"there are {', '.join(pages)}\n".encode()
    return found(dict(request.headers).get(b"accept", b"").decode("ascii", "replace"))
