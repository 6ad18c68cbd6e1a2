"""The same in trio: nothing holds it up, and nothing is lost when a wait ends early."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, assert_type

import pytest
import trio
from hurt import freeze, restart, thaw
from store.servers import Peer, new_log, pack, rating

from bzredis.ports import Batch
from bzredis.reader import Entry, Gap, Rating, Reader, ReaderError, TrioReader
from bzredis.streams import RATINGS


@pytest.fixture
def reader_in_trio(peer: Peer) -> Iterator[TrioReader]:
    with TrioReader(peer.server.url) as reader:
        yield reader


async def put(peer: Peer, *frames: str) -> None:
    store = peer.store()
    try:
        await store.apply(RATINGS, Batch(new_log(), 0, pack(RATINGS, frames), None))
    finally:
        store.close()


def record(one: object) -> str | None:
    assert isinstance(one, Entry)
    return one.record


async def test_it_answers_as_the_other_one(
    peer: Peer, reader_in_trio: TrioReader, reader: Reader
) -> None:
    await put(peer, rating(analyst="One"))
    there = reader_in_trio
    assert_type(await there.latest("ratings", "AAPL"), Rating | None)
    assert await there.latest("ratings", "AAPL") == reader.latest("ratings", "AAPL")
    assert await there.latest("insights", "AAPL") is None
    assert await there.opinions("AAPL") == reader.opinions("AAPL") != ()
    assert await there.history("consensus", "AAPL") == ()
    assert await there.symbols("ratings") == reader.symbols("ratings") == ("AAPL",)
    assert await there.recent("ratings") == reader.recent("ratings") != ()
    assert await there.status("ratings") == reader.status("ratings")
    assert await there.fresh("ratings") is False
    events = [one async for one in there.events("ratings", "0", follow=False)]
    assert events == [*reader.events("ratings", "0", follow=False)] != []


async def test_events_as_they_come(peer: Peer, reader_in_trio: TrioReader) -> None:
    events = reader_in_trio.events("ratings", "0")
    found: list[Any] = []

    async def follow() -> None:
        async for one in events:
            found.append(record(one))
            if len(found) == 2:
                break

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            await put(peer, rating("a"))
            await put(peer, rating("b"))
    assert found == ["a", "b"]


async def test_a_wait_that_is_cancelled_loses_nothing(
    peer: Peer, reader_in_trio: TrioReader
) -> None:
    """The thread that is left to itself gets the entry; so does who asks next."""
    events = reader_in_trio.events("ratings", "0")
    with trio.move_on_after(0.1) as scope:
        await anext(events)
    assert scope.cancelled_caught
    with trio.move_on_after(0.1):
        await anext(events)
    await put(peer, rating("a"))
    with trio.fail_after(60):
        assert record(await anext(events)) == "a"


async def test_what_is_lost_between_two_waits_is_told(
    peer: Peer, reader_in_trio: TrioReader
) -> None:
    await put(peer, rating("a"))
    events = reader_in_trio.events("ratings", "0")
    assert record(await anext(events)) == "a"
    with trio.move_on_after(0.1):
        await anext(events)
    await put(peer, rating("b"), rating("c"))
    peer.redis.xtrim("bz:ratings:events", maxlen=1, approximate=False)
    with trio.fail_after(60):
        assert isinstance(await anext(events), Gap)
        assert record(await anext(events)) == "c"


async def test_events_go_on_after_redis_was_away(
    peer: Peer, reader_in_trio: TrioReader
) -> None:
    await put(peer, rating("a"))
    events = reader_in_trio.events("ratings", "0")
    with trio.fail_after(60):
        assert record(await anext(events)) == "a"
        peer.redis.save()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(restart, peer.server)
            with trio.move_on_after(1):
                await anext(events)
        await put(peer, rating("b"))
        assert record(await anext(events)) == "b"


async def test_a_redis_that_hangs_holds_up_no_one(
    peer: Peer, reader_in_trio: TrioReader
) -> None:
    await reader_in_trio.fresh("ratings")
    freeze(peer.server)
    try:
        with trio.move_on_after(0.2) as scope:
            await reader_in_trio.latest("ratings", "AAPL")
        assert scope.cancelled_caught
    finally:
        thaw(peer.server)
    assert await reader_in_trio.latest("ratings", "AAPL") is None


async def test_many_followers_leave_threads_for_others(
    peer: Peer, reader_in_trio: TrioReader
) -> None:
    others = trio.to_thread.current_default_thread_limiter()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                events = reader_in_trio.events("ratings")
                nursery.start_soon(partial(anext, events))
            await trio.sleep(0.1)
            assert others.borrowed_tokens == 0
            assert not await reader_in_trio.fresh("ratings")
            nursery.cancel_scope.cancel()


async def test_what_will_not_pass_is_raised(
    peer: Peer, reader_in_trio: TrioReader
) -> None:
    peer.redis.set("bz:ratings:events", "no stream")
    with pytest.raises(ReaderError, match="WRONGTYPE"):
        await anext(reader_in_trio.events("ratings"))
