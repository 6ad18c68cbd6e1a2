"""A real proxy on loopback, for streams and REST alike; inside of it is TLS."""

from __future__ import annotations

import ssl
from base64 import b64encode
from contextlib import suppress
from functools import partial
from typing import Any

import attrs
import pytest
import trio
import trustme

from bzredis.errors import BridgeError, FeedLost, RestDown
from bzredis.simulator import Settings, Simulator
from bzredis.streams import CONSENSUS, RATINGS
from bzredis.upstream import rest as rest_module
from bzredis.upstream.proxy import Proxy
from bzredis.upstream.rest import Rest
from bzredis.upstream.websocket import Upstream

HOST = "feed.test"  # which nobody can reach but the proxy
TOKEN = "t0ken-that-no-proxy-sees"
PASSWORD = "pass:w%ord"
LOGIN = f"me:{PASSWORD}"
LIMIT = 60.0  # s
OK = b"HTTP/1.1 200 Connection established\r\n\r\n"


async def pass_on(one: trio.abc.Stream, other: trio.abc.Stream, seen: Any) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async for piece in one:
            seen.append(bytes(piece))
            await other.send_all(piece)
    await trio.aclose_forcefully(other)


async def join(one: trio.abc.Stream, port: int, seen: Any) -> None:
    other = await trio.open_tcp_stream("127.0.0.1", port)
    async with other, trio.open_nursery() as nursery:
        nursery.start_soon(pass_on, other, one, seen)
        await pass_on(one, other, seen)


def port_of(listener: Any) -> int:
    listener = getattr(listener, "transport_listener", listener)
    return int(listener.socket.getsockname()[1])


@attrs.define
class Asked:
    """A proxy that knows CONNECT and one host, and keeps what it sees."""

    to: int  # the port that is HOST
    answer: bytes = OK
    port: int = 0
    heads: list[bytes] = attrs.field(factory=list)
    seen: list[bytes] = attrs.field(factory=list)

    async def serve(self, client: trio.SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (piece := await client.receive_some()):
                return
            head += piece
        self.heads.append(head)
        await client.send_all(self.answer[:9])  # in two pieces, as it may come
        await trio.sleep(0.01)
        await client.send_all(self.answer[9:])
        if self.answer == OK:
            await join(client, self.to, self.seen)

    def named(self, login: str = "") -> Proxy:
        return Proxy("127.0.0.1", self.port, login)


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(ca: trustme.CA) -> ssl.SSLContext:
    found = ssl.create_default_context()
    ca.configure_trust(found)
    return found


@pytest.fixture
async def proxy(nursery: trio.Nursery, ca: trustme.CA) -> Asked:
    """Serve a simulated upstream under TLS, and a proxy that leads to it."""
    simulator = Simulator(Settings(token=TOKEN, rate=50, rest_limit=1_000))
    plain = await nursery.start(simulator.serve)
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert(HOST).configure_cert(theirs)

    async def unwrap(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.do_handshake()
            await join(stream, plain, [])

    at_home = partial(trio.serve_ssl_over_tcp, https_compatible=True, host="127.0.0.1")
    [listener] = await nursery.start(partial(at_home, unwrap, 0, theirs))
    found = Asked(port_of(listener))
    [listener] = await nursery.start(
        partial(trio.serve_tcp, found.serve, 0, host="127.0.0.1")
    )
    found.port = port_of(listener)
    return found


def stream(proxy: Proxy, trusting: ssl.SSLContext | None = None) -> Upstream:
    return Upstream(f"wss://{HOST}", lambda: TOKEN, trusting, proxy=proxy)


@pytest.fixture
def rest(trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(rest_module, "FIRST", 0.002)
    monkeypatch.setattr(rest_module, "LAST", 0.004)
    return lambda proxy: Rest(
        f"https://{HOST}", lambda: TOKEN, 1_000.0, trusting, proxy=proxy
    )


async def message(upstream: Upstream) -> str | bytes:
    with trio.fail_after(LIMIT):
        async with upstream.connect(RATINGS.path, {}) as link:
            await link.send("replay")
            return await link.receive()


async def look_up(rest: Rest) -> str | None:
    assert CONSENSUS.lookup is not None
    with trio.fail_after(LIMIT):
        async with rest:
            return await rest.lookup(CONSENSUS.lookup, "AAPL", {})


async def test_streams_and_rest_go_through_it_and_it_reads_nothing(
    proxy: Asked, trusting: ssl.SSLContext, rest: Any
) -> None:
    assert await message(stream(proxy.named(LOGIN), trusting))
    assert "consensus_rating" in str(await look_up(rest(proxy.named(LOGIN))))
    assert len(proxy.heads) == 2
    login = b"Basic " + b64encode(LOGIN.encode())
    for head in proxy.heads:
        assert head.startswith(b"CONNECT feed.test:443 HTTP/1.1\r\n")
        assert b"proxy-authorization: " + login.lower() in head.lower()
        assert login in head
    seen = b"".join([*proxy.heads, *proxy.seen])
    assert len(seen) > 1_000
    assert TOKEN.encode() not in seen
    assert b"ratings" not in seen


async def test_without_a_login_none_is_sent(
    proxy: Asked, trusting: ssl.SSLContext, rest: Any
) -> None:
    await message(stream(proxy.named(), trusting))
    await look_up(rest(proxy.named()))
    assert not any(b"authorization" in head.lower() for head in proxy.heads)


ANSWERS = pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n",
            r"wants a user and a password, or others .* \(HTTP 407\)$",
        ),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", r"lets nobody .*HTTP 403\)$"),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", r"no way \(HTTP 502\)$"),
        (b"HTTP/1.1 429 Bad\r\nContent-Length: 0\r\n\r\n", r"no way \(HTTP 429\)$"),
    ],
)


def is_told(error: BridgeError, proxy: Asked) -> None:
    """See that it names the proxy, and no secret."""
    assert f"the proxy 127.0.0.1:{proxy.port}, asked for feed.test, " in str(error)
    assert PASSWORD not in f"{error!r}"
    assert TOKEN not in f"{error!r}"


@ANSWERS
async def test_what_it_refuses_is_told_in_words(
    proxy: Asked, rest: Any, answer: bytes, words: str
) -> None:
    proxy.answer = answer
    with pytest.raises(FeedLost, match=words) as lost:
        await message(stream(proxy.named(LOGIN)))
    is_told(lost.value, proxy)
    assert lost.value.status is None, "upstream said nothing"
    with pytest.raises(RestDown, match=words) as down:
        await look_up(rest(proxy.named(LOGIN)))
    is_told(down.value, proxy)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.6\r\n\r\n"])
async def test_what_is_no_proxy_is_told_as_such(proxy: Asked, answer: bytes) -> None:
    proxy.answer = answer
    with pytest.raises(FeedLost, match="hung up, or gave no answer in HTTP") as lost:
        await message(stream(proxy.named()))
    is_told(lost.value, proxy)


async def test_one_that_is_not_there_is_named(rest: Any, nursery: trio.Nursery) -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nowhere = Proxy("127.0.0.1", port_of(listener), LOGIN)
    await listener.aclose()
    words = f"the proxy {nowhere.shown} cannot be reached: .*refused"
    with pytest.raises(FeedLost, match=words):
        await message(stream(nowhere))
    with pytest.raises(RestDown, match=words):
        await look_up(rest(nowhere))


async def test_one_that_says_nothing_is_not_waited_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def dial(_host: str, _port: int) -> trio.abc.Stream:
        return trio.testing.memory_stream_pair()[0]

    upstream = attrs.evolve(stream(Proxy("proxy.test", 3128, LOGIN)), dial=dial)
    with pytest.raises(FeedLost, match=r"proxy\.test:3128.*no answer within 10 s"):
        async with upstream.connect(RATINGS.path, {}):
            pass
    assert trio.current_time() == pytest.approx(10)


async def test_a_certificate_that_nobody_trusts_is_not_the_proxys(
    proxy: Asked, rest: Any
) -> None:
    with pytest.raises(FeedLost, match=f"^{HOST} failed the TLS handshake: .*cert"):
        await message(stream(proxy.named()))
    asker = attrs.evolve(rest(proxy.named()), tls=ssl.create_default_context())
    with pytest.raises(RestDown, match="failed: ") as down:
        await look_up(asker)
    assert "the proxy" not in str(down.value)


def test_its_login_shows_nowhere() -> None:
    assert PASSWORD not in f"{stream(Proxy('h', 1, LOGIN))!r}"
