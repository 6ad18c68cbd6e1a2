"""The contract's tables are what the script writes, and the schemas hold it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from inspect import getsource
from pathlib import Path
from typing import Any, Final, get_args

import attrs
import pytest
import trio
from contract.closed import closed
from jsonschema import Draft202012Validator, ValidationError
from store.servers import HOST, Peer, consensus, deleted, message, rating
from store.steps import STEPS
from streams.offered import EVERY

from bzredis.bridge import bridge
from bzredis.bridge.status import FIELDS, Identity, State, StreamStatus
from bzredis.changes.from_rest import row
from bzredis.changes.kinds import GaveUp, Opened
from bzredis.contract import fields
from bzredis.contract.fields import UNITS
from bzredis.contract.schemas import of, schemas
from bzredis.ports import Sign
from bzredis.reader.reader import KINDS
from bzredis.reader.values import NAMES
from bzredis.store.script import lua
from bzredis.streams import CONSENSUS, INSIGHTS, RATINGS, STREAMS, Stream
from bzredis.streams.field import Field

FRAMES: Final = Path(__file__).parents[1] / "frames"
OF_EACH = pytest.mark.parametrize("stream", EVERY, ids=lambda stream: stream.name)
OF_THE_THREE = pytest.mark.parametrize("stream", STREAMS, ids=lambda s: s.name)


def validator(stream: Stream, kind: str) -> Draft202012Validator:
    """Return what checks by the published schema."""
    ref = {"$ref": f"#/$defs/{stream.name}-{kind}"}
    return Draft202012Validator(schemas(EVERY) | ref)


def test_the_schemas_are_schemas() -> None:
    every = schemas(EVERY)["$defs"]
    for name, schema in every.items():
        Draft202012Validator.check_schema(schema)
        if "$ref" not in schema:  # else what is made of it has that one's name
            assert schema["title"].lower() == name.replace("-", "")
    text = json.dumps(every)
    assert {*re.findall(r'"#/\$defs/([^"]+)"', text)} <= {*every}
    assert {f"{s.name}-{kind}" for s in EVERY for kind in of(s)} <= {*every}
    assert {*schemas()["$defs"]} < {*every}


@OF_EACH
def test_the_schemas_say_all_that_the_page_says(stream: Stream) -> None:
    every = schemas(EVERY)["$defs"]
    for kind, table in (
        ("message", fields.entry(stream)),
        ("latest", (*fields.ours(stream), *stream.content)),
    ):
        told = every[f"{stream.name}-{kind}"]["properties"]
        for each in table:
            words = told[each.name]["description"]
            assert each.meaning in words
            assert each.absent in words
            assert each.words or UNITS.get(each.type, each.type) in words


@OF_THE_THREE
def test_of_upstreams_fields_those_are_told_that_the_reader_knows(
    stream: Stream,
) -> None:
    told = {each.name for each in stream.content}
    assert all(not name.startswith("_") for name in told)
    for each in attrs.fields(KINDS[stream.name]):
        names = {*each.metadata.get(NAMES, ())}
        assert not names or names & {*told, *(f.name for f in fields.ours(stream))}
        if not any(name.startswith("_") for name in names):
            assert not names or names & told
    for path in FRAMES.glob(f"{stream.name}-documented.json"):
        data = json.loads(path.read_text())["data"]
        assert {*_flat(data.get("content", data))} <= told


def _flat(content: dict[str, Any], stem: str = "") -> Iterator[str]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{stem}{name}_")
        else:
            yield stem + name


@OF_EACH
def test_the_headline_is_the_streams(stream: Stream) -> None:
    names = [each.name for each in fields.headline(stream)]
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


@OF_THE_THREE
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
        Draft202012Validator(closed(of(stream)[kind])).validate(found)
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
    "an unknown one that is empty": {"firmm": ""},
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


def test_what_may_be_added_is_no_mistake(peer: Peer) -> None:
    """But of the code: that writes what the tables say, and upstream's."""
    peer.one(rating("a"))
    (entry,) = peer.entries()
    latest = peer.hash("ratings:latest:AAPL")
    for kind, found in (("entry", entry), ("latest", latest), ("record", latest)):
        exact = Draft202012Validator(closed(of(RATINGS)[kind]))
        exact.validate(found)
        added = {**found, "_later": "x"}
        validator(RATINGS, kind).validate(added)
        with pytest.raises(ValidationError):
            exact.validate(added)
    others = {**latest, "ratings_accuracy_smart_score": "71.3", "__own": "x"}
    for check in (validator(RATINGS, "latest"), exact):
        check.validate(others)


def test_why_nothing_is_fresh_is_what_the_code_says() -> None:
    said = r'(?:return|_:) \(?(?:"\w+"|presence), "(\w+)"'
    told = re.findall(said, getsource(bridge))
    [lines] = re.findall("local why = (?s:.*?)local channel", lua("status"))
    told += re.findall("and '(\\w+)'", lines)
    assert {*told} == {*fields.REASONS}
