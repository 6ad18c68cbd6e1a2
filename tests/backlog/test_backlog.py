"""The backlog between a reader that never waits and a disk that may be slow or full."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest
import trio
from fakes import ROOMY, Disk, Said, plain
from trio.testing import MockClock, wait_all_tasks_blocked

from bzredis.backlog import backlog
from bzredis.backlog.backlog import Backlog, Item
from bzredis.backlog.spool import Spool
from bzredis.errors import SpoolUnusable

KILL = 1.0  # s that a kill may cost (contract.md, promise 5)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool.open(tmp_path / "s.sqlite3", ROOMY)
    yield spool
    spool.close()


@pytest.fixture
def waiting(spool: Spool, disk: Disk) -> Backlog:
    return Backlog("ratings", spool)


@asynccontextmanager
async def spilling(waiting: Backlog) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.spill)
        yield
        nursery.cancel_scope.cancel()


def numbers(items: list[Item]) -> list[int]:
    return [item.number for item in items]


async def drain(waiting: Backlog, limit: int = 10) -> list[bytes]:
    """Take all, as a writer does whom Redis obeys."""
    taken: list[bytes] = []
    while batch := await waiting.batch(limit):
        taken += [item.packed for item in batch]
        await waiting.confirm(batch[-1].number)
    return taken


async def test_what_redis_acknowledged_is_noted_beside_what_waits_and_only_there(
    waiting: Backlog, spool: Spool
) -> None:
    waiting.entry = "5-0"
    waiting.put(plain(1))
    await waiting.flush()
    span = spool.span("ratings")
    heir = Backlog("ratings", spool)
    heir.resume(spool, span.count, span.last)
    assert heir.entry == "5-0"
    await drain(heir)
    # The note is not kept up while nothing waits, so it may tell of a trimmed entry.
    last = Backlog("ratings", spool)
    last.resume(spool, 0, span.last)
    assert last.entry == ""


async def test_news_for_the_next_process_take_no_changes_with_them_but_for_gaps(
    waiting: Backlog, spool: Spool
) -> None:
    """In a flood they would lead all of it through the disk."""
    waiting.others = lambda: {"open ratings": "a gap"}
    waiting.put(plain(1))
    await waiting.keep()
    assert (spool.note("open ratings"), waiting.spooled) == ("a gap", 0)
    waiting.others = lambda: {"open ratings": ""}
    waiting.announced = waiting.put(plain(2))
    await waiting.keep()
    assert (spool.note("open ratings"), waiting.spooled) == ("", 2)


async def test_what_is_taken_stays_until_it_is_confirmed(
    waiting: Backlog, autojump_clock: MockClock
) -> None:
    for n in range(5):
        waiting.put(plain(n))
    assert numbers(await waiting.batch(3)) == [0, 1, 2]
    assert numbers(await waiting.batch(3)) == [0, 1, 2]
    await waiting.confirm(1)
    assert numbers(await waiting.batch(9)) == [2, 3, 4]
    assert len(waiting) == 3


async def test_one_order_across_memory_and_disk(
    waiting: Backlog, autojump_clock: MockClock
) -> None:
    given = [plain(n) for n in range(30)]
    async with spilling(waiting):
        for packed in given[:10]:
            waiting.put(packed)
        await trio.sleep(2)
        assert waiting.spooled == 10
        for packed in given[10:20]:
            waiting.put(packed)
        await trio.sleep(2)
        assert waiting.spooled == 20
        for packed in given[20:]:
            waiting.put(packed)
        assert (len(waiting), waiting.spooled) == (30, 20)
        assert await drain(waiting, 7) == given
    assert (len(waiting), waiting._bytes, waiting.spool.room) == (0, 0, ROOMY)


async def test_what_redis_takes_at_once_never_sees_the_disk(
    waiting: Backlog, disk: Disk, autojump_clock: MockClock
) -> None:
    async with spilling(waiting):
        for n in range(100):
            waiting.put(plain(n))
            await trio.sleep(0.1)
            await drain(waiting)
    assert disk.calls == 0


@pytest.mark.parametrize("phase", [0.0, 0.07, 0.13, 0.19, 0.24])
async def test_a_kill_costs_a_second_at_the_most(
    waiting: Backlog, spool: Spool, phase: float, autojump_clock: MockClock
) -> None:
    async with spilling(waiting):
        await trio.sleep(phase)
        waiting.put(plain(1))
        await trio.sleep(KILL)
        assert spool.span("ratings").count == 1


async def test_a_new_process_goes_on_where_the_killed_one_was(
    waiting: Backlog, spool: Spool, autojump_clock: MockClock
) -> None:
    given = [plain(n) for n in range(8)]
    async with spilling(waiting):
        for packed in given[:5]:
            waiting.put(packed)
        await trio.sleep(KILL)
        await waiting.confirm(1)
    again = Spool.open(spool.path, ROOMY)
    span = again.span("ratings")
    new = Backlog("ratings", again)
    new.resume(again, span.count, span.last)
    assert (len(new), new.spooled) == (3, 3)
    for packed in given[5:]:
        new.put(packed)
    assert await drain(new) == given[2:]
    again.close()


async def test_a_flood_goes_to_disk_before_its_second_is_over(
    waiting: Backlog, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(backlog, "MEMORY", 50_000)
    peak = 0
    async with spilling(waiting):
        for n in range(2000):
            waiting.put(plain(n, 900))
            peak = max(peak, waiting._bytes)
            await trio.sleep(0.001)
    a_look = int(backlog.LOOK / 0.001) * len(plain(1, 900))
    assert 50_000 < peak <= 50_000 + a_look * 1.1
    assert len(await drain(waiting, 150)) == 2000


@pytest.mark.parametrize("confirmed", [3, 9])
async def test_a_confirmation_while_its_changes_move_to_disk(
    waiting: Backlog, disk: Disk, confirmed: int, autojump_clock: MockClock
) -> None:
    """They must not stand on disk for ever, nor be counted twice."""
    disk.delay = 0.4
    for n in range(10):
        waiting.put(plain(n))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.flush)
        await trio.sleep(0.1)  # the rows are with the disk
        waiting.put(plain(10))
        nursery.start_soon(waiting.confirm, confirmed)
    assert numbers(await waiting.batch(99))[0] == confirmed + 1
    assert len(waiting) == 10 - confirmed
    assert waiting.spooled == 9 - confirmed
    assert len(await drain(waiting)) == 10 - confirmed
    assert (len(waiting), waiting._bytes, waiting.spool.room) == (0, 0, ROOMY)


async def test_the_order_holds_while_a_batch_waits_for_the_disk(
    waiting: Backlog, disk: Disk, autojump_clock: MockClock
) -> None:
    disk.delay = 0.3
    given = [plain(n) for n in range(40)]
    taken: list[bytes] = []

    async def write() -> None:
        while len(taken) < 40:
            batch = await waiting.batch(4)
            await trio.sleep(0.05)
            if batch:
                await waiting.confirm(batch[-1].number)
            taken.extend(item.packed for item in batch)

    with trio.fail_after(60):
        async with spilling(waiting), trio.open_nursery() as nursery:
            for packed in given[:20]:
                waiting.put(packed)
            await trio.sleep(1.1)
            nursery.start_soon(write)
            for packed in given[20:]:
                waiting.put(packed)
                await trio.sleep(0.11)
    assert taken == given
    assert (len(waiting), waiting._bytes, waiting.spool.room) == (0, 0, ROOMY)


async def test_arrival_wakes_for_news_and_for_the_end(
    waiting: Backlog, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.arrival)
        await wait_all_tasks_blocked()
        waiting.put(plain(1))
    assert not waiting.drained
    await drain(waiting)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.arrival)
        await wait_all_tasks_blocked()
        assert not waiting.drained
        waiting.close()
    assert waiting.drained


async def test_what_comes_after_the_end_is_kept_all_the_same(
    waiting: Backlog, autojump_clock: MockClock
) -> None:
    """A gap can be found while the rest is written."""
    waiting.close()
    waiting.put(plain(1))
    assert not waiting.drained
    assert len(await drain(waiting)) == 1
    assert waiting.drained


async def test_age_is_of_the_oldest_in_memory(
    waiting: Backlog, autojump_clock: MockClock
) -> None:
    assert waiting.age() == 0
    waiting.put(plain(1))
    await trio.sleep(3)
    waiting.put(plain(2))
    assert waiting.age() == 3
    await waiting.confirm(0)
    assert waiting.age() == 0


# ------------------------------------------------------------------ a disk that is full


async def test_without_room_it_stays_in_memory_and_says_so_once(
    waiting: Backlog, spool: Spool, said: Said, autojump_clock: MockClock
) -> None:
    spool.limit = 500
    async with spilling(waiting):
        for n in range(100):
            waiting.put(plain(n))
        with trio.fail_after(2):
            await waiting.filled()
        await trio.sleep(5)
        assert (len(waiting), waiting.spooled) == (100, 0)
    [entry] = [e for e in said if e["log_level"] == "error"]
    assert "spool" in entry["event"]
    assert await drain(waiting) == [plain(n) for n in range(100)]


async def test_room_is_there_once_what_waited_is_on_its_way(
    waiting: Backlog, spool: Spool, autojump_clock: MockClock
) -> None:
    spool.limit = 20 * len(plain(1))
    given = [plain(n) for n in range(30)]
    async with spilling(waiting):
        for packed in given[:15]:
            waiting.put(packed)
        await trio.sleep(2)
        for packed in given[15:]:
            waiting.put(packed)
        await trio.sleep(2)
        assert waiting.full
        with trio.move_on_after(10) as scope:
            await waiting.has_room()
        assert scope.cancelled_caught
        assert await drain(waiting) == given
        with trio.fail_after(2 * backlog.ROOM_LOOK):
            await waiting.has_room()
    assert not waiting.full


async def test_a_little_room_opens_nothing(
    waiting: Backlog,
    spool: Spool,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
) -> None:
    """Else a stream would come and go as Redis drains, a replay each time."""
    monkeypatch.setattr(backlog, "ROOM", 2000)
    spool.limit = 8000
    async with spilling(waiting):
        while not waiting.full:
            waiting.put(plain(1))
            await trio.sleep(0.1)
        on_disk = waiting.spooled
        while spool.room < 2000 + waiting._bytes:
            with trio.move_on_after(3) as scope:
                await waiting.has_room()
            assert scope.cancelled_caught
            await waiting.confirm((await waiting.batch(1))[0].number)
        assert waiting.spooled > on_disk / 2
        with trio.fail_after(3):
            await waiting.has_room()


async def test_no_room_for_a_quiet_stream_while_another_fills_the_spool(
    waiting: Backlog, spool: Spool, autojump_clock: MockClock
) -> None:
    busy = Backlog("insights", spool)
    spool.limit = 1000
    busy.put(plain(1, 700))
    await busy.flush()
    waiting.put(plain(2, 300))
    await waiting.flush()
    assert waiting.full
    with trio.move_on_after(60) as scope:
        await waiting.has_room()
    assert scope.cancelled_caught
    await drain(busy)
    with trio.fail_after(3):
        await waiting.has_room()


async def test_a_full_disk_has_no_room_whatever_the_limit(
    waiting: Backlog, spool: Spool, autojump_clock: MockClock
) -> None:
    [pages] = spool._db.execute("PRAGMA page_count").fetchone()
    spool._db.execute(f"PRAGMA max_page_count = {pages}")
    async with spilling(waiting):
        waiting.put(plain(1, 100_000))
        await trio.sleep(2)
        assert waiting.full
        with trio.move_on_after(60) as scope:
            await waiting.has_room()
        assert scope.cancelled_caught
        spool._db.execute("PRAGMA max_page_count = 100000")
        with trio.fail_after(3):
            await waiting.has_room()
        assert waiting.spooled == 1


async def test_a_disk_that_cannot_even_forget_does_not_stop_the_writer(
    waiting: Backlog, spool: Spool, autojump_clock: MockClock
) -> None:
    """Redis is well again, the disk is still full: what is confirmed is done with."""
    given = [plain(n) for n in range(20)]
    for packed in given:
        waiting.put(packed)
    await waiting.flush()
    spool._db.execute("PRAGMA query_only = ON")
    waiting.put(plain(20))
    assert await drain(waiting, 7) == [*given, plain(20)]
    assert len(waiting) == 0
    spool._db.execute("PRAGMA query_only = OFF")
    waiting.put(plain(21))
    await waiting.flush()
    assert await drain(waiting) == [plain(21)]
    assert spool.span("ratings").count == 0


async def test_damage_is_not_taken_for_want_of_room(
    waiting: Backlog, spool: Spool, autojump_clock: MockClock
) -> None:
    spool._db.execute("DROP TABLE item")
    waiting.put(plain(1))
    with pytest.raises(SpoolUnusable, match="no such table"):
        await waiting.flush()


# ------------------------------------------------- another process that holds the lock


@contextmanager
def locked(spool: Spool) -> Iterator[None]:
    """Do what an sqlite3 shell does in the midst of a transaction."""
    spool._db.execute("PRAGMA busy_timeout = 0")  # that wait would be in real time
    with closing(sqlite3.connect(spool.path, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        yield
        shell.execute("ROLLBACK")


async def test_a_short_lock_closes_nothing_and_is_told_once_in_its_own_words(
    waiting: Backlog, spool: Spool, said: Said, autojump_clock: MockClock
) -> None:
    async with spilling(waiting):
        for _ in range(2):
            with locked(spool):
                waiting.put(plain(1))
                await trio.sleep(backlog.LOCKED - 2 * backlog.LOOK)
                assert not waiting.full
            await trio.sleep(2 * backlog.LOOK)
            assert not waiting.full
        assert waiting.spooled == 2
    assert [(e["log_level"], e["event"]) for e in said] == 2 * [
        ("warning", "the spool is locked")
    ]
    assert "is locked by another process" in said[0]["error"]
    assert len(await drain(waiting)) == 2


async def test_for_a_long_one_the_stream_is_closed_until_it_ends(
    waiting: Backlog, spool: Spool, said: Said, autojump_clock: MockClock
) -> None:
    async with spilling(waiting):
        with locked(spool):
            waiting.put(plain(1))
            with trio.fail_after(backlog.LOCKED + 2 * backlog.LOOK):
                await waiting.filled()
            with trio.move_on_after(30) as scope:
                await waiting.has_room()
            assert scope.cancelled_caught
        with trio.fail_after(2 * backlog.ROOM_LOOK):
            await waiting.has_room()
    assert (waiting.full, waiting.spooled) == (False, 1)
    assert [e["event"] for e in said] == ["the spool is locked"]


async def test_nor_does_memory_hold_a_flood_meanwhile(
    waiting: Backlog,
    spool: Spool,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
) -> None:
    monkeypatch.setattr(backlog, "MEMORY", 1000)
    monkeypatch.setattr(backlog, "CROWDED", 2000)
    async with spilling(waiting):
        with locked(spool):
            waiting.put(plain(1, 1500))
            await trio.sleep(2 * backlog.LOOK)
            assert not waiting.full
            waiting.put(plain(2, 1500))
            await trio.sleep(2 * backlog.LOOK)
            assert waiting.full


async def test_trouble_that_comes_again_is_told_again(
    waiting: Backlog, spool: Spool, said: Said, autojump_clock: MockClock
) -> None:
    async with spilling(waiting):
        for _ in range(2):
            spool.limit = 10
            waiting.put(plain(1))
            await waiting.filled()
            spool.limit = ROOMY
            await waiting.has_room()
            await drain(waiting)
    assert [e["event"] for e in said] == ["the spool is full"] * 2


# ------------------------------------------------------------ a reader far ahead


async def test_a_reader_lets_a_writer_that_makes_progress_catch_up(
    waiting: Backlog, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(backlog, "AHEAD", 1000)
    for n in range(4):
        waiting.put(plain(n, 400))
    await waiting.confirm(0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.breathe)
        await trio.sleep(0.2)
        await waiting.confirm(2)
    assert trio.current_time() == 0.2
    await waiting.breathe()
    assert trio.current_time() == 0.2


async def test_it_does_not_wait_long_nor_for_one_that_stands_still(
    waiting: Backlog, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(backlog, "AHEAD", 1000)
    for n in range(9):
        waiting.put(plain(n, 400))
    await waiting.confirm(0)
    await waiting.breathe()
    assert trio.current_time() == backlog.BREATH
    await waiting.breathe()
    assert trio.current_time() == backlog.BREATH


async def test_a_reader_that_is_faster_than_the_disk_waits_for_it(
    waiting: Backlog,
    disk: Disk,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
) -> None:
    """Else what is read would pile up in memory while the disk works."""
    monkeypatch.setattr(backlog, "MEMORY", 50_000)
    monkeypatch.setattr(backlog, "CROWDED", 100_000)
    disk.delay = 0.3  # and as long again: 600 messages would come meanwhile
    peak = 0
    async with spilling(waiting):
        for n in range(2000):
            waiting.put(plain(n, 900))
            peak = max(peak, waiting._bytes)
            await trio.sleep(0.001)
            await waiting.breathe()
    a_look = int(backlog.LOOK / 0.001) * len(plain(1, 900))
    assert 100_000 < peak <= 100_000 + a_look * 1.1
    assert len(await drain(waiting, 150)) == 2000


async def test_but_not_for_ever_so_that_upstream_is_answered(
    waiting: Backlog,
    disk: Disk,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
) -> None:
    monkeypatch.setattr(backlog, "CROWDED", 100)
    disk.delay = 9
    waiting.put(plain(1, 400))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.flush)
        await trio.sleep(1)
        await waiting.breathe()
        assert trio.current_time() == 1 + backlog.BREATH
