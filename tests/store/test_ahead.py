"""A batch sent behind another, before that is answered: as if it came at its call."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count, pairwise
from typing import Any, Final

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store.servers import Peer, deleted, new_log, pack, rating

from bzredis.errors import StoreDown
from bzredis.ports import Applied, Batch, Behind, Log
from bzredis.store.client import Store
from bzredis.streams import INSIGHTS, RATINGS, Stream

LIMIT: Final = 60.0  # s, which only failures meet
_prefixes = (f"ahead{number}" for number in count())


def batches(number: int, size: int = 2, log: Log | None = None) -> list[Batch]:
    """Return consecutive batches of one log, each of records of its own."""
    log = log or new_log()
    named = [[f"{n}x{i}" for i in range(size)] for n in range(number)]
    return [
        Batch(log, n * size, pack(RATINGS, map(rating, names)), None)
        for n, names in enumerate(named)
    ]


async def begun(peer: Peer, *streams: Stream) -> Store:
    """Return a store that has seen the server know its scripts; nothing is written."""
    store, question = peer.store(), Batch(new_log(), 0, [], None)
    for stream in 2 * (streams or (RATINGS,)):
        await store.apply(stream, question)
    return store


async def taken(store: Store, *given: Batch) -> None:
    """Send batches, each with the next one behind it; each is news to Redis."""
    for batch, following in zip(given, [*given[1:], None], strict=True):
        answer = await store.apply(RATINGS, batch, following)
        assert isinstance(answer, Applied)
        assert answer.last == batch.first + len(batch.packed) - 1
        assert "again" not in answer.results


def calls(peer: Peer) -> int:
    """Return how many scripts were run since they were last counted."""
    told: dict[str, Any] = peer.redis.info("commandstats")
    count = sum(
        told.get(f"cmdstat_{name}", {"calls": 0})["calls"]
        for name in ("eval", "evalsha")
    )
    peer.redis.config_resetstat()
    return int(count)


def records(peer: Peer) -> list[str]:
    """Return the records of the log, each of which may stand there once."""
    return [entry["record"] for entry in peer.entries()]


async def arrived(is_here: Callable[[], bool]) -> None:
    with trio.fail_after(LIMIT):
        while not is_here():
            await trio.sleep(0.001)


async def test_it_takes_effect_at_once_and_its_call_only_asks_for_the_answer(
    peer: Peer,
) -> None:
    store = await begun(peer)
    first, second, third = batches(3)
    await store.apply(RATINGS, first)  # the script is known now
    calls(peer)
    assert await store.apply(RATINGS, second, third)
    await arrived(lambda: len(records(peer)) == 6)
    answer = await store.apply(RATINGS, third)
    assert isinstance(answer, Applied)
    assert answer.results == ("latest", "latest")
    assert answer.last == 5
    assert calls(peer) == 2
    assert records(peer) == ["0x0", "0x1", "1x0", "1x1", "2x0", "2x1"]
    store.close()


async def test_many_in_a_row_over_one_connection(peer: Peer) -> None:
    store = await begun(peer)
    given = batches(20)
    calls(peer)  # resets all counts
    await taken(store, *given)
    assert peer.redis.info("stats")["total_connections_received"] == 0
    assert calls(peer) == len(given)
    assert len(records(peer)) == len({*records(peer)}) == 40
    store.close()


async def test_where_another_comes_it_is_as_any_that_was_sent_before(
    peer: Peer,
) -> None:
    """The answer that nobody asks for is nobody else's."""
    store = await begun(peer)
    first, second, third = batches(3)
    whole = Batch(first.log, 0, [*first.packed, *second.packed, *third.packed], None)
    await store.apply(RATINGS, first)
    await store.apply(RATINGS, second, third)
    await arrived(lambda: len(records(peer)) == 6)
    question = await store.apply(RATINGS, Batch(first.log, 6, [], None))
    assert isinstance(question, Applied)
    assert question.results == ()
    answer = await store.apply(RATINGS, whole)
    assert isinstance(answer, Applied)
    assert answer.results == ("again",) * 6
    assert len(records(peer)) == 6
    store.close()


async def test_what_is_behind_what_was_refused_is_refused_too(peer: Peer) -> None:
    store = await begun(peer)
    first, second, third = batches(3)
    await store.apply(RATINGS, first)
    with peer.config(maxmemory="1", maxmemory_policy="noeviction"):
        with pytest.raises(StoreDown, match="full"):
            await store.apply(RATINGS, second, third)
        assert len(records(peer)) == 2
    await taken(store, second, third)
    assert len(records(peer)) == 6
    store.close()


async def test_what_is_behind_a_gap_waits_for_what_is_held(peer: Peer) -> None:
    store = await begun(peer)
    first, second, third = batches(3)
    await store.apply(RATINGS, first)
    peer.redis.flushall()  # it came back emptied
    assert await store.apply(RATINGS, second, third) == Behind(-1)
    assert not peer.redis.exists("bz:ratings:events")
    await taken(store, first, second, third)
    assert len(records(peer)) == 6
    store.close()


@pytest.mark.parametrize("was_known", [True, False])
async def test_a_script_that_redis_does_not_know_comes_with_its_text(
    peer: Peer, *, was_known: bool
) -> None:
    store = await begun(peer) if was_known else peer.store()
    peer.redis.script_flush()
    await taken(store, *batches(4))
    assert len(records(peer)) == 8
    store.close()


async def test_where_the_connection_ends_nothing_is_lost_or_doubled(peer: Peer) -> None:
    store = await begun(peer)
    given, failed = batches(6), 0
    await store.apply(RATINGS, given[0])
    for batch, following in zip(given[1:], [*given[2:], None], strict=True):
        answer: Applied | Behind | None = None
        for _ in range(3):
            try:
                answer = await store.apply(RATINGS, batch, following)
                break
            except StoreDown:
                failed += 1
        assert isinstance(answer, Applied)
        peer.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert len(records(peer)) == len({*records(peer)}) == 12
    assert failed
    store.close()


async def test_where_its_call_is_cancelled_it_is_not_asked_for_any_more(
    peer: Peer,
) -> None:
    store = await begun(peer)
    first, second, third = batches(3)
    await store.apply(RATINGS, first)
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.apply(RATINGS, second, third)
    assert scope.cancelled_caught
    assert not store._at._ahead
    for batch, following in ((second, third), (third, None)):
        assert isinstance(await store.apply(RATINGS, batch, following), Applied)
    assert len(records(peer)) == len({*records(peer)}) == 6
    store.close()


async def test_each_stream_has_its_own(peer: Peer) -> None:
    streams: tuple[Stream, ...] = (RATINGS, INSIGHTS)
    store = await begun(peer, *streams)
    given = {stream: batches(4, log=new_log()) for stream in streams}
    for n in range(4):
        for stream in streams:
            following = given[stream][n + 1] if n < 3 else None
            answer = await store.apply(stream, given[stream][n], following)
            assert isinstance(answer, Applied)
            assert "again" not in answer.results
    for stream in streams:
        assert len(peer.entries(f"{stream.name}:events")) == 8
    store.close()


async def test_what_one_stream_is_refused_takes_no_answer_from_another(
    peer: Peer,
) -> None:
    store = await begun(peer)
    first, second, third = batches(3)
    await store.apply(RATINGS, first, second)
    peer.redis.set("bz:insights:events", "no stream")
    with pytest.raises(StoreDown, match="WRONGTYPE"):
        await store.apply(INSIGHTS, batches(1)[0])
    answer = await store.apply(RATINGS, second, third)
    assert isinstance(answer, Applied)
    assert answer.results == ("latest", "latest")
    # Who answers so may not be who is meant any more: nothing more goes that way.
    assert not store._at._ahead
    assert not store._at._spare
    answer = await store.apply(RATINGS, third)
    assert isinstance(answer, Applied)
    assert answer.results == ("latest", "latest")
    store.close()


async def test_a_server_that_forgets_the_script_each_time_costs_no_connection(
    peer: Peer,
) -> None:
    store = await begun(peer)
    calls(peer)  # resets all counts
    for batch, following in pairwise(batches(8)):
        peer.redis.script_flush()
        answer = await store.apply(RATINGS, batch, following)
        assert isinstance(answer, Applied)
        assert "again" not in answer.results
    assert peer.redis.info("stats")["total_connections_received"] <= 1
    store.close()


def test_a_store_that_closes_leaves_nothing_on_its_way(peer: Peer) -> None:
    async def some() -> Store:
        store = await begun(peer)
        await store.apply(RATINGS, *batches(2))
        assert store._at._ahead
        return store

    store = trio.run(some)
    store.close()
    assert not store._at._ahead
    assert not store._at._spare


@given(data=st.data())
@settings(
    max_examples=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_however_much_is_sent_ahead_it_ends_as_one_by_one(
    peer: Peer, data: st.DataObject
) -> None:
    """Some of it is the next batch, some is not, and some connections end."""
    messages = data.draw(
        st.lists(
            st.one_of(
                st.builds(rating, st.sampled_from("abc"), st.integers(0, 5)),
                st.builds(deleted, st.sampled_from("abc"), at=st.integers(0, 6)),
            ),
            min_size=1,
            max_size=20,
        )
    )
    packed, ends, results = pack(RATINGS, messages), [], []

    async def send(store: Store, *, is_plain: bool) -> list[str]:
        log, at, told = new_log(), 0, [""] * len(packed)
        size = 1 if is_plain else data.draw(st.integers(1, 4))
        while at < len(packed):
            batch = Batch(log, at, packed[at : at + size], None)
            then, size = at + size, 1 if is_plain else data.draw(st.integers(1, 4))
            # What is announced may not be what comes.
            announced = size if is_plain or data.draw(st.booleans()) else size % 4 + 1
            following = Batch(log, then, packed[then : then + announced], None)
            if is_plain or not following.packed:
                answer = await store.apply(RATINGS, batch)
            else:
                answer = await store.apply(RATINGS, batch, following)
            assert isinstance(answer, Applied)
            if not is_plain and data.draw(st.integers(0, 5)) == 0:
                store._at._let_go()
            told[at : at + len(answer.results)] = answer.results
            at = then
        return told

    for is_plain in (True, False):
        prefix = next(_prefixes)
        store = peer.store(prefix)
        told = trio.run(partial(send, store, is_plain=is_plain))
        store.close()
        entries = [e for _, e in peer.redis.xrange(f"{prefix}:ratings:events")]
        keys = sorted(peer.redis.scan_iter(f"{prefix}:ratings:record:*"))
        hashes = [peer.redis.hgetall(key) for key in keys]
        for each in hashes:
            each.pop("_event")
        timeline = peer.redis.zrange(
            f"{prefix}:ratings:timeline:AAPL", 0, -1, withscores=True
        )
        ends.append((entries, hashes, timeline))
        results.append(told)
    assert ends[0] == ends[1]
    assert all(new in {old, "again"} for old, new in zip(*results, strict=True))
