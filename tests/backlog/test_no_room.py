"""A disk that is full, or held by another process."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import trio
from backlog.desk import begun, confirm, drain, spilling
from fakes import ROOMY, plain
from trio.testing import MockClock

from bzredis.backlog import backlog
from bzredis.backlog.backlog import Backlog
from bzredis.backlog.spool import Spool
from bzredis.errors import SpoolUnusable
from bzredis.ports import Behind


async def test_without_room_it_stays_in_memory_and_says_so(
    waiting: Backlog, spool: Spool, autojump_clock: MockClock
) -> None:
    spool.limit = 500
    async with spilling(waiting):
        for n in range(100):
            waiting.put(plain(n))
        with trio.fail_after(2):
            await waiting.filled()
        await trio.sleep(5)
        assert (len(waiting), waiting.disk.count) == (100, 0)
        assert "holds its limit of 500 bytes" in waiting.wrong
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
        with trio.fail_after(2 * backlog.ROOM_POLL):
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
        on_disk = waiting.disk.count
        while spool.room < 2000 + waiting.queue.size:
            with trio.move_on_after(3) as scope:
                await waiting.has_room()
            assert scope.cancelled_caught
            await confirm(waiting, 1)
        assert waiting.disk.count > on_disk / 2
        with trio.fail_after(3):
            await waiting.has_room()


async def test_no_room_for_a_quiet_stream_while_another_fills_the_spool(
    waiting: Backlog, spool: Spool, autojump_clock: MockClock
) -> None:
    busy = begun(spool, "other", "insights")
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
        assert waiting.disk.count == 1


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
    assert spool.count("ratings") == 0


async def test_what_it_forgot_too_late_is_not_counted_when_it_goes_back(
    waiting: Backlog, spool: Spool, autojump_clock: MockClock
) -> None:
    for n in range(10):
        waiting.put(plain(n))
    await waiting.flush()
    spool._db.execute("PRAGMA query_only = ON")
    await drain(waiting, 7)
    assert waiting.go_back(waiting.batch([]), Behind(5)) == 4
    await confirm(waiting, 2)
    spool._db.execute("PRAGMA query_only = OFF")
    await waiting.flush()
    assert (len(waiting), waiting.disk.count) == (2, 2)
    assert await drain(waiting) == [plain(8), plain(9)]
    assert (len(waiting), waiting.disk.count, spool.count("ratings")) == (0, 0, 0)


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


async def test_a_short_lock_closes_nothing_and_is_told_in_its_own_words(
    waiting: Backlog, spool: Spool, autojump_clock: MockClock
) -> None:
    async with spilling(waiting):
        for _ in range(2):
            with locked(spool):
                waiting.put(plain(1))
                await trio.sleep(backlog.LOCKED - 2 * backlog.POLL)
                assert not waiting.full
                assert "is locked by another process" in waiting.wrong
            await trio.sleep(2 * backlog.POLL)
            assert not waiting.full
            assert waiting.wrong == ""
        assert waiting.disk.count == 2
    assert len(await drain(waiting)) == 2


async def test_for_a_long_one_the_stream_is_closed_until_it_ends(
    waiting: Backlog, spool: Spool, autojump_clock: MockClock
) -> None:
    async with spilling(waiting):
        with locked(spool):
            waiting.put(plain(1))
            with trio.fail_after(backlog.LOCKED + 2 * backlog.POLL):
                await waiting.filled()
            with trio.move_on_after(30) as scope:
                await waiting.has_room()
            assert scope.cancelled_caught
            assert "is locked by another process" in waiting.wrong
        with trio.fail_after(2 * backlog.ROOM_POLL):
            await waiting.has_room()
    assert (waiting.full, waiting.wrong, waiting.disk.count) == (False, "", 1)


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
            await trio.sleep(2 * backlog.POLL)
            assert not waiting.full
            waiting.put(plain(2, 1500))
            await trio.sleep(2 * backlog.POLL)
            assert waiting.full


async def test_what_is_wrong_is_known_until_there_is_room(
    waiting: Backlog, spool: Spool, autojump_clock: MockClock
) -> None:
    async with spilling(waiting):
        for _ in range(2):
            spool.limit = 10
            waiting.put(plain(1))
            await waiting.filled()
            assert waiting.wrong
            spool.limit = ROOMY
            await waiting.has_room()
            assert not waiting.wrong
            await drain(waiting)
