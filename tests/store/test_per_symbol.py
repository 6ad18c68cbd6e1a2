"""The consensus as it stands: contract.md 2, promises 3, 4 and 7."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from store.servers import (
    PREFIX,
    RECEIVED,
    Item,
    Peer,
    consensus,
    deleted,
    message,
    stamp,
)

from bzredis.changes.from_frame import read
from bzredis.changes.kinds import Change
from bzredis.messages.envelope import Notice, Pong
from bzredis.messages.times import rfc3339
from bzredis.streams import CONSENSUS

LATEST = "consensus:latest:AAPL"
HISTORY = "consensus:history:AAPL"


def newest(peer: Peer) -> str:
    """Return the id of the newest entry of the log."""
    entry: str = peer.redis.xrevrange(f"{PREFIX}:consensus:events", count=1)[0][0]
    return entry


def apply(peer: Peer, *items: Item, **how: object) -> tuple[str, ...]:
    return peer.apply(CONSENSUS, *items, **how)


def test_an_entry_has_exactly_its_fields_in_order(peer: Peer) -> None:
    first = consensus(1, "3.680", envelope="e1")
    second = consensus(2, "3.6799", envelope="e2", symbol="ry", exchange="TSX")
    apply(peer, first, consensus(2, "3.70", envelope="e3"), second)
    one, two, three = peer.entries("consensus:events")
    assert list(one.items()) == [
        ("envelope", "e1"),
        ("action", "updated"),
        ("symbol", "AAPL"),
        ("received", rfc3339(RECEIVED)),
        ("source", "live"),
        ("version", "1728000001000"),
        ("published", "1728000001000"),
        ("effect", "latest"),
        ("news", "1"),
        ("rating", "BUY"),
        ("value", "3.680"),
        ("target", "200.50"),
        ("raw", first),
    ]
    assert list(two) == [*list(one)[:-1], "shift", "raw"]
    assert two["shift"] == "up"
    assert three["symbol"] == "TSX:RY"
    assert "shift" not in three


def test_the_hash_and_its_history(peer: Peer) -> None:
    ratings = {"strong_buy": 3, "buy": 1}
    apply(peer, consensus(1, "3.5", aggregate_ratings=ratings))
    first = peer.hash(LATEST)
    assert first == {
        "ticker": "AAPL",
        "consensus_rating": "BUY",
        "consensus_rating_val": "3.5",
        "consensus_price_target": "200.50",
        "updated_at": stamp(1),
        "aggregate_ratings_strong_buy": "3",
        "aggregate_ratings_buy": "1",
        "_symbol": "AAPL",
        "_action": "updated",
        "_version": "1728000001000",
        "_published": "1728000001000",
        "_received": rfc3339(RECEIVED),
        "_source": "live",
        "_event": newest(peer),
    }
    apply(peer, consensus(2, "3.40", consensus_rating="HOLD"))
    assert peer.hash(LATEST) == {
        "ticker": "AAPL",
        "consensus_rating": "HOLD",
        "consensus_rating_val": "3.40",
        "consensus_price_target": "200.50",
        "updated_at": stamp(2),
        "_previous_consensus_rating": "BUY",
        "_previous_consensus_rating_val": "3.5",
        "_previous_consensus_price_target": "200.50",
        "_shift": "down",
        "_symbol": "AAPL",
        "_action": "updated",
        "_version": "1728000002000",
        "_published": "1728000002000",
        "_received": rfc3339(RECEIVED),
        "_source": "live",
        "_event": newest(peer),
    }
    logged = peer.redis.xrange(f"{PREFIX}:consensus:events")
    told = [{**entry, "event": identity} for identity, entry in logged]
    assert all(entry.pop("raw") and entry["news"] == "1" for entry in told)
    assert peer.entries(HISTORY) == told
    assert peer.symbols("consensus") == {"AAPL"}


@pytest.mark.parametrize(
    ("frame", "result"),
    [
        ('{"type":"info","message":"ready","data":{"tickers":["AAPL"]}}', None),
        ('{"type":"subscribed","data":{"ticker":"AAPL"}}', None),
        ('{"data":{"ticker":"AAPL"}}', "rejected"),
        ('{"data":{"action":"created","content":{"ticker":"AAPL"}}}', "rejected"),
    ],
)
def test_what_is_no_consensus_leaves_the_hash_alone(
    peer: Peer, frame: str, result: str | None
) -> None:
    apply(peer, consensus(1))
    before = peer.hash(LATEST)
    made = read(CONSENSUS, frame, received=RECEIVED, source="live", sole="AAPL")
    assert isinstance(made, Notice) == (result is None)
    if not isinstance(made, Notice | Pong):
        assert apply(peer, made) == (result,)
    assert peer.hash(LATEST) == before
    assert len(peer.entries("consensus:events")) == 1


SHIFTS = [
    ("3.5", "3.51", "up"),
    ("3.5", "3.49", "down"),
    ("3.5", "3.50", "same"),
    ("10", "9.5", "down"),
    ("293.69192307692305", "293.69192307692306", "same"),  # one number, for doubles
    ('"n/a"', "3", ""),
    ("3", "null", ""),
]


@pytest.mark.parametrize(("was", "value", "shift"), SHIFTS)
def test_a_shift_goes_by_the_value(
    peer: Peer, was: str, value: str, shift: str
) -> None:
    # The same value alone would be the same figures.
    apply(peer, consensus(1, was, low=1), consensus(2, value, low=2))
    assert peer.hash(LATEST).get("_shift", "") == shift
    assert peer.entries("consensus:events")[1].get("shift", "") == shift


@pytest.mark.parametrize("together", [False, True], ids=["batches", "one batch"])
def test_the_same_figures_move_times_only(peer: Peer, *, together: bool) -> None:
    later = read(CONSENSUS, consensus(9, "4"), received=RECEIVED + 5_000, source="live")
    assert isinstance(later, Change)
    changes: list[Item] = [consensus(1, "3"), consensus(2, "4"), later]
    if together:
        assert apply(peer, *changes) == ("latest",) * 3
        before = peer.hash(LATEST)
    else:
        apply(peer, *changes[:2])
        before = peer.hash(LATEST)
        assert apply(peer, later) == ("latest",)
    moved = {"_version": "1728000009000", "updated_at": stamp(9)}
    moved["_received"] = rfc3339(RECEIVED + 5_000)
    assert peer.hash(LATEST) == {**before, **moved}
    assert len(peer.entries(HISTORY)) == 2
    assert len(peer.entries("consensus:events")) == 3
    assert peer.hash(LATEST)["_previous_consensus_rating_val"] == "3"


AGAIN = {
    "a frame that does not say whose it is": {"ticker": None},
    "other digits": {"consensus_price_target": msgspec.Raw(b"200.5")},
    "a number as text": {"consensus_price_target": "200.50"},
    "the rating in another case": {"consensus_rating": "Buy"},
    "a missing count of zero": {"aggregate_ratings": {"buy": 5}},
    "another count of zero": {"aggregate_ratings": {"buy": 5, "hold": 0, "sell": 0}},
}


@pytest.mark.parametrize("fields", AGAIN.values(), ids=AGAIN)
def test_the_same_figures_are_told_in_many_ways(
    peer: Peer, fields: dict[str, Any]
) -> None:
    counts: dict[str, Any] = {"aggregate_ratings": {"buy": 5, "hold": 0}}
    apply(peer, consensus(1, "3", **counts), consensus(2, "4", **counts))
    before = peer.hash(LATEST)
    assert apply(peer, consensus(9, "4", **(counts | fields)), sole="AAPL") == (
        "latest",
    )
    moved = {"_version": "1728000009000", "updated_at": stamp(9)}
    assert peer.hash(LATEST) == {**before, **moved}
    assert len(peer.entries(HISTORY)) == 2


OTHERS = {
    "a count": {"aggregate_ratings": {"buy": 5, "hold": 1}},
    "a count that is gone": {"aggregate_ratings": {"hold": 0}},
    "a figure": {"consensus_price_target": msgspec.Raw(b"200.51")},
    "a word": {"consensus_rating": "HOLD"},
    "a word for a number": {"consensus_price_target": "n/a"},
}


@pytest.mark.parametrize("fields", OTHERS.values(), ids=OTHERS)
def test_other_figures_are_another_consensus(
    peer: Peer, fields: dict[str, Any]
) -> None:
    counts: dict[str, Any] = {"aggregate_ratings": {"buy": 5, "hold": 0}}
    apply(peer, consensus(1, **counts), consensus(2, **(counts | fields)))
    assert len(peer.entries(HISTORY)) == 2
    assert peer.hash(LATEST)["_version"] == "1728000002000"


def test_a_field_more_or_less_is_another_consensus(peer: Peer) -> None:
    apply(peer, consensus(1), consensus(2, low_price_target=1), consensus(3))
    assert len(peer.entries(HISTORY)) == 3
    assert "low_price_target" not in peer.hash(LATEST)


def test_upstream_fields_like_ours_are_figures(peer: Peer) -> None:
    apply(peer, consensus(1, _odd=1), consensus(2, _odd=2))
    assert peer.hash(LATEST)["__odd"] == "2"
    assert len(peer.entries(HISTORY)) == 2


def test_an_older_consensus_changes_nothing(peer: Peer) -> None:
    apply(peer, consensus(5, "4"))
    before = peer.hash(LATEST)
    assert apply(peer, consensus(4, "3")) == ("none",)
    assert apply(peer, consensus(4, "2"), source="rest") == ("duplicate",)
    assert peer.hash(LATEST) == before
    assert [e["effect"] for e in peer.entries("consensus:events")] == ["latest", "none"]


def test_nanoseconds_order_it(peer: Peer) -> None:
    frames = [consensus(1.000000002, "4"), consensus(1.000000001, "3")]
    assert apply(peer, *frames) == ("latest", "none")
    assert apply(peer, consensus(1.000000003, "5")) == ("latest",)
    # The same moment again, with other figures: what came last, but never over REST.
    assert apply(peer, consensus(1.000000003, "6")) == ("latest",)
    assert apply(peer, consensus(1.000000003, "7"), source="rest") == ("duplicate",)


def test_without_a_certain_symbol_it_is_logged_alone(peer: Peer) -> None:
    assert apply(peer, consensus(symbol=None)) == ("unattributed",)
    (entry,) = peer.entries("consensus:events")
    assert (entry["effect"], entry["value"]) == ("none", "3.5")
    assert not {"symbol", "news"} & set(entry)
    assert set(peer.kept()) == {"bz:consensus:events"}


def test_a_ticker_alone_is_of_its_records_exchange(peer: Peer) -> None:
    def of(version: int, **whose: str) -> str:
        content = {"hold": version, "updated_at": stamp(version), **whose}
        return message("c", content, at=version)

    apply(peer, of(1, ticker="SHOP", exchange="TSX"), of(2, ticker="SHOP"), of(3))
    assert peer.symbols("consensus") == {"TSX:SHOP"}
    assert {e["symbol"] for e in peer.entries("consensus:events")} == {"TSX:SHOP"}
    apply(peer, of(4, ticker="SHOP", exchange="NYSE"))
    assert peer.symbols("consensus") == {"SHOP"}


def test_a_sole_subscription_names_the_symbol(peer: Peer) -> None:
    frame = consensus(symbol=None)
    assert apply(peer, frame, sole="ISIN:US0378331005") == ("latest",)
    assert peer.symbols("consensus") == {"ISIN:US0378331005"}


def wrapped(version: float, at: float = 0, action: str = "updated") -> str:
    content = {"ticker": "AAPL", "updated_at": stamp(version), "hold": version}
    return message("c1", content, action=action, at=at)


def test_a_record_names_the_symbol_that_it_had(peer: Peer) -> None:
    named, bare = wrapped(1), message("c1", {"hold": 2, "updated_at": stamp(2)}, at=2)
    assert apply(peer, named, bare) == ("latest", "latest")
    assert peer.hash(LATEST)["hold"] == "2"
    assert peer.hash(LATEST)["_record"] == "c1"


def test_a_deleted_consensus_is_gone_until_a_newer_one(peer: Peer) -> None:
    gone = message("c1", None, action="deleted", at=50)
    assert apply(peer, wrapped(1), gone) == ("latest", "latest")
    assert peer.hash(LATEST) == {}
    assert peer.symbols("consensus") == set()
    for key in ("record:c1", "symbol:AAPL"):
        assert peer.redis.ttl(f"bz:consensus:internal:heard:{key}") > 34 * 86_400
    assert apply(peer, wrapped(2)) == ("none",)
    assert apply(peer, wrapped(3), source="rest") == ("duplicate",)
    assert peer.hash(LATEST) == {}
    assert apply(peer, wrapped(60)) == ("latest",)
    assert "_shift" not in peer.hash(LATEST)
    assert peer.redis.ttl("bz:consensus:internal:heard:record:c1") == -1
    assert peer.redis.ttl("bz:consensus:internal:heard:symbol:AAPL") == -1
    assert peer.symbols("consensus") == {"AAPL"}


def test_a_delete_of_what_is_not_there_is_remembered(peer: Peer) -> None:
    assert apply(peer, wrapped(5, action="deleted")) == ("record",)
    assert apply(peer, wrapped(4)) == ("none",)
    assert peer.hash(LATEST) == {}


def of(record: str, version: float, symbol: str = "AAPL", value: float = 0) -> str:
    """Write a consensus that has a record id, with figures of its own or these."""
    content = {
        "ticker": symbol,
        "consensus_rating_val": value or version,
        "updated_at": stamp(version),
    }
    return message(record, content, at=version)


def gone(record: str, at: float = 50) -> str:
    """Write a delete without content."""
    return message(record, None, action="deleted", at=at)


# What came of each message, and whose consensus each symbol then has.
OWNED: dict[str, tuple[list[tuple[str, str]], dict[str, str]]] = {
    "an older record is deleted": (
        [(of("c1", 1), "latest"), (of("c2", 2), "latest"), (gone("c1"), "record")],
        {"AAPL": "c2"},
    ),
    "one that came late is deleted": (
        [(of("c2", 2), "latest"), (of("c1", 1), "none"), (gone("c1"), "record")],
        {"AAPL": "c2"},
    ),
    "the newest record is deleted": (
        [(of("c1", 1), "latest"), (of("c2", 2), "latest"), (gone("c2"), "latest")],
        {},
    ),
    "it is deleted before it comes": (
        [(gone("c1"), "record"), (of("c1", 1), "none"), (of("c2", 2), "latest")],
        {"AAPL": "c2"},
    ),
    "what is older than a deleted one stays out": (
        [(of("c2", 2), "latest"), (gone("c2"), "latest"), (of("c1", 1), "none")],
        {},
    ),
    "what is older than one that has left stays out": (
        [
            (of("c1", 3, "MSFT"), "latest"),
            (of("c1", 2), "none"),
            (of("c2", 1), "none"),
        ],
        {"MSFT": "c1"},
    ),
    "also where it came before that": (
        [(of("c1", 1), "latest"), (gone("c2"), "record"), (of("c2", 2), "latest")],
        {},
    ),
    "a record moves": (
        [(of("c1", 1), "latest"), (of("c1", 2, "MSFT"), "latest")],
        {"MSFT": "c1"},
    ),
    "it moves and comes back": (
        [
            (of("c1", 1), "latest"),
            (of("c1", 2, "MSFT"), "latest"),
            (of("c1", 3), "latest"),
        ],
        {"AAPL": "c1"},
    ),
    "an older record moves": (
        [
            (of("c1", 1), "latest"),
            (of("c2", 2), "latest"),
            (of("c1", 3, "MSFT"), "latest"),
        ],
        {"AAPL": "c2", "MSFT": "c1"},
    ),
    "it moves to where it is not the newest": (
        [
            (of("c2", 9, "MSFT"), "latest"),
            (of("c1", 1), "latest"),
            (of("c1", 2, "MSFT"), "latest"),
        ],
        {"MSFT": "c2"},
    ),
    "it had moved before we heard of it": (
        [(of("c1", 2, "MSFT"), "latest"), (of("c1", 1), "none")],
        {"MSFT": "c1"},
    ),
    "it is deleted where it was not any more": (
        [
            (of("c1", 1), "latest"),
            (of("c1", 2, "MSFT"), "latest"),
            (of("c2", 3), "latest"),
            (gone("c1"), "latest"),
        ],
        {"AAPL": "c2"},
    ),
    "one without a record is nobody's": (
        [(of("c1", 1), "latest"), (consensus(2), "latest"), (gone("c1"), "record")],
        {"AAPL": ""},
    ),
    "a delete without a record is of the symbol": (
        [(of("c1", 1), "latest"), (consensus(2, action="deleted"), "latest")],
        {},
    ),
    "such a delete may be out of date": (
        [(consensus(2), "latest"), (consensus(1, action="deleted"), "none")],
        {"AAPL": ""},
    ),
    "two at one moment": (
        [(of("c2", 1), "latest"), (of("c1", 1), "none")],
        {"AAPL": "c2"},
    ),
}


@pytest.mark.parametrize("together", [False, True], ids=["batches", "one batch"])
@pytest.mark.parametrize("name", OWNED)
def test_a_delete_or_a_move_concerns_its_record_only(
    peer: Peer, name: str, *, together: bool
) -> None:
    steps, expected = OWNED[name]
    frames = [frame for frame, _ in steps]
    effects = tuple(effect for _, effect in steps)
    if together:
        assert apply(peer, *frames) == effects
    else:
        assert tuple(apply(peer, frame)[0] for frame in frames) == effects
    assert tuple(e["effect"] for e in peer.entries("consensus:events")) == effects
    assert peer.symbols("consensus") == set(expected)
    found = {
        symbol: peer.hash(f"consensus:latest:{symbol}") for symbol in ("AAPL", "MSFT")
    }
    assert {s: h.get("_record", "") for s, h in found.items() if h} == expected


def test_the_same_figures_of_another_record_are_its_own(peer: Peer) -> None:
    apply(peer, of("c1", 1, value=3), of("c2", 2, value=3))
    assert peer.hash(LATEST)["_record"] == "c1"  # the hash moves its times only
    assert len(peer.entries(HISTORY)) == 1
    assert apply(peer, gone("c1")) == ("record",)
    assert peer.hash(LATEST)["_version"] == "1728000002000"
    assert apply(peer, gone("c2")) == ("latest",)
    assert peer.hash(LATEST) == {}


def test_a_hash_that_someone_removed_comes_again(peer: Peer) -> None:
    apply(peer, of("c1", 5), of("c1", 6, "MSFT"))
    peer.redis.delete("bz:consensus:latest:MSFT")
    assert apply(peer, of("c2", 2, "MSFT")) == ("latest",)
    assert apply(peer, of("c3", 4)) == ("none",)  # from here one left by itself


def test_a_hash_alone_tells_enough(peer: Peer) -> None:
    apply(peer, of("c1", 5))
    for key in ("record:c1", "symbol:AAPL"):
        assert peer.redis.delete(f"bz:consensus:internal:heard:{key}")
    assert apply(peer, of("c2", 4)) == ("none",)
    named = message("c1", {"ticker": "AAPL"}, action="deleted", at=50)
    assert apply(peer, named) == ("latest",)
    assert peer.hash(LATEST) == {}
    assert apply(peer, of("c3", 4)) == ("none",)


def test_a_newer_hash_goes_before_an_older_note(peer: Peer) -> None:
    """As after a time with an older version, which wrote no notes."""
    apply(peer, consensus(1, "1"))
    note = peer.redis.dump("bz:consensus:internal:heard:symbol:AAPL")
    apply(peer, consensus(9, "9"))
    peer.redis.delete("bz:consensus:internal:heard:symbol:AAPL")
    peer.redis.restore("bz:consensus:internal:heard:symbol:AAPL", 0, note)
    assert apply(peer, consensus(5, "5")) == ("none",)
    assert peer.hash(LATEST)["consensus_rating_val"] == "9"


def test_a_record_may_have_any_name(peer: Peer) -> None:
    """Old servers are asked for their permissions by trying."""
    content = {"ticker": "AAPL", "consensus_rating": "BUY", "updated_at": stamp(1)}
    apply(peer, message("*", content, at=1))
    assert apply(peer, deleted("*", at=2)) == ("latest",)
    assert not peer.hash(LATEST)


def test_an_older_record_is_forgotten_after_a_while(peer: Peer) -> None:
    apply(peer, of("c1", 1), of("c2", 2), of("c0", 0.5))
    for record, kept in (("c0", False), ("c1", False), ("c2", True)):
        ttl = peer.redis.ttl(f"bz:consensus:internal:heard:record:{record}")
        assert (ttl == -1) == kept


def test_notifications(peer: Peer) -> None:
    with peer.redis.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe("bz:consensus:changed")
        listener.get_message(timeout=60)  # the answer
        apply(peer, wrapped(1), wrapped(2), wrapped(1.5), consensus(symbol=None))
        apply(peer, of("c1", 40, "MSFT"), gone("c1"))
        told = peer.heard(listener, "bz:consensus:changed")
    ids = [entry for entry, _ in peer.redis.xrange("bz:consensus:events")]
    assert told[:2] == [f"AAPL {ids[0]}", f"AAPL {ids[1]}"]
    assert sorted(told[2:4]) == [f"AAPL {ids[4]}", f"MSFT {ids[4]}"]
    assert told[4:] == [f"MSFT {ids[5]}"]
