"""A reaction at work: order, tries, what is kept, stops, and a Redis that goes away."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from fakes import Said
from store.servers import Peer, running

from bzredis.commands.react import running as at_work
from bzredis.commands.react.reaction import Happening, NotDone
from bzredis.commands.react.running import NEVER_ENDED, Running, Wanted, wait_after
from bzredis.commands.react.taking import failures, freshness, group
from bzredis.commands.react.taking.group import START, Group
from bzredis.commands.react.taking.patient import Patient
from bzredis.store.connection import Connection
from bzredis.streams import CONSENSUS, RATINGS

LIMIT = 60.0  # s; only failures meet it
LOG = "bz:ratings:events"
ENTRY = frozenset({"entry"})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    folder = tmp_path_factory.mktemp("running")
    with running("valkey", folder, appendonly="yes") as peer:
        yield peer


@pytest.fixture
def peer(server: Peer) -> Peer:
    server.redis.flushall()
    return server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "BLOCK", 20)
    monkeypatch.setattr(at_work, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(freshness, "WAIT", 0.02)
    monkeypatch.setattr(freshness, "AGAIN", 0.02)


@attrs.define
class Hand:
    """A reaction that does what it is told to."""

    peer: Peer
    seen: list[Happening] = attrs.field(factory=list)
    fails: Callable[[Happening], str] = lambda _: ""
    gate: trio.Event | None = None

    async def __call__(self, happened: Happening) -> None:
        self.seen.append(happened)
        if self.gate is not None:
            await self.gate.wait()
        if words := self.fails(happened):
            raise NotDone(words)

    def symbols(self) -> list[str]:
        return [each.symbol or each.kind for each in self.seen]

    async def until(self, holds: Callable[[], object]) -> None:
        with trio.fail_after(LIMIT):
            while not holds():
                await trio.sleep(0.01)

    @asynccontextmanager
    async def at_work(
        self, wanted: Wanted | None = None, jobs: int = 1
    ) -> AsyncIterator[trio.Event]:
        """Run it until the end of the block."""
        wanted = wanted or Wanted((RATINGS,))
        stop = trio.Event()
        with closing(Patient("bz", Connection(self.peer.server.url))) as redis:
            at = Group(redis, "g", wanted.streams, START)
            one = Running("g", wanted, self, redis, jobs, at, stop)
            with trio.fail_after(2 * LIMIT):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(one.run)
                    yield stop
                    stop.set()


@pytest.fixture
def hand(peer: Peer) -> Hand:
    return Hand(peer)


def add(peer: Peer, *symbols: str, log: str = LOG, **fields: str) -> list[str]:
    fields = {"action": "created", "news": "1", **fields}
    return [peer.redis.xadd(log, {**fields, "symbol": each}) for each in symbols]


def is_done(peer: Peer, log: str = LOG) -> bool:
    for one in peer.redis.xinfo_groups(log):
        last = peer.redis.xinfo_stream(log)["last-generated-id"]
        return bool(one["pending"] == 0) and one["last-delivered-id"] == last
    return False


async def test_all_that_is_news_is_told_in_order(hand: Hand, peer: Peer) -> None:
    add(peer, *"ABC", raw="{}")
    add(peer, "X", news="")
    add(peer, *"DE")
    async with hand.at_work():
        await hand.until(lambda: len(hand.seen) == 5)
        add(peer, "F")
        await hand.until(lambda: len(hand.seen) == 6 and is_done(peer))
    assert hand.symbols() == list("ABCDEF")
    assert "raw" not in hand.seen[0].fields
    assert peer.redis.exists("bz:react:g:tries", "bz:react:g:failed") == 0


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({}, ["A", "C"]),
        ({"all_of_them": True}, ["A", "B", "C"]),
        ({"when": lambda fields: fields["symbol"] > "A"}, ["C"]),
        ({"kinds": frozenset({"gap"})}, ["gap"]),
        ({"kinds": frozenset({"gap", "entry"})}, ["A", "gap", "C"]),
    ],
)
async def test_only_what_is_meant_is_told(
    hand: Hand, peer: Peer, how: Mapping[str, Any], told: list[str]
) -> None:
    add(peer, "A")
    add(peer, "B", news="")
    peer.redis.xadd(LOG, {"action": "gap", "cause": "restart"})
    add(peer, "C")
    async with hand.at_work(Wanted((RATINGS,), **how)):
        await hand.until(lambda: is_done(peer))
    assert hand.symbols() == told


async def test_raw_is_given_where_it_is_wanted(hand: Hand, peer: Peer) -> None:
    add(peer, "A", raw="{}")
    async with hand.at_work(Wanted((RATINGS,), raw=True)):
        await hand.until(lambda: is_done(peer))
    assert hand.seen[0].fields["raw"] == "{}"


async def test_what_the_bridge_added_to_a_consensus_is_told(
    hand: Hand, peer: Peer
) -> None:
    log = "bz:consensus:events"
    [key] = add(peer, "A", log=log)
    latest = {"_event": key, "_previous_consensus_rating": "HOLD"}
    peer.redis.hset("bz:consensus:latest:A", mapping=latest)
    async with hand.at_work(Wanted((CONSENSUS,))):
        await hand.until(lambda: is_done(peer, log))
    assert hand.seen[0].fields["_previous_consensus_rating"] == "HOLD"


async def test_one_that_fails_is_tried_again_while_others_go_on(
    hand: Hand, peer: Peer, said: Said
) -> None:
    failed = Counter[str]()

    def fails(happened: Happening) -> str:
        failed[happened.symbol] += 1
        is_one = happened.symbol == "A" and failed["A"] < 4
        return "no network" if is_one else ""

    hand.fails = fails
    add(peer, *"ABCD")
    async with hand.at_work():
        await hand.until(lambda: is_done(peer))
    assert Counter(hand.symbols()) == {"A": 4, "B": 1, "C": 1, "D": 1}
    assert [each["tries"] for each in said] == ["1 of 5"]
    assert said[0]["error"] == "no network"
    assert peer.redis.exists("bz:react:g:failed", "bz:react:g:tries") == 0


async def test_others_do_not_wait_until_it_is_tried_again(
    hand: Hand, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_work, "FIRST_WAIT", LIMIT)
    hand.fails = lambda happened: "no" if happened.symbol == "A" else ""
    add(peer, *"ABCD")
    async with hand.at_work():
        await hand.until(lambda: len(hand.seen) == 4)
        await hand.until(lambda: peer.redis.xpending(LOG, "g")["pending"] == 1)
    assert hand.symbols() == list("ABCD")


async def test_one_that_fails_five_times_is_kept_with_the_reason(
    hand: Hand, peer: Peer, said: Said
) -> None:
    hand.fails = lambda happened: "no network" if happened.symbol == "A" else ""
    [key, _] = add(peer, "A", "B", pt="195.50")
    async with hand.at_work():
        await hand.until(lambda: is_done(peer))
    assert Counter(hand.symbols()) == {"A": 5, "B": 1}
    [(_, kept)] = peer.redis.xrange("bz:react:g:failed")
    assert kept.pop("when").startswith("20")
    assert kept == {
        "reason": "no network",
        "tries": "5",
        "kind": "entry",
        "stream": "ratings",
        "symbol": "A",
        "event": key,
        "fields": '{"action":"created","symbol":"A","news":true,"pt":195.50}',
    }
    assert peer.redis.exists("bz:react:g:tries") == 0
    first, last = said
    assert first["event"] == "a reaction failed, and is tried again"
    assert "`bzredis react g --failed` lists it" in last["event"]


def test_it_waits_twice_as_long_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_work, "FIRST_WAIT", 1.0)
    assert [wait_after(tries) for tries in range(1, 5)] == [1, 2, 4, 8]


async def test_one_that_ends_us_each_time_is_kept_in_the_end(
    hand: Hand, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    [key] = add(peer, "A")
    peer.redis.xgroup_create(LOG, "g", "0")
    # Five processes had it, and each was killed meanwhile.
    peer.redis.xreadgroup("g", "dead", {LOG: ">"})
    peer.redis.hset("bz:react:g:tries", f"ratings {key}", "5")
    monkeypatch.setattr(group, "LEASE", 0.0)
    async with hand.at_work():
        await hand.until(lambda: is_done(peer))
    assert hand.seen == []
    [(_, kept)] = peer.redis.xrange("bz:react:g:failed")
    assert (kept["reason"], kept["tries"]) == (NEVER_ENDED, "5")


async def test_several_at_a_time_where_that_is_wanted(hand: Hand, peer: Peer) -> None:
    hand.gate = trio.Event()
    add(peer, *"ABCD")
    async with hand.at_work(jobs=3):
        await hand.until(lambda: len(hand.seen) == 3)
        hand.gate.set()
        await hand.until(lambda: is_done(peer))
    assert sorted(hand.symbols()) == list("ABCD")


def in_hand(peer: Peer) -> int:
    return int(peer.redis.xpending(LOG, "g")["pending"])


async def test_no_more_is_taken_than_can_be_in_hand(hand: Hand, peer: Peer) -> None:
    hand.gate = trio.Event()
    add(peer, *(f"S{number}" for number in range(250)))
    async with hand.at_work():
        await hand.until(lambda: hand.seen)
        await hand.until(lambda: in_hand(peer) == at_work.IN_HAND)
        await trio.sleep(0.1)
        assert in_hand(peer) == at_work.IN_HAND
        hand.gate.set()
        await hand.until(lambda: is_done(peer))
    assert hand.symbols() == [f"S{number}" for number in range(250)]


async def test_what_a_colleague_took_over_is_left_to_it(
    hand: Hand, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "BEAT", 0.05)
    hand.gate = trio.Event()
    [first, key] = add(peer, "A", "B")

    def silent() -> int:
        [one] = peer.redis.xpending_range(LOG, "g", first, first, 1)
        return int(one["time_since_delivered"])

    async with hand.at_work():
        await hand.until(lambda: hand.seen)
        peer.redis.xclaim(LOG, "g", "colleague", 0, [key])
        for _ in range(3):  # beats
            await hand.until(lambda: silent() > 10)
            await hand.until(lambda: silent() <= 10)
        hand.gate.set()
        add(peer, "C")
        await hand.until(lambda: len(hand.seen) == 2)
        peer.redis.xack(LOG, "g", key)
    assert hand.symbols() == ["A", "C"]


# ---- stops


async def test_at_a_stop_what_runs_comes_to_its_end_and_nothing_else_begins(
    hand: Hand, peer: Peer
) -> None:
    hand.gate = trio.Event()
    add(peer, *"AB")
    async with hand.at_work() as stop:
        await hand.until(lambda: hand.seen)
        stop.set()
        await trio.sleep(0.05)
        hand.gate.set()
    assert hand.symbols() == ["A"]
    [left] = peer.redis.xpending_range(LOG, "g", "-", "+", 10)
    assert left["time_since_delivered"] >= 1_000 * group.LEASE  # the next one's at once


async def test_what_does_not_end_is_ended_and_done_again_by_the_next(
    hand: Hand, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_work, "GRACE", 0.05)
    hand.gate = trio.Event()
    add(peer, *"AB")
    async with hand.at_work() as stop:
        await hand.until(lambda: hand.seen)
        stop.set()
    assert set(peer.redis.hgetall("bz:react:g:tries").values()) == {"0"}
    hand.gate = None
    async with hand.at_work():
        await hand.until(lambda: is_done(peer))
    assert hand.symbols() == ["A", "A", "B"]


# ---- Redis goes away


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Peer]:
    with running("valkey", tmp_path, appendonly="yes") as peer:
        yield peer


async def test_redis_is_waited_for_and_that_is_told_once(
    mortal: Peer, said: Said
) -> None:
    hand = Hand(mortal)
    hand.gate = trio.Event()
    add(mortal, *"AB")
    async with hand.at_work():
        await hand.until(lambda: hand.seen)
        await mortal.server.kill()
        hand.gate.set()  # it is done, and cannot say so
        await hand.until(lambda: said)
        await trio.sleep(0.5)
        await mortal.server.start()
        await hand.until(lambda: len(said) >= 2)
        add(mortal, "C")
        await hand.until(lambda: len(hand.seen) >= 3 and is_done(mortal))
    assert hand.symbols() == ["A", "B", "C"]
    assert [each["event"] for each in said[:2]] == [
        "trouble with Redis, it is asked again until it answers",
        "Redis answers again",
    ]


@pytest.mark.parametrize("what", ["group", "us", "all"])
async def test_what_is_in_hand_is_done_whatever_the_group_forgot(
    hand: Hand, peer: Peer, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(group, "BEAT", 0.02)
    hand.gate = trio.Event()
    add(peer, *"ABC")
    async with hand.at_work():
        await hand.until(lambda: hand.seen)
        if what == "group":
            peer.redis.xgroup_destroy(LOG, "g")
        elif what == "us":
            [one] = peer.redis.xinfo_consumers(LOG, "g")
            peer.redis.xgroup_delconsumer(LOG, "g", one["name"])
        else:
            peer.redis.flushall()
        for number in range(5):  # reads and beats
            add(peer, f"D{number}")
            await trio.sleep(0.03)
        hand.gate.set()
        await hand.until(lambda: len(hand.seen) >= 8 and is_done(peer))
    assert hand.symbols() == ["A", "B", "C", *(f"D{number}" for number in range(5))]


async def test_what_ends_while_it_is_looked_for_is_done_once(
    hand: Hand, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "BEAT", 0.004)  # beats at any moment
    names = [f"S{number}" for number in range(300)]
    add(peer, *names)
    async with hand.at_work(jobs=8):
        await hand.until(lambda: is_done(peer))
        await trio.sleep(0.1)
    assert sorted(hand.symbols()) == sorted(names)


async def test_an_emptied_redis_stops_nothing(hand: Hand, peer: Peer) -> None:
    add(peer, "A")
    async with hand.at_work():
        await hand.until(lambda: is_done(peer))
        peer.redis.flushall()
        add(peer, "B")
        await hand.until(lambda: len(hand.seen) == 2)
    assert hand.symbols() == ["A", "B"]


# ---- fresh and stale

STALE = Wanted((RATINGS, CONSENSUS), frozenset({"stale", "fresh"}))


def facts(hand: Hand) -> list[tuple[str, str, str]]:
    return [(e.kind, e.stream, e.fields.get("reason", "")) for e in hand.seen]


async def test_each_change_is_told_once_with_the_reason(hand: Hand, peer: Peer) -> None:
    peer.redis.set("bz:consensus:alive", "b")
    async with hand.at_work(STALE):
        await hand.until(lambda: len(hand.seen) == 1)  # stale at the start
        peer.redis.set("bz:ratings:alive", "b")
        await hand.until(lambda: len(hand.seen) == 2)
        await trio.sleep(0.1)
        with peer.redis.pipeline(transaction=True) as both:
            both.delete("bz:ratings:alive")
            both.publish("bz:ratings:fresh", "0 disconnected").execute()
        await hand.until(lambda: len(hand.seen) == 3)
        peer.redis.set("bz:ratings:alive", "b")
        await hand.until(lambda: len(hand.seen) == 4)
        peer.redis.set("bz:ratings:alive", "b", px=1)  # a killed bridge says nothing
        await hand.until(lambda: len(hand.seen) == 5)
    assert facts(hand) == [
        ("stale", "ratings", "expired"),
        ("fresh", "ratings", ""),
        ("stale", "ratings", "disconnected"),
        ("fresh", "ratings", ""),
        ("stale", "ratings", "expired"),
    ]
    assert peer.redis.keys("bz:react:*") == []


async def test_without_redis_nothing_is_fresh(
    mortal: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "GONE", 0.2)
    mortal.redis.set("bz:ratings:alive", "b")
    hand = Hand(mortal)
    async with hand.at_work(attrs.evolve(STALE, streams=(RATINGS,))):
        await trio.sleep(0.1)
        await mortal.server.kill()
        await hand.until(lambda: hand.seen)
        await mortal.server.start()
        mortal.redis.set("bz:ratings:alive", "b")
        await hand.until(lambda: len(hand.seen) == 2)
    assert facts(hand) == [("stale", "ratings", "redis"), ("fresh", "ratings", "")]


async def test_one_that_could_not_be_told_is_kept(hand: Hand, peer: Peer) -> None:
    hand.fails = lambda _: "no network"
    async with hand.at_work(attrs.evolve(STALE, streams=(RATINGS,))):
        await hand.until(lambda: peer.redis.exists("bz:react:g:failed"))
    assert len(hand.seen) == 5
    [(_, kept)] = peer.redis.xrange("bz:react:g:failed")
    assert (kept["kind"], kept["stream"]) == ("stale", "ratings")
    assert failures.KEPT == 10_000
