"""TLS as a server may have it, or not."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from trio.testing import memory_stream_pair
from trio_websocket import (
    ConnectionClosed,
    WebSocketRequest,
    wrap_server_stream,
)
from upstream.websocket.peers import (
    PATH,
    PATIENCE,
    TEXT,
    TOKEN,
    accept,
    attempt,
    frame,
    serve_rudely,
)

from bzredis.errors import FeedLost
from bzredis.upstream.rest import Rest
from bzredis.upstream.transport import trusted
from bzredis.upstream.websocket import Upstream


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
    with trio.fail_after(PATIENCE):
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


async def test_whom_the_system_trusts_is_read_once(
    nursery: trio.Nursery,
    ca: trustme.CA,
    losing: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Each connection would hold up the others for some 50 ms.

    What is not trusted has them read anew: a bridge runs for months, and lists change.
    """
    port = await serve_tls(nursery, ca, "127.0.0.1")
    upstream = Upstream(f"wss://127.0.0.1:{port}", lambda: TOKEN)
    default, made = ssl.create_default_context, 0

    def counted() -> ssl.SSLContext:
        nonlocal made
        made += 1
        return default()

    monkeypatch.setattr(ssl, "create_default_context", counted)
    trusted.cache_clear()
    with losing("its certificate is not accepted"):
        await attempt(upstream)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    for _ in range(2):
        async with upstream.connect(PATH, {}) as link:
            assert await link.receive() == "safe"
        async with Rest("https://127.0.0.1:9", lambda: TOKEN):
            pass
    trusted.cache_clear()
    assert made == 2


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
