"""A TCP line between two programs that can be cut, slowed, and left hanging."""

from __future__ import annotations

from typing import Final

import attrs
import ports
import trio

HOST: Final = "127.0.0.1"
CHUNK: Final = 1 << 16
LOST: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


@attrs.define(eq=False)
class Line:
    """One connection through the proxy."""

    client: trio.SocketStream
    server: trio.SocketStream
    asked: int = 0  # bytes since the last answer
    torn: bool = False  # bytes were swallowed: what follows would make no sense


@attrs.define
class Proxy:
    """Listens on a port of its own, and passes on to `target`.

    `swallow_answers` loses what the server says, `swallow` what either says; such a
    connection stays open, and dead for good.
    """

    target: int  # port
    port: int = 0
    delay: float = 0.0  # s, of each chunk
    swallow: bool = False
    swallow_answers: bool = False
    swallowed: int = 0  # bytes
    largest: int = 0  # bytes of a request; one of more ends its connection; 0: any
    _lines: set[Line] = attrs.field(factory=set)
    _listening: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    async def serve(
        self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Listen until `shut`, or until cancelled."""
        with trio.CancelScope() as self._listening:
            self.port = self.port or ports.free()  # still so when it opens again
            listeners = await trio.open_tcp_listeners(self.port, host=HOST)
            task_status.started(self.port)
            await trio.serve_listeners(self._carry, listeners)

    def shut(self) -> None:
        """Refuse new connections, and end those that are; `serve` opens again."""
        self._listening.cancel()

    def cut(self) -> None:
        """End all connections at once."""
        for line in self._lines:
            line.client.socket.close()
            line.server.socket.close()

    async def _carry(self, client: trio.SocketStream) -> None:
        async with client:
            try:
                server = await trio.open_tcp_stream(HOST, self.target)
            except OSError:
                return
            line = Line(client, server)
            self._lines.add(line)
            try:
                async with server, trio.open_nursery() as nursery:
                    nursery.start_soon(self._pump, line, client, server, False)
                    await self._pump(line, server, client, answers=True)
                    nursery.cancel_scope.cancel()
            finally:
                self._lines.discard(line)

    async def _pump(
        self,
        line: Line,
        source: trio.SocketStream,
        sink: trio.SocketStream,
        answers: bool,  # noqa: FBT001 - which way, for `start_soon`
    ) -> None:
        try:
            async for data in source:
                if self.swallow or (answers and self.swallow_answers) or line.torn:
                    line.torn = True
                    self.swallowed += len(data)
                    continue
                line.asked = 0 if answers else line.asked + len(data)
                if 0 < self.largest < line.asked:
                    break
                if self.delay:
                    await trio.sleep(self.delay)
                await sink.send_all(data)
            await (
                source.aclose() if line.asked > self.largest > 0 else sink.send_eof()
            )
        except (*LOST, OSError):
            pass  # either side has gone, or we were cut
