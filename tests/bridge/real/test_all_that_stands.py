"""Every key, entry, hash and message of a real day is as the contract says."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from bridge.real.nights import LIMIT, QUICK, night, running, settled
from contract.closed import closed
from jsonschema import Draft202012Validator
from streams.offered import EVERY, FURTHER, MODULE, NAMES, entry_points, offer, offered

from bzredis.commands import embedded
from bzredis.commands.simulate import further
from bzredis.contract import fields
from bzredis.contract.keys import Key
from bzredis.contract.pages import keys_of
from bzredis.contract.schemas import of
from bzredis.simulator import Settings, Simulator
from bzredis.simulator.further import Sideline
from bzredis.streams import Stream

FRAMES: Final = Path(__file__).parents[2] / "frames"
TYPES: Final = {"sorted set": "zset"}  # in Redis' words
# A replay so small that REST has to help, and a slot that is free at once.
SMALL: Final = {"consensus_ticker": True, "replay_size": 20, "linger": 0.1}
HEARD: Final = ("changed", "fresh")

Seen = dict[str, set[str]]  # what there was, by stream and what it is


@pytest.fixture(autouse=True)
def site(tmp_path: Path) -> Iterator[Path]:
    """Have the example's package installed."""
    folder = tmp_path / "site"
    folder.mkdir()
    offer(folder, MODULE.stem, entry_points(), MODULE.read_text())
    with offered(folder):
        yield folder


@pytest.fixture
async def upstream(nursery: trio.Nursery) -> Simulator:
    told = {**QUICK, **SMALL, "further": further(NAMES)}
    simulator = Simulator(Settings(**told), lambda: time.time() - 3_600)
    await nursery.start(simulator.serve)
    return simulator


@pytest.fixture
def heard(client: Any) -> Iterator[Callable[[], list[tuple[str, str]]]]:
    """Return what gives all that was published meanwhile, each with its channel."""
    with client.pubsub(ignore_subscribe_messages=True) as ear:
        ear.subscribe(*(f"bz:{s.name}:{kind}" for s in EVERY for kind in HEARD))

        def told() -> list[tuple[str, str]]:
            found = []
            while ear.connection.can_read(timeout=0.2):
                if (message := ear.get_message()) is not None:
                    found.append((message["channel"], message["data"]))
            return found

        assert not told()
        yield told


def speak(upstream: Simulator) -> None:
    """Let each kind of thing happen while the bridge listens, and odd ones."""
    now, market = upstream.clock(), upstream.market
    say = upstream.broadcast
    for _ in range(20):
        say(*market.opine(now))
    for record in [*market.book.ratings][-10:]:
        say(*market.comment(now, record))
    for record in [*[*market.book.ratings][-10:], *[*market.book.insights][-10:]]:
        late = market.revise(now + 1, record)
        say(*market.revise(now + 3, record), *late)
    for number, record in enumerate([*market.book.insights][-4:]):
        say(*market.retract(now, record, content=number % 2 == 0))
    current = [r.id for r in market.book.ratings.values() if market.book.is_current(r)]
    for number, record in enumerate(current[-4:]):
        say(*market.retract(now, record, content=number % 2 == 0))
    for line in upstream.sidelines.values():
        speak_of(upstream, line)
    for frame in sorted(FRAMES.glob("*.json")):
        upstream.publish(frame.name.partition("-")[0], frame.read_text())
    for stream in EVERY:
        upstream.publish(stream.name, "garbage")


def speak_of(upstream: Simulator, line: Sideline) -> None:
    """Let each kind of thing happen in a further stream."""
    now, say = upstream.clock(), upstream.broadcast
    for number in range(4):
        say(*line.say(now))
        record = [*line.live][-1]
        late = line.say(now + 1, record)
        say(*line.say(now + 3, record), *late)
        if number % 2:
            say(line.retract(now + 4, record))


def nights(upstream: Simulator, actions: int) -> None:
    """Let so much happen in each further stream while nobody listens."""
    now = upstream.clock()
    for line in upstream.sidelines.values():
        for number in range(actions):
            upstream.broadcast(*line.happen(now + 5 * number))


@cache
def validator(stream: Stream, kind: str) -> Draft202012Validator:
    return Draft202012Validator(closed(of(stream)[kind]))


def key_of(name: str) -> tuple[Stream, Key] | None:
    """Return what a key is by the table, None where it is the bridge's own."""
    prefix, whose, rest = name.split(":", 2)
    assert prefix == "bz", name
    if whose == "internal" or rest.startswith("internal:"):
        return None
    [stream] = [each for each in EVERY if each.name == whose]
    forms = {re.sub("SYM|ID", ".+", one.name): one for one in keys_of(stream)}
    found = [one for form, one in forms.items() if re.fullmatch(form, rest)]
    assert len(found) == 1, name
    return stream, found[0]


def values(client: Any, name: str, kind: str) -> list[dict[str, str]]:
    """Return the entries of a stream, or the one hash."""
    if kind == "stream":
        return [entry for _, entry in client.xrange(name)]
    return [client.hgetall(name)] if kind == "hash" else []


def walk(client: Any) -> Seen:
    """Hold every key against the table, and what stands there against its schema."""
    seen: Seen = defaultdict(set)
    for name in client.keys("*"):
        if (found := key_of(name)) is None:
            seen["internal"].add(name)
            continue
        stream, one = found
        assert client.type(name) == TYPES.get(one.type, one.type), name
        key = one.name.partition(":")[0]
        seen[f"{stream.name} keys"].add(key)
        for value in values(client, name, one.type):
            kind = key if key != "events" else "entry"
            if value.get("action") == "gap":
                kind = "gap"
            validator(stream, kind).validate(value)
            seen[f"{stream.name} values"].add(kind)
            note(seen, f"{stream.name} {kind}", value)
            if kind == "history":
                assert name == f"bz:{stream.name}:history:{value['symbol']}"
    return seen


def note(seen: Seen, what: str, value: dict[str, str]) -> None:
    for field in ("action", "source", "effect", "news", "cause", "symbol", "_action"):
        if field != "symbol" or field not in value:
            seen[f"{what} {field}"].add(value.get(field, "absent"))


def together(client: Any, stream: Stream) -> None:
    """Hold what stands in different keys against each other."""
    stem = f"bz:{stream.name}"
    log = dict(client.xrange(f"{stem}:events"))
    symbols = set(client.zrange(f"{stem}:symbols", 0, -1))
    found = {n.removeprefix(f"{stem}:latest:") for n in client.keys(f"{stem}:latest:*")}
    assert symbols == found
    for symbol in symbols:
        latest = client.hgetall(f"{stem}:latest:{symbol}")
        assert latest["_symbol"] == symbol
        assert log[latest["_event"]]["symbol"] == symbol
        if stream.state == "records":
            line = client.zrevrange(f"{stem}:timeline:{symbol}", 0, -1, withscores=True)
            records = [client.hgetall(f"{stem}:record:{record}") for record, _ in line]
            assert latest == records[0]
            for (record, score), held in zip(line, records, strict=True):
                assert (held["_record"], held["_symbol"]) == (record, symbol)
                assert int(held["_published"]) == score
                assert log[held["_event"]]["record"] == record
    for name in client.keys(f"{stem}:history:*"):
        for _, entry in client.xrange(name):
            logged = dict(log[entry.pop("event")])
            assert logged.pop("raw")
            assert entry == logged


def was_told(client: Any, messages: list[tuple[str, str]]) -> Seen:
    """Hold each message against its schema, and the log."""
    seen: Seen = defaultdict(set)
    for channel, text in messages:
        found = key_of(channel)
        assert found
        stream, one = found
        validator(stream, one.name).validate(text)
        seen[f"{stream.name} {one.name}"].add(text)
        if one.name == "changed":
            symbol, entry = text.split(" ")
            assert client.xrange(f"bz:{stream.name}:events", entry, entry), text
            assert symbol
    return seen


def of_all_kinds(seen: Seen) -> None:
    """See that the sample is one: a walk over nothing finds nothing wrong."""
    assert seen["internal"]
    for stream in EVERY:
        table = keys_of(stream)
        keys = {o.name.partition(":")[0] for o in table if o.type != "pub/sub channel"}
        assert seen[f"{stream.name} keys"] == keys
        assert seen[f"{stream.name} values"] == {*of(stream)} - {*HEARD}
        entry = f"{stream.name} entry"
        assert seen[f"{entry} action"] >= {"updated", "deleted"}
        rest = {"rest"} if stream.rows or stream.lookup else set()
        assert seen[f"{entry} source"] == {"live", "replay"} | rest
        assert seen[f"{entry} news"] == {"1", "absent"}
        if stream not in FURTHER:
            assert seen[f"{entry} symbol"] == {"absent"}
        assert "restart" in seen[f"{stream.name} gap cause"]
        if stream.state == "records":
            assert seen[f"{entry} effect"] == {"latest", "record", "none"}
            assert seen[f"{stream.name} record _action"] == {*fields.ACTIONS}


async def all_have(client: Any, kind: str) -> None:
    """Wait until each stream has such a key."""
    with trio.fail_after(LIMIT):
        while client.exists(*(f"bz:{s.name}:{kind}" for s in EVERY)) < len(EVERY):
            await trio.sleep(0.05)


@pytest.mark.long
async def test_all_that_stands_in_redis_is_as_the_contract_says(
    upstream: Simulator,
    server: embedded.Server,
    client: Any,
    tmp_path: Path,
    heard: Callable[[], list[tuple[str, str]]],
) -> None:
    async with running(upstream, server, tmp_path, streams=NAMES) as bridge:
        await settled(bridge)
        await all_have(client, "alive")
        speak(upstream)
        await all_have(client, "rejected")  # what was said last
        for stream in EVERY:
            upstream.drop(stream.name)
        night(upstream, 200)  # more than the replay holds: the rest comes over REST
        nights(upstream, 60)
        await trio.sleep(0.5)
        await settled(bridge)
    night(upstream, 200, seed=5)
    nights(upstream, 60)
    async with running(upstream, server, tmp_path, no_rest=True, streams=NAMES):
        await all_have(client, "alive")
        of_all_kinds(walk(client))
        for stream in EVERY:
            together(client, stream)
    told = was_told(client, heard())
    for stream in EVERY:
        assert told[f"{stream.name} changed"]
        # And why it went when the line was cut: `disconnected`, or later `missing`.
        assert told[f"{stream.name} fresh"] > {"1", "0 stopped"}
