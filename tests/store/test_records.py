"""Ratings and insights as they stand: contract.md, promises 2, 3 and 4."""

from __future__ import annotations

import pytest
from store.servers import Peer, deleted, latest, message, new_log, rating, stamp

from bzredis.errors import StoreDown
from bzredis.streams import INSIGHTS, RATINGS

DAYS_35 = 35 * 86_400


# ------------------------------------------------------------ 3. Newest wins


def test_no_field_of_an_older_message_survives(peer: Peer) -> None:
    peer.one(rating(notes="old", analyst="A", pt_current="1", pt_prior="2"))
    peer.one(rating(version=2))
    assert set(peer.hash("ratings:record:a")) == {
        *("ticker", "date", "time", "updated", "_symbol", "_record", "_action"),
        *("_version", "_published", "_timestamp", "_received", "_source", "_event"),
    }
    latest(peer)


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "each alone"])
def test_a_publication_that_moves_moves_latest(peer: Peer, *, together: bool) -> None:
    steps = [
        (rating("a", 1, minute=5), "latest", "a"),
        (rating("b", 1, minute=3), "record", "a"),
        (rating("a", 2, minute=2), "latest", "b"),  # the top goes down
        (rating("a", 3, minute=1), "record", "b"),
        (rating("a", 4, minute=9), "latest", "a"),
        (rating("a", 5, minute=9), "latest", "a"),
        (rating("b", 2, minute=9), "latest", "b"),
        (rating("b", 3, minute=8), "latest", "a"),
    ]
    if together:
        results = peer.apply(RATINGS, *(frame for frame, _, _ in steps))
        assert results == tuple(effect for _, effect, _ in steps)
        assert latest(peer) == "a"
        return
    for frame, effect, top in steps:
        assert peer.one(frame) == effect
        assert latest(peer) == top


def test_publication_is_eastern_and_a_date_alone_its_start(peer: Peer) -> None:
    peer.one(rating("a", date="2024-10-04", time="15:20:11"))
    peer.one(rating("b", date="2024-10-04", time=""))
    peer.one(rating("c", minute=None, at=3))
    published = [peer.hash(f"ratings:record:{r}")["_published"] for r in "abc"]
    assert published == ["1728069611000", "1728014400000", "1728000003000"]
    assert [entry["published"] for entry in peer.entries()] == published
    assert peer.timeline("AAPL") == ["a", "b", "c"]


def test_without_a_date_the_first_timestamp_stands(peer: Peer) -> None:
    peer.one(rating("a", 1, minute=None, at=10))
    peer.one(rating("b", 1, minute=None, at=20))
    assert peer.one(rating("a", 2, minute=None, at=30)) == "record"
    assert peer.timeline("AAPL") == ["b", "a"]
    assert peer.hash("ratings:record:a")["_published"] == "1728000010000"
    peer.one(rating("a", 3, minute=None, at=5))  # the first after all
    assert peer.redis.zscore("bz:ratings:timeline:AAPL", "a") == 1_728_000_005_000


def test_an_unknown_score_does_not_stop_a_message(peer: Peer) -> None:
    peer.one(rating("a", 1, minute=None, at=10))
    peer.redis.zrem("bz:ratings:timeline:AAPL", "a")
    peer.one(rating("a", 2, minute=None, at=30))
    assert latest(peer) == "a"


# --------------------------------------------------------- 4. Deleted means gone


@pytest.mark.parametrize("content", [False, True], ids=["without content", "with"])
@pytest.mark.parametrize("together", [False, True], ids=["batches", "one batch"])
def test_latest_falls_back_and_goes(
    peer: Peer, *, content: bool, together: bool
) -> None:
    def gone(record: str) -> str:
        if content:
            return rating(record, 50, action="Removed")
        return deleted(record, at=50)

    frames = [rating("a"), rating("b", minute=1), gone("b"), gone("a")]
    if together:
        assert peer.apply(RATINGS, *frames) == ("latest",) * 4
    else:
        for frame, top in zip(frames, ("a", "b", "a", ""), strict=True):
            assert peer.one(frame) == "latest"
            assert latest(peer) == top
    assert latest(peer) == ""
    assert [entry["symbol"] for entry in peer.entries()] == ["AAPL"] * 4


def test_a_deleted_record_keeps_its_own_fields_alone(peer: Peer) -> None:
    peer.apply(RATINGS, rating(minute=7, analyst="F"), deleted(at=50))
    entry = peer.redis.xrevrange("bz:ratings:events", count=1)[0][0]
    assert peer.hash("ratings:record:a") == {
        "_symbol": "AAPL",
        "_record": "a",
        "_action": "deleted",
        "_version": "1728000050000",
        "_published": "1727928420000",
        "_timestamp": stamp(50),
        "_received": "2024-10-04T19:26:40.000Z",
        "_source": "live",
        "_event": entry,
    }
    assert DAYS_35 - 60 <= peer.redis.ttl("bz:ratings:record:a") <= DAYS_35


def test_a_late_older_copy_does_not_bring_it_back(peer: Peer) -> None:
    peer.apply(RATINGS, rating("a", 1), deleted("a", at=50))
    assert peer.one(rating("a", 2)) == "none"
    assert peer.one(rating("a", 49), source="rest") == "duplicate"
    assert latest(peer) == ""


def test_a_delete_that_comes_first_counts(peer: Peer) -> None:
    assert peer.one(deleted("a", at=50)) == "record"
    assert peer.one(rating("a", 1)) == "none"
    assert latest(peer) == ""
    assert peer.redis.ttl("bz:ratings:record:a") > 0


def test_a_newer_message_brings_it_back_for_good(peer: Peer) -> None:
    peer.apply(RATINGS, rating("a"), deleted("a", at=50), rating("a", 60))
    assert latest(peer) == "a"
    assert peer.redis.ttl("bz:ratings:record:a") == -1
    assert peer.redis.ttl("bz:ratings:latest:AAPL") == -1


def test_an_older_record_that_goes_leaves_latest_alone(peer: Peer) -> None:
    peer.apply(RATINGS, rating("a", minute=1), rating("b", minute=2))
    assert peer.one(deleted("a")) == "record"
    assert latest(peer) == "b"
    assert peer.timeline("AAPL") == ["b"]


@pytest.mark.parametrize("together", [False, True], ids=["batches", "one batch"])
def test_a_record_leaves_its_old_symbol(peer: Peer, *, together: bool) -> None:
    batch = [
        rating("a", 1, minute=1),
        rating("b", 1, minute=2),
        rating("x", 1, minute=1, symbol="X"),
        rating("b", 2, minute=2, symbol="X"),
        rating("a", 2, minute=1, symbol="TSX:AAPL"),
        rating("x", 2, minute=1, symbol="AAPL", exchange="TSX"),
    ]
    results = (
        peer.apply(RATINGS, *batch)
        if together
        else tuple(peer.one(frame) for frame in batch)
    )
    assert results == ("latest", "latest", "latest", "latest", "latest", "latest")
    assert (latest(peer), latest(peer, "X"), latest(peer, "TSX:AAPL")) == ("", "b", "x")
    assert peer.timeline("TSX:AAPL") == ["x", "a"]


def test_a_move_of_an_older_record_is_no_news(peer: Peer) -> None:
    peer.apply(RATINGS, rating("a", minute=1), rating("b", minute=2))
    peer.one(rating("x", symbol="X", minute=2))
    assert peer.one(rating("a", 2, minute=1, symbol="X")) == "record"
    assert (latest(peer), latest(peer, "X")) == ("b", "x")


@pytest.mark.parametrize(
    ("named", "stays"),
    [
        ({"symbol": "", "exchange": ""}, "TSX:SHOP"),
        ({"symbol": "A B", "exchange": "TSX"}, "TSX:SHOP"),
        ({"symbol": "SHOP", "exchange": ""}, "TSX:SHOP"),
        ({"symbol": "SHOP", "exchange": "N/A"}, "TSX:SHOP"),
        ({"symbol": "SHOP", "exchange": "NYSE"}, "SHOP"),
        ({"symbol": "OTHER", "exchange": ""}, "OTHER"),
    ],
)
def test_a_ticker_alone_is_of_its_records_exchange(
    peer: Peer, named: dict[str, str], stays: str
) -> None:
    peer.one(rating("a", symbol="SHOP", exchange="TSX"))
    assert peer.one(rating("a", 2, **named)) == "latest"  # type: ignore[arg-type]
    assert peer.symbols() == {stays}
    assert peer.entries()[1]["symbol"] == stays
    assert peer.hash("ratings:record:a")["_symbol"] == stays


def test_a_record_without_a_symbol_gets_one(peer: Peer) -> None:
    peer.one(rating("a", symbol=""))
    assert peer.redis.ttl("bz:ratings:record:a") > 0
    assert peer.one(rating("a", 3)) == "latest"
    assert peer.redis.ttl("bz:ratings:record:a") == -1
    assert latest(peer) == "a"


def test_a_delete_with_another_symbol_finds_the_record(peer: Peer) -> None:
    peer.apply(RATINGS, rating("a"), rating("x", symbol="X"))
    assert peer.one(rating("a", 2, action="deleted", symbol="X")) == "latest"
    assert (latest(peer), latest(peer, "X")) == ("", "x")


def test_insights_follow_the_same_rules(peer: Peer) -> None:
    def insight(version: int, **content: str) -> str:
        security = {"symbol": "ry", "exchange": "TSX"}
        fields = {"security": security, "updated": version, **content}
        return message("i", fields, at=version)

    first = insight(1_728_000_000_000, firm="F", action="Upgrades", pt="10")
    assert peer.one(first, INSIGHTS) == "latest"
    assert peer.one(insight(1_728_000_001, firm="G"), INSIGHTS) == "latest"
    assert peer.hash("insights:latest:TSX:RY")["_firm"] == "G"
    assert peer.one(deleted("i", at=50), INSIGHTS) == "latest"
    assert peer.symbols("insights") == set()


# ----------------------------------------------------------------- the length


def test_a_timeline_keeps_the_newest_and_drops_records_with_it(peer: Peer) -> None:
    store = peer.store(timeline_length=3)
    for record, minute, effect in (
        ("a", 1, "latest"),
        ("b", 2, "latest"),
        ("c", 3, "latest"),
        ("d", 2, "record"),  # replaces a
        ("e", 0, "none"),  # too old
        ("bb", 2, "record"),  # replaces b: a tie goes by id
        ("aa", 2, "none"),  # likewise too old
        ("f", 9, "latest"),  # replaces bb
    ):
        frame = rating(record, minute=minute)
        assert peer.one(frame, store=store) == effect, record
        latest(peer)
    assert peer.timeline("AAPL") == ["f", "c", "d"]
    found = sorted(key[-1] for key in peer.redis.keys("bz:ratings:record:*"))
    assert found == ["c", "d", "f"]
    assert peer.entries()[4]["effect"] == "none"


def test_a_timeline_of_one_holds_the_latest(peer: Peer) -> None:
    store = peer.store(timeline_length=1)
    batch = [rating("b", minute=2), rating("a", minute=1), rating("c", minute=3)]
    assert peer.apply(RATINGS, *batch, store=store) == ("latest", "none", "latest")
    assert latest(peer) == "c"
    assert peer.redis.keys("bz:ratings:record:*") == ["bz:ratings:record:c"]


def test_a_timeline_made_shorter_shrinks(peer: Peer) -> None:
    peer.apply(RATINGS, *(rating(f"r{n}", minute=n) for n in range(9)))
    short = peer.store(timeline_length=4)
    assert peer.one(rating("x", minute=3), store=short) == "none"
    peer.one(rating("y", minute=30), store=peer.store(timeline_length=4))
    assert peer.timeline("AAPL") == ["y", "r8", "r7", "r6"]
    assert len(peer.redis.keys("bz:ratings:record:*")) == 4


def test_a_timeline_made_much_shorter_shrinks_at_once(peer: Peer) -> None:
    """By more records than Lua's stack holds values, some 8,000."""
    peer.one(rating("old", minute=0))
    lost = {f"lost{n}": n for n in range(8_000)}
    peer.redis.zadd("bz:ratings:timeline:AAPL", lost)
    store = peer.store(timeline_length=1)
    assert peer.one(rating("new", minute=1), store=store) == "latest"
    assert latest(peer) == "new"
    assert peer.redis.keys("bz:ratings:record:*") == ["bz:ratings:record:new"]


def test_a_record_that_moves_and_is_too_old_there_is_gone(peer: Peer) -> None:
    store = peer.store(timeline_length=2)
    peer.apply(
        RATINGS,
        *(rating(f"x{n}", minute=5, symbol="X") for n in range(2)),
        rating("a", minute=1),
        store=store,
    )
    moved = rating("a", 2, minute=1, symbol="X")
    assert peer.one(moved, store=peer.store(timeline_length=2)) == "latest"
    assert latest(peer) == ""
    assert not peer.hash("ratings:record:a")
    assert peer.timeline("X") == ["x1", "x0"]


def test_updates_of_a_full_timeline_drop_nothing(peer: Peer) -> None:
    batch = [rating(f"r{n}", minute=n) for n in range(3)]
    peer.apply(RATINGS, *batch, store=peer.store(timeline_length=3))
    later = [rating(f"r{n}", 2, minute=n) for n in range(3)]
    results = peer.apply(RATINGS, *later, store=peer.store(timeline_length=3))
    assert results == ("record", "record", "latest")
    assert peer.timeline("AAPL") == ["r2", "r1", "r0"]


# --------------------------------------------- what others did to the keys by hand


def test_a_top_without_its_record_makes_room_for_the_next(peer: Peer) -> None:
    batch = [rating(f"r{n}", minute=n) for n in range(5)]
    peer.apply(RATINGS, *batch)
    peer.redis.delete("bz:ratings:record:r3")
    peer.redis.delete("bz:ratings:record:r2")
    peer.redis.set("bz:ratings:record:r2", "not a hash")
    assert peer.one(deleted("r4")) == "latest"
    assert latest(peer) == "r1"
    assert peer.timeline("AAPL") == ["r1", "r0"]


def test_a_record_that_was_lost_is_never_shown_under_two_symbols(peer: Peer) -> None:
    peer.apply(RATINGS, rating("a", minute=1), rating("b", minute=2))
    peer.redis.delete("bz:ratings:record:b")
    peer.one(rating("b", 2, minute=2, symbol="X"))
    assert latest(peer, "X") == "b"
    peer.one(rating("a", 2, minute=1))
    peer.apply(RATINGS, rating("c", minute=3), deleted("c"))
    assert latest(peer) == "a"


def test_a_record_that_was_lost_comes_anew(peer: Peer) -> None:
    peer.apply(RATINGS, rating("a", minute=1), rating("b", minute=5))
    peer.redis.delete("bz:ratings:record:b")
    assert peer.one(rating("b", 2, minute=0)) == "latest"
    assert latest(peer) == "a"
    assert peer.timeline("AAPL") == ["a", "b"]


def test_a_hash_written_by_hand_stops_nothing(peer: Peer) -> None:
    peer.redis.hset("bz:ratings:record:a", mapping={"x": "1"})
    peer.redis.hset("bz:ratings:record:b", mapping={"_version": "5"})
    peer.redis.hset("bz:ratings:latest:AAPL", mapping={"x": "1"})
    assert peer.apply(RATINGS, rating("a"), deleted("b"), rating("c", minute=None)) == (
        *("latest", "record", "latest"),
    )
    assert "x" not in peer.hash("ratings:record:a")
    assert peer.hash("ratings:record:b")["_published"]
    assert latest(peer) == "c"


def test_a_change_is_told_once_when_all_of_it_stands(peer: Peer) -> None:
    store, log, frame = peer.store(), new_log(), rating("a")
    peer.one(
        rating("b", symbol="X"), log=log, store=store
    )  # what is permitted is known
    peer.redis.delete("bz:ratings:symbols")
    peer.redis.set("bz:ratings:symbols", "not a sorted set")
    with peer.redis.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe("bz:ratings:changed")
        channel.get_message(timeout=60)  # the answer
        with pytest.raises(StoreDown, match="WRONGTYPE"):
            peer.one(frame, log=log, first=1, store=store)
        peer.redis.delete("bz:ratings:symbols")
        assert peer.one(frame, log=log, first=1) == "again"
        peer.redis.publish("bz:ratings:changed", "end")
        told = [channel.get_message(timeout=60)["data"] for _ in range(2)]
    assert told == [f"AAPL {peer.hash('ratings:latest:AAPL')['_event']}", "end"]
    assert latest(peer) == "a"


# ------------------------------------------------------------ whose records changed


@pytest.mark.parametrize(
    ("before", "batch", "concerned"),
    [
        ((), (rating("a"), rating("b", symbol="X"), rating("c")), ("AAPL", "X")),
        ((rating("a"),), (deleted("a"),), ("AAPL",)),
        ((rating("a"),), (rating("a", 2, symbol="X"),), ("X", "AAPL")),
        ((rating("a"),), (rating("a", 2, symbol=""),), ("AAPL",)),
        ((rating("a", minute=2),), (rating("b", minute=1),), ("AAPL",)),
        ((rating("a"),), (rating("a"),), ()),
        ((rating("a", 2),), (rating("a", 1),), ()),
        ((), (rating("a", symbol=""),), ()),
    ],
    ids=["new", "deleted", "moved", "lost", "older", "again", "outdated", "nobody's"],
)
def test_whose_records_a_batch_changes(
    peer: Peer,
    before: tuple[str, ...],
    batch: tuple[str, ...],
    concerned: tuple[str, ...],
) -> None:
    if before:
        peer.send(RATINGS, *before)
    assert peer.applied(RATINGS, *batch).symbols == concerned
