"""What the real script wrote, read from real servers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, assert_type

import pytest
import trio
from hurt import restart
from redis import Redis
from store.servers import (
    BASE,
    Peer,
    consensus,
    deleted,
    rating,
)
from store.test_acl import make, reading

from bzredis.contract import fields as contract
from bzredis.ports import Sign
from bzredis.reader import (
    Consensus,
    Entry,
    Gap,
    Insight,
    Rating,
    Reader,
    ReaderError,
)
from bzredis.reader.asking import HOW, Asked
from bzredis.store import acl
from bzredis.streams import CONSENSUS, INSIGHTS, RATINGS, STREAMS

FRAMES = Path(__file__).parent.parent / "frames"
VERSION = datetime(2024, 10, 4, 19, 21, 6, tzinfo=UTC)


def frame(name: str) -> str:
    return (FRAMES / f"{name}.json").read_text()


def test_a_rating(peer: Peer, reader: Reader) -> None:
    peer.one(frame("ratings-documented"))
    found = reader.latest("ratings", "AAPL")
    assert_type(found, Rating | None)
    assert found is not None
    assert found.symbol == "AAPL"
    assert found.record == "67003f2e5d1c8a0001b0f5d1"
    assert found.firm == "Example Securities"
    assert (found.direction, found.importance) == ("same", 3)
    assert str(found.pt_current) == "265.00"
    assert (found.pt_change, found.pt_change_pct) == (Decimal(15), Decimal(6))
    assert found.version == found.updated == VERSION
    assert found.published == datetime(2024, 10, 4, 19, 20, 47, tzinfo=UTC)
    assert found.timestamp == VERSION
    assert found.event is not None
    assert found.other.keys() == {"cusip", "url_calendar", "url_news"}


def test_an_insight(peer: Peer, reader: Reader) -> None:
    peer.one(frame("insights-documented"), INSIGHTS)
    found = reader.latest("insights", "AAPL")
    assert_type(found, Insight | None)
    assert found is not None
    assert (found.firm, found.rating, found.pt) == (
        "Example Securities",
        "Buy",
        Decimal("265.00"),
    )
    assert (found.action, found.action_company) == ("created", "Reiterates")
    assert found.rating_id == "67003f2e5d1c8a0001b0f5d1"
    assert found.analyst_insights is not None
    assert found.analyst_insights.startswith("## Rating Rationale\n")
    assert found.updated == found.version
    assert found.other.keys() == {"security_cik"}


def test_a_consensus(peer: Peer, reader: Reader) -> None:
    peer.one(frame("consensus-enveloped"), CONSENSUS)
    peer.one(consensus(9e6, "3.10", symbol="AAPL"), CONSENSUS)
    found = reader.latest("consensus", "AAPL")
    assert_type(found, Consensus | None)
    assert found is not None
    assert str(found.consensus_rating_val) == "3.10"
    assert found.consensus_price_target == Decimal("200.50")
    assert found.previous_consensus_rating_val == Decimal("3.68")
    assert found.previous_consensus_price_target == Decimal("293.69192307692305")
    assert found.shift == "down"


def test_its_counts(peer: Peer, reader: Reader) -> None:
    peer.one(frame("consensus-enveloped"), CONSENSUS)
    found = reader.latest("consensus", "AAPL")
    assert found is not None
    counts = [found.strong_buy, found.buy, found.hold, found.sell, found.strong_sell]
    assert [str(each) for each in counts] == ["10", "15", "8", "1", "None"]
    assert (found.aggregate_type, found.total_analyst_count) == ("number", 34)
    assert str(found.high_price_target) == "350.0"


def test_nothing_is_none(reader: Reader) -> None:
    assert reader.latest("ratings", "AAPL") is None
    assert reader.latest("consensus", "AAPL") is None
    assert reader.opinions("AAPL") == ()
    assert reader.history("consensus", "AAPL") == ()
    assert [*reader.events("ratings", "0", follow=False)] == []


@pytest.mark.parametrize("symbol", ["AAPL", " aapl\n", "$AAPL"])
def test_a_symbol_as_people_write_it(peer: Peer, reader: Reader, symbol: str) -> None:
    peer.one(rating())
    assert reader.latest("ratings", symbol) is not None


@pytest.mark.parametrize("symbol", ["TSX:SHOP", "BRK.B", "ÄÖ"])
def test_symbols_with_more_than_letters(
    peer: Peer, reader: Reader, symbol: str
) -> None:
    peer.one(rating(symbol=symbol))
    found = reader.latest("ratings", symbol)
    assert found is not None
    assert found.symbol == symbol


def test_text_of_all_alphabets_and_of_any_length(peer: Peer, reader: Reader) -> None:
    notes = "Größe 数量 🚀 — " * 300
    peer.one(rating(analyst="Société Générale", notes=notes))
    found = reader.latest("ratings", "AAPL")
    assert found is not None
    assert (found.firm, found.notes) == ("Société Générale", notes)


def test_bytes_that_are_no_text_raise_nothing(peer: Peer, reader: Reader) -> None:
    peer.redis.hset("bz:ratings:latest:AAPL", mapping={"notes": b"\xff!"})
    found = reader.latest("ratings", "AAPL")
    assert found is not None
    assert found.notes == "\\xff!"


def test_another_prefix(peer: Peer) -> None:
    peer.one(rating(), store=peer.store(prefix="{demo}"))
    with Reader(peer.server.url, "{demo}") as reader:
        assert reader.latest("ratings", "AAPL")


def test_a_client_that_someone_else_made(peer: Peer) -> None:
    peer.one(rating())
    with Redis(port=peer.server.port, decode_responses=True) as client:
        number = client.client_id()
        with Reader(client) as reader:
            assert reader.latest("ratings", "AAPL")
            assert reader.opinions("AAPL")
            assert [*reader.events("ratings", "0", follow=False)]
        assert client.client_id() == number, "it is for others to close"


@pytest.mark.parametrize("how", [{}, {"decode_responses": True, "protocol": 3}])
def test_a_client_that_gives_something_else(how: dict[str, Any]) -> None:
    with pytest.raises(ReaderError, match="decode_responses=True, protocol=2"):
        Reader(Redis(**how))


# ---- opinions


def test_what_each_firm_says_now(peer: Peer, reader: Reader) -> None:
    peer.apply(
        RATINGS,
        rating("a", 1, minute=1, analyst="One", pt_current="100.00"),
        rating("b", 2, minute=2, analyst="Two", pt_current="90.00"),
        rating("c", 3, minute=3, analyst="One", pt_current="110.00"),
        rating("d", 4, minute=4, analyst="Three", action_company="Terminates"),
        rating("e", 5, minute=5, symbol="MSFT", analyst="Four"),
    )
    found = reader.opinions("AAPL")
    assert [(one.firm, one.record) for one in found] == [
        ("Three", "d"),
        ("One", "c"),
        ("Two", "b"),
    ]
    assert found[1].pt_current == Decimal("110.00")


def test_a_deleted_one_says_nothing(peer: Peer, reader: Reader) -> None:
    peer.apply(
        RATINGS,
        rating("a", 1, minute=1, analyst="One"),
        rating("b", 2, minute=2, analyst="One"),
        deleted("b", at=3),
    )
    assert [one.record for one in reader.opinions("AAPL")] == ["a"]


def test_a_firm_is_known_by_its_id_or_its_name(peer: Peer, reader: Reader) -> None:
    peer.apply(
        RATINGS,
        rating("a", 1, minute=1, analyst="Evercore ISI"),
        rating("b", 2, minute=2, analyst="Evercore ISI Group", firm_id="7"),
        rating("c", 3, minute=3, analyst="Evercore ISI", firm_id="7"),
        rating("d", 4, minute=4),
        rating("e", 5, minute=5),
    )
    assert [one.record for one in reader.opinions("AAPL")] == ["e", "d", "c"]


def test_opinions_are_of_one_moment(
    peer: Peer, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the reading of the line and of its records another one comes."""
    peer.one(rating("a", 1, minute=1, analyst="One"))
    ask = Asked.ask
    asked: list[object] = []

    def meddle(self: Asked, *commands: Any) -> list[Any]:
        if len(asked) == 1:
            peer.one(rating("b", 2, minute=2, analyst="One"))
        asked.append(commands)
        return ask(self, *commands)

    monkeypatch.setattr(Asked, "ask", meddle)
    assert [one.record for one in reader.opinions("AAPL")] == ["b"]
    assert len(asked) == 3


# ---- entries


def test_the_log_from_its_start(peer: Peer, reader: Reader) -> None:
    peer.one(frame("ratings-documented"))
    peer.one(deleted("67003f2e5d1c8a0001b0f5d1", at=90_000))
    first, second = reader.events("ratings", "0", follow=False)
    assert isinstance(first, Entry)
    assert isinstance(second, Entry)
    assert first.id == first.event
    assert (first.stream, first.action, first.symbol) == ("ratings", "created", "AAPL")
    assert (first.firm, first.direction) == ("Example Securities", "same")
    assert (str(first.pt), str(first.pt_prior)) == ("265.00", "250.00")
    assert first.version == VERSION
    assert first.effect == "latest"
    assert first.raw == frame("ratings-documented")
    assert (second.action, second.effect) == ("deleted", "latest")
    assert [*reader.events("ratings", first.id, follow=False)] == [second]


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_every_field_of_an_entry_has_its_attribute(
    stream: Any, peer: Peer, reader: Reader
) -> None:
    said = {
        "action": "created",
        "source": "rest",
        "effect": "none",
        "direction": "up",
        "shift": "up",
    }
    names = {each.name for each in (*contract.entry(stream), contract.EVENT)}
    fields = {name: said.get(name, "1") for name in names}
    fields |= {"timestamp": "2024-10-04T19:21:06Z", "received": "2024-10-04T19:21:06Z"}
    peer.redis.xadd(f"bz:{stream.name}:events", fields)
    [entry] = reader.events(stream.name, "0", follow=False)
    assert isinstance(entry, Entry)
    assert entry.other == {}
    assert entry.news
    assert all(getattr(entry, name) is not None for name in names)


def test_a_history_is_newest_first(peer: Peer, reader: Reader) -> None:
    for number, value in enumerate(["3.10", "3.2", "3.30"], 1):
        peer.redis.xadd(
            "bz:consensus:history:AAPL",
            {"event": f"{number}-0", "news": "1", "value": value, "symbol": "AAPL"},
            id=f"{number + 5}-0",
        )
    found = reader.history("consensus", "aapl", count=2)
    assert [(one.id, one.event, str(one.value)) for one in found] == [
        ("8-0", "3-0", "3.30"),
        ("7-0", "2-0", "3.2"),
    ]
    assert found[0].raw is None
    peer.redis.xadd("bz:consensus:history:AAPL", {"value": "3.1"})
    assert reader.history("consensus", "AAPL")[0].event is None


def test_a_gap_stands_between_entries(peer: Peer, reader: Reader) -> None:
    peer.redis.xadd("bz:ratings:events", {"action": "created", "symbol": "AAPL"})
    peer.redis.xadd(
        "bz:ratings:events", {"action": "gap", "from": "2024-10-04T19:21:06.000Z"}
    )
    assert [type(one) for one in reader.events("ratings", "0", follow=False)] == [
        Entry,
        Gap,
    ]


def test_more_than_one_answer_holds(peer: Peer, reader: Reader) -> None:
    peer.apply(RATINGS, *(rating(f"r{n}", 1, minute=n % 1440) for n in range(250)))
    found = [*reader.events("ratings", "0", follow=False)]
    assert [one.record for one in found if isinstance(one, Entry)] == [
        f"r{n}" for n in range(250)
    ]


def test_a_log_that_was_trimmed_beyond_the_place(peer: Peer, reader: Reader) -> None:
    peer.apply(RATINGS, rating("a"), rating("b"), rating("c"))
    [first, *_] = reader.events("ratings", "0", follow=False)
    peer.redis.xtrim("bz:ratings:events", maxlen=1, approximate=False)
    gap, entry = reader.events("ratings", first.id, follow=False)
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.id) == ("trimmed", first.id)
    assert isinstance(entry, Entry)
    assert entry.record == "c"


def in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_what_comes_is_given_as_it_comes(peer: Peer, reader: Reader) -> None:
    peer.one(rating("old"))
    events = reader.events("ratings")
    found: list[Any] = []
    began = threading.Event()

    def follow() -> None:
        began.set()
        found.extend(next(events) for _ in range(2))

    thread = in_background(follow)
    began.wait()
    until_blocked(peer)
    peer.one(rating("a"))
    peer.one(rating("b"))
    thread.join(60)
    assert [one.record for one in found] == ["a", "b"]


def until_blocked(peer: Peer) -> None:
    """Wait until someone waits for what comes."""
    deadline = datetime.now(UTC) + timedelta(seconds=60)
    while not peer.redis.info("clients")["blocked_clients"]:
        assert datetime.now(UTC) < deadline


# ---- status


def write_status(peer: Peer, presence: Any = "fresh", **fields: str) -> None:
    store = peer.store()
    sign = Sign("bridge-1", presence, "log", -1)
    try:
        trio.run(store.write_status, RATINGS, fields, sign)
    finally:
        store.close()


def test_the_status_of_a_bridge(peer: Peer, reader: Reader) -> None:
    write_status(
        peer,
        contract="1",
        state="live",
        bridge="bridge-1",
        covered_until="2024-10-04T19:21:06.000Z",
        missing="2024-10-04T19:00:00.000Z/2024-10-04T19:01:00.000Z",
        events="7",
        connected_at="",
        weather="fine",
    )
    status = reader.status("ratings")
    assert (status.stream, status.state, status.alive) == (
        "ratings",
        "live",
        "bridge-1",
    )
    assert status.fresh
    assert reader.fresh("ratings")
    assert (status.contract, status.events, status.connected_at) == (1, 7, None)
    assert status.covered_until == VERSION
    assert [span.end for span in status.missing] == [
        datetime(2024, 10, 4, 19, 1, tzinfo=UTC)
    ]
    assert status.other == {"weather": "fine"}


def test_what_is_not_fresh(peer: Peer, reader: Reader) -> None:
    write_status(peer, "connected", state="live")
    assert not reader.fresh("ratings")
    status = reader.status("ratings")
    assert (status.state, status.alive, status.fresh) == ("live", None, False)


def test_where_no_bridge_ever_was(reader: Reader) -> None:
    status = reader.status("insights")
    assert (status.state, status.alive, status.missing) == (None, None, ())


# ---- a user who may only read, and a Redis that is away


def test_a_user_who_only_reads_may_do_all_of_it(peer: Peer) -> None:
    peer.one(rating(analyst="One"))
    make(peer, acl.reader("bz", reading(peer)))
    url = peer.server.url.replace("://", "://bzreader:pw@")
    with Reader(url) as reader:
        assert reader.latest("ratings", "AAPL")
        assert reader.opinions("AAPL")
        assert [*reader.events("ratings", "0", follow=False)]
        assert reader.history("consensus", "AAPL") == ()
        assert not reader.status("ratings").fresh
        assert not reader.fresh("ratings")


def test_a_redis_that_was_started_anew(peer: Peer, reader: Reader) -> None:
    peer.one(rating())
    peer.redis.save()
    assert reader.latest("ratings", "AAPL")
    trio.run(restart, peer.server)
    assert reader.latest("ratings", "AAPL")


def test_events_go_on_after_redis_was_away(peer: Peer, reader: Reader) -> None:
    peer.one(rating("a"))
    events = reader.events("ratings", "0")
    found: list[Any] = [next(events)]
    peer.redis.save()
    thread = in_background(lambda: found.extend(next(events) for _ in range(2)))
    until_blocked(peer)
    trio.run(restart, peer.server)
    peer.one(rating("b"))
    peer.one(rating("c"))
    thread.join(60)
    assert [one.record for one in found] == ["a", "b", "c"]


def test_events_of_a_redis_that_came_back_empty(peer: Peer, reader: Reader) -> None:
    peer.redis.xadd("bz:ratings:events", {"record": "a"}, id=f"{BASE * 10_000}-0")
    events = reader.events("ratings", "0")
    found: list[Any] = [next(events)]
    thread = in_background(lambda: found.extend(next(events) for _ in range(1)))
    until_blocked(peer)
    peer.redis.flushall()
    trio.run(restart, peer.server)
    until_blocked(peer)
    peer.one(rating("b"))  # under an id that is lower
    thread.join(60)
    assert [one.record for one in found] == ["a", "b"]


# ---- what there is


def test_symbols_are_newest_change_first(peer: Peer, reader: Reader) -> None:
    for at, symbol in enumerate(("AAPL", "MSFT", "TSX:SHOP"), 1):
        peer.one(rating(symbol, at, symbol=symbol))
        peer.redis.zadd("bz:ratings:symbols", {symbol: at})
    assert reader.symbols("ratings") == ("TSX:SHOP", "MSFT", "AAPL")
    assert reader.symbols("insights") == ()


def test_the_newest_of_every_symbol(peer: Peer, reader: Reader) -> None:
    """More than are read at once, and one that goes meanwhile."""
    peer.apply(RATINGS, *(rating(f"r{n}", symbol=f"S{n}") for n in range(250)))
    peer.redis.delete("bz:ratings:latest:S200")
    found = [*reader.newest("ratings")]
    assert_type(found, list[Rating])
    assert {one.symbol for one in found} == {f"S{n}" for n in range(250)} - {"S200"}
    assert [one.symbol for one in reader.newest("ratings", 3)] == [
        *reader.symbols("ratings")[:3]
    ]
    assert [*reader.newest("consensus")] == []


def test_what_came_last(peer: Peer, reader: Reader) -> None:
    peer.apply(RATINGS, *(rating(f"r{n}") for n in range(5)))
    peer.redis.xadd("bz:ratings:events", {"action": "gap", "cause": "restart"})
    gap, *entries = reader.recent("ratings", 3)
    assert isinstance(gap, Gap)
    assert [one.record for one in entries if isinstance(one, Entry)] == ["r4", "r3"]
    assert [*reader.events("ratings", entries[0].id, follow=False)] == [gap]
    assert reader.recent("insights") == ()


def test_all_is_there_as_it_stands(peer: Peer, reader: Reader) -> None:
    peer.one(rating(pt_current="1e3", weather="fine"))
    found = reader.latest("ratings", "AAPL")
    assert found is not None
    assert found.text == peer.hash("ratings:latest:AAPL")
    assert found.text["pt_current"] == "1e3"
    assert reader.opinions("AAPL")[0].text == found.text
    write_status(peer, state="live", events="7")
    assert reader.status("ratings").text == {"state": "live", "events": "7"}


def test_a_client_may_be_made_as_ours_are(peer: Peer) -> None:
    peer.one(rating())
    with (
        Redis(port=peer.server.port, **HOW) as client,
        Reader(client) as reader,
    ):
        assert reader.latest("ratings", "AAPL")
