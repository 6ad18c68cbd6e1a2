"""The client: errors in words and without secrets, limits, status and sign of life."""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio
from hurt import freeze, thaw
from store.servers import Peer, consensus, new_log, pack, rating

from bzredis.errors import StoreDown, StoreSlow, StoreUnready
from bzredis.ports import Applied, Batch, Sign
from bzredis.store import connection
from bzredis.store.client import Store
from bzredis.streams import CONSENSUS, RATINGS, Stream

SECRET = "s3cr3t"
AT_ONCE = 4.0  # s on a busy machine; without the limit it would be `ANSWER`


def batch(*frames: str, stream: Stream = RATINGS) -> Batch:
    """Make a batch of a log of its own."""
    return Batch(new_log(), 0, pack(stream, frames), None)


Call = Callable[[Store], Awaitable[object]]
CALLS: dict[str, Call] = {
    "apply": lambda store: store.apply(RATINGS, batch(rating())),
    "write_status": lambda store: store.write_status(
        RATINGS, {"a": "b"}, Sign("me", "fresh", "x", -1)
    ),
    "symbols": lambda store: store.symbols(RATINGS),
    "ping": lambda store: store.ping(),
}
EACH = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def shown(error: BaseException | None) -> Iterator[str]:
    """Yield all that a log might tell of an exception, suppressed contexts too."""
    while error is not None:
        yield f"{error} {error!r} {error.__dict__}"
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        for line in told.stack:
            if line.filename == __file__:
                line.locals = None  # what a test knows is no leak of ours
        yield from told.format()
        error = error.__cause__ or error.__context__


@contextmanager
def losing(words: str, kind: type[StoreDown] = StoreUnready) -> Iterator[None]:
    """Expect an error in these words, at once, and with no secret anywhere."""
    begin = time.monotonic()
    with pytest.raises(kind, match=words) as caught:
        yield
    assert time.monotonic() - begin < AT_ONCE
    assert caught.type is kind
    assert SECRET not in "".join(shown(caught.value))


@asynccontextmanager
async def answering(reply: bytes) -> AsyncIterator[Store]:
    """Stand in for a server: +OK to what sets a connection up, `reply` to all else."""

    async def serve(stream: trio.SocketStream) -> None:
        async for data in stream:
            if not data.startswith(b"*"):  # TLS
                await stream.send_all(reply)
                return
            for command in re.split(rb"\*\d+\r\n", data)[1:]:
                setting_up = b"CLIENT" in command or b"AUTH" in command
                if not setting_up and not reply:
                    return
                await stream.send_all(b"+OK\r\n" if setting_up else reply)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        port = listeners[0].socket.getsockname()[1]
        store = Store(f"redis://:{SECRET}@127.0.0.1:{port}/0")
        yield store
        store.close()
        nursery.cancel_scope.cancel()


# -------------------------------------------------------------------- errors in words

ANSWERS = {
    b"-OOM command not allowed\r\n": "Redis is full .*--events-maxlen",
    b"-READONLY You can't write against a read only replica.\r\n": "read only",
    b"-MASTERDOWN Link with MASTER is down\r\n": "is down",
    b"-CLUSTERDOWN The cluster is down\r\n": "is down",
    b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n": "rehashing",
    b"-NOPERM this user has no permissions\r\n": "no permissions",
    b"-NOAUTH Authentication required.\r\n": "wants a password, and got none: .*BZ",
    b"-WRONGPASS invalid username-password pair\r\n": "not accept this password.*BZ",
    b"-ERR max number of clients reached\r\n": "clients reached",
    b"-LOADING Redis is loading the dataset in memory\r\n": "refused: .*loading",
    b"-BUSY Redis is busy running a script.\r\n": "refused: .*busy",
    b"-MISCONF Redis is configured to save\r\n": "refused: MISCONF",
    b"-NOREPLICAS Not enough good replicas\r\n": "refused: NOREPLICAS",
    b"-NOSCRIPT No matching script.\r\n": "lost our script",
    b"-MOVED 1 127.0.0.1:1\r\n": "cannot reach Redis: .*127.0.0.1:1",
    b"-ASK 1 127.0.0.1:1\r\n": "is moving them",
    b"-CROSSSLOT Keys in request do not share\r\n": "hash tag",
}
# … and what may be the fault of what was sent.
OF_THE_BATCH = {
    b"-ERR nothing of the kind\r\n": "refused: nothing of the kind",
    b"-ERR Protocol error: invalid bulk length\r\n": "refused: Protocol error",
    b"I speak no such thing\r\n": "Redis refused: .*",
    b"": "cannot reach Redis: .*closed",
}


@pytest.mark.parametrize(("reply", "words"), ANSWERS.items(), ids=ANSWERS.values())
async def test_what_redis_says_is_told_in_words(reply: bytes, words: str) -> None:
    async with answering(reply) as store:
        with losing(words):
            await CALLS["apply"](store)


@pytest.mark.parametrize(
    ("reply", "words"), OF_THE_BATCH.items(), ids=OF_THE_BATCH.values()
)
async def test_what_may_be_the_batch_is_told_apart(reply: bytes, words: str) -> None:
    async with answering(reply) as store:
        with losing(words, StoreDown):
            await CALLS["apply"](store)


@EACH
async def test_no_server(call: Call, tmp_path: Path) -> None:
    with trio.socket.socket() as taken:
        await taken.bind(("127.0.0.1", 0))  # and nobody listens
        port = taken.getsockname()[1]
        with losing("cannot reach Redis: .*refused"):
            await call(Store(f"redis://u:{SECRET}@127.0.0.1:{port}/0"))
    with losing("cannot reach Redis: "):
        await call(Store(f"unix://:{SECRET}@{tmp_path}/none"))


async def test_a_host_that_can_be_no_name() -> None:
    with losing("cannot reach Redis: "):
        await Store(f"redis://:{SECRET}@{'x' * 70}.invalid:1/0").ping()


async def test_no_tls_there(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ANSWER", 0.2)  # a server that waits for more
    url = f"rediss://:{SECRET}@127.0.0.1:{peer.server.port}/0"
    with losing("did not answer within", StoreSlow):
        await Store(url).ping()


async def test_no_tls_but_an_answer() -> None:
    async with answering(b"+PONG\r\n") as plain:
        with losing("cannot reach Redis: "):
            await Store(plain.url.replace("redis:", "rediss:")).ping()


@EACH
async def test_a_wrong_password_is_told_and_not_shown(peer: Peer, call: Call) -> None:
    rules = ("on", ">right", "~*", "+@all")
    peer.redis.execute_command("ACL", "SETUSER", "bridge", *rules)
    with losing("does not accept this password, or user: .*BZREDIS_REDIS"):
        await call(peer.store(user=f"bridge:{SECRET}"))


async def test_a_missing_password_is_told(peer: Peer) -> None:
    with peer.config(requirepass=SECRET), losing("wants a password, and got none"):
        await peer.store().ping()


async def test_a_password_too_much_is_told(peer: Peer) -> None:
    with losing("does not accept this password, or user"):
        await peer.store(user=f"nobody:{SECRET}").ping()
    with losing("Redis has no password, and got one"):
        await peer.store(user=f":{SECRET}").ping()


async def test_a_database_that_is_not_there(peer: Peer) -> None:
    url = f"redis://127.0.0.1:{peer.server.port}/9999"
    with losing("DB index is out of range|[Ii]nvalid [Dd]atabase", StoreDown):
        await Store(url).ping()


@pytest.mark.parametrize("url", ["redis://u:{}@h/0", "unix://u:{}@/x?db=1"])
def test_a_store_shows_no_url(url: str) -> None:
    store = Store(url.format(SECRET))
    assert SECRET not in f"{store!r} {store}"


# ------------------------------------------------------------------------- limits


@contextmanager
def frozen(peer: Peer) -> Iterator[None]:
    freeze(peer.server)
    try:
        yield
    finally:
        thaw(peer.server)
        # What had been sent to it comes first, and does not reach into the next test.
        peer.redis.ping()
        peer.redis.ping()


@EACH
async def test_a_frozen_server_is_waited_for_within_limits(
    peer: Peer, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ANSWER", 0.1)
    with frozen(peer), losing("did not answer within", StoreSlow):
        await call(peer.store())


async def test_a_connection_that_hangs_is_left(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = peer.store()
    await store.ping()
    monkeypatch.setattr(connection, "CALL", 0.1)
    with frozen(peer), losing("did not answer within 0 s", StoreSlow):
        await CALLS["apply"](store)
    monkeypatch.undo()
    await _once(peer, store)


async def test_a_call_is_cancelled_at_once(peer: Peer) -> None:
    store = peer.store()
    with frozen(peer):
        begin = trio.current_time()
        with trio.move_on_after(0.05) as scope:
            await CALLS["apply"](store)
        assert scope.cancelled_caught
        assert trio.current_time() - begin < AT_ONCE
    await _once(peer, store)


async def _once(peer: Peer, store: Store) -> None:
    """Send again what was given up on; Redis may have taken it since, or not."""
    await CALLS["apply"](store)
    assert len(peer.entries("ratings:events")) == 1
    await store.ping()


async def test_many_calls_share_a_store(peer: Peer) -> None:
    store = peer.store()
    async with trio.open_nursery() as nursery:
        for n in range(20):
            nursery.start_soon(store.apply, RATINGS, batch(rating(f"r{n}")))
    assert len(peer.timeline("AAPL")) == 20
    store.close()
    await store.ping()  # closing only lets go of what is open
    store.close()


def test_the_script_is_loaded_again_where_redis_lost_it(peer: Peer) -> None:
    store = peer.store()
    assert peer.one(rating("a"), store=store) == "latest"
    peer.redis.script_flush()
    assert peer.one(rating("b"), store=store) == "latest"


async def test_each_result_belongs_to_its_change(peer: Peer) -> None:
    frames = [consensus(), consensus(symbol=None), "x", consensus(0.5)]
    sent = batch(*frames, stream=CONSENSUS)
    applied = await peer.store().apply(CONSENSUS, sent)
    assert isinstance(applied, Applied)
    assert applied.results == ("latest", "unattributed", "rejected", "none")
    assert applied.last == 3


@pytest.mark.parametrize("count", [0, 1, 15, 16, 255, 256])
async def test_batches_of_any_size(peer: Peer, count: int) -> None:
    sent = batch(*(rating(f"r{n}", symbol="") for n in range(count)))
    applied = await peer.store().apply(RATINGS, sent)
    assert isinstance(applied, Applied)
    assert applied.results == ("record",) * count


async def test_the_symbols_that_changed_last_come_first(peer: Peer) -> None:
    store = peer.store()
    assert await store.symbols(RATINGS) == []
    peer.redis.zadd("bz:ratings:symbols", {"A": 1, "C": 3, "B": 2})
    assert await store.symbols(RATINGS) == ["C", "B", "A"]
