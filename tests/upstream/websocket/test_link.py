"""Messages, how they end, and a dead link; virtual time where time is the point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
import trio
from trio.testing import memory_stream_pair
from upstream.websocket.peers import (
    BINARY,
    CLOSE,
    MORE,
    PATH,
    PATIENCE,
    PING,
    TEXT,
    TOKEN,
    accept,
    at,
    frame,
    in_memory,
    serve_rudely,
    served,
    three,
)

from bzredis.errors import FeedLost
from bzredis.upstream import websocket as feed
from bzredis.upstream.websocket import WebSocketLink

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
    with trio.fail_after(PATIENCE):
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


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_what_repeats_the_token_is_blacked_out(
    nursery: trio.Nursery, opcode: int
) -> None:
    """What cannot be used is kept in Redis (contract.md, 8)."""
    said = f"no {TOKEN}, ?token={quote(TOKEN, safe='')}".encode()
    begin = b"\xff" if opcode == BINARY else b""

    async def rude(stream: trio.abc.Stream) -> None:
        await accept(stream, frame(opcode, begin + said))

    async with at(await serve_rudely(nursery, rude)).connect(PATH, {}) as link:
        found = await link.receive()
    found = found.encode() if isinstance(found, str) else found
    assert found == begin + b"no [token], ?token=[token]"


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
    with trio.fail_after(PATIENCE):
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


async def test_a_ping_of_upstreams_is_heard(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    async def polite(stream: trio.abc.Stream) -> None:
        await accept(stream)
        await trio.sleep(7)
        await stream.send_all(frame(PING, b""))
        await trio.sleep_forever()

    async def dial(_host: str, _port: int) -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        nursery.start_soon(polite, theirs)
        return ours

    async with at(1, dial=dial).connect(PATH, {}) as link:
        heard = []
        for _ in range(2):
            await trio.sleep(6)
            heard.append(link.heard_at)
        assert heard == pytest.approx([0, 7], abs=0.1)
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
