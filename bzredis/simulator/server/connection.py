"""One client of one stream: what it is sent, what it says, how it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NoReturn

import attrs
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from bzredis.simulator.faults import Faults
from bzredis.simulator.market.formats import compact
from bzredis.simulator.market.records import Published
from bzredis.simulator.server.subscription import Subscription
from bzredis.simulator.server.wire import LOST, Wire
from bzredis.simulator.settings import Settings

ABNORMAL = 1006  # what a connection's end is called that had no close frame

STATUS = compact({"type": "status", "message": "connected"})


@attrs.frozen
class Raw:
    """Bytes for the socket as they are, and whether TCP closes after them."""

    data: bytes
    cut: bool = False


@attrs.frozen
class Goodbye:
    """A close frame, after all that was sent before."""

    code: int


Item = str | Raw | Goodbye


@attrs.define(eq=False)
class Connection:
    """Serves an accepted WebSocket until either side ends it."""

    stream: str
    wire: Wire
    socket: WebSocketConnection
    subscription: Subscription
    settings: Settings
    faults: Faults
    replay: Iterable[Published]  # as it stands whenever it is gone through
    publish: Callable[[str, str], None]
    heard: Callable[[str, str], None]
    _send: trio.MemorySendChannel[Item] = attrs.field(init=False)
    _queue: trio.MemoryReceiveChannel[Item] = attrs.field(init=False)
    _parted: trio.Event | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        """Open the queue of what waits to be sent."""
        size = self.settings.queue_size
        self._send, self._queue = trio.open_memory_channel[Item](size)

    @property
    def clean(self) -> bool:
        """Whether it ended, if it did, with a close frame."""
        reason = self.socket.closed
        return reason is not None and reason.code != ABNORMAL

    def offer(self, item: Item) -> None:
        """Queue something to be sent; a client that does not read is dropped."""
        try:
            self._send.send_nowait(item)
        except trio.WouldBlock:
            self.wire.cut()
        except trio.BrokenResourceError:
            pass  # it has ended; its slot is about to go

    def broadcast(self, published: Published) -> None:
        if self.subscription.wants(published):
            self.offer(published.seen(self.subscription.view))

    async def run(self) -> None:
        """Serve until the end; how it came is in ``clean``."""
        if self.settings.status_frame:
            self.offer(STATUS)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write)
            nursery.start_soon(self._heartbeat)
            await self._listen(nursery)
            if self._parted is not None:
                await self._parted.wait()  # so that the client's answer finds us
            nursery.cancel_scope.cancel()

    async def _write(self) -> None:
        with self._queue:
            try:
                async for item in self._queue:
                    await self._transmit(item)
            except (ConnectionClosed, *LOST):
                pass  # the listener has been told as well

    async def _transmit(self, item: Item) -> None:
        if isinstance(item, str):
            await self.socket.send_message(item)
        elif isinstance(item, Goodbye):
            self._parted = trio.Event()
            with trio.move_on_after(self.settings.close_limit):
                await self.socket.aclose(item.code)
            self._parted.set()
        else:
            await self.wire.send_all(item.data)
            if item.cut:
                self.wire.cut()

    async def _heartbeat(self) -> NoReturn:
        while True:
            await trio.sleep(self.settings.ping_interval)
            with trio.move_on_after(self.settings.pong_limit) as late:
                try:
                    await self.socket.ping()
                except ConnectionClosed:
                    await trio.sleep_forever()  # until the listener ends it
            if late.cancelled_caught and not self.wire.muted:
                self.wire.cut()

    async def _listen(self, nursery: trio.Nursery) -> None:
        while True:
            try:
                text = await self.socket.get_message()
            except ConnectionClosed:
                return
            self.heard(self.stream, str(text))
            if self.faults.drop_at_text:
                self.wire.cut()
            elif text == "ping":
                if not self.faults.ignore_ping:
                    self.offer("pong")
            elif text == "replay":
                await self._replay(nursery)
            else:
                params = {"command": str(text)}
                error = {"type": "error", "message": "unknown command"}
                self.offer(compact(error | {"params": params}))

    async def _replay(self, nursery: trio.Nursery) -> None:
        if self.faults.ignore_replay:
            return
        if self.faults.endless_replay:
            nursery.start_soon(self._replay_for_ever)
            return
        for published in self.replay:
            self.broadcast(published)
            if self.faults.during_replay:
                self.publish(self.stream, self.faults.during_replay.pop(0))

    async def _replay_for_ever(self) -> None:
        try:
            while self.faults.endless_replay:
                for published in self.replay:
                    if self.subscription.wants(published):
                        await self._send.send(published.seen(self.subscription.view))
                await trio.lowlevel.checkpoint()
        except trio.BrokenResourceError:
            pass  # it has ended
