"""What the contract promises of a stream, of each: ours, and of a package."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import trio
from contract.closed import closed
from jsonschema import Draft202012Validator
from store.servers import BASE, HOST, RECEIVED, Peer, message, new_log
from streams.offered import EVERY

from bzredis.bridge.status import Identity, StreamStatus
from bzredis.changes.from_rest import removal, row
from bzredis.changes.kinds import GaveUp, Heard, Opened
from bzredis.contract.schemas import of
from bzredis.ports import Sign
from bzredis.reader import Entry, Reader, TrioReader
from bzredis.reader.values import Hash
from bzredis.store.acl import bridge, reader
from bzredis.streams import INSIGHTS, RATINGS, Stream

OF_RECORDS = pytest.mark.parametrize(
    "stream",
    [stream for stream in EVERY if stream.state == "records"],
    ids=lambda stream: stream.name,
)
OF_EACH = pytest.mark.parametrize("stream", EVERY, ids=lambda stream: stream.name)


@pytest.fixture
def peer(peers: Callable[[str], Peer]) -> Peer:
    """Return one server: that all do the same is what other tests are about."""
    found = peers("valkey")
    found.redis.flushall()
    return found


def content(stream: Stream, version: int = 1, symbol: str = "AAPL") -> dict[str, Any]:
    """Return content of any stream of records, alike but for its version."""
    made: dict[str, Any] = {"ticker": symbol, "exchange": "NASDAQ"}
    if stream is INSIGHTS:
        made = {"security": {"symbol": symbol, "exchange": "NASDAQ"}}
    if stream.make is not None:
        made = {**stream.make(Random(1), BASE + 40 * 86_400), "ticker": symbol}
        made["exchange"] = "NASDAQ"
    return made | {"updated": BASE + version}


def news(stream: Stream) -> str:
    """Return a field that is news where it is another."""
    return [head.field for head in stream.headline if head.is_news][-1]


def said(stream: Stream, record: str = "r", version: int = 1, **more: Any) -> str:
    symbol = more.pop("symbol", "AAPL")
    told = content(stream, version, symbol) | {"date": f"2024-10-0{len(record)}"}
    return message(record, told | more, at=version)


def gone(record: str = "r", version: int = 9) -> str:
    return message(record, None, action="deleted", at=version)


def entries(peer: Peer, stream: Stream) -> list[dict[str, str]]:
    return peer.entries(f"{stream.name}:events")


def is_as_the_schemas_say(peer: Peer, stream: Stream) -> None:
    """Hold all that stands there against exactly what is published of it."""
    for name in peer.redis.keys(f"bz:{stream.name}:*"):
        kind, found = name.split(":")[2], list[dict[str, str]]()
        if kind in {"latest", "record", "status"}:
            found = [peer.redis.hgetall(name)]
        elif kind in {"events", "history", "rejected"}:
            found = [each for _, each in peer.redis.xrange(name)]
        for each in found:
            what = kind if kind != "events" else "entry"
            what = "gap" if each.get("action") == "gap" else what
            Draft202012Validator(closed(of(stream)[what])).validate(each)


@OF_RECORDS
def test_a_message_is_logged_and_stands_in_its_hashes(
    peer: Peer, stream: Stream
) -> None:
    peer.one(said(stream), stream)
    [entry] = entries(peer, stream)
    latest = peer.hash(f"{stream.name}:latest:AAPL")
    assert latest == peer.hash(f"{stream.name}:record:r")
    assert (latest["_symbol"], latest["_record"]) == ("AAPL", "r")
    assert (entry["symbol"], entry["effect"], entry["news"]) == ("AAPL", "latest", "1")
    for head in stream.headline:
        assert entry.get(head.name) == latest.get(head.field)
    assert json.loads(entry["raw"])["data"]["id"] == "r"
    assert peer.timeline("AAPL", stream.name) == ["r"]
    assert peer.symbols(stream.name) == {"AAPL"}
    [history] = peer.entries(f"{stream.name}:history:AAPL")
    assert {**entry, "event": latest["_event"]} == {**history, "raw": entry["raw"]}
    is_as_the_schemas_say(peer, stream)


@OF_RECORDS
def test_a_copy_takes_effect_once(peer: Peer, stream: Stream) -> None:
    frame = said(stream)
    assert peer.one(frame, stream) == "latest"
    assert peer.one(frame, stream, source="replay") == "duplicate"
    assert peer.one(said(stream), stream) == "duplicate", "of another envelope"
    assert len(entries(peer, stream)) == 1


@OF_RECORDS
def test_the_newer_version_wins_whenever_it_comes(peer: Peer, stream: Stream) -> None:
    told = {news(stream): "7"}
    peer.apply(stream, said(stream, version=5, **told), said(stream, version=3))
    assert peer.hash(f"{stream.name}:latest:AAPL")[news(stream)] == "7"
    assert [each["effect"] for each in entries(peer, stream)] == ["latest", "none"]
    peer.one(said(stream, version=6, **told), stream)
    assert "news" not in entries(peer, stream)[-1], "it only says the same again"
    peer.one(said(stream, version=7, **{news(stream): "8"}), stream)
    assert entries(peer, stream)[-1]["news"] == "1"
    is_as_the_schemas_say(peer, stream)


@OF_RECORDS
def test_deleted_means_gone(peer: Peer, stream: Stream) -> None:
    peer.apply(stream, said(stream, "r"), said(stream, "rr", 2))
    assert peer.timeline("AAPL", stream.name) == ["rr", "r"]
    was = peer.hash(f"{stream.name}:latest:AAPL")
    peer.one(gone("rr"), stream)
    entry = entries(peer, stream)[-1]
    assert (entry["action"], entry["symbol"], entry["news"]) == ("deleted", "AAPL", "1")
    for head in stream.headline:
        assert entry.get(head.name) == was.get(head.field), "of what is gone"
    assert peer.hash(f"{stream.name}:latest:AAPL")["_record"] == "r"
    assert peer.one(said(stream, "rr", 3), stream) == "none", "it stays away"
    peer.one(gone("r"), stream)
    assert not peer.hash(f"{stream.name}:latest:AAPL")
    assert not peer.symbols(stream.name)
    assert peer.hash(f"{stream.name}:record:r")["_action"] == "deleted"
    is_as_the_schemas_say(peer, stream)


@OF_RECORDS
def test_a_record_that_changes_its_ticker_leaves_its_symbol(
    peer: Peer, stream: Stream
) -> None:
    peer.apply(stream, said(stream), said(stream, version=2, symbol="MSFT"))
    assert peer.symbols(stream.name) == {"MSFT"}
    assert not peer.hash(f"{stream.name}:latest:AAPL")
    is_as_the_schemas_say(peer, stream)


@OF_RECORDS
def test_rest_says_what_was_missed(peer: Peer, stream: Stream) -> None:
    told = content(stream, 5) | {"id": "r", "date": "2024-10-01"}
    if stream is INSIGHTS:
        told["updated"] = BASE + 5
    text = json.dumps(told)
    assert peer.one(row(stream, text, received=RECEIVED), stream) == "latest"
    again = row(stream, text, received=RECEIVED + 1)
    assert peer.one(again, stream) in {"duplicate", "old"}, "not logged twice"
    assert len(entries(peer, stream)) == 1
    assert entries(peer, stream)[0]["source"] == "rest"
    went = removal(stream, "r", BASE + 9, '{"id":"r"}', received=RECEIVED)
    peer.one(went, stream)
    assert not peer.symbols(stream.name)
    is_as_the_schemas_say(peer, stream)


@OF_EACH
def test_a_frame_that_is_none_is_set_aside(peer: Peer, stream: Stream) -> None:
    peer.one("garbage", stream)
    [found] = peer.entries(f"{stream.name}:rejected")
    assert found["raw"] == "garbage"
    assert not entries(peer, stream)
    is_as_the_schemas_say(peer, stream)


@OF_EACH
def test_a_gap_is_announced(peer: Peer, stream: Stream) -> None:
    peer.apply(stream, Opened(1), Heard(2, 2), log=new_log())
    coverage = peer.applied(stream, Opened(9_000_000_000_000)).coverage
    ids = tuple(hole.id for hole in coverage.holes)
    assert ids
    peer.apply(stream, GaveUp(9_000_000_000_001, ids, keep=True))
    assert [each["action"] for each in entries(peer, stream)] == ["gap"] * len(ids)
    is_as_the_schemas_say(peer, stream)


@OF_EACH
def test_its_status_and_alive_stand_there(peer: Peer, stream: Stream) -> None:
    store = peer.store()
    status = StreamStatus(Identity("me", "1.0", 5, HOST, "*"))
    sign = Sign("me", "fresh", "x", -1)
    trio.run(store.write_status, stream, status.fields(), sign)
    store.close()
    assert peer.redis.get(f"bz:{stream.name}:alive") == "me"
    assert peer.hash(f"{stream.name}:status")["bridge"] == "me"
    is_as_the_schemas_say(peer, stream)


@OF_RECORDS
def test_the_rights_that_are_printed_are_all_that_it_needs(
    peer: Peer, stream: Stream
) -> None:
    """Of a bridge that follows this stream alone, and of who only reads it."""
    for rules in (bridge("bz", [stream]), reader("bz", "~", [stream])):
        _, _, name, *rest = rules.replace(">PASSWORD", ">pw").split()
        peer.redis.execute_command("ACL", "SETUSER", name, *rest)
    store = peer.store(user="bzredis:pw")
    frames = [said(stream), said(stream, "rr", 2), gone("rr"), "garbage"]
    assert peer.apply(stream, *frames, store=store)
    store = peer.store(user="bzredis:pw")
    for each in (RATINGS, INSIGHTS, stream):  # whom REST is asked about
        trio.run(store.symbols, each)
    store.close()
    url = peer.server.url.replace("://", "://bzreader:pw@")
    with Reader(url) as read:
        assert read.symbols(stream.name) == ("AAPL",)
        assert len(read.recent(stream.name)) == 3


@OF_RECORDS
def test_the_reader_reads_it(peer: Peer, stream: Stream) -> None:
    peer.apply(stream, said(stream), said(stream, "rr", 2, symbol="MSFT"))
    with Reader(peer.server.url) as read:
        found = read.latest(stream.name, "$aapl")
        assert isinstance(found, Hash)
        assert (found.symbol, found.record) == ("AAPL", "r")
        assert found.text == peer.hash(f"{stream.name}:latest:AAPL")
        assert read.latest(stream.name, "T") is None
        with TrioReader(peer.server.url) as in_trio:
            assert trio.run(in_trio.latest, stream.name, "AAPL") == found
        assert read.symbols(stream.name) == ("MSFT", "AAPL")
        assert [each.record for each in read.newest(stream.name)] == ["rr", "r"]
        [entry] = read.history(stream.name, "AAPL")
        assert entry.news
        assert entry.published == found.published
        other = entry.other
        for head in stream.headline:
            value = found.text.get(head.field)
            if value is not None and not hasattr(entry, head.name):
                assert other[head.name] == value
        came = [*read.events(stream.name, "0", follow=False)]
        assert [type(each) for each in came] == [Entry, Entry]
        assert read.status(stream.name).state is None
        assert not read.fresh(stream.name)
