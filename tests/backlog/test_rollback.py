"""A Redis that comes back older, or emptied: it gets again what is held."""

from __future__ import annotations

import pytest
import trio
from backlog.desk import Desk
from fakes import EPOCH, Database, now
from trio.testing import MockClock

from bzredis.backlog import queue, writer


async def test_what_is_held_goes_again_in_order(
    desk: Desk, autojump_clock: MockClock
) -> None:
    async with desk.writing():
        desk.put(*range(200))
        await trio.sleep(1)
        old = desk.store.saved()
        desk.put(*range(200, 300))
        await trio.sleep(1)
        desk.store.db = old
        desk.put(300)
        await trio.sleep(1)
        assert desk.numbers == list(range(301))
    assert desk.troubles == [writer.TOLD_BEHIND, ""]
    assert not desk.holes


@pytest.mark.parametrize("kept", [0, 1, 5])
async def test_a_rollback_is_found_without_traffic(
    desk: Desk, kept: int, autojump_clock: MockClock
) -> None:
    async with desk.writing():
        desk.put(*range(kept))
        await trio.sleep(1)
        old = desk.store.saved()
        desk.put(*range(kept, 8))
        await trio.sleep(1)
        desk.store.db = old
        await trio.sleep(writer.IDLE + 0.1)
        assert desk.numbers == list(range(8))
        await trio.sleep(60)
    assert desk.troubles == [writer.TOLD_BEHIND, ""]
    assert not desk.holes


async def test_held_changes_are_bounded_in_bytes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(queue, "HELD_BYTES", 3000)
    async with desk.writing():
        desk.put(*range(50))
        await trio.sleep(1)
        desk.store.db = Database()
        await trio.sleep(10)
        assert 0 < len(desk.numbers) < 10
        assert desk.numbers == list(range(50))[-len(desk.numbers) :]


async def test_a_rollback_whose_repair_fails_is_repaired_later(
    desk: Desk, autojump_clock: MockClock
) -> None:
    async with desk.writing():
        desk.put(*range(400))
        await trio.sleep(1)
        old = desk.store.saved()
        desk.put(*range(400, 500))
        await trio.sleep(1)
        desk.store.db = old
        desk.store.lost_answers = 1
        await trio.sleep(30)
        assert desk.numbers == list(range(500))
    assert desk.troubles[0] == writer.TOLD_BEHIND
    assert desk.troubles[-1] == ""


async def test_a_rollback_in_the_middle_of_a_repair(
    desk: Desk, autojump_clock: MockClock
) -> None:
    async with desk.writing():
        desk.put(*range(300))
        await trio.sleep(1)
        desk.store.db = Database()
        desk.store.delay = 1
        await trio.sleep(writer.IDLE + 1.5)
        assert 0 < len(desk.numbers) < 300
        desk.store.db = Database()
        await trio.sleep(60)
        assert desk.numbers == list(range(300))


async def test_a_rolled_back_redis_that_goes_away_too(
    desk: Desk, autojump_clock: MockClock
) -> None:
    async with desk.writing():
        desk.put(1, 2, 3)
        await trio.sleep(1)
        desk.store.trouble = "LOADING"
        desk.put(4)
        await trio.sleep(10)
        desk.store.db = Database()
        desk.store.trouble = ""
        await trio.sleep(10)
        assert desk.numbers == [1, 2, 3, 4]
    assert desk.results == [(n, "latest") for n in (0, 1, 2, 0, 1, 2, 3)]


async def test_a_repair_that_is_slow_is_not_the_fault_of_what_waits(
    desk: Desk, autojump_clock: MockClock
) -> None:
    async with desk.writing():
        desk.put(*range(40))
        await trio.sleep(1)
        desk.store.db = Database()
        desk.store.lost_answers = 4
        desk.put(40, 41)
        await trio.sleep(60)
        desk.store.db = Database()
        desk.store.most = 7
        await trio.sleep(60)
    assert desk.numbers == list(range(42))
    assert not desk.store.rejected()


async def test_a_question_without_changes_may_go_unanswered_for_long(
    desk: Desk, autojump_clock: MockClock
) -> None:
    async with desk.writing():
        desk.put(1)
        await trio.sleep(1)
        desk.store.most = -1
        await trio.sleep(200)
        desk.put(2)
        desk.store.most = 10**9
    assert desk.numbers == [1, 2]
    assert not desk.store.rejected()


# -------------------------------------------------------------- what nobody holds


async def test_of_what_nobody_holds_redis_is_told_and_opens_a_hole(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(queue, "HELD", 10)
    async with desk.writing():
        desk.opened()
        desk.put(*range(5))
        await trio.sleep(1)
        old = desk.store.saved()
        await trio.sleep(1)
        desk.put(*range(5, 20))
        lost_by = now()
        await trio.sleep(1)
        desk.store.db = old
        await trio.sleep(10)
        assert desk.numbers == [*range(5), *range(10, 20)]
    assert desk.holes == [(EPOCH, lost_by, "redis-rollback")]


async def test_in_an_emptied_redis_it_begins_where_the_stream_is_followed_from(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(queue, "HELD", 10)
    async with desk.writing():
        desk.opened()
        await trio.sleep(writer.IDLE + 1)
        desk.put(*range(20))
        lost_by = now()
        await trio.sleep(1)
        desk.store.db = Database()
        desk.store.lost_answers = 1
        await trio.sleep(10)
        assert desk.numbers == [*range(10, 20)]
    assert desk.holes == [(EPOCH, lost_by, "redis-rollback")]


async def test_what_was_there_before_us_is_lost_with_an_emptied_redis(
    desk: Desk, autojump_clock: MockClock
) -> None:
    async with desk.writing():
        desk.opened()
        desk.put(1)
    await trio.sleep(100)
    new = desk.next_process()
    async with new.writing():
        new.opened()
        new.put(2)
        began = now()
        await trio.sleep(1)
        new.store.db = Database()
        await trio.sleep(10)
        assert new.numbers == [2]
    assert new.holes == [(EPOCH, began, "redis-rollback")]


@pytest.mark.parametrize("processes", [1, 2])
async def test_so_it_is_with_one_that_was_emptied_before_the_start(
    desk: Desk, processes: int, autojump_clock: MockClock
) -> None:
    """What an elder process left on disk is not lost, nor all after it."""
    async with desk.writing():
        desk.opened()
        desk.put(*range(3, 20))
    if processes == 2:  # which finds something there
        desk = desk.next_process()
        async with desk.writing():
            desk.opened()
    began = now() + 100_000
    await trio.sleep(100)
    left = desk.next_process()
    left.opened()
    left.put(100, 101)
    await left.waiting.flush()
    left.store.db = Database()
    await trio.sleep(100)
    new = left.next_process()
    async with new.writing():
        await trio.sleep(10)
    assert new.numbers == [100, 101]
    assert new.holes == [(EPOCH, began, "redis-rollback")]


async def test_what_an_elder_log_lacks_is_told_at_once(
    desk: Desk, autojump_clock: MockClock
) -> None:
    """Redis has not all that the elder process had been told it has."""
    async with desk.writing():
        desk.opened()
        desk.put(1)
        await trio.sleep(1)
        old = desk.store.saved()
        await trio.sleep(1)
        desk.put(2)
    desk.put(3, 4)
    lost_by = now()
    await desk.waiting.flush()
    desk.store.db = old
    new = desk.next_process()
    async with new.writing():
        new.put(5)
    assert new.numbers == [1, 3, 4, 5]
    assert new.holes == [(EPOCH, lost_by, "redis-rollback")]


async def test_who_wrote_nothing_but_its_mark_notices_all_the_same(
    desk: Desk, autojump_clock: MockClock
) -> None:
    async with desk.writing():
        desk.opened()
        desk.put(3)
        await trio.sleep(1)
        old = desk.store.saved()
        desk.put(1, 2, 4)
    await trio.sleep(60)
    new = desk.next_process()
    async with new.writing():
        new.opened()
        began = now()
        await trio.sleep(writer.IDLE + 1)
        new.store.db = old
        await trio.sleep(10)
        assert new.numbers == [3]
        assert new.troubles == [writer.TOLD_BEHIND, ""]
    assert new.holes == [(EPOCH, began, "restart")]


async def test_a_repair_whose_answer_was_lost_takes_effect_once(
    desk: Desk, autojump_clock: MockClock
) -> None:
    async with desk.writing():
        desk.put(2, 3)
        await trio.sleep(1)
        desk.store.db = Database()
        desk.store.lost_answers = 1
        await trio.sleep(10)
        assert desk.numbers == [2, 3]
    first, then = desk.results[:2], desk.results[2:]
    assert first == [(0, "latest"), (1, "latest")]
    assert then == [(0, "again"), (1, "again")]
