"""What plays upstream: it runs in a process of its own (feeder.py).

It says yes to every WebSocket, answers `ping`, PING and pages of REST, and else only
writes what it is told, when it is told. Times are of `time.perf_counter`, which is one
clock for all processes of a machine.
"""

from __future__ import annotations

import http.server
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache, partial
from typing import Final

import attrs
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, Request, TextMessage
from wsproto.utilities import RemoteProtocolError

from benching.feed import frames
from benching.feed.frames import Stream
from benching.feed.pages import Pages

CHUNK: Final = 200  # frames per write at full speed, some 220 KB of ratings
KEPT: Final = 100_000  # frames: some 110 MB of ratings, once
LEAD: Final = 0.1  # s before the first of a paced load, for who watches to be there
STUCK: Final = struct.pack("ll", 60, 0)  # s in which a side has to take what is sent
PONG: Final = frames.frame(b"pong")
PING: Final = b"\x89\x00"  # RFC 6455
PING_EVERY: Final = 10.0  # s, as upstream does


@attrs.define(eq=False)
class Wire:
    """One side's connection."""

    socket: socket.socket
    lock: threading.Lock = attrs.field(factory=threading.Lock)
    open: threading.Event = attrs.field(factory=threading.Event)

    def write(self, data: bytes) -> None:
        with self.lock:  # whole frames: an answer may go out between two writes
            self.socket.sendall(data)

    def listen(self) -> None:
        """Say yes, then answer what wants an answer."""
        protocol = WSConnection(ConnectionType.SERVER)
        with suppress(OSError, RemoteProtocolError):
            while data := self.socket.recv(65_536):
                protocol.receive_data(data)
                for event in protocol.events():
                    self._answer(protocol, event)
        with suppress(OSError):
            self.socket.close()

    def _answer(self, protocol: WSConnection, event: object) -> None:
        match event:
            case Request():
                self.write(protocol.send(AcceptConnection()))
                self.open.set()
            case TextMessage(data="ping"):
                self.write(PONG)
            case Ping() | CloseConnection():
                with suppress(RemoteProtocolError):  # closed already
                    self.write(protocol.send(event.response()))


@attrs.define(eq=False)
class Upstream:
    """What may be called from outside, by name."""

    _listener: socket.socket | None = None
    _wires: list[Wire] = attrs.field(factory=list)
    _rest: http.server.ThreadingHTTPServer | None = None
    _asked: list[float] = attrs.field(factory=list)  # when each page was asked for

    def listen(self) -> int:
        """Begin a turn: return the port of a socket of its own."""
        self.close()
        listener = self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, args=[listener], daemon=True).start()
        return int(listener.getsockname()[1])

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                found, _ = listener.accept()
                found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, STUCK)
                wire = Wire(found)
                self._wires.append(wire)
                threading.Thread(target=wire.listen, daemon=True).start()

    def connected(self) -> int:
        """Return how many are connected."""
        return sum(wire.open.is_set() for wire in self._wires)

    def close(self) -> None:
        """End a turn."""
        wires, self._wires = self._wires, []
        for wire in wires:
            with suppress(OSError):
                wire.socket.shutdown(socket.SHUT_RDWR)
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        if self._rest is not None:
            self._rest.shutdown()
            self._rest.server_close()
            self._rest = None

    def make(self, stream: Stream, first: int, count: int, symbols: int = 0) -> None:
        """Make frames now rather than while it counts."""
        for _ in _chunks(stream, first, min(count, CHUNK), symbols):
            break

    def flood(self, stream: Stream, first: int, count: int, symbols: int = 0) -> float:
        """Write frames as fast as they are taken; return when the first one went."""
        wire = self._wires[-1]
        began = 0.0
        for chunk in _chunks(stream, first, count, symbols):
            began = began or time.perf_counter()
            wire.write(chunk)
        return began

    def pace(self, stream: Stream, first: int, count: int, rate: float) -> list[float]:
        """Write so many a second; return when each was about to be written."""
        return _paced(self._wires[-1].write, stream, first, count, rate)

    def floor(
        self, redis: tuple[str, int, str], count: int, rate: float
    ) -> list[float]:
        """Write to Redis' log without anybody between."""
        host, port, key = redis
        with socket.create_connection((host, port)) as wire:
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_drain, args=[wire], daemon=True).start()

            def write(payload: bytes) -> None:
                wire.sendall(_command(b"XADD", key.encode(), b"*", b"raw", payload))

            sent = _paced(write, "ratings", 0, count, rate)
            time.sleep(LEAD)  # for the last answers
            return sent

    def ping(self, seconds: float) -> None:
        """Only PING for so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for wire in self._wires:
                with suppress(OSError):
                    wire.write(PING)
            time.sleep(min(PING_EVERY, left))

    def rest(self, count: int, size: int) -> int:
        """Serve so many rows of ratings, page by page; return the port."""
        made = frames.rows(count)
        pages = [
            b'{"ratings":[' + b",".join(made[first : first + size]) + b"]}"
            for first in range(0, count, size)
        ]
        self._asked = []
        handler = partial(Pages, pages, self._asked)
        self._rest = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._rest.serve_forever, daemon=True).start()
        return int(self._rest.server_address[1])

    def asked(self) -> list[float]:
        """Return when each page was asked for."""
        return self._asked


def _chunks(stream: Stream, first: int, count: int, symbols: int) -> Iterable[bytes]:
    """Yield what is written at once; what fits into memory is made before and kept."""
    if first + count > KEPT:
        return _joined(stream, first, count, symbols)
    return _kept(stream, first, count, symbols)


@cache
def _kept(stream: Stream, first: int, count: int, symbols: int) -> list[bytes]:
    return list(_joined(stream, first, count, symbols))


def _joined(stream: Stream, first: int, count: int, symbols: int) -> Iterator[bytes]:
    made = frames.frames(stream, count, symbols, first)
    for start in range(0, count, CHUNK):
        some = min(CHUNK, count - start)
        yield b"".join(next(made) for _ in range(some))


def _paced(
    write: Callable[[bytes], None], stream: Stream, first: int, count: int, rate: float
) -> list[float]:
    ready = list(frames.frames(stream, count, 0, first))
    sent, begin = [], time.perf_counter() + LEAD
    for number, data in enumerate(ready):
        pause = begin + number / rate - time.perf_counter()
        if pause > 0:
            time.sleep(pause)
        sent.append(time.perf_counter())
        write(data)
    return sent


def _command(*parts: bytes) -> bytes:
    said = b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"*%d\r\n%b" % (len(parts), said)


def _drain(wire: socket.socket) -> None:
    with suppress(OSError):
        while wire.recv(65_536):
            pass
