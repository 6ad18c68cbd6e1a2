"""The writer against a Redis that dies, hangs, mumbles, or loses its memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import attrs
import pytest
import trio
from fakes import EPOCH, RATINGS, ROOMY, Database, Disk, FakeStore, Said, frame, now
from trio.testing import MockClock

from bzredis.backlog import writer
from bzredis.backlog.backlog import Backlog, Item
from bzredis.backlog.spool import Spool
from bzredis.backlog.writer import Applied, Writer
from bzredis.changes.read import Change, read, received_of
from bzredis.errors import StoreDown
from bzredis.messages.times import rfc3339
from bzredis.streams import Stream


def updated(number: int) -> int:
    """Return the time (ms) that the rating of `frame(number)` tells."""
    return (1_728_069_666 + number) * 1000


@attrs.define
class Told:
    """A listener that remembers."""

    results: list[tuple[int, str, bool]] = attrs.field(factory=list)
    troubles: list[str] = attrs.field(factory=list)
    rollbacks: list[tuple[int, bytes, bool]] = attrs.field(factory=list)

    def first_again(self) -> list[bytes]:
        return []

    def confirm(
        self, batch: Sequence[Item], applied: Applied, *, doubtful: int
    ) -> None:
        self.results += [
            (item.number, result, item.number <= doubtful)
            for item, result in zip(batch, applied.results, strict=True)
        ]

    def note_store(self, trouble: str) -> None:
        self.troubles.append(trouble)

    def note_rollback(self, since: int, first_here: bytes, *, covered: bool) -> None:
        self.rollbacks.append((since, first_here, covered))


@attrs.define
class Desk:
    """One writer with all around it."""

    waiting: Backlog
    store: FakeStore = attrs.field(factory=FakeStore)
    told: Told = attrs.field(factory=Told)

    def put(self, *numbers: int) -> None:
        for number in numbers:
            change = read(RATINGS, frame(number), received=now(), source="live")
            assert isinstance(change, Change)
            self.waiting.put(change.pack())

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Write; in the end wait until all is written."""
        drain = Writer(RATINGS, self.waiting, self.store, self.told, Random(1))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain.run, trio.lowlevel.checkpoint)
            with trio.fail_after(600):
                yield
                self.waiting.close()

    @property
    def numbers(self) -> list[int]:
        return self.store.numbers()


@pytest.fixture
def desk(tmp_path: Path, disk: Disk) -> Desk:
    spool = Spool.open(tmp_path / "s.sqlite3", ROOMY)
    return Desk(Backlog("ratings", spool))


def known(desk: Desk) -> list[str]:
    return [result for _, result, _ in desk.told.results]


async def test_everything_in_order_in_batches(
    desk: Desk, autojump_clock: MockClock
) -> None:
    async with desk.writing():
        desk.put(*range(400))
    assert desk.numbers == list(range(400))
    assert max(desk.store.batches) == writer.BATCH
    assert [number for number, *_ in desk.told.results] == list(range(400))
    assert trio.current_time() == 0


async def test_it_waits_until_the_database_is_known(
    desk: Desk, autojump_clock: MockClock
) -> None:
    drain = Writer(RATINGS, desk.waiting, desk.store, desk.told, Random(1))
    ready = trio.Event()
    desk.put(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(drain.run, ready.wait)
        await trio.sleep(60)
        assert not desk.store.batches
        ready.set()
        desk.waiting.close()
    assert desk.numbers == [1]


async def test_an_outage_is_told_once_and_nothing_lost(
    desk: Desk, said: Said, autojump_clock: MockClock
) -> None:
    async with desk.writing():
        desk.put(1)
        await trio.sleep(1)
        desk.store.trouble = "LOADING"
        desk.put(2)
        await trio.sleep(30)
        desk.put(3)
        await trio.sleep(30)
        attempts = len(desk.store.batches)
        desk.store.trouble = ""
        await trio.sleep(writer.AGAIN_LAST + 0.1)
        assert desk.numbers == [1, 2, 3]
    assert 60 / writer.AGAIN_LAST < attempts < 60 / writer.AGAIN_LAST * 2 + 10
    assert desk.told.troubles == ["LOADING", ""]
    assert [e["log_level"] for e in said] == ["warning", "info"]


async def test_an_answer_that_was_lost_takes_effect_once_and_proves_nothing(
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
    assert desk.told.results == [
        (0, "duplicate", True),
        (1, "latest", False),
        (2, "duplicate", False),
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
    desk: Desk, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """As with `proto-max-bulk-len`, or with a proxy's limit on requests."""
    apply = FakeStore.apply

    async def limited(
        self: FakeStore, stream: Stream, packed: Sequence[bytes], entry: str = ""
    ) -> object:
        if sum(map(len, packed)) > 10_000:
            await self._reach()
            raise StoreDown("cannot reach Redis: connection reset")
        return await apply(self, stream, packed, entry)

    monkeypatch.setattr(FakeStore, "apply", limited)
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
    assert desk.store.pings == writer.PATIENCE
    assert [n for n, result, _ in desk.told.results if result == "rejected"] == [60]
    assert len([e for e in said if e["log_level"] == "error"]) == 1
    assert trio.current_time() < 200


async def test_nothing_is_set_aside_while_redis_is_deaf(
    desk: Desk, autojump_clock: MockClock
) -> None:
    desk.store.most, desk.store.deaf = 0, True
    async with desk.writing():
        desk.put(1)
        await trio.sleep(200)
        assert not desk.store.rejected()
        assert desk.store.pings > 10
        desk.store.most = 10**9
    assert desk.numbers == [1]


async def test_what_redis_refuses_for_itself_does_not_hold_up_the_rest(
    desk: Desk, autojump_clock: MockClock
) -> None:
    desk.store.refuses = f"{2:024x}"
    async with desk.writing():
        desk.put(1, 2, 3)
    assert desk.numbers == [1, 3]
    assert known(desk) == ["latest", "refused WRONGTYPE", "latest"]


# -------------------------------------------------------- a Redis that comes back older


async def test_what_is_held_goes_again_in_order(
    desk: Desk, said: Said, autojump_clock: MockClock
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
    [(last, _, covered)] = desk.told.rollbacks
    assert last == EPOCH
    assert covered
    assert "held" in str(said)


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
    assert len(desk.told.rollbacks) == 1
    assert desk.told.rollbacks[0][2], "nothing older than what is held was there"


async def test_what_nobody_holds_any_more_is_not_covered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(writer, "HELD", 10)
    async with desk.writing():
        desk.put(*range(5))
        await trio.sleep(1)
        old = desk.store.saved()
        desk.put(*range(5, 20))
        await trio.sleep(1)
        desk.store.db = old
        await trio.sleep(10)
        assert desk.numbers == [*range(5), *range(10, 20)]
    [(last, first, covered)] = desk.told.rollbacks
    assert not covered
    assert last == EPOCH
    assert f"{10:024x}".encode() in first


async def test_what_was_there_before_us_is_lost_with_an_emptied_redis(
    desk: Desk, autojump_clock: MockClock
) -> None:
    async with desk.writing():
        desk.put(1)
    new = Desk(Backlog("ratings", desk.waiting.spool), desk.store)
    async with new.writing():
        new.put(2)
        await trio.sleep(1)
        new.store.db = Database()
        await trio.sleep(10)
        assert new.numbers == [2]
    [(since, _, covered)] = new.told.rollbacks
    assert (since, covered) == (updated(1), False)


async def test_what_is_held_no_more_is_lost_with_an_emptied_redis(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(writer, "HELD", 10)
    async with desk.writing():
        desk.put(*range(3, 20))
        await trio.sleep(writer.IDLE + 1)
        desk.store.db = Database()
        desk.store.lost_answers = 1
        await trio.sleep(10)
        assert desk.numbers == [*range(10, 20)]
    [(since, _, covered)] = desk.told.rollbacks
    assert (since, covered) == (updated(3), False)


async def test_how_far_back_a_redis_went_is_known_though_it_was_emptied_at_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(writer, "HELD", 10)
    async with desk.writing():
        desk.put(*range(3, 20))
        await trio.sleep(1)
        desk.store.db = Database()
        await trio.sleep(10)
    [(since, _, covered)] = desk.told.rollbacks
    assert (since, covered) == (updated(3), False)


async def left_behind(desk: Desk) -> Desk:
    """Let changes wait on disk, Redis be emptied, and another process begin."""
    desk.store.trouble = "LOADING"
    desk.put(100, 101)
    await trio.sleep(1)
    await desk.waiting.flush()
    assert isinstance(desk.waiting.spool, Spool)
    span = desk.waiting.spool.span("ratings")
    desk.store.db, desk.store.trouble = Database(), ""
    new = Desk(Backlog("ratings", desk.waiting.spool), desk.store)
    new.waiting.resume(desk.waiting.spool, span.count, span.last)
    return new


@pytest.mark.parametrize("processes", [1, 2])
async def test_how_far_back_a_redis_went_that_was_emptied_before_the_start(
    desk: Desk, processes: int, autojump_clock: MockClock
) -> None:
    """What nobody lost begins where changes wait."""
    async with desk.writing():
        desk.put(*range(3, 20))
    if processes == 2:  # which finds something there, and asks
        desk = Desk(Backlog("ratings", desk.waiting.spool), desk.store)
        async with desk.writing():
            desk.put(20)
    await trio.sleep(100)
    waits = now()
    new = await left_behind(desk)
    await trio.sleep(100)
    async with new.writing():
        await trio.sleep(10)
    assert new.numbers == [100, 101]
    [(since, first, covered)] = new.told.rollbacks
    assert (since, covered) == (updated(3), False)
    assert received_of(first) == rfc3339(waits)


async def test_an_older_spool_tells_at_least_when_redis_acknowledged_something(
    desk: Desk, autojump_clock: MockClock
) -> None:
    """It did not note how far back Redis went: never in 1970."""
    desk.waiting.entry = f"{EPOCH - 5_000}-7"
    new = await left_behind(desk)
    async with new.writing():
        await trio.sleep(10)
    [(since, _, covered)] = new.told.rollbacks
    assert (since, covered) == (EPOCH - 5_000, False)


@pytest.mark.parametrize("put", [(), (3, 4)], ids=["nothing", "known"])
async def test_a_rollback_is_found_by_who_wrote_nothing_new(
    desk: Desk, put: tuple[int, ...], autojump_clock: MockClock
) -> None:
    """What it got again does not tell that all before it is still there."""
    async with desk.writing():
        desk.put(3)
        await trio.sleep(1)
        old = desk.store.saved()
        desk.put(1, 2, 4)
    new = Desk(Backlog("ratings", desk.waiting.spool), desk.store)
    async with new.writing():
        new.put(*put)
        await trio.sleep(writer.IDLE + 1)
        new.store.db = old
        await trio.sleep(10)
        assert new.numbers == ([3, 4] if put else [3])
    assert [covered for *_, covered in new.told.rollbacks] == [False]


async def test_held_changes_are_bounded_in_bytes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(writer, "HELD_BYTES", 3000)
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
    assert [covered for *_, covered in desk.told.rollbacks] == [True]


async def test_a_rollback_in_the_middle_of_a_repair(
    desk: Desk, autojump_clock: MockClock
) -> None:
    async with desk.writing():
        desk.put(*range(300))
        await trio.sleep(1)
        desk.store.db = Database()
        desk.store.delay = 1
        await trio.sleep(writer.IDLE + 2.5)
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
    assert known(desk) == ["latest"] * 4


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
    assert [resent for *_, resent in desk.told.results[40:42]] == [False, False]


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
    assert desk.store.pings == 0


async def test_a_repair_whose_answer_was_lost_proves_nothing(
    desk: Desk, autojump_clock: MockClock
) -> None:
    """What Redis then calls known may be of our own making."""
    async with desk.writing():
        desk.put(1)
    new = Desk(Backlog("ratings", desk.waiting.spool), desk.store)
    async with new.writing():
        new.put(2, 3)
        await trio.sleep(1)
        new.store.db = Database()
        new.store.lost_answers = 1
        await trio.sleep(10)
        assert new.numbers == [2, 3]
    assert [covered for *_, covered in new.told.rollbacks] == [False]


async def test_doubt_outlasts_the_halving_of_its_batch(
    desk: Desk, autojump_clock: MockClock
) -> None:
    async with desk.writing():
        desk.put(0)
        await trio.sleep(1)
        desk.store.lost_answers = 1
        desk.put(*range(1, 9))
        await trio.sleep(20)
        desk.put(8)
    told = [(result, resent) for _, result, resent in desk.told.results]
    assert told == [("latest", False), *[("duplicate", True)] * 8, ("duplicate", False)]
