"""A proxy on the way to upstream, and how it is asked to let us through (CONNECT).

What goes through is TLS: nobody on the way gets to read it, nor the token.
"""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from typing import Final

import h11
import trio
from attrs import field, frozen

from bzredis import __version__
from bzredis.errors import FeedLost

PIECE: Final = 4096  # bytes a read; an answer has a few hundred
OK: Final = range(200, 300)


@frozen
class Proxy:
    """Who is asked in plain HTTP, as `user:password` where it wants to know that."""

    host: str
    port: int
    login: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        return _place(self.host, self.port)

    async def open(self, tcp: trio.abc.Stream, host: str, port: int) -> None:
        """Have a connection to it lead on to a host, or raise FeedLost."""
        to = _place(host, port)
        headers = [("Host", to), ("User-Agent", f"bzredis/{__version__}")]
        if self.login:
            basic = b64encode(self.login.encode()).decode()
            headers.append(("Proxy-Authorization", f"Basic {basic}"))
        http = h11.Connection(h11.CLIENT)
        asked = h11.Request(method="CONNECT", target=to, headers=headers)
        await tcp.send_all(http.send(asked) or b"")
        status = 0
        with suppress(h11.RemoteProtocolError):
            while not isinstance(event := http.next_event(), h11.Response):
                if event is h11.NEED_DATA:
                    http.receive_data(bytes(await tcp.receive_some(PIECE)))
            status = event.status_code
        if status not in OK:
            raise FeedLost(self.refusal(status, host))

    def refusal(self, status: int, host: str) -> str:
        """Say what it answered; 0 is nothing that can be understood."""
        match status:
            case 0:
                said = "hung up, or gave no answer in HTTP"
            case 407:
                said = "wants a user and a password, or others than it was given"
            case 403:
                said = "lets nobody through"
            case _:
                said = "found no way"
        code = f" (HTTP {status})" if status else ""
        return f"the proxy {self.shown}, asked for {host}, {said}{code}"


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
