"""Real servers on loopback, rude ones too; virtual time where time is the point.

Every test ends with the question whether the token shows anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
import socket
import ssl
import struct
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, NoReturn

import pytest
import trio
import trustme
from trio.testing import memory_stream_pair, wait_all_tasks_blocked
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    serve_websocket,
    wrap_server_stream,
)

from bzredis import __version__
from bzredis.errors import BridgeError, FeedLost, FeedRefused
from bzredis.upstream import transport as wire
from bzredis.upstream import websocket as feed
from bzredis.upstream.framing import Splitter
from bzredis.upstream.websocket import Upstream, WebSocketLink

SECRET = "s3cr3t"  # in whatever way the token is written
TOKEN = f"{SECRET}+/=key"
QUOTED = f"{SECRET}%2B%2F%3Dkey"
PATH = "/api/v2.1/calendar/ratings/stream"
TEXT, BINARY, CLOSE, PING, MORE = 1, 2, 8, 9, 0

Handler = Callable[[WebSocketRequest], Awaitable[None]]
Rude = Callable[[trio.abc.Stream], Awaitable[None]]
Said = list[BaseException]


@pytest.fixture(autouse=True)
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Said]:
    """Collect what was raised; in the end look for the token in it, and in the log."""
    caplog.set_level(logging.DEBUG)
    raised: Said = []
    yield raised
    for record in caplog.get_records("call"):
        assert SECRET not in f"{record.getMessage()} {record.args!r} {record.exc_text}"
    for error in raised:
        assert SECRET not in "".join(shown(error))


def shown(error: BaseException | None) -> Iterator[str]:
    """Yield all that a log might tell of an exception, suppressed contexts too."""
    while error is not None:
        yield f"{error} {error!r} {error.__dict__}"
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        for line in told.stack:
            if line.filename == __file__:
                line.locals = None  # what servers here say is no leak of ours
        yield from told.format()
        error = error.__cause__ or error.__context__


@pytest.fixture
def losing(said: Said) -> Callable[..., Any]:
    """Expect to lose the feed, in these words, within 5 s."""

    @contextmanager
    def losing(
        words: str, kind: type[BridgeError] = FeedLost
    ) -> Iterator[pytest.ExceptionInfo[BridgeError]]:
        with trio.fail_after(5), pytest.raises(kind, match=words) as caught:
            yield caught
        assert type(caught.value) is kind
        assert caught.value.__context__ is None
        said.append(caught.value)

    return losing


def at(port: int, **more: Any) -> Upstream:
    return Upstream(f"ws://127.0.0.1:{port}", partial(str, TOKEN), **more)


async def attempt(upstream: Upstream) -> None:
    async with upstream.connect(PATH, {}):
        pytest.fail("it let us in")


async def serve(
    nursery: trio.Nursery, handler: Handler, tls: ssl.SSLContext | None = None
) -> int:
    """Start a well-behaved server."""
    server = await nursery.start(
        partial(serve_websocket, handler, "127.0.0.1", 0, tls, disconnect_timeout=1)
    )
    return int(server.port)


async def serve_rudely(nursery: trio.Nursery, handler: Rude) -> int:
    """Start a server that does what it likes with TCP."""
    [listener] = await nursery.start(
        partial(trio.serve_tcp, handler, 0, host="127.0.0.1")
    )
    return int(listener.socket.getsockname()[1])


def in_memory(nursery: trio.Nursery, handler: Rude) -> Upstream:
    """Serve over memory, where time can be virtual."""

    async def dial(_host: str, _port: int) -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        nursery.start_soon(handler, theirs)
        return ours

    return at(1, dial=dial)


@asynccontextmanager
async def served(stream: trio.abc.Stream) -> AsyncIterator[WebSocketConnection]:
    """Accept a WebSocket in good order, over any stream."""
    async with trio.open_nursery() as nursery:
        request = await wrap_server_stream(nursery, stream)
        yield await request.accept()
        nursery.cancel_scope.cancel()


async def head(stream: trio.abc.Stream) -> bytes:
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        received += await stream.receive_some()
    return received


async def accept(
    stream: trio.abc.Stream, first: bytes = b"", header: bytes = b""
) -> None:
    """Shake hands by hand, so that anything may follow."""
    key = re.search(rb"(?i)sec-websocket-key: (\S+)", await head(stream))
    assert key is not None
    digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()  # noqa: S324  # the protocol's
    await stream.send_all(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
        + base64.b64encode(digest)
        + header
        + b"\r\n\r\n"
        + first
    )


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    first = opcode | (0x80 if fin else 0)
    if len(payload) < 126:
        return bytes([first, len(payload)]) + payload
    return struct.pack("!BBQ", first, 127, len(payload)) + payload


async def three(link: WebSocketLink) -> list[str | bytes]:
    return [await link.receive() for _ in range(3)]


# --- what is asked for -----------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "target"),
    [
        ({}, f"{PATH}?token={QUOTED}"),
        (
            {"tickers": "BRK.B,TSX:XYZ", "isins": "", "simplify": "a b&c=d"},
            f"{PATH}?token={QUOTED}&tickers=BRK.B%2CTSX%3AXYZ&simplify=a%20b%26c%3Dd",
        ),
    ],
)
async def test_asks_for_the_path_and_the_query(
    nursery: trio.Nursery, query: dict[str, str], target: str
) -> None:
    requests = []

    async def handler(request: WebSocketRequest) -> None:
        requests.append((request.path, dict(request.headers)))
        ws = await request.accept()
        await ws.send_message(await ws.get_message())

    upstream = at(await serve(nursery, handler))
    async with upstream.connect(PATH, query) as link:
        await link.send("ping")
        assert await link.receive() == "ping"
    [(path, headers)] = requests
    assert path == target
    assert headers[b"user-agent"] == f"bzredis/{__version__}".encode()
    assert SECRET not in f"{upstream!r} {link!r}"


@pytest.mark.parametrize(
    ("origin", "address", "header"),
    [
        ("ws://127.0.0.1", ("127.0.0.1", 80), b"127.0.0.1"),
        ("ws://127.0.0.1:80", ("127.0.0.1", 80), b"127.0.0.1"),
        ("ws://localhost:443", ("localhost", 443), b"localhost:443"),
        ("ws://[::1]:8000", ("::1", 8000), b"[::1]:8000"),
        ("ws://[::1]", ("::1", 80), b"[::1]"),
    ],
)
async def test_names_the_host(
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    origin: str,
    address: tuple[str, int],
    header: bytes,
) -> None:
    asked = []
    heads = []

    async def rude(stream: trio.abc.Stream) -> None:
        heads.append(await head(stream))
        await stream.aclose()

    async def dial(host: str, port: int) -> trio.abc.Stream:
        asked.append((host, port))
        ours, theirs = memory_stream_pair()
        nursery.start_soon(rude, theirs)
        return ours

    upstream = Upstream(origin, lambda: TOKEN, dial=dial)
    with pytest.raises(FeedLost):
        await attempt(upstream)
    assert asked == [address]
    assert upstream.host == address[0]
    assert b"\r\nHost: " + header + b"\r\n" in heads[0]


async def test_asks_for_the_token_at_each_connect(nursery: trio.Nursery) -> None:
    paths = []

    async def handler(request: WebSocketRequest) -> None:
        paths.append(request.path)
        await request.reject(429)

    tokens = iter(["old", "new", ""])
    port = await serve(nursery, handler)
    upstream = Upstream(f"ws://127.0.0.1:{port}", lambda: next(tokens))
    for _ in range(3):
        with pytest.raises(FeedLost, match="HTTP 429"):
            await attempt(upstream)
    assert paths == [f"{PATH}?token=old", f"{PATH}?token=new", f"{PATH}?"]


# --- being turned away -----------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, b"", FeedRefused, "127.0.0.1 answered HTTP 401$"),
        (401, b'{"ok":false}', FeedRefused, r'HTTP 401: {"ok":false}$'),
        (403, b"not  yours\r\n", FeedRefused, "HTTP 403: not yours$"),
        (400, b"bad", FeedLost, "HTTP 400: bad$"),
        (404, f"GET {PATH}?token={QUOTED}".encode(), FeedLost, r"token=\[token\]$"),
        (404, f"no {TOKEN}!".encode(), FeedLost, r"HTTP 404: no \[token\]!$"),
        (404, f"no {QUOTED.lower()}!".encode(), FeedLost, r": no \[token\]!$"),
        (404, f"?token%3D{SECRET}".encode(), FeedLost, r"\?token%3D\[token\]$"),
        (404, f"?token={SECRET}".encode(), FeedLost, r"\?token=\[token\]$"),
        (429, b"", FeedLost, "HTTP 429$"),
        (500, b"\x1f\x8b\x00\xff", FeedLost, "HTTP 500$"),
        (502, b"<h1>Bad Gateway</h1>", FeedLost, "HTTP 502: <h1>Bad Gateway</h1>$"),
        (
            503,
            b'{"message":"failure to get a peer from the ring-balancer"}',
            FeedLost,
            "HTTP 503: .*ring-balancer",
        ),
        (503, b"x" * 300_000, FeedLost, "HTTP 503: x{200}$"),
    ],
)
async def test_says_how_it_was_turned_away(  # noqa: PLR0913, PLR0917  # columns
    nursery: trio.Nursery,
    losing: Callable[..., Any],
    status: int,
    body: bytes,
    kind: type[BridgeError],
    words: str,
) -> None:
    async def handler(request: WebSocketRequest) -> None:
        await request.reject(status, body=body)

    upstream = at(await serve(nursery, handler))
    with losing(words, kind) as caught:
        await attempt(upstream)
    if isinstance(caught.value, FeedLost):
        assert caught.value.status == status


RESPONSE = b"HTTP/1.1 %s\r\n\r\n%s"
UPGRADE = b"101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade"


STRANGE = [
    (b"", FeedLost, "asked for a WebSocket, dropped the connection"),
    (b"HTTP/1.1 4", FeedLost, "dropped the connection"),
    (b"SSH-2.0-OpenSSH_9\r\n\r\n", FeedLost, "protocol: Bad HTTP message$"),
    (RESPONSE % (b"200 OK", b"<p>"), FeedLost, "HTTP 200: <p>$"),
    (RESPONSE % (b"103 Early Hints", b""), FeedLost, "HTTP 103$"),
    (RESPONSE % (b"302 Found\r\nLocation: /", b""), FeedLost, "HTTP 302$"),
    # upstream's 429 has no body: it may have no length either
    (RESPONSE % (b"429 Too Many Requests", b""), FeedLost, "HTTP 429$"),
    (RESPONSE % (b"401 No", b"bad key"), FeedRefused, "HTTP 401: bad key$"),
    (RESPONSE % (b"401 No\r\nContent-Length: 9", b"bad"), FeedRefused, ": bad$"),
    (
        RESPONSE % (b"403 No\r\nTransfer-Encoding: chunked", b"zz\r\n"),
        FeedRefused,
        "HTTP 403: zz$",
    ),
    (RESPONSE % (b"101 Well", b""), FeedLost, "protocol: Missing header"),
    (RESPONSE % (UPGRADE, b""), FeedLost, "protocol: Bad accept token$"),
    (
        RESPONSE % (UPGRADE + b"\r\nSec-WebSocket-Protocol: \xff", b""),
        FeedLost,
        "protocol: 'ascii' codec can't decode",
    ),
    (UPGRADE[4:] + TOKEN.encode() + b"\r\n\r\n", FeedLost, "Bad HTTP message$"),
]


@pytest.mark.parametrize(("answer", "kind", "words"), STRANGE)
async def test_a_strange_answer_is_noticed_at_once(
    nursery: trio.Nursery,
    losing: Callable[..., Any],
    answer: bytes,
    kind: type[BridgeError],
    words: str,
) -> None:
    freed = trio.Event()

    async def rude(stream: trio.abc.Stream) -> None:
        await head(stream)
        await stream.send_all(answer)
        assert isinstance(stream, trio.SocketStream)
        await stream.send_eof()
        assert await stream.receive_some() == b""
        freed.set()

    upstream = at(await serve_rudely(nursery, rude))
    with losing(words, kind):
        await attempt(upstream)
    with trio.fail_after(1):
        await freed.wait()


@pytest.mark.parametrize(("answer", "kind", "words"), STRANGE)
async def test_a_strange_answer_that_never_ends(  # noqa: PLR0913, PLR0917  # columns
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    said: Said,
    answer: bytes,
    kind: type[BridgeError],
    words: str,
) -> None:
    async def rude(stream: trio.abc.Stream) -> None:
        await head(stream)
        await stream.send_all(answer)
        await trio.sleep_forever()

    words = words.replace("dropped the connection", "did not answer within 20 s")
    with pytest.raises(kind, match=words) as caught:
        await attempt(in_memory(nursery, rude))
    said.append(caught.value)
    assert trio.current_time() <= feed.HANDSHAKE


@pytest.mark.parametrize("name", [b"Extensions", b"Protocol"])
async def test_an_answer_with_what_nobody_asked_for(
    nursery: trio.Nursery, losing: Callable[..., Any], name: bytes
) -> None:
    async def rude(stream: trio.abc.Stream) -> None:
        await accept(
            stream, header=b"\r\nSec-WebSocket-%s: %b" % (name, TOKEN.encode())
        )

    upstream = at(await serve_rudely(nursery, rude))
    with losing(r"broke the protocol: unrecognized \w+ \[token\]$"):
        await attempt(upstream)


async def test_a_reset_before_the_answer(
    nursery: trio.Nursery, losing: Callable[..., Any]
) -> None:
    async def rude(stream: trio.abc.Stream) -> None:
        await head(stream)
        assert isinstance(stream, trio.SocketStream)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    upstream = at(await serve_rudely(nursery, rude))
    with losing(r"WebSocket, broke the connection \(Connection reset by peer\)$"):
        await attempt(upstream)


async def test_waits_for_a_429_that_is_held(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    async def slow(stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as inner:
            request = await wrap_server_stream(inner, stream)
            await trio.sleep(15)
            await request.reject(429)

    with pytest.raises(FeedLost, match="HTTP 429") as caught:
        await attempt(in_memory(nursery, slow))
    assert caught.value.status == 429
    assert trio.current_time() == pytest.approx(15)


async def test_a_server_that_never_answers(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    async def mute(stream: trio.abc.Stream) -> None:
        await head(stream)
        await trio.sleep_forever()

    with pytest.raises(FeedLost, match="did not answer within 20 s"):
        await attempt(in_memory(nursery, mute))
    assert trio.current_time() == pytest.approx(20)


# --- not getting there -----------------------------------------------------------


async def test_nobody_listens(losing: Callable[..., Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with losing("^127.0.0.1 cannot be reached: .*Connection refused$"):
            await attempt(at(port))


class NoNames(trio.abc.HostnameResolver):
    async def getaddrinfo(self, *_: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, *_: object) -> NoReturn:
        raise NotImplementedError


async def test_the_name_has_no_address(losing: Callable[..., Any]) -> None:
    trio.socket.set_custom_hostname_resolver(NoNames())
    with losing("^feed.test cannot be reached: Name or service not known$"):
        await attempt(Upstream("wss://feed.test", lambda: TOKEN))


async def test_the_name_is_impossible(losing: Callable[..., Any]) -> None:
    with losing("cannot be reached: .*label"):
        await attempt(Upstream(f"wss://{'x' * 64}.test", lambda: TOKEN))


async def test_the_network_is_silent(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def dial(_host: str, _port: int) -> trio.abc.Stream:
        await trio.sleep_forever()

    with pytest.raises(FeedLost, match="cannot be reached: no answer within 10 s"):
        await attempt(at(1, dial=dial))
    assert trio.current_time() == pytest.approx(10)


# --- TLS -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


async def serve_tls(nursery: trio.Nursery, ca: trustme.CA, name: str) -> int:
    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        await ws.send_message("safe")
        with pytest.raises(ConnectionClosed):
            await ws.get_message()

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert(name).configure_cert(tls)

    async def each(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            await stream.do_handshake()
        except trio.BrokenResourceError:
            return
        async with trio.open_nursery() as inner:
            await handler(await wrap_server_stream(inner, stream))

    [listener] = await nursery.start(
        partial(
            trio.serve_ssl_over_tcp,
            each,
            0,
            tls,
            host="127.0.0.1",
            https_compatible=True,
        )
    )
    return int(listener.transport_listener.socket.getsockname()[1])


async def test_speaks_tls(nursery: trio.Nursery, ca: trustme.CA) -> None:
    ours = ssl.create_default_context()
    ca.configure_trust(ours)
    port = await serve_tls(nursery, ca, "127.0.0.1")
    upstream = Upstream(f"wss://127.0.0.1:{port}", lambda: TOKEN, ours)
    with trio.fail_after(5):
        async with upstream.connect(PATH, {}) as link:
            assert await link.receive() == "safe"


async def test_a_bare_end_is_the_same_under_tls(
    nursery: trio.Nursery, ca: trustme.CA, losing: Callable[..., Any]
) -> None:
    """Servers drop TCP without TLS's own goodbye."""
    ours = ssl.create_default_context()
    ca.configure_trust(ours)
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(theirs)

    async def rude(stream: trio.abc.Stream) -> None:
        secure = trio.SSLStream(stream, theirs, server_side=True)
        await accept(secure, frame(TEXT, b"last"))

    port = await serve_rudely(nursery, rude)
    upstream = Upstream(f"wss://127.0.0.1:{port}", lambda: TOKEN, ours)
    with losing("dropped the connection without saying why$"):
        async with upstream.connect(PATH, {}) as link:
            assert await link.receive() == "last"
            await link.receive()


async def test_trusts_no_certificate_by_itself(
    nursery: trio.Nursery, ca: trustme.CA, losing: Callable[..., Any]
) -> None:
    port = await serve_tls(nursery, ca, "127.0.0.1")
    with losing("TLS handshake: its certificate is not accepted, .*certificate"):
        await attempt(Upstream(f"wss://127.0.0.1:{port}", lambda: TOKEN))


async def test_a_certificate_for_another_host(
    nursery: trio.Nursery, ca: trustme.CA, losing: Callable[..., Any]
) -> None:
    ours = ssl.create_default_context()
    ca.configure_trust(ours)
    port = await serve_tls(nursery, ca, "other.test")
    with losing("certificate is not accepted, IP address mismatch"):
        await attempt(Upstream(f"wss://127.0.0.1:{port}", lambda: TOKEN, ours))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "TLS handshake: (wrong|record|packet)"),
        (b"", "TLS handshake: .*(?:eof|EOF)"),
    ],
)
async def test_a_server_without_tls(
    nursery: trio.Nursery, losing: Callable[..., Any], answer: bytes, words: str
) -> None:
    async def plain(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(answer)

    port = await serve_rudely(nursery, plain)
    with losing(words):
        await attempt(Upstream(f"wss://127.0.0.1:{port}", lambda: TOKEN))


async def test_a_tls_handshake_that_hangs(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    async def dial(_host: str, _port: int) -> trio.abc.Stream:
        return memory_stream_pair()[0]

    upstream = Upstream("wss://feed.test", lambda: TOKEN, dial=dial)
    with pytest.raises(FeedLost, match="TLS handshake: no end of it within 10 s"):
        await attempt(upstream)
    assert trio.current_time() == pytest.approx(10)


# --- messages, and how they end --------------------------------------------------

TWO = frame(TEXT, b"one") + frame(TEXT, b"two")


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"", "dropped the connection without saying why$"),
        (frame(TEXT, b"three")[:4], "dropped the connection without saying why$"),
        (frame(CLOSE, b"\x03\xf4restart"), "code 1012 SERVICE_RESTART: restart$"),
        (frame(CLOSE, b""), "ended the conversation with code 1005 NO_STATUS_RCVD$"),
        (frame(CLOSE, b"\x10\x01token=s3"), r"4097 PRIVATE_RESERVED: token=\[token\]$"),
        (frame(CLOSE, b"\x03\xef\xff"), "sent text that is not UTF-8"),
        (frame(TEXT, b"caf\xe9"), "^127.0.0.1 sent text that is not UTF-8"),
        (frame(3, b""), "code 1002 PROTOCOL_ERROR: Invalid opcode 0x3$"),
        (frame(MORE, b""), "code 1002 PROTOCOL_ERROR: unexpected CONT"),
        (
            frame(TEXT, b"x" * (feed.LARGEST + 1)) + frame(PING, b"") + TWO,
            "^127.0.0.1 sent a message of more than 4 MiB",
        ),
        (
            frame(TEXT, b"x" * feed.LARGEST, fin=False)
            + frame(MORE, b"x", fin=False)
            + frame(MORE, b"rest")
            + TWO,
            "sent a message of more than 4 MiB",
        ),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_delivers_all_and_says_how_it_ended(
    nursery: trio.Nursery,
    losing: Callable[..., Any],
    sent: bytes,
    words: str,
    *,
    at_once: bool,
) -> None:
    freed = trio.Event()

    async def rude(stream: trio.abc.Stream) -> None:
        before = TWO + frame(BINARY, b"\xff")
        await accept(stream, before if at_once else b"")
        try:
            await stream.send_all(sent if at_once else before + sent)
            assert isinstance(stream, trio.SocketStream)
            await stream.send_eof()
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass  # it has not read all of ours
        freed.set()

    upstream = at(await serve_rudely(nursery, rude))
    with losing(words):
        async with upstream.connect(PATH, {}) as link:
            assert await three(link) == ["one", "two", b"\xff"]
            await link.receive()
    with losing(words):
        await link.receive()
    with losing(words):
        await link.send("ping")
    with trio.fail_after(1):
        await freed.wait()


async def test_a_burst_before_the_fault_is_delivered(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    burst = [str(n) for n in range(feed.QUEUE - 1)]

    async def rude(stream: trio.abc.Stream) -> None:
        await accept(stream)
        await stream.send_all(
            b"".join(frame(TEXT, text.encode()) for text in burst)
            + frame(TEXT, b"x" * (feed.LARGEST + 1))
        )
        await trio.sleep_forever()

    async def listen() -> None:
        async with in_memory(nursery, rude).connect(PATH, {}) as link:
            await trio.sleep(30)
            while True:
                received.append(await link.receive())

    received: list[str | bytes] = []
    with pytest.raises(FeedLost, match="more than 4 MiB"):
        await listen()
    assert received == burst
    nursery.cancel_scope.cancel()


async def test_puts_fragments_together(nursery: trio.Nursery) -> None:
    async def rude(stream: trio.abc.Stream) -> None:
        await accept(stream)
        for part in (
            frame(TEXT, b"caf\xc3", fin=False),
            frame(PING, b"between"),
            frame(MORE, b"\xa9", fin=False),
            frame(MORE, b""),
            frame(TEXT, b"x" * feed.LARGEST),
        ):
            for half in (part[:3], part[3:]):
                await stream.send_all(half)
                await trio.testing.wait_all_tasks_blocked()
        await stream.receive_some()

    upstream = at(await serve_rudely(nursery, rude))
    with trio.fail_after(5):
        async with upstream.connect(PATH, {}) as link:
            assert await link.receive() == "café"
            assert await link.receive() == "x" * feed.LARGEST


# --- a dead link, in virtual time ------------------------------------------------


async def test_a_half_open_link_is_noticed(
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    losing: Callable[..., Any],
) -> None:
    async def rude(stream: trio.abc.Stream) -> None:
        await accept(stream)
        await trio.sleep(100)
        await stream.send_all(TWO)

    upstream = in_memory(nursery, rude)
    with pytest.raises(FeedLost, match=r"^127\.0\.0\.1 sent no byte for 40 s$"):
        async with upstream.connect(PATH, {}) as link:
            await link.receive()
    assert trio.current_time() == pytest.approx(40)


async def test_a_quiet_night_is_left_alone(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    async def quiet(stream: trio.abc.Stream) -> None:
        async with served(stream) as ws:
            for _ in range(360):
                await trio.sleep(10)
                await ws.ping()
            await ws.send_message("morning")
            await trio.sleep_forever()

    async with in_memory(nursery, quiet).connect(PATH, {}) as link:
        assert await link.receive() == "morning"
    assert trio.current_time() == pytest.approx(3600, abs=5)


async def test_a_slow_reader_is_not_a_silent_feed(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    count = 3 * feed.QUEUE

    async def busy(stream: trio.abc.Stream) -> None:
        await accept(stream)
        await stream.send_all(frame(TEXT, b"x") * count)
        await trio.sleep(620)
        await stream.send_all(frame(TEXT, b"still here"))
        await trio.sleep_forever()

    async with in_memory(nursery, busy).connect(PATH, {}) as link:
        await trio.sleep(600)
        for _ in range(count):
            assert await link.receive() == "x"
        assert await link.receive() == "still here"


class Clogged(trio.abc.Stream):
    """A link that takes no byte any more, from a moment on."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.clogged = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.clogged:
            await trio.sleep_forever()
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        raise NotImplementedError

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self.stream.aclose()


@pytest.mark.parametrize("pinged", [True, False])
async def test_a_link_that_takes_nothing(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, *, pinged: bool
) -> None:
    links: list[Clogged] = []

    async def rude(stream: trio.abc.Stream) -> None:
        await accept(stream)
        while pinged:
            await trio.sleep(5)
            await stream.send_all(frame(PING, b""))
        await trio.sleep_forever()

    async def dial(_host: str, _port: int) -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        nursery.start_soon(rude, theirs)
        links.append(Clogged(ours))
        return links[0]

    async def talk() -> None:
        with trio.fail_after(60):
            async with at(1, dial=dial).connect(PATH, {}) as link:
                links[0].clogged = True
                await (link.receive() if pinged else link.send("ping"))

    with pytest.raises(FeedLost, match=r"does not take our bytes \(10 s\)$"):
        await talk()
    assert trio.current_time() == pytest.approx(15 if pinged else 10)
    nursery.cancel_scope.cancel()


async def test_who_stands_in_line_to_send_waits_no_longer(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    links: list[Clogged] = []

    async def dial(_host: str, _port: int) -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        nursery.start_soon(accept, theirs)
        links.append(Clogged(ours))
        return links[0]

    async def send(link: WebSocketLink) -> None:
        with pytest.raises(FeedLost, match="does not take our bytes"):
            await link.send("ping")

    async with at(1, dial=dial).connect(PATH, {}) as link:
        links[0].clogged = True
        async with trio.open_nursery() as senders:
            for _ in range(3):
                senders.start_soon(send, link)
    assert trio.current_time() == pytest.approx(10)


async def test_a_link_that_breaks_under_a_send(
    nursery: trio.Nursery, losing: Callable[..., Any]
) -> None:
    async def rude(stream: trio.abc.Stream) -> None:
        await accept(stream)
        await trio.sleep_forever()

    class Breaking(Clogged):
        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            if self.clogged:
                raise trio.BrokenResourceError from OSError(32, "Broken pipe")
            await super().send_all(data)

    async def dial(_host: str, _port: int) -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        nursery.start_soon(rude, theirs)
        links.append(Breaking(ours))
        return links[0]

    links: list[Clogged] = []
    with losing(r"^127\.0\.0\.1 broke the connection \(Broken pipe\)$"):
        async with at(1, dial=dial).connect(PATH, {}) as link:
            links[0].clogged = True
            await link.send("ping")
    nursery.cancel_scope.cancel()


# --- leaving ---------------------------------------------------------------------


async def test_says_goodbye(nursery: trio.Nursery) -> None:
    goodbyes = []

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        with pytest.raises(ConnectionClosed) as closed:
            await ws.get_message()
        goodbyes.append(closed.value.reason and closed.value.reason.code)

    upstream = at(await serve(nursery, handler))
    async with upstream.connect(PATH, {}):
        pass
    await wait_all_tasks_blocked()
    assert goodbyes == [1000]


@pytest.mark.parametrize("flood", [b"", frame(TEXT, b"x") * 3 * feed.QUEUE])
async def test_a_goodbye_without_an_answer_is_short(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, flood: bytes
) -> None:
    async def rude(stream: trio.abc.Stream) -> None:
        await accept(stream, flood)
        while received := await stream.receive_some():
            assert received[0] == 0x80 | CLOSE
        times.append(trio.current_time())

    times: list[float] = []
    async with in_memory(nursery, rude).connect(PATH, {}) as link:
        await wait_all_tasks_blocked()
    assert trio.current_time() == pytest.approx(feed.GOODBYE)
    await wait_all_tasks_blocked()
    assert times == [pytest.approx(feed.GOODBYE)]
    with pytest.raises(FeedLost):
        await link.send("ping")


@pytest.mark.parametrize("last", [frame(PING, b""), None])
async def test_a_goodbye_ends_where_it_can_only_fail(
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    last: bytes | None,
) -> None:
    """A PING in answer to a close makes trio-websocket's reader trip."""

    async def rude(stream: trio.abc.Stream) -> None:
        await accept(stream)
        await stream.receive_some()
        await (stream.aclose() if last is None else stream.send_all(last))

    async with in_memory(nursery, rude).connect(PATH, {}):
        pass
    assert trio.current_time() == 0


async def test_cancelled_while_receiving_it_says_goodbye(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    goodbyes = []

    async def handler(stream: trio.abc.Stream) -> None:
        async with served(stream) as ws:
            with pytest.raises(ConnectionClosed):
                await ws.get_message()
            goodbyes.append(ws.closed and ws.closed.code)

    with trio.move_on_after(7) as scope:
        async with in_memory(nursery, handler).connect(PATH, {}) as link:
            await link.receive()
    assert scope.cancelled_caught
    assert trio.current_time() == pytest.approx(7)  # the other side did answer
    await wait_all_tasks_blocked()
    assert goodbyes == [1000]


async def test_cancelled_while_connecting_it_closes_the_socket(
    nursery: trio.Nursery,
) -> None:
    asked, freed = trio.Event(), trio.Event()

    async def rude(stream: trio.abc.Stream) -> None:
        await head(stream)
        asked.set()
        assert await stream.receive_some() == b""
        freed.set()

    upstream = at(await serve_rudely(nursery, rude))
    with trio.fail_after(5):
        async with trio.open_nursery() as inner:
            inner.start_soon(attempt, upstream)
            await asked.wait()
            inner.cancel_scope.cancel()
        await freed.wait()


@pytest.mark.parametrize("ticks", range(12))
async def test_cancelled_at_any_tick_it_comes_to_an_end(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, ticks: int
) -> None:
    """Between the answer and our noticing it, too."""

    async def handler(stream: trio.abc.Stream) -> None:
        await accept(stream)
        ticking.set()
        while await stream.receive_some():
            pass

    async def visit() -> None:
        async with in_memory(nursery, handler).connect(PATH, {}) as link:
            await link.receive()

    ticking = trio.Event()
    with trio.fail_after(10):
        async with trio.open_nursery() as inner:
            inner.start_soon(visit)
            await ticking.wait()
            for _ in range(ticks):
                await trio.lowlevel.checkpoint()
            inner.cancel_scope.cancel()
    assert trio.current_time() <= feed.GOODBYE


@pytest.mark.parametrize(
    "error", [KeyError("a bug"), FeedLost("of the body's own"), OSError(5, "theirs")]
)
async def test_leaves_the_bodys_exception_as_it_is(
    nursery: trio.Nursery, error: Exception
) -> None:
    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        with pytest.raises(ConnectionClosed):
            await ws.get_message()

    upstream = at(await serve(nursery, handler))
    with pytest.raises(type(error)) as caught:
        async with upstream.connect(PATH, {}):
            raise error
    assert caught.value is error
    assert caught.value.__context__ is None


async def test_a_bug_in_the_edge_is_not_taken_for_a_loss(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        await ws.send_message("x")

    upstream = at(await serve(nursery, handler))
    monkeypatch.setattr(feed, "_pass_on", broken)
    with pytest.RaisesGroup(ZeroDivisionError):
        async with upstream.connect(PATH, {}) as link:
            await link.receive()


async def test_the_librarys_logger_is_quiet(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: WebSocketRequest) -> None:
        await request.accept()

    upstream = at(await serve(nursery, handler))
    async with upstream.connect(PATH, {}):
        pass
    assert [record for record in caplog.records if "websocket" in record.name] == []


async def test_the_wire_passes_on_what_it_does_not_limit() -> None:
    ours, _theirs = memory_stream_pair()
    inbox, _ = trio.open_memory_channel[str | bytes](0)
    stream = wire.Wire(ours, inbox, Splitter(feed.LARGEST))
    await stream.wait_send_all_might_not_block()
