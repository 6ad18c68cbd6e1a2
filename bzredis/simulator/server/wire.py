"""A client's TCP stream, with a head to read again and the faults of a network."""

from __future__ import annotations

import socket
import struct

import trio

from bzredis.simulator.faults import Faults

CLOSE_FRAME = b"\x88"  # how every close frame of a server begins
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST rather than FIN
LOST = (trio.BrokenResourceError, trio.ClosedResourceError)


class Wire(trio.abc.Stream):
    """Wraps the accepted stream; ``head`` is given back before what comes next."""

    def __init__(
        self, stream: trio.SocketStream, head: bytes = b"", faults: Faults | None = None
    ) -> None:
        self.faults = faults or Faults()
        self.muted = False  # half open: nothing goes out, what comes in is ignored
        self._stream = stream
        self._head = head
        self._sending = trio.Lock()
        self._receiving = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, unless a fault keeps it back; raises BrokenResourceError."""
        if self.muted or (self.faults.ignore_close and data[:1] == CLOSE_FRAME):
            await trio.lowlevel.checkpoint()
            return
        async with self._sending:
            await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive the head, then what the client sends; ``b""`` at its end."""
        if self._head:
            await trio.lowlevel.checkpoint()
            head, self._head = self._head, b""
            return head
        self._receiving = True
        try:
            while (data := await self._stream.receive_some(max_bytes)) and self.muted:
                pass
            return bytes(data)
        finally:
            self._receiving = False

    async def aclose(self) -> None:
        """Close, but where a close goes unanswered only once the client has closed."""
        try:
            if self.faults.ignore_close and not self._receiving:
                await self._client_gone()
        finally:
            self.cut()
        await trio.lowlevel.checkpoint()

    async def _client_gone(self) -> None:
        try:
            while await self._stream.receive_some():
                pass
        except LOST:
            pass  # gone as well

    def cut(self, *, reset: bool = False) -> None:
        """Close TCP at once, without a close frame; with a RST if wanted."""
        if reset and self._stream.socket.fileno() >= 0:
            self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._stream.socket.close()
