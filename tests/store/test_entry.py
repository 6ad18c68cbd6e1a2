"""The log and its entries, and what all streams write alike: contract.md 1 and 2."""

from __future__ import annotations

import json
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
    stamp,
)

from bzredis.contract import fields
from bzredis.messages.times import rfc3339
from bzredis.store import script
from bzredis.streams import CONSENSUS, INSIGHTS, RATINGS, Stream

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
        ("published", "1728069611000"),
        ("effect", "latest"),
        ("news", "1"),
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
        "_published": "1728069611000",
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
    internal = {key for key in peer.dump() if ":internal:" in key}
    assert set(peer.redis.keys()) - internal == {
        "bz:ratings:events",
        "bz:ratings:latest:AAPL",
        "bz:ratings:record:a",
        "bz:ratings:record:b",
        "bz:ratings:timeline:AAPL",
        "bz:ratings:history:AAPL",
        "bz:ratings:history:X",
        "bz:ratings:symbols",
        "bz:ratings:rejected",
        "bz:insights:events",
        "bz:insights:latest:BRK.B",
        "bz:insights:record:i",
        "bz:insights:timeline:BRK.B",
        "bz:insights:history:BRK.B",
        "bz:insights:symbols",
        "bz:consensus:events",
        "bz:consensus:latest:AAPL",
        "bz:consensus:history:AAPL",
        "bz:consensus:symbols",
    }


@pytest.mark.parametrize("stream", [RATINGS, INSIGHTS], ids=lambda stream: stream.name)
def test_what_is_not_known_has_no_field(peer: Peer, stream: Stream) -> None:
    peer.apply(stream, message("x", {"a": 1}))
    (entry,) = peer.entries(f"{stream.name}:events")
    always = {each.name for each in fields.entry(stream) if not each.absent}
    assert set(entry) == {*always, "envelope", "record", "timestamp", "news"}
    assert "" not in entry.values()


def test_streams_are_trimmed(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "REJECTED_MAXLEN", 100)
    few = peer.store(events_maxlen=100, history_length=100)
    peer.apply(RATINGS, *(rating(f"r{n}") for n in range(500)), store=few)
    peer.apply(RATINGS, *(f"garbage {n}" for n in range(500)))
    figures = (consensus(n + 1, f"1.{n}") for n in range(500))
    peer.apply(CONSENSUS, *figures, store=peer.store(history_length=100))
    histories = ("ratings:history:AAPL", "consensus:history:AAPL")
    for key in ("ratings:events", "ratings:rejected", *histories):
        assert 100 <= peer.redis.xlen(f"{PREFIX}:{key}") <= 200, key
    assert peer.redis.xlen(f"{PREFIX}:consensus:events") == 500


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
    assert "symbol" not in peer.entries()[0]
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


def test_a_notification_names_the_symbol_and_the_entry(peer: Peer) -> None:
    with peer.redis.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe("bz:ratings:changed")
        listener.get_message(timeout=60)  # the answer
        peer.apply(
            RATINGS,
            rating("a", minute=5),
            rating("b", minute=1),  # older: nothing to tell
            rating("c", symbol="X"),
            rating("a", 2, minute=5),
        )
        peer.one(rating("a", 1, notes="late"))
        peer.one(rating("a", 3, symbol="X", minute=9))
        told = peer.heard(listener, "bz:ratings:changed")
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
