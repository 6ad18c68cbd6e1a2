"""The simulated upstream on a loopback port: real sockets around the market."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from math import inf
from typing import NoReturn

import attrs
import h11
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream
from wsproto.utilities import LocalProtocolError

from bzredis.simulator.faults import Faults, RestFaults
from bzredis.simulator.further import Sideline
from bzredis.simulator.market.book import BY_SYMBOL
from bzredis.simulator.market.market import DAY, Market
from bzredis.simulator.market.records import Published
from bzredis.simulator.server.admission import PATHS, STREAMS, Admission, Attempt
from bzredis.simulator.server.connection import Connection, Goodbye, Raw
from bzredis.simulator.server.http import Asked, Http, respond
from bzredis.simulator.server.replay import Replay, envelope_of
from bzredis.simulator.server.request import RECEIVE, Request, receive, without_query
from bzredis.simulator.server.subscription import subscription
from bzredis.simulator.server.wire import LOST, Wire
from bzredis.simulator.settings import Settings

HOST = "127.0.0.1"
TICK = 0.02  # seconds; the market is looked at no more often
NAP = 0.5  # and no less often: its pace may be changed while it runs
MARKETS = 3  # streams that are the market's; each further one has as much to say
HANDSHAKE = 5.0  # how long an upgrade that was admitted may take


@attrs.define(eq=False)
class Simulator:
    """Upstream, or what passes for it, on ``127.0.0.1``.

    ``await nursery.start(simulator.serve)`` returns the port. ``faults`` are by
    stream, ``rest_faults`` by the name of the REST path. The logs hold the newest
    ``settings.log_size`` entries: ``sent`` what was broadcast, (stream, text) in the
    plain view, in order; ``heard`` what clients said; ``attempts`` the upgrades.
    """

    settings: Settings = attrs.field(factory=Settings)
    clock: Callable[[], float] = time.time
    market: Market = attrs.field(init=False)
    faults: dict[str, Faults] = attrs.field(init=False)
    port: int = attrs.field(init=False)
    sent: deque[tuple[str, str]] = attrs.field(init=False)
    heard: deque[tuple[str, str]] = attrs.field(init=False)
    sidelines: dict[str, Sideline] = attrs.field(init=False)  # by stream
    _paths: dict[str, str] = attrs.field(init=False)
    _admission: Admission = attrs.field(init=False)
    _http: Http = attrs.field(init=False)
    _replays: dict[str, Replay] = attrs.field(init=False)
    _connections: dict[str, list[Connection]] = attrs.field(init=False)
    _paced: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        """Let the market have its past."""
        settings = self.settings
        self.port = settings.port
        self.sent = deque(maxlen=settings.log_size)
        self.heard = deque(maxlen=settings.log_size)
        self.sidelines = {f.name: Sideline(f, settings.seed) for f in settings.further}
        streams = (*STREAMS, *self.sidelines)
        self._paths = PATHS | {each.path: each.name for each in settings.further}
        self.faults = {stream: Faults() for stream in streams}
        self._connections = {stream: [] for stream in streams}
        rng = random.Random(settings.seed + 1)  # noqa: S311 - no secret hangs on it
        self._replays = {
            stream: Replay(
                settings.replay_size, rng if settings.replay_new_ids else None
            )
            for stream in streams
        }
        self.market = Market(settings.seed, settings.consensus_ticker)
        for published in self.market.past(self.clock(), settings.history):
            self._replays[published.stream].add(published)
        for sideline in self.sidelines.values():
            count = settings.history // MARKETS
            for published in sideline.past(self.clock(), count, 10 * DAY):
                self._replays[published.stream].add(published)
        self._admission = Admission(settings, self.faults)
        lines = tuple(self.sidelines.values())
        self._http = Http(settings, self.market.book, self.clock, lines)

    @property
    def rest_faults(self) -> dict[str, RestFaults]:
        return self._http.faults

    @property
    def attempts(self) -> deque[Attempt]:
        return self._admission.attempts

    @property
    def requests(self) -> deque[Asked]:
        return self._http.asked

    def asked(self, name: str, ticker: str | None = None) -> list[float]:
        """Return when a REST path was asked, of a ticker or of any (trio's time)."""
        return [
            asked.at
            for asked in self._http.asked
            if asked.name == name and (ticker is None or ticker in asked.tickers)
        ]

    async def serve(
        self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Serve until cancelled; after that it can be served again, on its port."""
        listeners = await trio.open_tcp_listeners(self.port, host=HOST)
        self.port = listeners[0].socket.getsockname()[1]
        if not self._paced:
            share = self.settings.rate / (MARKETS + len(self.sidelines))
            self.market.pace(MARKETS * share, self.clock())
            for sideline in self.sidelines.values():
                sideline.pace(share, self.clock())
            self._paced = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pulse)
            nursery.start_soon(trio.serve_listeners, self._welcome, listeners)
            task_status.started(self.port)
        raise AssertionError  # pragma: no cover - neither task ever returns

    def connections(self, stream: str) -> list[Connection]:
        """Return who is connected to a stream now."""
        return list(self._connections[stream])

    def advance(self, now: float | None = None) -> None:
        """Broadcast what the market did up to ``now``, in unix seconds."""
        moment = self.clock() if now is None else now
        for published in self.market.advance(moment):
            self.broadcast(published)
        for sideline in self.sidelines.values():
            self.broadcast(*sideline.advance(moment))

    def broadcast(self, *messages: Published) -> None:
        """Send messages to everyone subscribed, and keep them for the replay."""
        for published in messages:
            self.sent.append((published.stream, published.text))
            self._replays[published.stream].add(published)
            for connection in self._connections[published.stream]:
                connection.broadcast(published)

    def publish(self, stream: str, text: str, symbol: str | None = None) -> None:
        """Broadcast any text; filters apply only where a symbol is given."""
        company = None if symbol is None else BY_SYMBOL[symbol]
        envelope = envelope_of(text)
        self.broadcast(Published(stream, text, self.clock(), company, envelope))

    def send_raw(self, stream: str, data: bytes, *, cut: bool = False) -> None:
        """Send bytes as they are, after what is queued; then close TCP if ``cut``."""
        for connection in self.connections(stream):
            connection.offer(Raw(data, cut))

    def close(self, stream: str, code: int = 1000) -> None:
        """Close a stream's connections with a close frame, after what is queued."""
        for connection in self.connections(stream):
            connection.offer(Goodbye(code))

    def drop(self, stream: str, *, reset: bool = False) -> None:
        """Close TCP at once and bare; what was queued is lost."""
        for connection in self.connections(stream):
            connection.wire.cut(reset=reset)

    def freeze(self, stream: str) -> None:
        """Leave a stream's present connections half open: silent, deaf, not closed."""
        for connection in self.connections(stream):
            connection.wire.muted = True

    async def _pulse(self) -> NoReturn:
        while True:
            self.advance()
            due = [line.next_due for line in self.sidelines.values()]
            wait = min(self.market.next_due, *due, inf) - self.clock()
            await trio.sleep(min(max(wait, TICK), NAP))

    async def _welcome(self, stream: trio.SocketStream) -> None:
        http = h11.Connection(h11.SERVER)
        try:
            request, head = await receive(http, stream)
            if request is None:
                return
            if request.is_upgrade:
                await self._upgrade(http, stream, request, head)
            else:
                await self._http.serve(http, stream, request)
        except (h11.RemoteProtocolError, *LOST):
            pass  # no client of ours, or one that has gone
        finally:
            stream.socket.close()

    async def _upgrade(
        self,
        http: h11.Connection,
        stream: trio.SocketStream,
        request: Request,
        head: bytes,
    ) -> None:
        name = self._paths.get(request.path, "")
        faults = self.faults.get(name, Faults())
        verdict = self._admission.judge(name, request)
        if faults.hold:
            while await stream.receive_some():
                pass
        elif faults.hang_up:
            return
        elif verdict is None:
            await self._relay(name, request, Wire(stream, without_query(head), faults))
        else:
            await trio.sleep(verdict.delay)
            date = self._http.date()
            await respond(http, stream, request.method, verdict.answer, date)

    async def _relay(self, name: str, request: Request, wire: Wire) -> None:
        """Speak WebSocket with a client that was let in, until either side ends it."""
        clean = False
        self._admission.enter(name)
        try:
            async with trio.open_nursery() as nursery:
                with trio.move_on_after(HANDSHAKE) as late:
                    proposal = await wrap_server_stream(
                        nursery, wire, receive_buffer_size=RECEIVE
                    )
                    date = (b"Date", self._http.date().encode())
                    socket = await proposal.accept(extra_headers=[date])
                if late.cancelled_caught:
                    nursery.cancel_scope.cancel()
                    return
                wire.muted = self.faults[name].half_open
                clean = await self._attend(name, request, wire, socket)
        except* (ConnectionClosed, LocalProtocolError, *LOST):
            pass  # it ended while something was about to be said
        finally:
            wire.cut()
            self._admission.leave(name, clean=clean)

    async def _attend(
        self, name: str, request: Request, wire: Wire, socket: WebSocketConnection
    ) -> bool:
        """Keep a connection on the list while it lasts; return if it ended well."""
        connection = Connection(
            name,
            wire,
            socket,
            subscription(request),
            self.settings,
            self.faults[name],
            self._replays[name],
            self.publish,
            lambda stream, text: self.heard.append((stream, text)),
        )
        self._connections[name].append(connection)
        try:
            await connection.run()
        finally:
            self._connections[name].remove(connection)
        if not wire.faults.ignore_close:
            wire.cut()
        return connection.clean
