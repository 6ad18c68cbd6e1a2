"""Where a log stands in Redis, and whose all is: coverage.md."""

from __future__ import annotations

import json

import pytest
import trio
from redis.exceptions import ResponseError
from store.servers import BASE, HOST, RECEIVED, Peer, new_log, pack, rating

from bzredis.changes.from_rest import row
from bzredis.changes.kinds import Heard, Opened
from bzredis.errors import StoreForeign
from bzredis.ports import Batch, Behind, Coverage, Log, Sign
from bzredis.streams import CONSENSUS, RATINGS

T = RECEIVED
COVERAGE = "bz:ratings:internal:coverage"
DAYS_35 = 35 * 86_400


def position(log: Log) -> str:
    return f"bz:ratings:internal:log:{log.id}"


def test_the_position_is_that_of_the_last_change(peer: Peer) -> None:
    log = new_log()
    assert peer.applied(RATINGS, rating("a"), "x", rating("b"), log=log).last == 2
    assert peer.redis.get(position(log)) == "2"
    assert DAYS_35 - 60 <= peer.redis.ttl(position(log)) <= DAYS_35
    assert peer.applied(RATINGS, rating("c"), log=log, first=3).last == 3


def test_an_empty_batch_renews_the_position_and_tells_all(peer: Peer) -> None:
    log = new_log("A")
    told = peer.applied(RATINGS, Opened(T), log=log)
    peer.redis.expire(position(log), 60)
    before = peer.redis.hgetall(COVERAGE)
    answer = peer.applied(RATINGS, log=log, first=1)
    assert (answer.last, answer.results) == (0, ())
    assert answer.coverage == told.coverage == Coverage(T, T, "A", log.id)
    assert peer.redis.ttl(position(log)) > 60
    assert peer.redis.hgetall(COVERAGE) == before


def test_an_empty_batch_where_nothing_is_writes_nothing(peer: Peer) -> None:
    answer = peer.applied(RATINGS)
    assert (answer.last, answer.coverage) == (-1, Coverage())
    assert peer.dump() == {}


def test_what_is_sent_again_is_skipped(peer: Peer) -> None:
    log = new_log()
    peer.apply(RATINGS, rating("a"), rating("b"), log=log)
    before = peer.kept()
    again = peer.applied(RATINGS, rating("x"), rating("y"), log=log)
    assert (again.last, again.results) == (1, ("again", "again"))
    assert peer.kept() == before
    more = peer.applied(RATINGS, rating("x"), rating("c"), log=log, first=1)
    assert (more.last, more.results) == (2, ("again", "latest"))


@pytest.mark.parametrize("may_hold", [True, False])
@pytest.mark.parametrize("count", [0, 1])
def test_what_is_lacking_is_asked_for_while_it_may_be_held(
    peer: Peer, count: int, *, may_hold: bool
) -> None:
    log = new_log()
    peer.apply(RATINGS, Opened(T), log=log)
    before = peer.dump()
    items = [Heard(T + 9, T + 9)] * count
    answer = peer.send(RATINGS, *items, log=log, first=5, may_hold=may_hold)
    if may_hold or not items:
        assert answer == Behind(0)
        assert peer.dump() == before
    else:
        assert not isinstance(answer, Behind)
        assert answer.last == 5


def test_a_log_that_expired_is_behind(peer: Peer) -> None:
    log = new_log()
    peer.apply(RATINGS, Opened(T), log=log)
    peer.redis.delete(position(log))
    assert peer.send(RATINGS, rating(), log=log, first=1) == Behind(-1)


def test_logs_and_streams_stand_apart(peer: Peer) -> None:
    log = new_log()
    peer.apply(RATINGS, rating(), log=log)
    assert peer.send(CONSENSUS, log=log, first=1) == Behind(-1)
    assert peer.send(RATINGS, log=new_log(), first=1) == Behind(-1)


# A reader's own, before the ids; XACKDEL is of Redis 8.2 and later.
TAKES_OUT = {
    "XDEL": (),
    "XTRIM": ("MAXLEN", "0"),
    "XACKDEL": ("mine", "DELREF", "IDS", "2"),
}


@pytest.mark.parametrize("command", TAKES_OUT)
def test_what_a_reader_takes_out_of_the_log_is_no_rollback(
    peer: Peer, command: str
) -> None:
    events, log, store = "bz:ratings:events", new_log(), peer.store()
    peer.apply(RATINGS, Opened(T), rating("a"), rating("b"), log=log)
    ids = [] if command == "XTRIM" else [each for each, _ in peer.redis.xrange(events)]
    peer.redis.xgroup_create(events, "mine", "0")
    peer.redis.xreadgroup("mine", "me", {events: ">"})
    try:
        peer.redis.execute_command(command, events, *TAKES_OUT[command], *ids)
    except ResponseError as error:
        if "unknown command" not in str(error):
            raise
        pytest.skip(f"this server has no {command}")
    assert not peer.entries()
    answer = peer.applied(RATINGS, rating("b"), rating("c"), log=log, first=3)
    assert answer.results == ("duplicate", "latest")
    assert not answer.coverage.holes
    sign = Sign("me", "fresh", log.id, answer.last)
    assert trio.run(store.write_status, RATINGS, {"a": "b"}, sign)
    assert peer.redis.exists("bz:ratings:alive")
    assert [each["record"] for each in peer.entries()] == ["c"]


def test_another_upstream_is_refused(peer: Peer) -> None:
    peer.apply(RATINGS, rating("a"))
    before = peer.dump()
    for items in ((), (rating("b"),)):
        with pytest.raises(StoreForeign, match=HOST) as caught:
            peer.apply(RATINGS, *items, log=new_log(upstream="127.0.0.1"))
        assert caught.value.host == HOST
    assert peer.dump() == before


async def test_of_an_empty_batch_no_upstream_stays(peer: Peer) -> None:
    store, other = peer.store(), new_log(upstream="other")
    await store.apply(RATINGS, Batch(other, 0, [], None))
    await store.apply(RATINGS, Batch(new_log(), 0, pack(RATINGS, [rating()]), None))
    with trio.fail_after(5), pytest.raises(StoreForeign):
        await store.apply(RATINGS, Batch(other, 0, [], None))


# ------------------------------------------------------------ the newest upstream said


def newest(peer: Peer) -> str:
    found: str = peer.redis.hget(COVERAGE, "newest")
    return found


@pytest.fixture
def log(peer: Peer) -> Log:
    """Return the log of the connection that counts."""
    log = new_log()
    assert peer.apply(RATINGS, Opened(T), log=log) == ("opened",)
    peer.apply(RATINGS, rating("first", 1), log=log, first=1)
    return log


FIRST = str(1_000 * (BASE + 1))


def test_the_newest_of_frames_is_kept(peer: Peer, log: Log) -> None:
    assert newest(peer) == FIRST
    peer.apply(
        RATINGS, rating("a", 5), rating("a", 5), rating("b", 1), log=log, first=2
    )
    assert newest(peer) == str(1_000 * (BASE + 5))
    peer.apply(RATINGS, rating("c", 3), log=log, first=5)
    assert newest(peer) == str(1_000 * (BASE + 5))
    peer.apply(RATINGS, rating("c", 9), log=log, first=6)
    assert newest(peer) == str(1_000 * (BASE + 9))


def test_what_comes_by_a_connection_that_does_not_count_does_not_move_it(
    peer: Peer, log: Log
) -> None:
    assert peer.one(rating("z", 5)) == "latest"
    assert newest(peer) == FIRST


def test_rows_do_not_move_it(peer: Peer, log: Log) -> None:
    text = json.dumps({"id": "a", "ticker": "AAPL", "updated": BASE + 9})
    assert peer.one(row(RATINGS, text, received=T), log=log, first=2) == "latest"
    assert newest(peer) == FIRST


def test_what_upstream_did_not_date_does_not_move_it(peer: Peer, log: Log) -> None:
    assert peer.one(rating("z", updated=""), log=log, first=2) == "latest"
    assert newest(peer) == FIRST


def test_what_is_dated_long_after_it_came_does_not_move_it(
    peer: Peer, log: Log
) -> None:
    peer.one(rating("a", updated=BASE + 10 * 86_400), log=log, first=2)
    assert newest(peer) == FIRST
