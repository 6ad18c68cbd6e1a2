"""The consumer group against real servers: who has what, and what comes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import pytest
import trio
from store.servers import BINARIES, Peer, binary, running

from bzredis.commands.react.reaction import Happening
from bzredis.commands.react.taking import failures, group
from bzredis.commands.react.taking.group import Given, Group
from bzredis.commands.react.taking.patient import Patient
from bzredis.commands.react.taking.trimmed import missed
from bzredis.store.connection import Connection
from bzredis.streams import INSIGHTS, RATINGS

LOG = "bz:ratings:events"
HERE = [name for name in BINARIES if binary(name)]


@pytest.fixture(scope="module", params=HERE)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Peer]:
    with running(request.param, tmp_path_factory.mktemp("group")) as peer:
        yield peer


@pytest.fixture
def peer(server: Peer) -> Peer:
    server.redis.flushall()
    return server


@pytest.fixture
async def redis(peer: Peer) -> AsyncIterator[Patient]:
    with closing(Patient("bz", Connection(peer.server.url))) as patient:
        yield patient


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "BLOCK", 20)


def a_group(redis: Patient, since: str = group.START) -> Group:
    return Group(redis, "g", (RATINGS, INSIGHTS), since)


def add(peer: Peer, *numbers: int, log: str = LOG) -> list[str]:
    return [peer.redis.xadd(log, {"n": number}) for number in numbers]


def told(given: list[Given]) -> list[str]:
    return [one.fields["n"] for one in given]


def pending(peer: Peer) -> int:
    count: int = peer.redis.xpending(LOG, "g")["pending"]
    return count


async def test_a_new_group_begins_now_or_where_the_log_does(
    redis: Patient, peer: Peer
) -> None:
    add(peer, 1)
    now, start = Group(redis, "now", (RATINGS,)), Group(redis, "s", (RATINGS,), "0")
    await now.open()
    await start.open()
    add(peer, 2)
    assert told(await now.read(10)) == ["2"]
    assert told(await start.read(10)) == ["1", "2"]
    # And it goes on where it was.
    again = Group(redis, "now", (RATINGS,), "0")
    await again.open()
    assert await again.read(10) == []


async def test_entries_of_several_logs_come_by_their_times(
    redis: Patient, peer: Peer
) -> None:
    one = a_group(redis)
    await one.open()
    peer.redis.xadd(LOG, {"n": 2}, "20-1")
    peer.redis.xadd("bz:insights:events", {"n": 1}, "9-0")
    peer.redis.xadd("bz:insights:events", {"n": 3}, "20-2")
    assert told(await one.read(10)) == ["1", "2", "3"]


async def test_what_is_done_is_given_to_nobody_again(
    redis: Patient, peer: Peer
) -> None:
    one = a_group(redis)
    await one.open()
    add(peer, 1, 2, 3)
    first, second, third = await one.read(10)
    assert await one.begin(first) == 1
    assert await one.begin(second) == 1
    await one.done([first])
    await one.passed_over([third])
    assert pending(peer) == 1
    assert set(peer.redis.hgetall(one.tries)) == {f"ratings {second.id}"}


async def test_a_failure_is_kept_and_acknowledged_in_one_step(
    redis: Patient, peer: Peer
) -> None:
    one = a_group(redis)
    await one.open()
    add(peer, 1)
    [given] = await one.read(10)
    happened = Happening("entry", "ratings", "AAPL", given.id, {"pt": 1})
    keep = failures.keep(failures.at(redis, "g"), happened, "no network", 5)
    await one.done([given], keep)
    assert pending(peer) == 0
    [kept] = await failures.kept(redis, "g")
    assert (kept.happened, kept.reason, kept.tries) == (happened, "no network", 5)
    await failures.drop(redis, "g", [kept])
    assert await failures.kept(redis, "g") == []


async def test_tries_outlive_a_process(redis: Patient, peer: Peer) -> None:
    one = a_group(redis)
    await one.open()
    add(peer, 1)
    [given] = await one.read(10)
    assert [await one.begin(given), await one.begin(given)] == [1, 2]
    assert await a_group(redis).begin(given) == 3
    assert peer.redis.ttl(one.tries) > 600_000


async def test_who_is_heard_of_keeps_what_it_has(redis: Patient, peer: Peer) -> None:
    one, other = a_group(redis), a_group(redis)
    await one.open()
    ids = add(peer, 1, 2)
    await one.read(10)
    held = {("ratings", key) for key in ids}
    assert await one.beat(held, 10) == ([], set())
    assert await other.beat([], 10) == ([], set())
    assert peer.redis.xpending_range(LOG, "g", "-", "+", 10)[0]["times_delivered"] == 1


async def test_who_goes_on_says_so_and_no_try_is_counted(
    redis: Patient, peer: Peer
) -> None:
    one = a_group(redis)
    await one.open()
    [key] = add(peer, 1)
    await one.read(10)
    await trio.sleep(0.1)
    before, _ = said_so(peer)
    await one.beat([("ratings", key)], 10)
    after, tries = said_so(peer)
    assert after > before + 50
    assert tries == 1


def said_so(peer: Peer) -> tuple[float, int]:
    """Return when one said that it goes on (ms), and how often it was delivered."""
    with peer.redis.pipeline(transaction=True) as both:
        both.time()
        both.xpending_range(LOG, "g", "-", "+", 10)
        (seconds, micros), [held] = both.execute()
    at = 1_000 * seconds + micros / 1_000 - held["time_since_delivered"]
    return at, held["times_delivered"]


async def test_what_a_dead_colleague_had_is_taken_over(
    redis: Patient, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = a_group(redis), a_group(redis)
    await one.open()
    ids = add(peer, 1, 2, 3)
    await one.read(10)
    peer.redis.xdel(LOG, ids[1])  # or it was trimmed
    await trio.sleep(0.05)
    monkeypatch.setattr(group, "LEASE", 0.02)
    found, lost = await other.beat([], 10)
    assert [each.id for each in found if each.fields] == [ids[0], ids[2]]
    assert lost == set()
    # On Redis 7 what is gone is nobody's any more.
    assert {each.id for each in found if not each.fields} <= {ids[1]}
    # Who was thought dead hears of it.
    monkeypatch.setattr(group, "LEASE", 60.0)
    assert (await one.beat({("ratings", key) for key in ids}, 10))[1] == {
        ("ratings", key) for key in ids
    }


async def test_after_a_pause_others_are_waited_for(
    redis: Patient, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = a_group(redis), a_group(redis)
    await one.open()
    await other.beat([], 10)
    add(peer, 1)
    await one.read(10)
    await trio.sleep(0.05)
    monkeypatch.setattr(group, "LEASE", 0.02)
    assert (await other.beat([], 10))[0] == []
    monkeypatch.setattr(group, "LEASE", 60.0)
    assert (await other.beat([], 10))[0] == []
    assert pending(peer) == 1


async def test_what_was_given_to_a_read_that_nobody_saw_is_found(
    redis: Patient, peer: Peer
) -> None:
    one = a_group(redis)
    await one.open()
    add(peer, 1)
    await one.read(10)
    found, _ = await one.beat([], 10)
    assert told(found) == ["1"]


async def test_what_is_left_at_a_stop_is_the_next_ones_at_once(
    redis: Patient, peer: Peer
) -> None:
    one, other = a_group(redis), a_group(redis)
    await one.open()
    add(peer, 1, 2)
    first, second = await one.read(10)
    assert await one.begin(first) == 1
    await one.release([first, second], [first])
    found, _ = await other.beat([], 10)
    assert told(found) == ["1", "2"]
    assert await other.begin(first) == 1  # that it was stopped was no try


async def test_an_emptied_redis_gets_the_group_again(
    redis: Patient, peer: Peer
) -> None:
    one = a_group(redis, group.NOW)
    await one.open()
    add(peer, 1)
    assert told(await one.read(10)) == ["1"]
    peer.redis.flushall()
    peer.redis.xadd(LOG, {"n": 2}, "5-0")  # before anybody noticed, by a slow clock
    assert await one.read(10) == []
    assert told(await one.read(10)) == ["2"]
    peer.redis.flushall()
    assert await one.beat([], 10) == ([], set())
    add(peer, 3)
    assert told(await one.read(10)) == ["3"]
    peer.redis.xgroup_destroy(LOG, "g")
    assert await one.read(10) == []
    [key] = add(peer, 4)
    assert told(await one.read(10)) == ["4"]
    peer.redis.xgroup_destroy(LOG, "g")
    peer.redis.xdel(LOG, key)  # a reader may: what came before is not done again
    assert await one.read(10) == []
    add(peer, 5)
    remembers = "max-deleted-entry-id" in peer.redis.xinfo_stream(LOG)
    assert told(await one.read(10)) == (["5"] if remembers else ["3", "5"])


async def test_names_of_the_long_gone_are_removed(
    redis: Patient, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle, busy = a_group(redis), a_group(redis)
    await idle.open()
    await idle.read(1)
    add(peer, 1)
    await busy.read(10)
    peer.redis.xgroup_createconsumer(LOG, "g", "gone")
    await trio.sleep(0.05)
    monkeypatch.setattr(group, "UNUSED", 1)
    await a_group(redis).open()
    left = {each["name"] for each in peer.redis.xinfo_consumers(LOG, "g")}
    assert "gone" not in left
    assert busy.me in left  # what it has would be lost


@pytest.mark.parametrize(
    ("log", "mine", "count"),
    [
        ({}, {"last-delivered-id": "0-0"}, 0),
        ({"first-entry": ["5-0", {}]}, {"last-delivered-id": "5-0"}, 0),
        ({"first-entry": ["5-0", {}]}, {"last-delivered-id": "9-1"}, 0),
        ({"first-entry": ["10-0", {}]}, {"last-delivered-id": "9-1"}, None),
        ({"first-entry": None}, {"last-delivered-id": "9-1"}, 0),
        (
            {"first-entry": ["10-0", {}], "entries-added": 50, "length": 20},
            {"last-delivered-id": "9-1", "entries-read": 10},
            20,
        ),
        (
            {"first-entry": ["10-0", {}], "entries-added": 50, "length": 20},
            {"last-delivered-id": "9-1", "entries-read": 30},
            0,
        ),
    ],
)
def test_what_was_trimmed_unread_is_known(
    log: dict[str, object], mine: dict[str, object], count: int | None
) -> None:
    assert missed(log, mine) == count


@pytest.mark.parametrize("is_new", [True, False])
async def test_an_emptied_log_is_read_from_its_start_though_nothing_was_read_before(
    redis: Patient, peer: Peer, *, is_new: bool
) -> None:
    """A process that was just started knows of the log what its group knew."""
    add(peer, 1)
    if not is_new:
        before = a_group(redis)
        await before.open()
        await before.passed_over(await before.read(10))
    one = a_group(redis, group.NOW)
    await one.open()
    peer.redis.flushall()
    add(peer, 2)
    assert await one.read(10) == []
    assert told(await one.read(10)) == ["2"]


async def test_a_group_that_was_removed_goes_on_where_it_was(
    redis: Patient, peer: Peer
) -> None:
    """Though this process read nothing of it: all before was reacted to, or was not."""
    add(peer, 1)
    one = a_group(redis, group.NOW)
    await one.open()
    peer.redis.xgroup_destroy(LOG, "g")
    add(peer, 2)
    assert await one.read(10) == []
    assert told(await one.read(10)) == ["2"]
