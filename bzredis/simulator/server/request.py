"""The head of an HTTP request: an upgrade, or a question to REST."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

import attrs
import h11
import trio

RECEIVE = 65_536  # bytes at a time


@attrs.frozen
class Request:
    """What was asked; ``query`` holds the key, so it is never shown."""

    method: str
    path: str
    query: Mapping[str, str] = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)  # names in small letters

    @property
    def is_upgrade(self) -> bool:
        return self.headers.get("upgrade", "").lower() == "websocket"

    def items(self, name: str) -> list[str]:
        """Return a comma-separated parameter's items, in capitals."""
        parts = self.query.get(name, "").upper().split(",")
        return [part.strip() for part in parts if part.strip()]

    def number(self, name: str, default: int) -> int:
        """Return a parameter's whole number; what is none counts as absent."""
        text = self.query.get(name, "")
        return int(text) if text.isdecimal() else default


def parse(event: h11.Request) -> Request:
    path, _, query = event.target.decode("ascii").partition("?")
    return Request(
        event.method.decode("ascii"),
        path,
        dict(parse_qsl(query)),
        {
            name.decode("ascii"): value.decode("latin-1")
            for name, value in event.headers
        },
    )


async def receive(
    http: h11.Connection, stream: trio.abc.ReceiveStream
) -> tuple[Request | None, bytes]:
    """Read the next request, to its end, and the bytes that it took.

    ``None`` where the client closed instead. Raises h11.RemoteProtocolError for
    what is no HTTP, and trio.BrokenResourceError.
    """
    request: Request | None = None
    read = b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            data = await stream.receive_some(RECEIVE)
            http.receive_data(bytes(data))
            read += data
        elif isinstance(event, h11.Request):
            request = parse(event)
        elif not isinstance(event, h11.Data):
            return request, read


def without_query(head: bytes) -> bytes:
    """Take the query out of a request's first line: what follows need not know it."""
    line, rest = head.split(b"\r\n", 1)
    method, target, version = line.split(b" ")
    return b" ".join((method, target.split(b"?")[0], version)) + b"\r\n" + rest
