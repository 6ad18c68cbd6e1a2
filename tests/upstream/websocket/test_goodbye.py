"""How a connection is left, whatever happens meanwhile."""

from __future__ import annotations

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked
from trio_websocket import (
    ConnectionClosed,
    WebSocketRequest,
)
from upstream.websocket.peers import (
    CLOSE,
    PATH,
    PATIENCE,
    PING,
    TEXT,
    accept,
    at,
    attempt,
    frame,
    head,
    in_memory,
    serve,
    serve_rudely,
    served,
)

from bzredis.errors import FeedLost
from bzredis.upstream import transport as wire
from bzredis.upstream import websocket as feed
from bzredis.upstream.framing import Splitter


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
    with trio.fail_after(PATIENCE):
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
