"""A command without a thread: all of it goes out, and its answer is the whole one."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trustme
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, OutOfMemoryError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from store.servers import Peer, new_log, pack, rating

from bzredis.ports import Batch
from bzredis.store.wire import Line
from bzredis.streams import RATINGS

LIMIT = 60.0  # s, which only failures meet
LARGE = b"x" * (8 * 2**20)  # more than a socket takes at once

Serve = Callable[[trio.abc.Stream], Awaitable[None]]
Ask = Callable[..., Awaitable[Any]]


async def _read(stream: trio.abc.Stream, until: bytes) -> bytes:
    data = bytearray()
    while until not in data:
        more = await stream.receive_some(16 * 1024)  # slower than it is sent
        assert more, "the client left"
        data += more
    return bytes(data)


@contextmanager
def _trusted(folder: Path) -> Iterator[tuple[ssl.SSLContext, str]]:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    file = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    yield context, str(file)


@asynccontextmanager
async def served(
    serve: Serve, folder: Path, *, tls: bool = False, limit: float = LIMIT
) -> AsyncIterator[Ask]:
    """Give what asks a server of one connection, which waits for END of a command."""
    how: dict[str, Any] = {"retry": Retry(NoBackoff(), 0), "protocol": 2}
    # Nothing is said before the command.
    how["redis_connect_func"] = lambda at: at._parser.on_connect(at)
    with _trusted(folder) as (context, file):

        async def handle(stream: trio.SocketStream) -> None:
            over = trio.SSLStream(stream, context, server_side=True) if tls else stream
            await serve(over)
            await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            listen = partial(trio.serve_tcp, handle, 0, host="127.0.0.1")
            (at,) = await nursery.start(listen)
            port = at.socket.getsockname()[1]
            if tls:
                how |= {"ssl": True, "ssl_ca_certs": file}
            pool = Redis(host="127.0.0.1", port=port, **how).connection_pool
            made: Any = await trio.to_thread.run_sync(pool.get_connection)
            yield lambda *words: Line(made).ask(words, limit)
            made.disconnect()
            nursery.cancel_scope.cancel()


TLS = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


@TLS
async def test_a_large_command_arrives_whole_where_it_is_read_slowly(
    tmp_path: Path, *, tls: bool
) -> None:
    found = []

    async def serve(stream: trio.abc.Stream) -> None:
        found.append(await _read(stream, b"END"))
        await stream.send_all(b"+OK\r\n")

    async with served(serve, tmp_path, tls=tls) as ask:
        assert await ask("SET", LARGE, 7, "END") == b"OK"
    head = b"*4\r\n$3\r\nSET\r\n$%d\r\n" % len(LARGE)
    assert found[0].startswith(head + LARGE + b"\r\n$1\r\n7\r\n$3\r\nEND")


@TLS
async def test_an_answer_may_come_byte_by_byte(tmp_path: Path, *, tls: bool) -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        await _read(stream, b"END")
        for byte in b"*3\r\n:1\r\n$-1\r\n$4\r\n\r\n\xff0\r\n":
            await stream.send_all(bytes([byte]))
            await trio.lowlevel.checkpoint()

    async with served(serve, tmp_path, tls=tls) as ask:
        assert await ask("END") == [1, None, b"\r\n\xff0"]


@pytest.mark.parametrize("size", [1, 5, 12])
async def test_what_is_sent_behind_is_answered_behind(size: int) -> None:
    ours, theirs = socket.socketpair()
    said = b":1\r\n:2\r\n:3\r\n"

    async def answer() -> None:
        for begin in range(0, len(said), size):
            theirs.sendall(said[begin : begin + size])
            await trio.lowlevel.checkpoint()

    with ours, theirs:
        line = Line(SimpleNamespace(_sock=ours))
        for word in "XYZ":
            await line.send((word,), LIMIT)
        assert theirs.recv(100) == b"".join(b"*1\r\n$1\r\n%c\r\n" % c for c in b"XYZ")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            assert [await line.answer(LIMIT) for _ in range(3)] == [1, 2, 3]
        assert not line.waiting
        theirs.sendall(b"+OK\r\n+OK\r\n")
        with pytest.raises(InvalidResponse):
            await line.ask(("X",), LIMIT)


async def test_others_have_a_turn_where_each_answer_is_there_at_once() -> None:
    ours, theirs = socket.socketpair()
    turns, asked = 0, 50

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    with ours, theirs:
        theirs.sendall(b"+OK\r\n")
        made = SimpleNamespace(_sock=ours)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            for _ in range(asked):
                assert await Line(made).ask(("X",), LIMIT) == b"OK"
                theirs.sendall(b"+OK\r\n")
            nursery.cancel_scope.cancel()
    assert turns > asked // 2  # none without


async def test_one_that_is_closed_in_others_turn_was_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As by a store that is closed while a batch is on its way."""
    ours, theirs = socket.socketpair()
    made = SimpleNamespace(_sock=ours)

    async def closed() -> None:
        made._sock = None
        ours.close()

    with ours, theirs:
        line = Line(made)
        await line.send(("X",), LIMIT)
        monkeypatch.setattr(trio.lowlevel, "checkpoint", closed)
        with pytest.raises(RedisConnectionError):
            await line.answer(LIMIT)


async def test_one_that_is_not_open_is_not_connected_by_who_looks() -> None:
    made = Redis(host="127.0.0.1", port=1).connection_pool.make_connection()
    assert not Line(made).is_silent


async def test_an_error_is_of_the_kind_that_redis_py_makes_of_it(
    tmp_path: Path,
) -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        await _read(stream, b"END")
        await stream.send_all(b"-OOM no room\r\n")
        await _read(stream, b"END")
        await stream.send_all(b"-ERR what\r\n")

    async with served(serve, tmp_path) as ask:
        with pytest.raises(OutOfMemoryError, match="no room"):
            await ask("END")
        with pytest.raises(ResponseError, match="what"):
            await ask("END")


@pytest.mark.parametrize("answer", [b"+OK\r\n+OK\r\n", b"+OK\r\n$5\r\nab", b"?\r\n"])
async def test_what_is_no_one_answer_is_none(tmp_path: Path, answer: bytes) -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        await _read(stream, b"END")
        await stream.send_all(answer)

    async with served(serve, tmp_path) as ask:
        with pytest.raises(InvalidResponse):
            await ask("END")


@TLS
async def test_silence_has_a_limit_and_an_end_is_told(
    tmp_path: Path, *, tls: bool
) -> None:
    async def silent(stream: trio.abc.Stream) -> None:
        await _read(stream, b"END")

    async with served(silent, tmp_path, tls=tls, limit=0.05) as ask:
        with pytest.raises(RedisTimeoutError):
            await ask("END")

    async def gone(stream: trio.abc.Stream) -> None:
        await _read(stream, b"END")
        await stream.send_all(b"$9\r\nhal")
        await stream.aclose()

    async with served(gone, tmp_path, tls=tls) as ask:
        with pytest.raises(RedisConnectionError):
            await ask("END")


async def test_one_that_takes_nothing_has_a_limit_too(tmp_path: Path) -> None:
    async def deaf(_: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    async with served(deaf, tmp_path, limit=0.05) as ask:
        with pytest.raises(RedisTimeoutError):
            await ask("SET", LARGE * 4)


# ------------------------------------------------------------------- which connection


async def test_a_connection_that_was_closed_meanwhile_is_not_used(peer: Peer) -> None:
    store = peer.store()
    for record in "ab":
        batch = Batch(new_log(), 0, pack(RATINGS, [rating(record)]), None)
        assert await store.apply(RATINGS, batch)
        peer.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        ((_, spare),) = store._at._spare
        with trio.fail_after(LIMIT):
            while spare.is_silent:  # it is told a moment later
                await trio.sleep(0.001)
    store.close()


async def test_one_connection_serves_one_after_the_other(peer: Peer) -> None:
    store, met = peer.store(), []
    for n in range(5):
        batch = Batch(new_log(), 0, pack(RATINGS, [rating(f"b{n}")]), None)
        assert await store.apply(RATINGS, batch)
        met.append(peer.redis.info("stats")["total_connections_received"])
    assert met[0] == met[-1]
    store.close()


async def test_one_that_was_left_in_the_middle_is_not_used_again(peer: Peer) -> None:
    store = peer.store()
    await store.ping()
    at = store._at
    # Its answer comes when nobody waits for it any more, and is none to the next.
    with trio.move_on_after(0.05) as left:
        await at._asked(at.first, ("BLPOP", "nothing", "1"))
    assert left.cancelled_caught
    assert not at._spare
    assert await at._asked(at.first, ("ECHO", "mine")) == b"mine"
    assert len(at._spare) == 1
