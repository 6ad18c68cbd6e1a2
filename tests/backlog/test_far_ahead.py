"""A reader that is faster than the writer, or than the disk."""

from __future__ import annotations

import pytest
import trio
from backlog.desk import confirm, drain, spilling
from fakes import Disk, plain
from trio.testing import MockClock

from bzredis.backlog import backlog
from bzredis.backlog.backlog import Backlog


async def test_a_reader_lets_a_writer_that_makes_progress_catch_up(
    waiting: Backlog, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(backlog, "AHEAD", 1000)
    for n in range(4):
        waiting.put(plain(n, 400))
    await confirm(waiting, 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.breathe)
        await trio.sleep(0.2)
        await confirm(waiting, 2)
    assert trio.current_time() == 0.2
    await waiting.breathe()
    assert trio.current_time() == 0.2


async def test_it_does_not_wait_long_nor_for_one_that_stands_still(
    waiting: Backlog, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(backlog, "AHEAD", 1000)
    for n in range(9):
        waiting.put(plain(n, 400))
    await confirm(waiting, 1)
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
            peak = max(peak, waiting.queue.size)
            await trio.sleep(0.001)
            await waiting.breathe()
    a_look = int(backlog.POLL / 0.001) * len(plain(1, 900))
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
