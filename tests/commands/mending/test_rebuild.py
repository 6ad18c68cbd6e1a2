"""`bzredis rebuild`: each key as its log says, and not more than that."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from store.servers import BASE, Peer, consensus, deleted, new_log, rating
from store.test_cluster import Cluster, cluster  # noqa: F401 - a fixture

from bzredis.changes.from_rest import row
from bzredis.commands.mending import rebuild
from bzredis.streams import CONSENSUS, RATINGS

LATEST = "bz:ratings:latest:AAPL"
Run = Callable[..., Result]


@pytest.fixture
def market(peer: Peer) -> Peer:
    """Give two records of a symbol, one of another, one deleted, and a consensus."""
    peer.apply(
        RATINGS,
        rating("a", minute=1, pt_current="10", analyst="A firm"),
        rating("b", 2, minute=2, pt_current="20", pt_prior="10", analyst="B firm"),
        rating("c", 3, symbol="X"),
        rating("d", 4, symbol="X"),
        deleted("d", at=50),
    )
    peer.apply(CONSENSUS, consensus(1), consensus(2, "4.5"), consensus(3, "4.5"))
    return peer


def test_it_says_what_differs_and_writes_nothing(market: Peer, run: Run) -> None:
    market.redis.hset(LATEST, "pt_current", "1")
    market.redis.delete("bz:ratings:record:a")
    market.redis.zrem("bz:ratings:symbols", "X")
    before = market.dump()
    told = run("rebuild", "--verify", "--stream", "ratings", code=1).stdout
    entry = market.redis.xrange("bz:ratings:events")[0][0]
    assert told.splitlines() == [
        f"ratings AAPL record a: is missing (entry {entry})",
        "ratings AAPL latest pt_current: is 1, should be 20",
        "ratings X symbols: is missing (listed)",
        "ratings: 3 differences at 2 symbols; 4 hashes judged",
    ]
    assert market.dump() == before


def test_it_writes_what_differs_and_tells_of_it(
    market: Peer, run: Run, heard: Callable[[], Any]
) -> None:
    before = market.kept()
    market.redis.hset(LATEST, "pt_current", "1")
    market.redis.delete("bz:ratings:record:a", "bz:consensus:latest:AAPL")
    with heard() as told:
        run("rebuild")
    event = market.hash("ratings:latest:AAPL")["_event"]
    its = market.hash("consensus:latest:AAPL")["_event"]
    assert sorted(told) == sorted([f"AAPL {event}", f"AAPL {its}"])
    after = market.kept()
    scores = {f"bz:{stream}:symbols" for stream in ("ratings", "consensus")}
    assert {k for k in before if before[k] != after.get(k)} <= {
        *scores,  # `latest` changed just now
        *(k for k in before if market.redis.type(k) == "hash"),  # in another order
    }
    assert market.hash("ratings:record:a")["pt_current"] == "10"
    with heard() as told:
        assert "3 differences" not in run("rebuild").stdout
    assert told == []


def test_of_these_symbols_alone(market: Peer, run: Run) -> None:
    market.redis.delete(LATEST, "bz:ratings:latest:X")
    run("rebuild", "$aapl")
    assert market.redis.exists(LATEST, "bz:ratings:latest:X") == 1
    assert "nothing about 'NOPE'" in run("rebuild", "NOPE", code=1).stderr


def test_what_today_is_derived_is_added(market: Peer, run: Run) -> None:
    # As an older version wrote it, which did not know these yet.
    for key in (LATEST, "bz:ratings:record:b"):
        market.redis.hdel(key, "_pt_change", "_firm")
    run("rebuild")
    assert market.hash("ratings:latest:AAPL")["_pt_change"] == "10"
    assert market.hash("ratings:record:b")["_firm"] == "B firm"


def test_all_that_was_evicted_comes_back(market: Peer, asked: Any, run: Run) -> None:
    held = {
        key: market.hash(key) for key in ("ratings:latest:AAPL", "ratings:record:a")
    }
    mark = market.redis.ttl("bz:ratings:record:d")
    for key in market.redis.keys("bz:*"):
        if not key.endswith((":events", ":coverage")):
            market.redis.delete(key)
    run("rebuild")
    assert {key: market.hash(key) for key in held} == held
    assert market.hash("ratings:record:d")["_action"] == "deleted"
    assert mark - 60 <= market.redis.ttl("bz:ratings:record:d") <= mark
    assert market.timeline("AAPL") == ["b", "a"]
    assert asked("rebuild", "--verify")["consensus"]["differences"] == []


def test_what_came_over_rest_is_read_as_a_row(peer: Peer, run: Run, asked: Any) -> None:
    fields = {"id": "r", "ticker": "AAPL", "date": "2024-10-03", "updated": BASE + 5}
    peer.apply(RATINGS, row(RATINGS, json.dumps(fields), received=BASE * 1_000))
    before = peer.hash("ratings:latest:AAPL")
    assert asked("rebuild", "--verify")["ratings"]["hashes"] == 1
    peer.redis.delete(LATEST, "bz:ratings:record:r")
    run("rebuild")
    assert peer.hash("ratings:latest:AAPL") == before
    assert before["_source"] == "rest"


def test_what_the_log_no_longer_has_is_counted_and_stays(
    market: Peer, asked: Any, run: Run
) -> None:
    market.redis.xtrim("bz:ratings:events", maxlen=0, approximate=False)
    market.redis.hset("bz:ratings:record:a", "pt_current", "1")  # nobody can tell
    told = asked("rebuild", "--verify")["ratings"]
    assert told["differences"] == []
    assert told["not_judged"] == {"older": 4}
    # But that one of it is a copy of the other.
    market.redis.delete(LATEST, "bz:ratings:timeline:AAPL")
    run("rebuild")
    assert market.timeline("AAPL") == ["b", "a"]
    assert market.hash("ratings:latest:AAPL") == market.hash("ratings:record:b")


def test_a_record_that_nobody_has_leaves_the_timeline(market: Peer, run: Run) -> None:
    market.redis.xtrim("bz:ratings:events", maxlen=0, approximate=False)
    market.redis.delete("bz:ratings:record:b")
    run("rebuild")
    assert market.timeline("AAPL") == ["a"]
    assert market.hash("ratings:latest:AAPL") == market.hash("ratings:record:a")


def test_what_is_newer_than_the_log_knows_is_never_overwritten(
    market: Peer, asked: Any
) -> None:
    market.apply(RATINGS, rating("b", 9, minute=2, pt_current="99"))
    entry = market.hash("ratings:latest:AAPL")["_event"]
    market.redis.xdel("bz:ratings:events", entry)  # as a reader may
    before = market.kept()
    told = asked("rebuild")["ratings"]
    assert (told["differences"], told["mended"]) == ([], 0)
    assert told["not_judged"] == {"older": 1}
    assert market.kept() == before


def test_where_entries_were_taken_out_what_is_gone_stays_gone(
    market: Peer, run: Run
) -> None:
    if market.version < (7,):
        pytest.skip("this server does not tell")
    market.apply(RATINGS, deleted("b", at=60))
    gone = market.redis.xrevrange("bz:ratings:events", count=1)[0][0]
    market.redis.xdel("bz:ratings:events", gone)
    market.redis.delete("bz:ratings:record:b")  # its mark ended, say
    told = run("rebuild").stdout
    assert "ratings: entries were taken out of the log (XDEL)" in told
    assert market.timeline("AAPL") == ["a"]
    assert not market.hash("ratings:record:b")


def test_what_fell_off_does_not_come_back(peer: Peer, run: Run) -> None:
    with_three = {"store": peer.store(timeline_length=3)}
    many = [rating(str(n), n + 1, minute=n) for n in range(6)]
    peer.apply(RATINGS, *many, **with_three)
    peer.redis.xtrim("bz:ratings:events", maxlen=4, approximate=False)
    before = peer.kept()
    run("rebuild", "--timeline-length", "3")
    assert peer.kept() == before
    peer.redis.delete("bz:ratings:timeline:AAPL")
    for record in "345":
        peer.redis.delete(f"bz:ratings:record:{record}")
    run("rebuild", "--timeline-length", "3")
    assert peer.timeline("AAPL") == ["5", "4", "3"]


def test_nor_does_it_where_there_is_room_again(peer: Peer, asked: Any) -> None:
    few = {"store": peer.store(timeline_length=2)}
    peer.apply(
        RATINGS, *(rating(r, n + 1, minute=n) for n, r in enumerate("abc")), **few
    )
    peer.apply(RATINGS, deleted("c"), store=peer.store(timeline_length=2))
    assert peer.timeline("AAPL") == ["b"]
    told = asked("rebuild", "--timeline-length", "2")["ratings"]
    assert told["differences"] == []


def test_a_key_of_another_type_is_replaced(market: Peer, run: Run) -> None:
    held = market.hash("ratings:latest:AAPL")
    market.redis.delete(LATEST, "bz:ratings:timeline:X")
    market.redis.set(LATEST, "mine")
    market.redis.set("bz:ratings:timeline:X", "mine")
    told = run("rebuild").stdout
    assert "ratings AAPL latest: is a key of another type, should be a hash" in told
    assert market.hash("ratings:latest:AAPL") == held
    assert market.timeline("X") == ["c"]


def test_of_many_differences_people_are_told_some(
    market: Peer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "TOLD", 1)
    market.redis.delete("bz:ratings:timeline:AAPL", "bz:ratings:timeline:X")
    told = run("rebuild", "--stream", "ratings").stdout.splitlines()
    assert told == [
        "ratings AAPL timeline: is missing (of 2 records)",
        "ratings: and 1 more (--json tells all)",
        "ratings: 2 differences at 2 symbols, 2 mended; 4 hashes judged",
    ]


def test_a_user_who_may_not_is_told_in_one_line(market: Peer, run: Run) -> None:
    market.redis.execute_command("ACL", "SETUSER", "few", "on", ">pw", "~*", "+ping")
    url = market.server.url.replace("://", "://few:pw@")
    for command in (["rebuild"], ["redrive"], ["forget", "AAPL", "--yes"]):
        done = run(*command, "--redis", url, code=2)
        assert done.stderr.startswith("bzredis: Redis refused: ")
        assert done.stderr.count("\n") == 1
        assert "pw" not in done.stderr


def test_of_a_cluster_the_node_is_found_that_has_our_keys(
    market: Peer,
    run: Run,
    cluster: Cluster,  # noqa: F811 - as above
) -> None:
    there = cluster.nodes[cluster.owner()]
    there.apply(RATINGS, rating("a"), store=cluster.store(0))
    there.redis.delete("{bz}:ratings:latest:AAPL")
    url = cluster.nodes[1 - cluster.owner()].server.url
    words = ("rebuild", "--prefix", "{bz}", "--redis", url)
    assert "1 mended" in run(*words).stdout
    assert there.redis.hget("{bz}:ratings:latest:AAPL", "_record") == "a"
    run("forget", "--all", "--yes", *words[1:])
    assert not there.redis.keys("*")


def test_a_server_that_is_not_there_is_told_in_one_line(run: Run) -> None:
    done = run("rebuild", "--redis", "redis://127.0.0.1:1", code=2)
    assert done.stderr.startswith("bzredis: cannot reach Redis")
    assert done.stderr.count("\n") == 1


def test_a_log_of_thousands_is_read_in_pages(peer: Peer, asked: Any) -> None:
    log = new_log()
    for first in range(0, 1_000, 100):
        some = [
            rating(str(n), n + 1, symbol=f"S{n % 300}", minute=n % 60)
            for n in range(first, first + 100)
        ]
        peer.apply(RATINGS, *some, log=log, first=first)
    before = peer.kept()
    for key in peer.redis.keys("bz:ratings:[lrt]*:*"):
        peer.redis.delete(key)
    assert asked("rebuild")["ratings"]["mended"] == 300
    after = peer.kept()
    assert before.keys() == after.keys()
    assert peer.hash("ratings:latest:S299")["_record"] == "899"
    assert asked("rebuild", "--verify")["ratings"]["entries"] == 1_000
