"""Redis back, but older; emptied; or another one."""

from __future__ import annotations

import pytest
import trio
from fakes import Database, Disk, FakeStore, Rig, Said, Session, frame, frames, now
from trio.testing import MockClock

from bzredis.backlog import queue
from bzredis.errors import FeedLost

LOST = FeedLost("upstream went away")


# ---------------------------------------------------------------------- back, but older


async def test_a_redis_that_came_back_older_gets_again_what_is_held(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    async with rig.running():
        await trio.sleep(1)
        rig.upstream.say(*frames(1))
        await trio.sleep(5)
        saved = rig.store.saved()
        rig.upstream.say(*frames(2, 3))
        await trio.sleep(1)
        rig.store.db = saved
        await trio.sleep(7)  # nothing comes, and still it is noticed
        assert rig.store.numbers() == [1, 2, 3]
        assert rig.store.is_alive()
    assert not rig.store.gaps()
    told = [e for e in said if e["log_level"] == "warning"]
    assert 1 <= len(told) <= 2, "once, and that it is trouble"


async def test_what_goes_back_while_the_disk_is_at_work_is_not_lost(
    rig: Rig, disk: Disk, autojump_clock: MockClock
) -> None:
    """The disk has what was waiting as it began, and not what goes back since."""
    async with rig.running():
        await trio.sleep(5)
        rig.upstream.say(*frames(*range(400)))
        await trio.sleep(1)
        disk.delay = 2.0
        rig.store.trouble = "LOADING"
        rig.upstream.say(*frames(400, 401))
        await trio.sleep(1.0)
        assert rig.backlog.disk.lock.locked()
        rig.store.db, rig.store.trouble, rig.store.delay = Database(), "", 2.0
        await trio.sleep(60)
        assert rig.store.numbers() == list(range(402))
    assert not rig.store.gaps()


async def test_an_emptied_redis_is_announced_where_it_lost_something(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    async with rig.running():
        await trio.sleep(1)
        rig.upstream.say(*frames(1, 2))
        await trio.sleep(1)
    since = rig.store.db.of("ratings").since
    rig.upstream.cache = frames(2)
    async with rig.running():
        opened = now()
        await trio.sleep(10)
        rig.upstream.say(frame(3))
        await trio.sleep(1)
        rig.store.db = Database()
        await trio.sleep(10)
        assert rig.store.numbers() == [2, 3]
        [gap] = rig.store.gaps()
        assert rig.store.status()["gaps"] == "1"
        assert rig.store.is_alive()
    assert gap["cause"] == "redis-rollback"
    assert gap["begin"] == since
    assert gap["end"] == opened
    assert len([e for e in said if "may be missing" in e["event"]]) == 1


@pytest.mark.parametrize("rest", [False, True])
async def test_a_redis_that_is_emptied_in_a_quiet_night(
    rig: Rig, autojump_clock: MockClock, *, rest: bool
) -> None:
    """Nobody says anything, and yet within seconds it is known, and told."""
    rig.rest = rest
    async with rig.running():
        await trio.sleep(5)
        rig.upstream.say(frame(1))
        said_at = now()
        await trio.sleep(5)
    since = rig.store.db.of("ratings").since
    async with rig.running():
        await trio.sleep(1_800)
        assert rig.store.is_alive()
        rig.store.db = Database()
        rig.store.statuses.clear()
        await trio.sleep(80)
        assert rig.store.is_alive()
        kept = rig.store.db.of("ratings")
        assert kept.since == since, "the spool knows since when"
        assert kept.until is not None
        assert now() - kept.until < 40_000
    [gap] = rig.store.gaps_over(said_at)
    assert (gap["begin"], gap["cause"]) == (since, "redis-rollback")
    # The first status that says fresh comes once Redis says what it has.
    alive_at = [at for at, _, _, alive in rig.store.statuses if alive]
    assert alive_at[0] - rig.store.statuses[0][0] > (60 if rest else 0)


async def test_what_was_emptied_is_held_by_the_process_that_read_it(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running():
        await trio.sleep(5)
        rig.upstream.say(*frames(1, 2))
        await trio.sleep(900)
        rig.store.db = Database()
        await trio.sleep(10)
        assert rig.store.numbers() == [1, 2]
        assert rig.store.is_alive()
    assert not rig.store.gaps()


async def test_what_waits_for_an_emptied_redis_goes_there(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running():
        await trio.sleep(2)
        lost_at = now()
        rig.upstream.say(frame(0))
        await trio.sleep(1)
        rig.store.trouble = "LOADING"
        rig.upstream.say(*frames(1, 2))
        await trio.sleep(2)
    rig.store.db, rig.store.trouble = Database(), ""
    async with rig.running():
        await trio.sleep(5)
        assert rig.store.numbers() == [1, 2]
    [gap] = rig.store.gaps_over(lost_at)
    assert gap["cause"] == "redis-rollback"


async def test_a_redis_that_came_back_older_is_no_news_to_the_next_process(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """It stops while it still writes what waited on disk."""
    store = rig.store
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(5)
        saved = store.saved()
        rig.upstream.say(frame(2))
        await trio.sleep(5)
        store.trouble = "LOADING"
        rig.upstream.say(*frames(*range(10, 1_010)))
        await trio.sleep(5)
        store.db, store.trouble, store.delay = saved, "", 1.0
        await trio.sleep(6)
    assert rig.spool_left(), "it was to stop while it drained"
    store.delay = 0
    rig.upstream.cache = frames(1_009)
    async with rig.running():
        await trio.sleep(20)
    assert store.numbers() == [1, 2, *range(10, 1_010)]
    assert not store.gaps()


# ------------------------------------------------------- older, and nobody holds it all


async def rolled_back_at_the_start(rig: Rig) -> int:
    """Leave 1,000 changes on disk, and a Redis that comes back without the last one.

    Returns when that was said. The next replay goes back to the last of the 1,000.
    """
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(5)
        saved = rig.store.saved()
        rig.upstream.say(frame(2))
        said_at = now()
        await trio.sleep(5)
        rig.store.trouble = "LOADING"
        rig.upstream.say(*frames(*range(10, 1_010)))
        await trio.sleep(5)
    rig.store.db, rig.store.trouble = saved, ""
    rig.upstream.cache = frames(1_009)
    return said_at


@pytest.mark.parametrize("rest", [False, True])
@pytest.mark.parametrize("moment", [1.1, 2.1, 3.1, 4.1, 4.6, 5.1, 6.1, 8.1])
async def test_a_kill_after_a_rollback_does_not_announce_it_again(
    rig: Rig, moment: float, autojump_clock: MockClock, *, rest: bool
) -> None:
    rig.rest = rest
    said_at = await rolled_back_at_the_start(rig)
    rig.store.delay = 1.0
    async with rig.killed():
        await trio.sleep(moment)
    assert rig.spool_left(), "it was to be killed while it drained"
    rig.store.delay = 0.0
    async with rig.running():
        await trio.sleep(80)
        assert rig.store.is_alive()
    assert rig.store.numbers() == [1, *range(10, 1_010)]
    [gap] = rig.store.gaps()
    assert rig.store.gaps_over(said_at) == [gap]
    assert gap["cause"] == "redis-rollback"


@pytest.fixture
def few_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "HELD", 600)


@pytest.mark.usefixtures("few_held")
@pytest.mark.parametrize("rest", [False, True])
@pytest.mark.parametrize("moment", [2.1, 2.6, 3.1, 3.6, 4.5, 5.5, 6.5])
@pytest.mark.parametrize("emptied", [False, True])
async def test_a_kill_while_a_redis_gets_again_what_is_held_hides_nothing(
    rig: Rig, moment: float, autojump_clock: MockClock, *, rest: bool, emptied: bool
) -> None:
    """What it got already is younger than what it lost."""
    rig.rest = rest
    rig.upstream.cache = frames(1)
    async with rig.killed():
        await trio.sleep(5)
        saved = Database() if emptied else rig.store.saved()
        rig.upstream.say(*frames(*range(10, 110)))
        said_at = now()
        await trio.sleep(5)
        rig.upstream.say(*frames(*range(110, 710)))
        await trio.sleep(5)
        rig.store.db, rig.store.delay = saved, 1.0
        await trio.sleep(moment)
    rig.store.delay = 0.0
    rig.upstream.cache = frames(709)
    async with rig.running():
        await trio.sleep(80)
        assert rig.store.is_alive()
    assert not {*range(10, 100)} & {*rig.store.numbers()}
    assert len(rig.store.gaps_over(said_at)) == 1


# -------------------------------------------------------------------------- another one


async def test_a_database_switched_under_our_address_gets_what_waits(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """These are upstream's facts; each database sees its own hole."""
    async with rig.running():
        await trio.sleep(2)
        rig.upstream.say(frame(1))
        await trio.sleep(3)
        rig.store.trouble = "LOADING"
        rig.upstream.say(*frames(2, 3))
        said_at = now()
        await trio.sleep(2)
    old, new = rig.store, FakeStore()
    rig.store = new
    rig.upstream.cache = frames(3)
    async with rig.running():
        await trio.sleep(20)
        rig.upstream.say(frame(4))
        await trio.sleep(1)
        assert new.is_alive()
    assert new.numbers() == [2, 3, 4]
    rig.store, old.trouble = old, ""
    rig.upstream.cache = frames(4)
    async with rig.running():
        await trio.sleep(20)
        assert old.is_alive()
    assert old.numbers() == [1, 4]
    assert len(old.gaps_over(said_at)) == 1


async def left_by_another_bridge(rig: Rig) -> FakeStore:
    """Return a Redis that another bridge wrote to for 5 s from now."""
    here, old = rig.folder, rig.store
    rig.folder, rig.store = here.with_name("of another bridge"), FakeStore()
    async with rig.running():
        await trio.sleep(5)
    found = rig.store
    rig.folder, rig.store = here, old
    return found


@pytest.mark.parametrize("away", [0, 3, 30])
@pytest.mark.parametrize(
    "sessions", [[], [Session([2.0, LOST], answers="no")]], ids=["whole", "cut short"]
)
async def test_what_is_missing_in_one_database_is_not_in_another(
    rig: Rig, away: float, sessions: list[Session], autojump_clock: MockClock
) -> None:
    old = rig.store
    async with rig.running():
        await trio.sleep(5)
    await trio.sleep(100)
    new = await left_by_another_bridge(rig)
    heard = new.db.of("ratings").until
    await trio.sleep(100)
    rig.store, new.trouble = new, "LOADING" if away else ""
    rig.upstream.cache = frames(20, 21)
    rig.upstream.sessions.extend(sessions)
    async with rig.running():
        await trio.sleep(away)
        new.trouble = ""
        await trio.sleep(60)
    assert new.numbers() == [20, 21]
    first, *_ = new.gaps()
    assert (first["begin"], first["cause"]) == (heard, "restart")
    assert not old.gaps()
