"""A stream's status and its sign of life."""

from __future__ import annotations

import time

import pytest
from redis.exceptions import OutOfMemoryError
from store.servers import Peer, new_log, pack, rating

from bzredis.changes.kinds import Opened
from bzredis.errors import StoreDown, StoreEvicts
from bzredis.ports import Batch, Presence, Sign
from bzredis.store import client
from bzredis.store.connection import Connection
from bzredis.store.script import status_script
from bzredis.streams import CONSENSUS, RATINGS

STATUS, ALIVE = "bz:ratings:status", "bz:ratings:alive"


HOLDER = "bz:ratings:internal:holder"


def sign(bridge: str, presence: Presence, log: str = "x", confirmed: int = -1) -> Sign:
    return Sign(bridge, presence, log, confirmed)


async def test_a_status_is_replaced_whole(peer: Peer) -> None:
    store = peer.store()
    assert peer.hash("ratings:status") == {}
    first = {"state": "connecting", "error": "ä"}
    assert await store.write_status(RATINGS, first, sign("me", "apart"))
    assert peer.hash("ratings:status") == first
    assert not peer.redis.exists(ALIVE)
    assert await store.write_status(RATINGS, {"state": "live"}, sign("me", "fresh"))
    assert peer.hash("ratings:status") == {"state": "live"}
    assert peer.redis.ttl(STATUS) == -1


@pytest.mark.parametrize("presence", ["connected", "apart", "gone"])
async def test_alive_is_there_only_while_it_is_fresh(
    peer: Peer, presence: Presence
) -> None:
    store = peer.store()
    for _ in range(2):
        began = time.monotonic()
        await store.write_status(RATINGS, {"a": "b"}, sign("me", "fresh"))
        assert peer.redis.get(ALIVE) == "me"
        left = peer.redis.ttl(ALIVE)
        assert 13 - (time.monotonic() - began) < left <= 15
        peer.redis.expire(ALIVE, 2)
    assert await store.write_status(RATINGS, {"a": "c"}, sign("me", presence))
    assert not peer.redis.exists(ALIVE)
    assert peer.hash("ratings:status") == {"a": "c"}


async def test_a_sign_that_was_made_before_the_machine_slept_is_not_believed(
    peer: Peer,
) -> None:
    """It may be on its way: a thread stands still, and goes on long after."""
    store = peer.store()
    with peer.redis.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe("bz:ratings:fresh")
        listener.get_message(timeout=60)  # the answer
        for slept, is_fresh in ((0, True), (13, True), (17, False), (0, True)):
            answered = store._answered.get("ratings")
            if isinstance(answered, int):
                store._answered["ratings"] = answered - slept
            wrote = await store.write_status(RATINGS, {"a": "b"}, sign("me", "fresh"))
            assert wrote == is_fresh == bool(peer.redis.exists(ALIVE))
        told = peer.heard(listener, "bz:ratings:fresh")
    assert told == ["1", "0 silent", "1"]


async def test_who_listens_hears_when_it_is_fresh_and_why_not(peer: Peer) -> None:
    store, log = peer.store(), new_log()
    gone: list[tuple[str, Presence]] = [
        ("behind", "connected"),
        ("disconnected", "apart"),
        ("stopped", "gone"),
    ]
    with peer.redis.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe("bz:ratings:fresh")
        listener.get_message(timeout=60)  # the answer

        async def heard(sign: Sign) -> list[str]:
            await store.write_status(RATINGS, {"a": "b"}, sign)
            return peer.heard(listener, "bz:ratings:fresh")

        for why, presence in gone:
            assert await heard(Sign("me", presence, "x", -1, why)) == []
            assert await heard(sign("me", "fresh")) == ["1"]
            assert await heard(sign("me", "fresh")) == []
            assert await heard(Sign("me", presence, "x", -1, why)) == [f"0 {why}"]
        # Also where the step itself finds out.
        assert await heard(sign("me", "fresh", log.id)) == ["1"]
        assert await heard(sign("me", "fresh", log.id, 5)) == ["0 missing"]
        # It expired, as after a bridge that was killed.
        assert await heard(sign("me", "fresh")) == ["1"]
        peer.redis.delete(ALIVE)
        assert await heard(sign("me", "connected")) == []


@pytest.mark.parametrize("presence", ["fresh", "connected", "apart"])
@pytest.mark.parametrize("other", ["apart", "gone"])
async def test_a_bridge_that_cannot_connect_touches_nothing(
    peer: Peer, presence: Presence, other: Presence
) -> None:
    store = peer.store()
    await store.write_status(RATINGS, {"of": "me"}, sign("me", presence))
    before = peer.redis.pttl(ALIVE)
    assert not await store.write_status(RATINGS, {"of": "it"}, sign("it", other))
    assert peer.hash("ratings:status") == {"of": "me"}
    assert peer.redis.pttl(ALIVE) <= before


@pytest.mark.parametrize("presence", ["fresh", "connected"])
async def test_a_bridge_that_is_connected_takes_over(
    peer: Peer, presence: Presence
) -> None:
    store = peer.store()
    await store.write_status(RATINGS, {"of": "me"}, sign("me", "fresh"))
    assert await store.write_status(RATINGS, {"of": "it"}, sign("it", presence))
    assert peer.hash("ratings:status") == {"of": "it"}
    assert peer.redis.get(ALIVE) == ("it" if presence == "fresh" else None)
    assert not await store.write_status(RATINGS, {"of": "me"}, sign("me", "apart"))
    assert peer.hash("ratings:status") == {"of": "it"}


@pytest.mark.parametrize("how", ["it is gone", "it was killed"])
async def test_after_a_bridge_another_one_may_tell(peer: Peer, how: str) -> None:
    store = peer.store()
    await store.write_status(RATINGS, {"of": "me"}, sign("me", "connected"))
    if how == "it is gone":
        await store.write_status(RATINGS, {"of": "me"}, sign("me", "gone"))
    else:
        assert 13 < peer.redis.ttl(HOLDER) <= 15
        peer.redis.delete(HOLDER)  # it expired
    assert await store.write_status(RATINGS, {"of": "it"}, sign("it", "apart"))
    assert peer.hash("ratings:status") == {"of": "it"}


async def test_who_may_not_ask_for_the_holder_writes_nothing(peer: Peer) -> None:
    await peer.store().write_status(RATINGS, {"of": "it"}, sign("it", "fresh"))
    peer.redis.execute_command(
        "ACL", "SETUSER", "b", "reset", "on", ">pw", "~*", "&*", "+@all", "-get"
    )
    with pytest.raises(StoreDown):
        await peer.store(user="b:pw").write_status(RATINGS, {}, sign("me", "apart"))
    assert peer.hash("ratings:status") == {"of": "it"}


async def test_streams_have_each_their_own(peer: Peer) -> None:
    store = peer.store()
    await store.write_status(RATINGS, {"a": "1"}, sign("me", "fresh"))
    assert await store.write_status(CONSENSUS, {"a": "2"}, sign("it", "apart"))
    assert peer.hash("ratings:status") == {"a": "1"}


async def test_keys_of_a_wrong_type_are_replaced(peer: Peer) -> None:
    peer.redis.set(STATUS, "in the way")
    peer.redis.rpush(HOLDER, "in the way")
    peer.redis.rpush(ALIVE, "in the way")
    assert await peer.store().write_status(RATINGS, {"a": "b"}, sign("me", "fresh"))
    assert peer.hash("ratings:status") == {"a": "b"}


async def test_a_status_is_written_in_full_memory_too(peer: Peer) -> None:
    store = peer.store()
    await store.write_status(RATINGS, {"a": "b"}, sign("me", "fresh"))
    with peer.config(maxmemory="1", maxmemory_policy="noeviction"):
        assert await store.write_status(RATINGS, {"error": "OOM"}, sign("me", "fresh"))
    assert peer.hash("ratings:status") == {"error": "OOM"}


@pytest.mark.parametrize(
    ("has", "confirmed", "stands"), [(3, 3, True), (4, 3, True), (2, 3, False)]
)
async def test_nothing_is_fresh_where_redis_has_less_than_it_confirmed(
    peer: Peer, has: int, confirmed: int, *, stands: bool
) -> None:
    store, log = peer.store(), new_log()
    packed = pack(RATINGS, [rating(f"r{n}") for n in range(has + 1)])
    await store.apply(RATINGS, Batch(log, 0, packed, None))
    await store.write_status(RATINGS, {"a": "b"}, sign("me", "fresh"))
    says = sign("me", "fresh", log.id, confirmed)
    assert await store.write_status(RATINGS, {"a": "c"}, says) == stands
    assert peer.redis.exists(ALIVE) == stands
    assert peer.hash("ratings:status") == {"a": "c"}
    assert peer.redis.get(HOLDER) == "me"
    says = sign("me", "connected", log.id, confirmed)
    assert await store.write_status(RATINGS, {"a": "d"}, says)


@pytest.mark.parametrize("whose", ["ours", "another's"])
async def test_nothing_is_fresh_where_redis_knows_better(
    peer: Peer, whose: str
) -> None:
    """The sign was made before Redis came back empty, and was given all once more."""
    store, log = peer.store(), new_log()
    opened = Opened(2_000).pack()
    await store.apply(RATINGS, Batch(log, 0, [opened], 2_000))
    says = sign("me", "fresh", log.id, 0)
    assert await store.write_status(RATINGS, {"a": "b"}, says)
    assert peer.redis.exists(ALIVE)
    if whose == "ours":
        peer.redis.flushall()
        await store.apply(RATINGS, Batch(log, 0, [opened], 1_000))
    else:
        await store.apply(RATINGS, Batch(new_log(), 0, [Opened(3_000).pack()], 2_000))
    assert not await store.write_status(RATINGS, {"a": "b"}, says)
    assert not peer.redis.exists(ALIVE)


@pytest.mark.parametrize("how", ["emptied", "of a wrong type"])
async def test_nothing_is_fresh_where_the_position_is_gone(
    peer: Peer, how: str
) -> None:
    if how != "emptied":
        peer.redis.rpush("bz:ratings:internal:log:x", "in the way")
    says = sign("me", "fresh", "x", 0)
    assert not await peer.store().write_status(RATINGS, {"a": "b"}, says)
    assert not peer.redis.exists(ALIVE)


@pytest.mark.parametrize("presence", ["fresh", "connected", "apart", "gone"])
async def test_no_status_is_written_over_what_came_from_another_upstream(
    peer: Peer, presence: Presence
) -> None:
    store, log = peer.store(), new_log(upstream="here")
    told = {"upstream": "here", "state": "live"}
    await store.apply(RATINGS, Batch(log, 0, pack(RATINGS, [rating()]), None))
    assert await store.write_status(RATINGS, told, sign("me", "fresh", log.id, 0))
    before = peer.dump()
    other = {"upstream": "elsewhere", "state": "refused"}
    assert not await store.write_status(RATINGS, other, sign("it", presence))
    assert peer.dump() == before


async def test_who_may_not_ask_whose_the_keys_are_writes_no_status(peer: Peer) -> None:
    peer.redis.execute_command(
        "ACL", "SETUSER", "b", "reset", "on", ">pw", "~*", "&*", "+@all", "-hmget"
    )
    with pytest.raises(StoreDown):
        await peer.store(user="b:pw").write_status(RATINGS, {}, sign("me", "fresh"))
    assert peer.dump() == {}


async def test_a_status_tells_of_a_coverage_of_a_wrong_type(peer: Peer) -> None:
    peer.redis.set("bz:ratings:internal:coverage", "in the way")
    told = {"upstream": "here", "error": "WRONGTYPE"}
    assert await peer.store().write_status(RATINGS, told, sign("me", "fresh"))
    assert peer.hash("ratings:status") == told


# --------------------------------------------------------------- a server that evicts


def nearly_full(peer: Peer) -> str:
    """Return a limit for memory of which most is used, and nothing has to go."""
    return str(int(peer.redis.info("memory")["used_memory"] * 1.06))


async def test_nothing_is_fresh_where_keys_may_be_evicted(peer: Peer) -> None:
    store, fresh = peer.store(), sign("me", "fresh")
    peer.redis.set("padding", "x" * 30_000_000)  # beside which this test uses nothing
    with peer.config(maxmemory_policy="allkeys-lru", maxmemory="0"):
        assert await store.write_status(RATINGS, {"n": "1"}, fresh)
        peer.redis.config_set("maxmemory", nearly_full(peer))
        with pytest.raises(StoreEvicts, match="set maxmemory-policy noeviction"):
            await store.write_status(RATINGS, {"n": "2"}, fresh)
        assert peer.hash("ratings:status") == {"n": "2"}
        assert not peer.redis.exists(ALIVE)
        assert await store.write_status(RATINGS, {"n": "3"}, sign("me", "connected"))
        peer.redis.config_set("maxmemory-policy", "noeviction")
        assert await store.write_status(RATINGS, {"n": "4"}, fresh)
        assert peer.redis.exists(ALIVE)


@pytest.mark.parametrize("run", ["run_id", "no_such_line"])
async def test_nothing_is_fresh_where_keys_were_evicted(
    peer: Peer, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a server that does not name its run."""
    text = status_script().replace("run_id", run)
    monkeypatch.setattr(client, "status_script", lambda: text)
    store, fresh = peer.store(), sign("me", "fresh")
    with peer.config(maxmemory_policy="allkeys-random", maxmemory="0"):
        assert await store.write_status(RATINGS, {"n": "1"}, fresh)
        peer.redis.config_set("maxmemory", "1")
        with pytest.raises(OutOfMemoryError):  # all that can go goes
            peer.redis.set("a", "b")
        peer.redis.config_set("maxmemory", "0")
        assert peer.redis.info("stats")["evicted_keys"]
        with pytest.raises(StoreEvicts):
            await store.write_status(RATINGS, {"n": "2"}, fresh)
        assert not peer.redis.exists(ALIVE)
        assert await peer.store().write_status(RATINGS, {"n": "3"}, fresh)


async def test_what_was_evicted_is_not_back_because_the_server_was_away(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no route")

    store, fresh = peer.store(), sign("me", "fresh")
    with peer.config(maxmemory_policy="allkeys-random", maxmemory="0"):
        assert await store.write_status(RATINGS, {"n": "1"}, fresh)
        peer.redis.config_set("maxmemory", "1")
        with pytest.raises(OutOfMemoryError):
            peer.redis.set("a", "b")
        peer.redis.config_set("maxmemory", "0")
        with monkeypatch.context() as away:
            away.setattr(Connection, "_at_our_keys", refuse)
            with pytest.raises(StoreDown, match="cannot reach"):
                await store.write_status(RATINGS, {"n": "2"}, fresh)
        with pytest.raises(StoreEvicts):
            await store.write_status(RATINGS, {"n": "3"}, fresh)
        assert not peer.redis.exists(ALIVE)


async def test_who_may_not_ask_whether_keys_are_evicted_does_without(
    peer: Peer,
) -> None:
    user = "ACL SETUSER quiet on >s3cr3t ~* +@all -info"
    peer.redis.execute_command(user)
    with peer.config(maxmemory_policy="allkeys-lru", maxmemory=nearly_full(peer)):
        store = peer.store(user="quiet:s3cr3t")
        # That `alive` is there now is not for sure: what it says may be evicted.
        assert await store.write_status(RATINGS, {"a": "b"}, sign("me", "fresh"))
    peer.redis.execute_command("ACL DELUSER quiet")
