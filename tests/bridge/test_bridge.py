"""The whole engine on bad days: kills, floods, full disks, Redis away or another."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
import trio
from fakes import (
    BY_NAME,
    EPOCH,
    HANG,
    ROOMY,
    Database,
    Disk,
    FakeStore,
    Rig,
    Said,
    Session,
    frame,
    frames,
    now,
)
from trio.testing import MockClock

from bzredis.backlog import backlog, writer
from bzredis.backlog.notes import LOST as LOST_NOTE
from bzredis.backlog.notes import OPEN
from bzredis.backlog.spool import Row, Spool
from bzredis.bridge import bridge
from bzredis.bridge.bridge import AllRefused, Bridge
from bzredis.bridge.recovery import Recovery
from bzredis.errors import FeedLost, FeedRefused, SpoolLocked, StoreDown
from bzredis.messages.times import milliseconds, rfc3339
from bzredis.streams import Stream

LOST = FeedLost("upstream went away")
REFUSED = FeedRefused("upstream answered HTTP 403")
NAMES = tuple(BY_NAME)


# ------------------------------------------------------------------------------- status


async def test_a_status_is_whole_and_at_most_a_second_old(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running(*NAMES):
        await trio.sleep(3.3)
        rig.upstream.say(*frames(1, 2, 2))
        await trio.sleep(1)
        status = rig.store.status()
        assert (status["events"], status["duplicates"]) == ("2", "1")
        assert (status["state"], status["contract"]) == ("live", "1")
        assert milliseconds(status["last_event_at"]) == EPOCH + 3300
        await trio.sleep(20)
    for name in NAMES:
        times = [at for at, stream, *_ in rig.store.statuses if stream == name]
        assert all(b - a <= 1 for a, b in pairwise(times[:-1]))
        fields = {frozenset(f) for _, _, f, _ in rig.store.statuses}
        assert len(fields) == 1


async def test_news_does_not_wait_for_its_second(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.append(Session([7.77, LOST]))
    async with rig.running():
        await trio.sleep(7.78)
        assert rig.store.status()["state"] == "retrying"
        assert rig.store.status()["error"] == str(LOST)
        assert not rig.store.is_alive()


async def test_a_status_comes_again_after_redis_lost_it(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running():
        await trio.sleep(2)
        before = rig.store.status()
        rig.store.trouble = "LOADING"
        await trio.sleep(5)
        rig.store.db, rig.store.trouble = Database(), ""
        await trio.sleep(1.1)
        assert rig.store.status().keys() == before.keys()
        assert rig.store.status()["state"] == "live"


async def test_in_the_end_it_says_that_it_stopped(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running(*NAMES):
        await trio.sleep(5)
        assert all(rig.store.is_alive(name) for name in NAMES)
    assert [rig.store.status(name)["state"] for name in NAMES] == ["stopped"] * 3
    assert not any(map(rig.store.is_alive, NAMES))


async def test_not_alive_while_it_says_goodbye_to_a_lost_connection(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.goodbye = 2.0
    rig.upstream.sessions.append(Session([5.0, LOST]))
    async with rig.running():
        await trio.sleep(6.5)
        assert not rig.store.is_alive()


async def test_not_alive_with_a_backlog(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running():
        await trio.sleep(2)
        rig.store.poison = "Some Company"  # writes hang, statuses do not
        rig.upstream.say(frame(1))
        await trio.sleep(3)
        status = rig.store.status()
        assert (status["backlog"], status["spooled"]) == ("1", "1")
        assert not rig.store.is_alive()
        rig.store.poison = ""
        await trio.sleep(20)
        assert rig.store.status()["backlog"] == "0"
        assert rig.store.is_alive()


async def test_not_alive_while_a_replay_is_read(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """It may still bring what `latest` does not know yet."""
    async with rig.running():
        await trio.sleep(1.5)  # the status has been written since
        assert rig.store.status()["state"] == "live"
        assert not rig.store.is_alive()
        await trio.sleep(4)
        assert not rig.mirror.ledger.continuity.is_open
        assert rig.store.is_alive()


async def test_not_alive_with_old_changes_in_memory_alone(
    rig: Rig, disk: Disk, autojump_clock: MockClock
) -> None:
    async with rig.running():
        await trio.sleep(5)
        rig.store.poison = "Some Company"
        disk.delay = 10
        rig.upstream.say(frame(1))
        await trio.sleep(bridge.STALE + 2)
        assert rig.store.status()["spooled"] == "0"
        assert rig.store.status()["state"] == "live"
        assert not rig.store.is_alive()
        rig.store.poison, disk.delay = "", 0
        await trio.sleep(30)
        assert rig.store.is_alive()


@pytest.mark.parametrize("takes_changes", [True, False])
async def test_not_alive_while_redis_may_have_come_back_older(
    rig: Rig,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    *,
    takes_changes: bool,
) -> None:
    """Out of memory, say, it takes a status and no changes."""
    apply = FakeStore.apply

    async def refusing(
        self: FakeStore, stream: Stream, packed: Sequence[bytes], entry: str = "", /
    ) -> object:
        if packed and not takes_changes:
            raise StoreDown("Redis refused: OOM")
        return await apply(self, stream, packed, entry)

    async with rig.running():
        await trio.sleep(5)
        saved = rig.store.saved()
        rig.upstream.say(frame(1))
        await trio.sleep(6.2)
        assert rig.store.is_alive()
        rig.store.trouble = "down"
        await trio.sleep(20)
        monkeypatch.setattr(FakeStore, "apply", refusing)
        rig.store.db, rig.store.trouble = saved, ""
        rig.store.statuses.clear()
        await trio.sleep(60)
        alive_at = [at for at, _, _, alive in rig.store.statuses if alive]
        assert rig.store.numbers() == [1] * takes_changes
        assert bool(alive_at) == rig.store.is_alive() == takes_changes
        monkeypatch.setattr(FakeStore, "apply", apply)
        await trio.sleep(10)
        assert rig.store.numbers() == [1]
        assert rig.store.is_alive()


async def test_what_a_lock_kept_from_the_disk_is_noted_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Else the next process would repair what is repaired, and announce it."""
    append = Spool.append
    locked: list[bool] = []

    def locking(
        self: Spool, stream: str, rows: Sequence[Row], notes: Mapping[str, str]
    ) -> None:
        if notes.get(f"{LOST_NOTE}ratings") == "" and not locked:
            locked.append(True)
            raise SpoolLocked("for a moment")
        append(self, stream, rows, notes)

    monkeypatch.setattr(Spool, "append", locking)
    async with rig.running():
        await trio.sleep(5)
        rig.upstream.say(frame(1))
        await trio.sleep(5)
        saved = rig.store.saved()
        saved.entries = 1_000  # it goes on with other entries
        rig.upstream.say(frame(2))
        await trio.sleep(5)
        rig.store.db = saved
        await trio.sleep(10)
        assert locked
        assert rig.store.numbers() == [1, 2]
        assert not rig.spool.note(f"{LOST_NOTE}ratings")


async def test_not_alive_before_the_database_is_known(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async def marker(*_: object) -> str:
        raise StoreDown("NOPERM")

    monkeypatch.setattr(FakeStore, "marker", marker)
    async with rig.running():
        await trio.sleep(10)
        assert rig.store.status()["state"] == "live"
        assert "NOPERM" in rig.store.status()["error"]
        assert not rig.store.is_alive()


# ------------------------------------------------------------------ Redis away, or slow


async def test_redis_is_not_there_at_the_start(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    rig.store.trouble = "cannot reach Redis: refused"
    rig.upstream.cache = frames(1, 2)
    async with rig.running(*NAMES):
        await trio.sleep(100)
        rig.upstream.say(frame(3))
        await trio.sleep(1)
        assert rig.spool.span("ratings").count == 3
        assert rig.mirror.status.error == rig.store.trouble
        rig.store.trouble = ""
        await trio.sleep(5)
        assert rig.store.numbers() == [1, 2, 3]
        assert rig.store.is_alive()
        assert len(rig.upstream.asked) == 1
    assert len([e for e in said if "not there yet" in e["event"]]) == 1


async def test_a_flood_while_redis_is_away_is_bounded_and_all_arrives(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(backlog, "MEMORY", 100_000)
    rng = random.Random(1)
    async with rig.running():
        await trio.sleep(1)
        rig.store.trouble = "LOADING"
        peak = 0
        for n in range(3000):
            rig.upstream.say(frame(n, 300))
            if rng.random() < 0.5:
                await trio.sleep(0.002)
            peak = max(peak, rig.mirror.backlog._bytes)
        assert 90_000 < peak < 100_000 + 0.2 * 1000 * 2000
        await trio.sleep(1)
        assert rig.mirror.backlog._bytes == 0
        assert rig.mirror.backlog.spooled == 3000
        rig.store.trouble = ""
        rig.upstream.say(frame(3000))
        await trio.sleep(10)
        assert rig.store.numbers() == list(range(3001))
        assert rig.spool.span("ratings").count == 0
    assert len(rig.upstream.asked) == 1


@pytest.mark.parametrize("seed", range(8))
async def test_order_holds_through_whatever_redis_does(
    rig: Rig, disk: Disk, seed: int, autojump_clock: MockClock
) -> None:
    rng = random.Random(seed)
    disk.delay = rng.choice([0, 0.01, 0.2])
    saved = rig.store.saved()
    async with rig.running():
        await trio.sleep(1)
        for n in range(400):
            rig.upstream.say(frame(n))
            await trio.sleep(rng.choice([0, 0, 0, 0.05, 0.4]))
            match rng.randrange(80):
                case 0:
                    rig.store.trouble = "LOADING"
                case 1:
                    rig.store.trouble = ""
                case 2:
                    rig.store.lost_answers += 1
                case 3:
                    saved = rig.store.saved()
                case 4:
                    rig.store.db = saved
                    saved = rig.store.saved()
                case 5:
                    rig.store.delay = rng.choice([0, 0.01, 1.0])
        rig.store.trouble, rig.store.delay = "", 0
        await trio.sleep(30)
        assert rig.store.numbers() == list(range(400))
        assert not rig.store.gaps()
        assert len(rig.mirror.backlog) == 0
        assert rig.spool.span("ratings").count == 0


async def test_a_redis_that_came_back_older_is_announced_where_it_lost_something(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    async with rig.running():
        await trio.sleep(1)
        rig.upstream.say(*frames(1, 2))
        await trio.sleep(1)
    rig.upstream.cache = frames(2)
    async with rig.running():
        await trio.sleep(10)
        rig.upstream.say(frame(3))
        await trio.sleep(1)
        rig.store.db = Database()
        await trio.sleep(10)
        assert rig.store.numbers() == [2, 3]
        [gap] = rig.store.gaps()
        assert rig.store.status()["gaps"] == "1"
    assert gap["cause"] == "redis-rollback"
    assert gap["begin"] == rfc3339((1_728_069_666 + 1) * 1000)  # of the oldest of all
    assert milliseconds(gap["end"]) == EPOCH + 2000
    assert len([e for e in said if "missing" in e["event"]]) == 1


async def test_a_redis_that_came_back_older_is_no_news_to_the_next_process(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """It stops while it still writes what waited on disk."""
    store = rig.store
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(5)
        saved = store.saved()
        saved.entries = 1_000  # what is written then has other entries
        rig.upstream.say(frame(2))
        await trio.sleep(5)
        store.trouble = "LOADING"
        rig.upstream.say(*frames(*range(10, 1_010)))
        await trio.sleep(5)
        store.db, store.trouble, store.delay = saved, "", 1.0
        await trio.sleep(6)
    assert rig.mirror.backlog.spooled
    store.delay = 0
    async with rig.running():
        await trio.sleep(20)
    assert sorted(store.numbers()) == [1, 2, *range(10, 1_010)]
    assert not store.gaps()


async def rolled_back_at_the_start(rig: Rig) -> str:
    """Leave 1,000 changes on disk, and a Redis that comes back without the last one.

    Returns until when it has everything.
    """
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(5)
        saved = rig.store.saved()
        saved.entries = 1_000  # what is written then has other entries
        rig.upstream.say(frame(2))
        await trio.sleep(5)
        rig.store.trouble = "LOADING"
        rig.upstream.say(*frames(*range(10, 1_010)))
        await trio.sleep(5)
    rig.store.db, rig.store.trouble = saved, ""
    return str(saved.log["ratings"][-1][1]["received"])


def rollbacks(rig: Rig) -> list[str]:
    """Return from when on Redis is said to have lost something."""
    return [g["begin"] for g in rig.store.gaps() if g["cause"] == "redis-rollback"]


def with_rest(running: Bridge, *, rest: bool) -> None:
    """Have REST asked, which is silent, or nothing asked."""
    running.mirrors[0].ledger.recovery = Recovery(0.0) if rest else None


@pytest.mark.parametrize("rest", [False, True])
@pytest.mark.parametrize("moment", [1.1, 2.1, 3.1, 4.1, 4.6, 5.1, 6.1, 8.1])
async def test_a_kill_after_a_rollback_does_not_announce_it_again(
    rig: Rig,
    moment: float,
    rest: bool,  # noqa: FBT001 - a case
    autojump_clock: MockClock,
) -> None:
    since = await rolled_back_at_the_start(rig)
    rig.store.delay = 1.0
    async with rig.killed() as killed:
        with_rest(killed, rest=rest)
        await trio.sleep(moment)
    assert rig.spool.span("ratings").count, "it was to be killed while it drained"
    rig.store.delay = 0.0
    async with rig.running() as running:
        with_rest(running, rest=rest)
        await trio.sleep(80)
    assert sorted(rig.store.numbers()) == [1, *range(10, 1_010)]
    assert rollbacks(rig) == [since]


@pytest.fixture
def few_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "HELD", 600)


@pytest.mark.usefixtures("few_held")
@pytest.mark.parametrize("rest", [False, True])
@pytest.mark.parametrize("moment", [2.1, 2.6, 3.1, 3.6, 4.5, 5.5, 6.5])
@pytest.mark.parametrize("emptied", [False, True])
async def test_a_kill_while_a_redis_gets_again_what_is_held_hides_nothing(
    rig: Rig,
    moment: float,
    rest: bool,  # noqa: FBT001 - a case
    emptied: bool,  # noqa: FBT001 - a case
    autojump_clock: MockClock,
) -> None:
    """What it got already is younger than what it lost."""
    rig.upstream.cache = frames(1)
    async with rig.killed() as killed:
        with_rest(killed, rest=rest)
        await trio.sleep(5)
        saved = Database() if emptied else rig.store.saved()
        saved.entries, since = 1_000, rfc3339((1_728_069_666 + 1) * 1_000)
        if not emptied:
            since = saved.log["ratings"][-1][1]["received"]
        rig.upstream.say(*frames(*range(10, 110)))
        await trio.sleep(5)
        rig.upstream.say(*frames(*range(110, 710)))
        await trio.sleep(5)
        rig.store.db, rig.store.delay = saved, 1.0
        await trio.sleep(moment)
    rig.store.delay = 0.0
    async with rig.running() as running:
        with_rest(running, rest=rest)
        await trio.sleep(80)
    assert rollbacks(rig) == [since]


@pytest.mark.parametrize("moment", [59.9, 60.1, 60.5, 60.9, 61.2, 61.8])
async def test_a_kill_as_a_gap_is_announced_does_not_hide_it(
    rig: Rig, moment: float, autojump_clock: MockClock
) -> None:
    """Once it counts as announced, the announcement is on disk."""
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(5)
    rig.upstream.cache = frames(7)
    async with rig.killed() as killed:
        with_rest(killed, rest=True)
        await trio.sleep(30)
        rig.store.hangs = True
        await trio.sleep(moment - 30)
    rig.store.hangs = False
    async with rig.running():
        await trio.sleep(20)
        assert rig.spool.note(f"{OPEN}ratings") == ""
    assert len(rig.store.gaps()) == 1


async def test_whose_records_changed_is_known_though_the_answer_was_lost(
    rig: Rig, autojump_clock: MockClock
) -> None:
    concerned: list[str] = []
    async with rig.running():
        rig.mirror.ledger.concern = concerned.extend
        await trio.sleep(3)
        rig.store.lost_answers = 1
        rig.upstream.say(frame(1))
        await trio.sleep(20)
        assert rig.store.numbers() == [1]
        rig.upstream.say(frame(1))
        await trio.sleep(5)
    assert concerned == ["T1"]


async def test_what_redis_refuses_is_told(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    rig.store.refuses = f"{2:024x}"
    async with rig.running():
        await trio.sleep(1)
        rig.upstream.say(*frames(1, 2, 3))
        await trio.sleep(2)
        status = rig.store.status()
        assert (status["events"], status["rejected"]) == ("2", "1")
        assert "WRONGTYPE" in status["error"]
    assert len([e for e in said if e["log_level"] == "error"]) == 1


# ----------------------------------------------------------------------------- stopping


async def test_a_redis_that_never_answers_does_not_hold_up_the_stop(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    """`running` gives it 5 s."""
    async with rig.running(*NAMES):
        await trio.sleep(2)
        rig.store.hangs = True
        rig.upstream.say(*frames(1, 2, 3))
        await trio.sleep(0.1)
    rig.store.hangs = False
    assert [e["spooled"] for e in said if "spooled" in e] == [3]
    async with rig.running():
        await trio.sleep(2)
        assert rig.store.numbers() == [1, 2, 3]
        assert rig.spool.span("ratings").count == 0


async def test_what_was_read_just_before_the_end_goes_to_disk(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(bridge, "DRAIN", 0.1)
    async with rig.running():
        await trio.sleep(2)
        rig.store.hangs = True
        rig.upstream.say(*frames(1, 2))
        await trio.sleep(0.1)
    rig.store.hangs = False
    async with rig.running():
        await trio.sleep(1)
        assert rig.store.numbers() == [1, 2]


async def test_a_last_status_does_not_hide_what_was_never_read(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """Else the next start would take our times for those of the run before."""
    async with rig.running():
        await trio.sleep(5)
    before = rig.store.status()
    rig.store.trouble = "LOADING"
    async with rig.running() as running:
        await trio.sleep(20)
        running.stop.set()
        await trio.sleep(bridge.DRAIN - 0.01)
        rig.store.trouble = ""
    assert rig.store.status() == before


async def test_a_redis_that_never_answered_at_all(
    rig: Rig, disk: Disk, autojump_clock: MockClock
) -> None:
    rig.store.hangs = True
    rig.upstream.cache = frames(1, 2)
    disk.delay = 0.1
    async with rig.running(*NAMES):
        await trio.sleep(0.5)
    rig.store.hangs = False
    async with rig.running():
        await trio.sleep(3)
        assert rig.store.numbers() == [1, 2]


async def test_a_slow_redis_gets_what_it_can_take_before_the_end(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running():
        await trio.sleep(2)
        rig.store.delay = 1.0
        rig.upstream.say(*frames(*range(100)))
        await trio.sleep(0.1)
    assert rig.store.numbers() == list(range(100))
    assert rig.store.status()["state"] == "live", "the last status came too late"
    async with rig.running():
        rig.store.delay = 0
        await trio.sleep(2)
        assert rig.store.numbers() == list(range(100))


@pytest.mark.parametrize(
    "sessions", [[HANG], [LOST] * 99, [Session([1.0, LOST]), *[LOST] * 99], [REFUSED]]
)
@pytest.mark.parametrize("after", [0.0, 0.4, 33.0])
async def test_a_stop_at_any_time(
    rig: Rig,
    sessions: list[Session | Exception | str],
    after: float,
    autojump_clock: MockClock,
) -> None:
    rig.upstream.sessions.extend(sessions)
    async with rig.running("ratings", "insights") as running:
        await trio.sleep(after)
        began = trio.current_time()
        running.stop.set()
    assert trio.current_time() - began < 1


async def test_a_stop_while_closing_takes_long(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.goodbye = 2.0
    rig.store.hangs = True
    async with rig.running():
        await trio.sleep(5)


async def test_without_room_for_the_rest_the_stop_says_what_is_lost(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    rig.limit = 10
    async with rig.running():
        await trio.sleep(2)
        rig.store.trouble = "LOADING"
        rig.upstream.say(*frames(1, 2, 3))
        await trio.sleep(0.1)
    assert [e["lost"] for e in said if "lost" in e] == [3]


async def test_what_a_stop_loses_is_announced_by_the_next_process(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.limit = 10
    async with rig.running():
        await trio.sleep(2)
        rig.store.poison = "Some Company"  # writes hang, statuses do not
        began = now()
        for number in (1, 2, 3):
            rig.upstream.say(frame(number))
            await trio.sleep(0.2)
    assert rig.store.status()["state"] == "stopped"
    rig.limit, rig.store.poison = ROOMY, ""
    rig.upstream.sessions.append(Session(replay=frames(50)))
    async with rig.running():
        await trio.sleep(20)
    [gap] = rig.store.gaps()
    assert gap["begin"] == rfc3339(began - 1)


async def test_a_disk_that_is_locked_as_we_stop_is_tried_again(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    async with rig.running():
        await trio.sleep(2)
        rig.store.hangs = True
        rig.spool._db.execute("PRAGMA query_only = ON")
        rig.upstream.say(*frames(1, 2, 3))
        await trio.sleep(0.1)
        rig.bridge.stop.set()
        await trio.sleep(bridge.DRAIN + bridge.SAVING / 2)
        rig.spool._db.execute("PRAGMA query_only = OFF")
    assert [e["spooled"] for e in said if "spooled" in e] == [3]


@pytest.mark.parametrize("away", [True, False])
@pytest.mark.parametrize("wait", [0.1, 1.0, 3.0])
async def test_a_disk_that_hangs_does_not_hold_up_the_stop(
    rig: Rig, disk: Disk, autojump_clock: MockClock, *, away: bool, wait: float
) -> None:
    """`rig.running` sees that it takes no more than 5 s."""
    async with rig.running():
        await trio.sleep(5)
        rig.store.trouble = "down" if away else ""
        disk.delay = 3_600
        rig.upstream.say(frame(1))
        await trio.sleep(wait)
    assert rig.store.numbers() == ([] if away else [1])


async def test_notes_that_a_lock_kept_from_the_disk_as_we_stop_are_tried_again(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running() as running:
        running.mirrors[0].ledger.recovery = Recovery(0.0)
        await trio.sleep(2)
        rig.upstream.say(frame(1))
        await trio.sleep(20)
    rig.upstream.cache = frames(7)
    async with rig.running() as running:
        running.mirrors[0].ledger.recovery = Recovery(0.0)
        await trio.sleep(20)
        rig.spool._db.execute("PRAGMA query_only = ON")
        rig.bridge.stop.set()
        await trio.sleep(bridge.SAVING / 2)
        rig.spool._db.execute("PRAGMA query_only = OFF")
    spool = Spool.open(rig.spool.path, ROOMY)
    [left_open] = json.loads(spool.note(f"{OPEN}ratings"))
    spool.close()
    assert not left_open["doubtful"]


async def test_every_stream_refused_ends_the_program(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    for name in NAMES:
        rig.upstreams[name].sessions.append(REFUSED)
    with pytest.raises(AllRefused, match="BENZINGA_TOKEN"):
        await rig.process(*NAMES).run()
    assert trio.current_time() < 1
    assert all(rig.store.status(name)["state"] == "stopped" for name in NAMES)
    for name in NAMES:
        error = rig.store.status(name)["error"]
        assert f"the {name} stream" in error
        assert "HTTP 403" in error
        assert "tried again" not in error
    assert "tried again" not in str(said)


async def test_one_that_is_only_away_keeps_the_program_going(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstreams["ratings"].sessions.append(REFUSED)
    rig.upstreams["insights"].sessions.extend([LOST] * 3)
    async with rig.running("ratings", "insights"):
        await trio.sleep(60)
        assert rig.store.status("insights")["state"] == "live"


# ---------------------------------------------------------------------------- the spool


async def test_a_kill_costs_the_last_second_at_the_most(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.killed():
        await trio.sleep(1)
        rig.store.trouble = "LOADING"
        for n in range(100):
            rig.upstream.say(frame(n))
            await trio.sleep(0.1)
    rig.store.trouble = ""
    rig.upstream.cache = frames(*range(80, 100))
    async with rig.running():
        await trio.sleep(10)
        assert rig.store.numbers() == list(range(100))
        assert not rig.store.gaps()
    raws = [c["source"] for _, c in rig.store.db.log["ratings"]]
    assert raws.count("replay") <= 10


async def test_a_kill_does_not_hide_a_gap(rig: Rig, autojump_clock: MockClock) -> None:
    """The next replay knows what the killed process read, and that proves nothing."""
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(5)
    heard = rig.store.status()["last_frame_at"]
    rig.store.trouble = "LOADING"
    rig.upstream.cache = frames(7, 8)
    async with rig.killed():
        await trio.sleep(20)
    rig.store.trouble = ""
    async with rig.running():
        await trio.sleep(20)
        assert rig.store.numbers() == [1, 7, 8]
        [gap] = rig.store.gaps()
        assert (gap["begin"], gap["recovered"]) == (heard, 2)
    async with rig.running():
        await trio.sleep(20)
        assert len(rig.store.gaps()) == 1


async def test_a_kill_as_soon_as_redis_is_there_does_not_hide_a_gap(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """The status that told when upstream was heard last is overwritten by then."""
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(5)
    heard = rig.store.status()["last_frame_at"]
    rig.upstream.cache = frames(7, 8)
    rig.store.trouble = "LOADING"
    async with rig.killed():
        await trio.sleep(20.05)
        rig.store.trouble = ""
        while rig.store.status()["last_frame_at"] == heard:
            await trio.sleep(0.01)
    async with rig.running():
        await trio.sleep(20)
    assert [gap["begin"] for gap in rig.store.gaps()] == [heard]


@pytest.mark.parametrize("ends", ["killed", "running"])
async def test_an_answer_lost_before_the_end_does_not_hide_a_gap(
    ends: str, rig: Rig, autojump_clock: MockClock
) -> None:
    """Redis took a replayed message and nobody heard: the next process sends it too."""
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(5)
    heard = rig.store.status()["last_frame_at"]
    rig.upstream.cache = frames(7, 8)
    rig.store.lost_answers = 1
    async with getattr(rig, ends)():
        while rig.store.lost_answers:
            await trio.sleep(0.01)
        rig.store.trouble = "LOADING"
        await trio.sleep(20)
    rig.store.trouble = ""
    async with rig.running():
        await trio.sleep(20)
    assert rig.store.numbers() == [1, 7, 8]
    assert [gap["begin"] for gap in rig.store.gaps()] == [heard]


async def test_a_stop_before_the_answer_does_not_hide_a_gap(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(5)
    heard = rig.store.status()["last_frame_at"]
    rig.upstream.cache = frames(7, 8)
    rig.store.is_mute = True
    async with rig.running():
        await trio.sleep(2)
    rig.store.is_mute = False
    async with rig.running():
        await trio.sleep(20)
    assert rig.store.numbers() == [1, 7, 8]
    assert [gap["begin"] for gap in rig.store.gaps()] == [heard]


async def test_a_gap_after_a_kill_holds_what_the_kill_cost(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """A status may tell of a frame that neither Redis nor the disk has."""
    async with rig.killed():
        await trio.sleep(9.9)
        rig.store.most = -1  # no batch goes through, but the status does
        rig.upstream.say(frame(1))
        read_at = now()
        await trio.sleep(0.3)
    assert milliseconds(rig.store.status()["last_frame_at"]) == read_at
    rig.store.most = 10**9
    rig.upstream.cache = frames(7)
    async with rig.running():
        await trio.sleep(20)
        assert rig.store.numbers() == [7]
        [gap] = rig.store.gaps()
    assert (milliseconds(gap["begin"]) or 0) < read_at


async def test_a_full_spool_closes_the_streams_until_there_is_room(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    rig.limit = 20_000
    sent = 0
    async with rig.running():
        await trio.sleep(1)
        rig.store.trouble = "LOADING"
        while len(rig.upstream.ended) == 0:
            rig.upstream.say(frame(sent))
            sent += 1
            await trio.sleep(0.05)
        assert rig.mirror.status.state == "full"
        await trio.sleep(600)
        assert rig.mirror.status.state == "full"
        assert len(rig.upstream.asked) == 1
        rig.upstream.cache = frames(*range(sent - 5, sent + 5))
        rig.store.trouble = ""
        await trio.sleep(10)
        assert rig.store.numbers() == list(range(sent + 5))
        assert rig.store.status()["state"] == "live"
        assert rig.store.is_alive()
        assert not rig.store.gaps()
    assert len([e for e in said if e["log_level"] == "error"]) == 1


async def test_a_full_spool_that_is_quiet_then_is_told_all_the_same(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.limit = 10
    async with rig.running():
        await trio.sleep(1)
        rig.store.poison = "Some Company"
        rig.upstream.say(frame(1))
        await trio.sleep(3)
        assert rig.store.status()["state"] == "full"
        rig.store.poison = ""
        await trio.sleep(20)
        assert rig.store.status()["state"] == "live"


async def test_a_damaged_spool_does_not_stop_the_start(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running():
        await trio.sleep(1)
    rig.spool.path.write_bytes(b"no database at all, but long enough to be read" * 99)
    async with rig.running():
        await trio.sleep(1)
        rig.upstream.say(frame(1))
        await trio.sleep(1)
        assert rig.store.numbers() == [1]
    assert len(list(rig.folder.glob("*.damaged-1.sqlite3"))) == 1


async def spooled_for(rig: Rig, store: FakeStore, *numbers: int) -> None:
    """Leave something on disk that a database is owed."""
    rig.store = store
    store.trouble = ""
    async with rig.running():
        await trio.sleep(2)
        store.trouble = "LOADING"
        rig.upstream.say(*frames(*numbers))
        await trio.sleep(2)


async def test_another_database_does_not_swallow_what_is_not_its_own(
    rig: Rig, autojump_clock: MockClock
) -> None:
    old, new = FakeStore(), FakeStore(Database(marker="another"))
    await spooled_for(rig, old, 1, 2)
    rig.store, new.trouble = new, "LOADING"
    async with rig.running():
        await trio.sleep(3)
        rig.upstream.say(*frames(3, 4))
        await trio.sleep(3)
        rig.upstream.say(*frames(5))
        new.trouble = ""
        await trio.sleep(5)
        assert new.numbers() == [3, 4, 5]
    assert len(list(rig.folder.glob("*.other-redis-1.sqlite3"))) == 1
    rig.store, old.trouble = old, ""
    async with rig.running():
        await trio.sleep(5)
        assert old.numbers() == [1, 2]


@pytest.mark.parametrize("delay", [0.05, 0.3, 0.7])
async def test_the_spool_changes_while_the_disk_is_at_work(
    rig: Rig, disk: Disk, delay: float, autojump_clock: MockClock
) -> None:
    old, new = FakeStore(), FakeStore(Database(marker="another"))
    await spooled_for(rig, old, 1, 2)
    rig.store, new.trouble, disk.delay = new, "LOADING", delay
    async with rig.running():
        await trio.sleep(3)
        for n in range(100, 300):
            rig.upstream.say(frame(n))
            await trio.sleep(0.05)
            if n == 200:
                new.trouble = ""
        await trio.sleep(30)
        assert new.numbers() == list(range(100, 300))


async def test_the_same_database_under_another_name_gets_its_spool_first(
    rig: Rig, autojump_clock: MockClock
) -> None:
    store = FakeStore()
    await spooled_for(rig, store, 1, 2)
    rig.target = "bz redis.internal:6379/0"
    async with rig.running():
        await trio.sleep(2)
        rig.upstream.say(*frames(3))
        await trio.sleep(2)
        store.trouble = ""
        await trio.sleep(5)
        assert store.numbers() == [1, 2, 3]
        assert rig.spool.span("ratings").count == 0


@pytest.mark.parametrize("ends", ["killed", "running"])
async def test_the_same_database_under_another_name_does_not_hide_a_gap(
    ends: str, rig: Rig, autojump_clock: MockClock
) -> None:
    """What the last process read of it goes before, and proves nothing."""
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(5)
    heard = rig.store.status()["last_frame_at"]
    rig.store.trouble = "LOADING"
    rig.upstream.cache = frames(7, 8)
    async with getattr(rig, ends)():
        await trio.sleep(20)
    rig.target, rig.store.trouble = "bz redis.internal:6379/0", ""
    async with rig.killed():  # that knows of the gap now
        await trio.sleep(0.5)
    async with rig.running():
        await trio.sleep(20)
        assert rig.store.numbers() == [1, 7, 8]
        gaps = rig.store.gaps()
        assert {gap["begin"] for gap in gaps} == {heard}
        assert max(gap["recovered"] for gap in gaps) == 2
    async with rig.running():
        await trio.sleep(20)
        assert rig.store.gaps() == gaps


async def test_the_same_database_under_another_name_may_have_come_back_older(
    rig: Rig, autojump_clock: MockClock
) -> None:
    since = await rolled_back_at_the_start(rig)
    rig.target = "bz redis.internal:6379/0"
    async with rig.running():
        await trio.sleep(20)
    assert sorted(rig.store.numbers()) == [1, *range(10, 1_010)]
    assert rollbacks(rig) == [since]


async def another_database(rig: Rig) -> FakeStore:
    """Return one that another bridge wrote to until 5 s from now."""
    here, elsewhere = rig.folder, rig.store
    rig.folder, rig.store = here.with_name("of another bridge"), FakeStore()
    rig.upstream.cache = frames(3)
    async with rig.running():
        await trio.sleep(5)
    new = rig.store
    rig.folder, rig.store = here, elsewhere
    return new


async def left_open(rig: Rig, after: float, *, is_dated: bool = False) -> str:
    """Leave a gap open, with changes of its replay on disk; return when it begins.

    The replay is not over yet where it is to be left soon. It `is_dated` where the
    process knew when it begins.
    """
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(5)
    heard = rig.store.status()["last_frame_at"]
    rig.store.trouble = "" if is_dated else "LOADING"
    rig.upstream.sessions.append(Session([0.5, *frames(7, 8)], replay=[]))
    async with rig.killed():
        await trio.sleep(0.2)
        rig.store.trouble = "LOADING"
        await trio.sleep(after - 0.2)
    rig.store.trouble = ""
    return heard


@pytest.mark.parametrize("away", [0, 3, 30])
@pytest.mark.parametrize("after", [1.5, 20.0])
@pytest.mark.parametrize(
    "sessions", [[], [Session([2.0, LOST], answers="no")]], ids=["whole", "cut short"]
)
async def test_what_is_open_for_one_database_is_not_for_another(
    rig: Rig,
    away: float,
    after: float,
    sessions: list[Session],
    autojump_clock: MockClock,
) -> None:
    old = rig.store
    heard = await left_open(rig, after)
    await trio.sleep(100)
    new = await another_database(rig)
    heard_there = new.status()["last_frame_at"]
    await trio.sleep(100)
    rig.store, new.trouble = new, "LOADING" if away else ""
    rig.upstream.cache = frames(20, 21)
    rig.upstream.sessions.extend(sessions)
    async with rig.running():
        await trio.sleep(away)
        new.trouble = ""
        await trio.sleep(30)
        assert new.numbers() == [3, 20, 21]
        assert len(new.gaps()) == 1
    async with rig.running():
        await trio.sleep(30)
    [gap] = new.gaps()
    assert (gap["begin"], gap["cause"]) == (heard_there, "restart")
    await trio.sleep(100)
    rig.store = old
    async with rig.running():
        await trio.sleep(30)
    assert old.numbers()[:3] == [1, 7, 8]
    assert {gap["begin"] for gap in old.gaps()} == {heard}


@pytest.mark.parametrize("after", [1.5, 20.0])
async def test_nothing_is_open_for_a_database_that_is_new(
    rig: Rig, after: float, autojump_clock: MockClock
) -> None:
    await left_open(rig, after, is_dated=True)
    rig.store = FakeStore(Database(marker="another"))
    rig.upstream.cache = frames(20, 21)
    for _ in range(2):
        async with rig.running():
            await trio.sleep(30)
    assert rig.store.numbers() == [20, 21]
    assert not rig.store.gaps()


async def test_an_emptied_redis_is_the_same_one(
    rig: Rig, autojump_clock: MockClock
) -> None:
    store = FakeStore()
    await spooled_for(rig, store, 1, 2)
    marker = store.db.marker
    store.db, store.trouble = Database(), ""
    async with rig.running():
        await trio.sleep(5)
        assert store.numbers() == [1, 2]
    assert store.db.marker == marker


async def test_a_full_disk_at_the_wrong_moment_stops_nothing(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running():
        rig.spool._db.execute("PRAGMA query_only = ON")
        await trio.sleep(1)
        rig.upstream.say(*frames(1))
        await trio.sleep(5)
        assert rig.store.numbers() == [1]
        rig.store.trouble = "LOADING"
        rig.upstream.say(*frames(2))
        await trio.sleep(5)
        assert rig.mirror.status.state == "full"
        rig.store.trouble = ""
        await trio.sleep(10)
        assert rig.store.numbers() == [1, 2]
        assert rig.store.status()["state"] == "live"


async def test_a_gap_found_while_stopping_is_kept(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.extend([Session([5.0, LOST]), Session(replay=frames(9))])
    async with rig.running() as running:
        await trio.sleep(4)
        rig.store.trouble = "LOADING"
        await trio.sleep(20)
        rig.store.trouble = ""
        running.stop.set()
    assert len(rig.store.gaps()) == 1
