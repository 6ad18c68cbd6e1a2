"""The writer against a Redis that dies, hangs, mumbles, or takes only some of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from backlog.desk import Desk, spilling
from fakes import FakeStore, Said, frame
from trio.testing import MockClock

from bzredis import troubles
from bzredis.backlog import writer
from bzredis.backlog.backlog import Backlog
from bzredis.changes.from_frame import CUT
from bzredis.errors import SpoolFull, StoreDown, StoreForeign, StoreUnready
from bzredis.ports import Applied, Batch, Behind, Item
from bzredis.streams import Stream


async def test_everything_in_order_in_batches(
    desk: Desk, autojump_clock: MockClock
) -> None:
    async with desk.writing():
        desk.put(*range(400))
    assert desk.numbers == list(range(400))
    assert max(desk.store.batches) == writer.BATCH
    assert [number for number, _ in desk.results] == list(range(400))
    assert trio.current_time() == 0


async def test_in_a_flood_the_next_batch_is_sent_behind_each(
    desk: Desk, autojump_clock: MockClock
) -> None:
    full = writer.BATCH
    async with desk.writing():
        desk.put(*range(3 * full + 10))
    assert desk.store.sent_ahead == 2  # the last one is not full
    assert desk.store.batches == [full, full, full, 10]
    assert [number for number, _ in desk.results] == list(range(3 * full + 10))
    assert "again" not in dict(desk.results).values()


@pytest.mark.parametrize("lost", [1, 2])
async def test_what_was_sent_behind_a_batch_that_failed_is_sent_again(
    desk: Desk, autojump_clock: MockClock, lost: int
) -> None:
    count = 4 * writer.BATCH
    async with desk.writing():
        desk.store.lost_answers = lost
        desk.put(*range(count))
    assert desk.numbers == list(range(count))
    assert [number for number, _ in desk.results] == list(range(count))
    again = [number for number, result in desk.results if result == "again"]
    assert again == list(range(2 * writer.BATCH))


async def test_what_waits_on_disk_is_not_sent_ahead(
    desk: Desk, autojump_clock: MockClock
) -> None:
    desk.store.trouble = "LOADING"
    async with desk.writing(), spilling(desk.waiting):
        desk.put(*range(3 * writer.BATCH))
        await trio.sleep(10)
        assert desk.waiting.disk.count
        desk.store.trouble = ""
        await trio.sleep(10)
    assert desk.numbers == list(range(3 * writer.BATCH))
    assert not desk.store.sent_ahead


async def test_an_outage_is_told_once_and_nothing_lost(
    desk: Desk, autojump_clock: MockClock
) -> None:
    async with desk.writing():
        desk.put(1)
        await trio.sleep(1)
        desk.store.trouble = "LOADING"
        desk.put(2)
        await trio.sleep(30)
        desk.put(3)
        await trio.sleep(30)
        attempts = sum(map(bool, desk.store.batches))  # without questions
        desk.store.trouble = ""
        await trio.sleep(writer.RETRY_LAST + 0.1)
        assert desk.numbers == [1, 2, 3]
    assert 60 / writer.RETRY_LAST < attempts < 60 / writer.RETRY_LAST * 2 + 10
    assert desk.troubles == ["LOADING", ""]


async def test_an_answer_that_was_lost_takes_effect_once(
    desk: Desk, autojump_clock: MockClock
) -> None:
    async with desk.writing():
        desk.store.lost_answers = 1
        desk.put(1)
        await trio.sleep(10)
        desk.put(2)
        await trio.sleep(10)
        desk.put(2)
    assert desk.numbers == [1, 2]
    assert desk.results == [
        (0, "again"),
        (1, "latest"),
        (2, "duplicate"),
    ]


async def test_too_much_at_once_is_halved_until_it_goes(
    desk: Desk, autojump_clock: MockClock
) -> None:
    desk.store.most = 20
    async with desk.writing():
        desk.put(*range(150))
    assert desk.numbers == list(range(150))
    assert desk.store.batches[:5] == [150, 75, 37, 18, 36]
    assert not desk.store.rejected()


async def test_what_redis_takes_in_one_go_is_found_out(
    desk: Desk, autojump_clock: MockClock
) -> None:
    """As with `proto-max-bulk-len`, or with a proxy's limit on requests."""
    desk.store.closes_at = 10_000
    async with desk.writing():
        desk.put(*range(100))
        await trio.sleep(30)
        assert desk.numbers == list(range(100))


async def test_nothing_is_halved_while_redis_is_away(
    desk: Desk, autojump_clock: MockClock
) -> None:
    async with desk.writing():
        desk.store.trouble = "LOADING"
        desk.put(*range(20))
        await trio.sleep(30)
        desk.store.trouble = ""
        await trio.sleep(5)
        assert desk.numbers == list(range(20))
        assert 20 in desk.store.batches


async def test_batches_grow_again(desk: Desk, autojump_clock: MockClock) -> None:
    desk.store.most = 20
    async with desk.writing():
        desk.put(*range(150))
        await trio.sleep(5 * 4)
        desk.store.most = 10**9
        await trio.sleep(60)
        desk.put(*range(200, 700))
    assert desk.numbers == [*range(150), *range(200, 700)]
    assert writer.BATCH in desk.store.batches[1:]


async def test_one_poisonous_change_is_set_aside_and_the_rest_goes_on(
    desk: Desk, said: Said, autojump_clock: MockClock
) -> None:
    desk.store.poison = f"{60:024x}"
    async with desk.writing():
        desk.put(*range(100))
    assert desk.numbers == [n for n in range(100) if n != 60]
    [aside] = desk.store.rejected()
    assert aside["raw"] == frame(60)
    assert "no answer" in aside["reason"]
    assert desk.store.questions == writer.POISON_TRIES
    assert [n for n, result in desk.results if result == "rejected"] == [60]
    assert len([e for e in said if e["log_level"] == "error"]) == 1
    assert trio.current_time() < 200


async def test_many_that_are_set_aside_for_one_reason_are_told_once_and_counted(
    desk: Desk, said: Said, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(troubles, "HOUR", 400.0)  # s
    desk.store.poison = f"{3:023x}"  # which stands in 48 to 63
    async with desk.writing():
        desk.put(*range(43, 53))
        await trio.sleep(500)
    assert len(desk.store.rejected()) == 5
    told = [(e["event"], e.get("times")) for e in said if e["log_level"] == "error"]
    assert told == [
        ("set aside: Redis answers, but not to this change", None),
        ("set aside in the last hour again", 4),
    ]


@pytest.mark.parametrize("padding", [30_000, 1_000_000])
async def test_what_is_too_large_for_redis_is_set_aside_cut_to_what_fits(
    desk: Desk, said: Said, autojump_clock: MockClock, padding: int
) -> None:
    desk.store.closes_at = 10_000
    async with desk.writing():
        desk.put(*range(50))
        desk.put(50, padding=padding)
        desk.put(*range(51, 100))
        await trio.sleep(60)
        assert desk.numbers == [n for n in range(100) if n != 50]
    [aside] = desk.store.rejected()
    assert frame(50, padding).startswith(aside["raw"])
    assert len(aside["raw"]) > 1_000
    assert aside["reason"] == f"cannot reach Redis: connection reset{CUT}"
    assert [n for n, result in desk.results if result == "rejected"] == [50]
    assert len([e for e in said if e["log_level"] == "error"]) == 1


async def test_a_disk_that_fails_as_one_is_set_aside_ends_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    confirm, failures = Backlog.confirm, [SpoolFull("the disk gives nothing")]

    async def failing(
        waiting: Backlog, items: Sequence[Item], applied: Applied
    ) -> None:
        if "rejected" in applied.results and failures:
            raise failures.pop()
        await confirm(waiting, items, applied)

    monkeypatch.setattr(Backlog, "confirm", failing)
    desk.store.closes_at = 3_000
    async with desk.writing():
        desk.put(1, padding=5_000)
        desk.put(2)
    assert desk.numbers == [2]
    assert not failures
    assert len(desk.store.rejected()) == 1
    assert "the disk gives nothing" in desk.troubles


async def test_an_outage_asks_no_question_of_its_own(
    desk: Desk, autojump_clock: MockClock
) -> None:
    """Who says what is wrong with himself is not asked whether it is the change."""
    desk.store.trouble = "Redis refused: OOM"
    async with desk.writing():
        desk.put(1, 2, 3)
        await trio.sleep(30)
        assert desk.store.questions == 0
        desk.store.trouble = ""
    assert desk.numbers == [1, 2, 3]


async def test_two_that_are_too_large_are_two(
    desk: Desk, autojump_clock: MockClock
) -> None:
    desk.store.closes_at = 500
    async with desk.writing():
        desk.put(1, 2, 1, padding=5_000)
    assert [result for _, result in desk.results] == [
        *("rejected", "rejected", "duplicate")
    ]


class Refusing(FakeStore):
    """Refuses whatever holds a change, in these words, and answers questions."""

    error: StoreDown
    times = 10**9

    async def apply(
        self, stream: Stream, batch: Batch, following: Batch | None = None, /
    ) -> Applied | Behind:
        if batch.packed and self.times > 0:
            self.times -= 1
            await self._reach()
            raise self.error
        return await super().apply(stream, batch, following)


@pytest.mark.parametrize(
    "error", [StoreUnready("Redis refused: OOM"), StoreDown("Redis refused: whatever")]
)
async def test_what_is_no_fault_of_the_message_sets_nothing_aside(
    desk: Desk, said: Said, autojump_clock: MockClock, error: StoreDown
) -> None:
    """The state of the server, or what it does to anything that is not empty."""
    desk.store = store = Refusing()
    store.error = error
    async with desk.writing():
        desk.put(1, 2)
        await trio.sleep(300)
        assert not store.rejected()
        assert not [e for e in said if e["log_level"] == "error"]
        store.times = 0
    assert desk.numbers == [1, 2]


async def test_who_fails_a_few_times_is_not_at_fault(
    desk: Desk, autojump_clock: MockClock
) -> None:
    desk.store = store = Refusing()
    store.error, store.times = StoreDown("connection reset"), writer.POISON_TRIES - 1
    async with desk.writing():
        desk.put(1)
    assert desk.numbers == [1]


async def test_nothing_is_set_aside_while_redis_is_deaf(
    desk: Desk, autojump_clock: MockClock
) -> None:
    desk.store.most, desk.store.deaf = 0, True
    async with desk.writing():
        desk.put(1)
        await trio.sleep(200)
        assert not desk.store.rejected()
        assert desk.store.questions > 10
        desk.store.most = 10**9
    assert desk.numbers == [1]


async def test_what_redis_refuses_for_itself_does_not_hold_up_the_rest(
    desk: Desk, autojump_clock: MockClock
) -> None:
    desk.store.refuses = f"{2:024x}"
    async with desk.writing():
        desk.put(1, 2, 3)
    assert desk.numbers == [1, 3]
    assert [result for _, result in desk.results] == [
        "latest",
        "refused WRONGTYPE",
        "latest",
    ]


async def test_a_mark_is_never_set_aside(desk: Desk, autojump_clock: MockClock) -> None:
    """Nobody would know any more that something may be missing."""
    desk.store.most = 0
    async with desk.writing():
        desk.opened()
        await trio.sleep(200)
        assert desk.troubles == ["no answer"]
        desk.store.most = 10**9
    assert desk.results == [(0, "opened")]
    assert not desk.store.rejected()


async def test_without_changes_it_asks_now_and_then(
    desk: Desk, autojump_clock: MockClock
) -> None:
    async with desk.writing():
        await trio.sleep(3.5 * writer.IDLE)
        assert desk.store.batches == [0, 0, 0]


async def test_another_upstream_ends_it(desk: Desk, autojump_clock: MockClock) -> None:
    desk.store.db.of("ratings").upstream = "another"
    desk.put(1)
    with pytest.RaisesGroup(StoreForeign):
        async with desk.writing():
            await trio.sleep(1)
    assert len(desk.waiting) == 1


async def test_what_an_elder_process_left_is_confirmed_under_its_own_log(
    desk: Desk, autojump_clock: MockClock
) -> None:
    desk.put(*range(200))
    await desk.waiting.flush()
    new = desk.next_process()
    async with new.writing():
        new.put(200)
    assert new.numbers == list(range(201))
    assert [number for number, _ in new.results] == [*range(200), 0]
    position = new.store.db.of("ratings").position
    assert {log: number for log, (number, _) in position.items()} == {
        "log": 199,
        "log+": 0,
    }
