"""The backlog between a reader that never waits and a disk that may be slow."""

from __future__ import annotations

import pytest
import trio
from backlog.desk import applied, begun, confirm, drain, numbers, spilling
from fakes import ROOMY, Disk, plain
from trio.testing import MockClock, wait_all_tasks_blocked

from bzredis.backlog import backlog
from bzredis.backlog.backlog import Backlog
from bzredis.backlog.spool import Spool
from bzredis.ports import Behind

KILL = 1.0  # s that a kill may cost (contract.md, promise 5)


async def test_what_is_taken_stays_until_it_is_confirmed(
    waiting: Backlog, autojump_clock: MockClock
) -> None:
    for n in range(5):
        waiting.put(plain(n))
    assert numbers(await waiting.oldest(3)) == [0, 1, 2]
    assert numbers(await waiting.oldest(3)) == [0, 1, 2]
    await confirm(waiting, 2)
    assert numbers(await waiting.oldest(9)) == [2, 3, 4]
    assert len(waiting) == 3


async def test_one_order_across_memory_and_disk(
    waiting: Backlog, spool: Spool, autojump_clock: MockClock
) -> None:
    given = [plain(n) for n in range(30)]
    async with spilling(waiting):
        for packed in given[:10]:
            waiting.put(packed)
        await trio.sleep(2)
        assert waiting.disk.count == 10
        for packed in given[10:20]:
            waiting.put(packed)
        await trio.sleep(2)
        assert waiting.disk.count == 20
        for packed in given[20:]:
            waiting.put(packed)
        assert (len(waiting), waiting.disk.count) == (30, 20)
        assert await drain(waiting, 7) == given
    assert (len(waiting), waiting.queue.size, spool.room) == (0, 0, ROOMY)


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
        assert spool.count("ratings") == 1


async def test_a_new_process_writes_first_what_the_killed_one_left(
    waiting: Backlog, spool: Spool, autojump_clock: MockClock
) -> None:
    given = [plain(n) for n in range(8)]
    async with spilling(waiting):
        for packed in given[:5]:
            waiting.put(packed)
        await trio.sleep(KILL)
        await confirm(waiting, 2)
    again = Spool.open(spool.path, ROOMY)
    new = begun(again, "new log")
    assert (len(new), new.disk.count) == (3, 3)
    for packed in given[5:]:
        new.put(packed)
    old = await new.oldest(99)
    assert [(item.log.id, item.number) for item in old] == [
        ("log", n) for n in (2, 3, 4)
    ]
    assert new.batch(old).first == 2
    await new.flush()
    assert await new.oldest(99) == old, "never two logs in one batch"
    assert await drain(new) == given[2:]
    assert len(new) == 0
    again.close()


async def test_a_flood_goes_to_disk_before_its_second_is_over(
    waiting: Backlog, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(backlog, "MEMORY", 50_000)
    peak = 0
    async with spilling(waiting):
        for n in range(2000):
            waiting.put(plain(n, 900))
            peak = max(peak, waiting.queue.size)
            await trio.sleep(0.001)
    a_look = int(backlog.POLL / 0.001) * len(plain(1, 900))
    assert 50_000 < peak <= 50_000 + a_look * 1.1
    assert len(await drain(waiting, 150)) == 2000


@pytest.mark.parametrize("confirmed", [3, 9], ids=["some", "all"])
async def test_a_confirmation_while_its_changes_move_to_disk(
    waiting: Backlog,
    spool: Spool,
    disk: Disk,
    confirmed: int,
    autojump_clock: MockClock,
) -> None:
    """They must not stand on disk for ever, nor be counted twice."""
    disk.delay = 0.4
    for n in range(10):
        waiting.put(plain(n))
    items = await waiting.oldest(confirmed + 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.flush)
        await trio.sleep(0.1)  # the rows are with the disk
        waiting.put(plain(10))
        nursery.start_soon(waiting.confirm, items, applied(items))
    assert numbers(await waiting.oldest(99))[0] == confirmed + 1
    assert len(waiting) == 10 - confirmed
    assert waiting.disk.count == 9 - confirmed
    assert len(await drain(waiting)) == 10 - confirmed
    assert (len(waiting), waiting.queue.size, spool.room) == (0, 0, ROOMY)


async def test_the_order_holds_while_a_batch_waits_for_the_disk(
    waiting: Backlog, spool: Spool, disk: Disk, autojump_clock: MockClock
) -> None:
    disk.delay = 0.3
    given = [plain(n) for n in range(40)]
    taken: list[bytes] = []

    async def write() -> None:
        while len(taken) < 40:
            items = await waiting.oldest(4)
            await trio.sleep(0.05)
            await waiting.confirm(items, applied(items))
            taken.extend(item.packed for item in items)

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
    assert (len(waiting), waiting.queue.size, spool.room) == (0, 0, ROOMY)


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
    await confirm(waiting, 1)
    assert waiting.age() == 0


# ------------------------------------------------------- a Redis that comes back older


async def back_to(waiting: Backlog, at: int, *, count: int = 10) -> None:
    """Have Redis confirm some changes, and then forget the last of them."""
    for n in range(count):
        waiting.put(plain(n))
    await drain(waiting)
    waiting.put(plain(count))
    assert waiting.go_back(waiting.batch(await waiting.oldest(9)), Behind(at))


async def test_what_goes_back_goes_before_what_waits(
    waiting: Backlog, autojump_clock: MockClock
) -> None:
    await back_to(waiting, 6)
    assert len(waiting) == 4
    assert await drain(waiting, 2) == [plain(n) for n in (7, 8, 9, 10)]


async def test_it_is_saved_with_the_rest(
    waiting: Backlog, spool: Spool, autojump_clock: MockClock
) -> None:
    await back_to(waiting, 6)
    await waiting.flush()
    assert (waiting.disk.count, len(waiting.queue), waiting.queue.size) == (4, 0, 0)
    assert await drain(begun(spool, "new")) == [plain(n) for n in (7, 8, 9, 10)]


async def test_what_goes_back_while_the_rest_moves_to_disk_is_not_lost(
    waiting: Backlog, disk: Disk, autojump_clock: MockClock
) -> None:
    for n in range(10):
        waiting.put(plain(n))
    await drain(waiting)
    waiting.put(plain(10))
    batch = waiting.batch(await waiting.oldest(9))
    disk.delay = 0.4
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.flush)
        await trio.sleep(0.1)
        waiting.go_back(batch, Behind(6))
    assert (len(waiting), waiting.disk.count) == (4, 1)
    assert await drain(waiting, 2) == [plain(n) for n in (7, 8, 9, 10)]


async def test_since_when_a_stream_is_followed_is_kept_on_disk(
    waiting: Backlog, spool: Spool, disk: Disk, autojump_clock: MockClock
) -> None:
    """A Redis that was emptied does not know it."""
    assert waiting.batch([]).since is None
    await waiting.confirm([], applied([], since=5))
    await waiting.flush()
    assert waiting.batch([]).since == 5
    assert begun(spool).batch([]).since == 5
    calls = disk.calls
    await waiting.confirm([], applied([], since=5))
    await waiting.flush()
    await waiting.confirm([], applied([]))
    await waiting.flush()
    assert disk.calls == calls
    spool._db.execute("PRAGMA query_only = ON")
    await waiting.confirm([], applied([], since=4))
    await waiting.flush()
    spool._db.execute("PRAGMA query_only = OFF")
    assert spool.since("ratings") == 5
    await waiting.confirm([], applied([], since=4))
    await waiting.flush()
    assert spool.since("ratings") == 4
