"""What is asked for, and how one is turned away."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
import trio
from trio.testing import memory_stream_pair
from trio_websocket import (
    WebSocketRequest,
    wrap_server_stream,
)
from upstream.websocket.peers import (
    PATH,
    PATIENCE,
    QUOTED,
    SECRET,
    TOKEN,
    Said,
    accept,
    at,
    attempt,
    head,
    in_memory,
    serve,
    serve_rudely,
)

from bzredis import __version__
from bzredis.errors import BridgeError, FeedLost, FeedRefused
from bzredis.upstream import websocket as feed
from bzredis.upstream.websocket import Upstream

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


@pytest.mark.parametrize(
    ("header", "date"),
    [
        (b"", ""),
        (b"\r\nDate: Sat, 28 Nov 2026 06:00:00 GMT", "Sat, 28 Nov 2026 06:00:00 GMT"),
        (b"\r\nX-Date: x\r\ndate:  y \r\nDate: z", "y"),
    ],
)
async def test_says_what_time_it_was_there(
    nursery: trio.Nursery, header: bytes, date: str
) -> None:
    async def rude(stream: trio.abc.Stream) -> None:
        await accept(stream, b"", header)
        await stream.receive_some()

    with trio.fail_after(PATIENCE):
        async with at(await serve_rudely(nursery, rude)).connect(PATH, {}) as link:
            assert link.date == date


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
    assert caught.value.status == status


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize(
    ("to", "words"),
    [
        (f"https://new.test/x?token={SECRET}", "to https://new.test,"),
        (f"wss://{TOKEN}@new.test:8443/", "to somewhere,"),
        ("wss://me@new.test:8443/", "to wss://new.test:8443,"),
        (f"//new.test/{TOKEN}", "to ://new.test,"),
        (f"/v2?token={SECRET}", "to another of its paths,"),
        ("https://new.test:x/", "to somewhere,"),
        (f"https://{'x' * 500}/", "to somewhere,"),
    ],
)
async def test_a_redirect_is_told_and_not_followed(
    nursery: trio.Nursery, losing: Callable[..., Any], status: int, to: str, words: str
) -> None:
    async def handler(request: WebSocketRequest) -> None:
        await request.reject(status, extra_headers=[(b"Location", to.encode())])

    upstream = at(await serve(nursery, handler))
    told = f"answered HTTP {status}, a redirect {words} which is not followed$"
    with losing(told, FeedLost) as caught:
        await attempt(upstream)
    assert SECRET not in str(caught.value)


RESPONSE = b"HTTP/1.1 %s\r\n\r\n%s"
UPGRADE = b"101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade"


STRANGE = [
    (b"", FeedLost, "asked for a WebSocket, dropped the connection"),
    (b"HTTP/1.1 4", FeedLost, "dropped the connection"),
    (b"SSH-2.0-OpenSSH_9\r\n\r\n", FeedLost, "protocol: Bad HTTP message$"),
    (RESPONSE % (b"200 OK", b"<p>"), FeedLost, "HTTP 200: <p>$"),
    (RESPONSE % (b"103 Early Hints", b""), FeedLost, "HTTP 103$"),
    (
        RESPONSE % (b"302 Found\r\nLocation: /", b""),
        FeedLost,
        "HTTP 302, a redirect to another",
    ),
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
    with trio.fail_after(PATIENCE):
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
