"""The contract's tables are what the script writes, and the schemas hold it."""

from __future__ import annotations

import re
from inspect import getsource
from typing import Any, get_args

import pytest
import trio
from jsonschema import Draft202012Validator, ValidationError
from store.servers import HOST, Peer, consensus, deleted, message, rating
from store.steps import STEPS

from bzredis.bridge import bridge
from bzredis.bridge.status import FIELDS, Identity, State, StreamStatus
from bzredis.changes.from_rest import row
from bzredis.changes.kinds import GaveUp, Opened
from bzredis.contract import fields
from bzredis.contract.fields import Field
from bzredis.contract.schemas import of, schemas
from bzredis.ports import Sign
from bzredis.store.script import lua
from bzredis.streams import CONSENSUS, INSIGHTS, RATINGS, STREAMS, Stream

OF_EACH = pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)


def validator(stream: Stream, kind: str) -> Draft202012Validator:
    return Draft202012Validator(schemas()["$defs"][f"{stream.name}-{kind}"])


def test_the_schemas_are_schemas() -> None:
    for schema in schemas()["$defs"].values():
        Draft202012Validator.check_schema(schema)


@OF_EACH
def test_the_headline_is_the_streams(stream: Stream) -> None:
    names = [each.name for each in fields.HEADLINES[stream.name]]
    shift = ["shift"] if stream.state == "per_symbol" else []
    assert names == [*(head.name for head in stream.headline), *shift]


def test_the_status_is_the_bridges() -> None:
    assert {each.name for each in fields.STATUS} == {*FIELDS}
    assert set(get_args(State)) == {*fields.STATES}


@OF_EACH
def test_a_field_is_told_once_and_in_words(stream: Stream) -> None:
    tables: list[tuple[Field, ...]] = [
        *(fields.entry(stream), fields.history(stream), fields.ours(stream)),
        *(fields.GAP, fields.STATUS),
    ]
    for table in tables:
        assert len({each.name for each in table}) == len(table)
        assert all(each.meaning for each in table)
        assert all((each.type == "words") == bool(each.words) for each in table)


def fill(peer: Peer, stream: Stream) -> None:
    """Have one of each kind of everything stand in Redis."""
    log = peer.apply(stream, Opened(1), *STEPS.get(stream.name, ()), "garbage")
    assert log
    coverage = peer.applied(stream, Opened(9_000_000_000_000)).coverage
    ids = tuple(hole.id for hole in coverage.holes)
    peer.apply(stream, GaveUp(9_000_000_000_001, ids, keep=True))
    if stream is RATINGS:
        text = '{"id":"r","ticker":"AAPL","pt_current":"1.50","updated":1728000007}'
        peer.one(row(RATINGS, text, received=1728000009000))
        peer.apply(RATINGS, rating("z"), deleted("z"), rating("y", symbol=""))
    if stream is INSIGHTS:
        security = {"symbol": "AAPL", "exchange": "NASDAQ"}
        peer.apply(INSIGHTS, message("i", {"security": security, "rating_id": "r"}))
    if stream is CONSENSUS:
        peer.apply(CONSENSUS, consensus(70, "1.5"), consensus(80, "2.5"))
        peer.apply(CONSENSUS, consensus(symbol=None))


@OF_EACH
def test_all_that_stands_in_redis_is_as_the_schemas_say(
    peer: Peer, stream: Stream
) -> None:
    fill(peer, stream)
    status = StreamStatus(Identity("me", "1.0", 5, HOST, "*"))
    sign = Sign("me", "fresh", "x", -1)
    trio.run(peer.store().write_status, stream, status.fields(), sign)
    stem, checked = f"bz:{stream.name}", set[str]()

    def check(kind: str, found: dict[str, str]) -> None:
        validator(stream, kind).validate(found)
        checked.add(kind)

    for entry in peer.entries(f"{stream.name}:events"):
        check("gap" if entry["action"] == "gap" else "entry", entry)
        validator(stream, "entry").validate(entry)
    for name in peer.redis.keys(f"{stem}:*"):
        kind = name.split(":")[2]
        if kind in {"latest", "record"}:
            check(kind, peer.redis.hgetall(name))
        elif kind in {"history", "rejected"}:
            for _, entry in peer.redis.xrange(name):
                check(kind, entry)
    check("status", peer.hash(f"{stream.name}:status"))
    assert checked == {*of(stream)} - {"changed", "fresh"}


WRONG: dict[str, dict[str, Any]] = {
    "an empty field": {"firm": ""},
    "an unknown one": {"firmm": "x"},
    "a time that is none": {"received": "today"},
    "a word that is none": {"direction": "sideways"},
    "no version": {"version": None},
    "news that is none": {"news": "0"},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_the_schemas_refuse_what_is_wrong(peer: Peer, change: dict[str, Any]) -> None:
    peer.one(rating("a"))
    (entry,) = peer.entries()
    check = validator(RATINGS, "entry")
    check.validate(entry)
    wrong = {k: v for k, v in {**entry, **change}.items() if v is not None}
    with pytest.raises(ValidationError):
        check.validate(wrong)


def test_why_nothing_is_fresh_is_what_the_code_says() -> None:
    told = re.findall(r'(?:return|_:) \(?"\w+", "(\w+)"', getsource(bridge))
    [line] = re.findall("local why = .*", lua("status"))
    told += re.findall("'(\\w+)'", line)
    assert {*told} == {*fields.REASONS}
