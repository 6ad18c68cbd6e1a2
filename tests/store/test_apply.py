"""The log, and that a message takes effect once: contract.md 1 and 2, promise 1."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from store.servers import (
    PREFIX,
    RECEIVED,
    Peer,
    consensus,
    deleted,
    message,
    rating,
    running,
    stamp,
)

from bzredis.changes.read import gap
from bzredis.messages.times import rfc3339
from bzredis.store import client
from bzredis.store.keys import ENTRY_FIELDS, entry_fields
from bzredis.streams import CONSENSUS, INSIGHTS, RATINGS, STREAMS, Stream

FULL: dict[str, Any] = {
    "date": "2024-10-04",
    "time": "15:20:11",
    "exchange": "NASDAQ",
    "action_company": "Upgrades",
    "rating_current": "Buy",
    "rating_prior": "Hold",
    "pt_current": "260.0000",
    "pt_prior": "240.00",
    "analyst": "Großbank & Söhne",
    "importance": 3,
    "notes": "",
    "currency": None,
    "ratings_accuracy": {"smart_score": "70.5"},
    "tags": ["x", 1.50],
    "_odd": "own",
    "latin": "naïve 株式",
}


def test_an_entry_has_exactly_its_fields_in_order(peer: Peer) -> None:
    frame = rating("r1", 7, at=7.25, envelope="e1", action="Created", **FULL)
    assert peer.one(frame) == "latest"
    (entry,) = peer.entries()
    assert list(entry.items()) == [
        ("envelope", "e1"),
        ("action", "created"),
        ("record", "r1"),
        ("symbol", "AAPL"),
        ("timestamp", stamp(7.25)),
        ("received", rfc3339(RECEIVED)),
        ("source", "live"),
        ("version", "1728000007000"),
        ("effect", "latest"),
        ("firm", "Großbank & Söhne"),
        ("direction", "up"),
        ("rating", "Buy"),
        ("rating_prior", "Hold"),
        ("pt", "260.0000"),
        ("pt_prior", "240.00"),
        ("importance", "3"),
        ("raw", frame),
    ]


def test_a_record_hash_holds_the_content_flattened_and_our_own_fields(
    peer: Peer,
) -> None:
    peer.one(rating("r1", 7, at=7.25, action="Created", **FULL))
    assert peer.hash("ratings:record:r1") == {
        "ticker": "AAPL",
        "updated": "1728000007",
        "date": "2024-10-04",
        "time": "15:20:11",
        "exchange": "NASDAQ",
        "action_company": "Upgrades",
        "rating_current": "Buy",
        "rating_prior": "Hold",
        "pt_current": "260.0000",
        "pt_prior": "240.00",
        "analyst": "Großbank & Söhne",
        "importance": "3",
        "ratings_accuracy_smart_score": "70.5",
        "tags": '["x",1.5]',
        "__odd": "own",
        "latin": "naïve 株式",
        "_firm": "Großbank & Söhne",
        "_direction": "up",
        "_pt_change": "20.0000",
        "_pt_change_pct": "8.33",
        "_symbol": "AAPL",
        "_record": "r1",
        "_action": "created",
        "_version": "1728000007000",
        "_published": "2024-10-04T19:20:11.000Z",
        "_timestamp": stamp(7.25),
        "_received": rfc3339(RECEIVED),
        "_source": "live",
        "_event": peer.redis.xrevrange(f"{PREFIX}:ratings:events", count=1)[0][0],
    }
    assert peer.hash("ratings:latest:AAPL") == peer.hash("ratings:record:r1")
    assert peer.redis.ttl(f"{PREFIX}:ratings:record:r1") == -1
    assert peer.redis.ttl(f"{PREFIX}:ratings:latest:AAPL") == -1


def test_no_key_is_there_that_the_contract_does_not_name(peer: Peer) -> None:
    peer.apply(RATINGS, rating(), rating("b", symbol="X"), deleted("b"), "garbage")
    peer.apply(INSIGHTS, message("i", {"security": {"symbol": "BRK.B"}}))
    peer.apply(CONSENSUS, consensus(), consensus(2, "4"))
    internal = {"bz:ratings:seen", "bz:insights:seen", "bz:consensus:seen"}
    internal |= {"bz:ratings:newest", "bz:consensus:heard:symbol:AAPL"}
    assert set(peer.redis.keys()) - internal == {
        "bz:ratings:events",
        "bz:ratings:latest:AAPL",
        "bz:ratings:record:a",
        "bz:ratings:record:b",
        "bz:ratings:timeline:AAPL",
        "bz:ratings:symbols",
        "bz:ratings:rejected",
        "bz:insights:events",
        "bz:insights:latest:BRK.B",
        "bz:insights:record:i",
        "bz:insights:timeline:BRK.B",
        "bz:insights:symbols",
        "bz:consensus:events",
        "bz:consensus:latest:AAPL",
        "bz:consensus:history:AAPL",
        "bz:consensus:symbols",
    }


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_a_gap_leaves_every_other_field_empty(peer: Peer, stream: Stream) -> None:
    announced = gap(begin=RECEIVED - 5_000, end=RECEIVED, cause="why", recovered=12)
    assert peer.apply(stream, announced, announced) == ("gap", "duplicate")
    (entry,) = peer.entries(f"{stream.name}:events")
    assert list(entry) == [*entry_fields(stream), "from", "to", "cause", "recovered"]
    assert {name: value for name, value in entry.items() if value} == {
        "action": "gap",
        "received": rfc3339(RECEIVED),
        "from": rfc3339(RECEIVED - 5_000),
        "to": rfc3339(RECEIVED),
        "cause": "why",
        "recovered": "12",
    }


@pytest.mark.parametrize("stream", [RATINGS, INSIGHTS], ids=lambda stream: stream.name)
def test_headlines_stand_between_effect_and_raw(peer: Peer, stream: Stream) -> None:
    peer.apply(stream, message("x", {"a": 1}))
    (entry,) = peer.entries(f"{stream.name}:events")
    assert list(entry) == [*ENTRY_FIELDS, *stream.headline, "raw"]
    assert all(entry[name] == "" for name in ("symbol", *stream.headline))


def test_a_frame_that_cannot_be_used_is_kept_once(peer: Peer) -> None:
    assert peer.apply(RATINGS, "garbage ü", rating(), "garbage ü") == (
        "rejected",
        "latest",
        "duplicate",
    )
    (entry,) = peer.entries("ratings:rejected")
    assert list(entry) == ["reason", "received", "raw"]
    assert entry["raw"] == "garbage ü"
    assert entry["received"] == rfc3339(RECEIVED)
    assert "not JSON" in entry["reason"]


def test_streams_are_trimmed(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "REJECTED_MAXLEN", 100)
    monkeypatch.setattr(client, "HISTORY_MAXLEN", 100)
    few = peer.store(events_maxlen=100)
    peer.apply(RATINGS, *(rating(f"r{n}") for n in range(500)), store=few)
    peer.apply(RATINGS, *(f"garbage {n}" for n in range(500)))
    peer.apply(CONSENSUS, *(consensus(n + 1, f"1.{n}") for n in range(500)))
    for key in ("ratings:events", "ratings:rejected", "consensus:history:AAPL"):
        assert 100 <= peer.redis.xlen(f"{PREFIX}:{key}") <= 200, key
    assert peer.redis.xlen(f"{PREFIX}:consensus:events") == 500


# ------------------------------------------------------------------ 1. Once


AGAIN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the same frame": ({}, {}),
    "under a new envelope id": ({"envelope": "e1"}, {"envelope": "e2"}),
    "with an envelope id only now": ({"envelope": ""}, {"envelope": "e2"}),
    "with another timestamp": ({"at": 1}, {"at": 50}),
    "the envelope id, with other words": ({"envelope": "e"}, {"envelope": "e", "x": 1}),
}


@pytest.mark.parametrize("apart", [False, True], ids=["one batch", "two batches"])
@pytest.mark.parametrize("again", AGAIN)
def test_the_same_message_takes_effect_once(
    peer: Peer, again: str, *, apart: bool
) -> None:
    first, second = (rating(**how) for how in AGAIN[again])
    if again == "the same frame":
        second = first
    results = (
        [peer.one(first), peer.one(second)]
        if apart
        else [*peer.apply(RATINGS, first, second)]
    )
    assert results == ["latest", "duplicate"]
    assert len(peer.entries()) == 1


OTHER = {
    "another action": (rating(), rating(action="deleted"), "latest"),
    "another record": (rating("a"), rating("b"), "latest"),
    "another content": (rating(), rating(at=2, notes="x"), "latest"),
    "no `updated`, another timestamp": (
        rating(updated="", at=1),
        rating(updated="", at=2),
        "latest",
    ),
    "the envelope id of another record": (
        rating("a", envelope="e"),
        rating("b", envelope="e"),
        "latest",
    ),
}


@pytest.mark.parametrize("case", OTHER)
def test_another_message_is_not_the_same(peer: Peer, case: str) -> None:
    first, second, result = OTHER[case]
    assert peer.apply(RATINGS, first, second) == ("latest", result)
    assert len(peer.entries()) == 2


def test_a_batch_resent_takes_effect_once(peer: Peer) -> None:
    batch = [rating("a"), deleted("b"), rating("a", 2), "garbage", rating("c", 1)]
    first = peer.send(RATINGS, *batch)
    before = peer.dump()
    again = peer.send(RATINGS, *batch, store=peer.store())
    assert again.results == ("duplicate",) * 5
    assert again.entry == ""
    assert first.entry == peer.redis.xrevrange("bz:ratings:events", count=1)[0][0]
    after = peer.dump()
    del before["bz:ratings:seen"], after["bz:ratings:seen"]
    assert before == after


def test_rest_and_stream_bring_the_same_message(peer: Peer) -> None:
    row = rating("a", 5, envelope="", date="2024-10-04", extra="REST has more")
    assert peer.one(rating("a", 5)) == "latest"
    assert peer.one(row, source="rest") == "duplicate"
    assert peer.one(rating("b", 5), source="rest") == "latest"
    assert peer.one(rating("b", 5, notes="live has more")) == "duplicate of a row"
    assert len(peer.entries()) == 2


def test_what_comes_live_in_the_same_second_as_a_known_row_is_not_lost(
    peer: Peer,
) -> None:
    assert peer.one(rating("a", 5, at=5.1, notes="first")) == "latest"
    assert peer.one(rating("a", 5, notes="first"), source="rest") == "duplicate"
    assert peer.one(rating("a", 5, at=5.2, notes="second")) == "latest"
    assert peer.hash("ratings:latest:AAPL")["notes"] == "second"


def test_rows_that_are_not_newer_are_not_logged(peer: Peer) -> None:
    peer.one(rating("a", 5))
    for row in (rating("a", 5, at=9, notes="a tie"), rating("a", 4, notes="older")):
        assert peer.one(row, source="rest") == "duplicate"
    assert len(peer.entries()) == 1
    assert peer.one(rating("a", 6), source="rest") == "latest"
    assert peer.entries()[-1]["source"] == "rest"


def test_what_was_seen_is_kept_for_days_and_never_less_than_so_many(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "REMEMBERED_LEAST", 10)
    frames = [rating(f"r{n}", envelope=f"e{n}") for n in range(10)]
    peer.apply(RATINGS, *frames)
    seen = "bz:ratings:seen"
    count = peer.redis.zcard(seen)
    assert count > 10
    week = 7 * 86_400_000
    now = round(time.time() * 1000)
    for member in peer.redis.zrange(seen, 0, -1):
        peer.redis.zadd(seen, {member: now - week + 60_000})
    peer.one("garbage 1")
    assert peer.redis.zcard(seen) == count + 1
    for member in peer.redis.zrange(seen, 0, -1):
        peer.redis.zadd(seen, {member: now - week - 1})
    peer.one("garbage 2")
    assert peer.redis.zcard(seen) == 10


def test_what_comes_again_is_remembered_anew(peer: Peer) -> None:
    frame = rating()
    peer.one(frame)
    seen = "bz:ratings:seen"
    for member in peer.redis.zrange(seen, 0, -1):
        peer.redis.zadd(seen, {member: 1})
    assert peer.one(frame) == "duplicate"
    scores = peer.redis.zmscore(seen, peer.redis.zrange(seen, 0, -1))
    assert scores
    assert min(scores) > 1


# ----------------------------------------------------------- sizes and odd names


def test_a_thousand_fields_fit(peer: Peer) -> None:
    many: dict[str, Any] = {f"f{n}": str(n) for n in range(990)}
    assert peer.one(rating(**many)) == "latest"
    assert peer.hash("ratings:latest:AAPL")["f989"] == "989"
    crowd: dict[str, Any] = {f"f{n}": n for n in range(980)}
    assert peer.one(consensus(1, **crowd), CONSENSUS) == "latest"
    assert peer.one(consensus(2, "4", **crowd), CONSENSUS) == "latest"
    assert peer.entries("consensus:history:AAPL")[1]["_previous_consensus_rating"]


def test_a_big_batch_fits(peer: Peer) -> None:
    batch = [rating(f"r{n}", symbol=f"T{n % 900}", minute=n % 60) for n in range(5_000)]
    assert set(peer.apply(RATINGS, *batch)) == {"latest", "record"}
    assert len(peer.symbols()) == 900
    assert peer.redis.xlen("bz:ratings:events") == 5_000
    assert set(peer.apply(RATINGS, *batch)) == {"duplicate"}


@pytest.mark.parametrize(
    "record",
    ["*", "a b", "{x}", 'quo"te', "株", "-inf", "0", "%s%n", "a\\nb", "OOM ", "x:y"],
)
def test_odd_record_ids_are_only_names(peer: Peer, record: str) -> None:
    assert peer.one(rating(record)) == "latest"
    name = record.strip()
    assert peer.timeline("AAPL") == [name]
    assert peer.hash("ratings:latest:AAPL")["_record"] == name
    assert peer.one(deleted(record)) == "latest"
    assert peer.symbols() == set()


@pytest.mark.parametrize("symbol", ["BRK.B", "TSX:XYZ", "A:B:C", "Ü", "X/Y", "%D", "-"])
def test_odd_symbols_are_only_names(peer: Peer, symbol: str) -> None:
    peer.one(rating(symbol=symbol))
    assert peer.symbols() == {symbol}
    assert peer.hash(f"ratings:latest:{symbol}")["_symbol"] == symbol
    assert peer.entries()[0]["symbol"] == symbol


@pytest.mark.parametrize("symbol", ["", "A B", "{A}", "A*", "A" * 33, "A\x07"])
def test_what_is_no_plausible_symbol_keys_nothing(peer: Peer, symbol: str) -> None:
    assert peer.one(rating(symbol=symbol)) == "record"
    assert peer.entries()[0]["symbol"] == ""
    assert peer.symbols() == set()
    assert not peer.redis.keys("*:latest:*")
    assert not peer.redis.keys("*:timeline:*")
    assert "_symbol" not in peer.hash("ratings:record:a")


def test_times_far_off_keep_all_their_digits(peer: Peer) -> None:
    late: dict[str, Any] = {"updated": "9998-12-31T23:59:59Z"}
    peer.one(rating("a", **late))
    peer.one(rating("b", date="1971-05-06", minute=None))
    assert peer.hash("ratings:record:a")["_version"] == "253370764799000"
    assert peer.entries()[0]["version"] == "253370764799000"
    assert peer.timeline("AAPL") == ["a", "b"]


def test_on_a_cluster_all_keys_share_a_slot(tmp_path: Path) -> None:
    with running("valkey", tmp_path, cluster_enabled="yes") as peer:
        peer.redis.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        until = time.monotonic() + 10
        while peer.redis.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
            assert time.monotonic() < until
            time.sleep(0.02)
        store = peer.store("{bz}")
        batch = (rating(), deleted(), "garbage", rating("b"), rating("c", symbol="X"))
        results = peer.apply(RATINGS, *batch, store=store)
        assert results == ("latest", "latest", "rejected", "latest", "latest")
        changes = (consensus(id="c"), consensus(2, "4"))
        results = peer.apply(CONSENSUS, *changes, store=peer.store("{bz}"))
        assert results == ("latest", "latest")
        keys = peer.redis.keys()
        assert len(keys) > 12
        slots = {peer.redis.execute_command("CLUSTER", "KEYSLOT", key) for key in keys}
        assert len(slots) == 1


def test_a_notification_names_the_symbol_and_the_entry(peer: Peer) -> None:
    with peer.redis.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe("bz:ratings:changed")
        listener.get_message(timeout=1)
        peer.apply(
            RATINGS,
            rating("a", minute=5),
            rating("b", minute=1),  # older: nothing to tell
            rating("c", symbol="X"),
            rating("a", 2, minute=5),
        )
        peer.one(rating("a", 1, notes="late"))
        peer.one(rating("a", 3, symbol="X", minute=9))
        told = []
        while (heard := listener.get_message(timeout=0.2)) is not None:
            told.append(heard["data"])
    ids = [entry for entry, _ in peer.redis.xrange("bz:ratings:events")]
    # Once per symbol and batch, with the last entry that changed it.
    assert told == [f"AAPL {ids[3]}", f"X {ids[2]}", f"AAPL {ids[5]}", f"X {ids[5]}"]


def test_symbols_are_scored_by_when_their_latest_changed(peer: Peer) -> None:
    def scores() -> dict[str, float]:
        found = peer.redis.zrange("bz:ratings:symbols", 0, -1, withscores=True)
        return dict(found)

    def wait_a_millisecond() -> float:
        start = now = peer.redis.time()
        while now == start or now[1] // 1000 == start[1] // 1000:
            now = peer.redis.time()
        return float(now[0] * 1000 + now[1] // 1000)

    peer.apply(RATINGS, rating("a", minute=5), rating("x", symbol="X"))
    first = scores()
    begin = wait_a_millisecond()
    peer.one(rating("b", minute=4))  # not the newest: nothing changes
    assert scores() == first
    peer.one(rating("b", 2, minute=6))
    assert scores()["X"] == first["X"]
    assert begin <= scores()["AAPL"] <= begin + 5_000
    assert json.loads(peer.entries()[-1]["raw"])["data"]["id"] == "b"
