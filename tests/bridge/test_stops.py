"""A stop takes 5 s at the most, whatever hangs (`rig.running` sees to it)."""

from __future__ import annotations

import pytest
import trio
from fakes import (
    BY_NAME,
    HANG,
    ROOMY,
    Disk,
    Rig,
    Said,
    Session,
    frame,
    frames,
    now,
)
from trio.testing import MockClock

from bzredis.bridge import bridge
from bzredis.errors import FeedLost, FeedRefused, SpoolUnusable

LOST = FeedLost("upstream went away")
REFUSED = FeedRefused("upstream answered HTTP 403")
NAMES = tuple(BY_NAME)


def told(said: Said, key: str) -> list[int]:
    """Return the counts that were told at the end."""
    return [entry[key] for entry in said if key in entry]


# ------------------------------------------------------------------ whatever Redis does


async def test_a_redis_that_never_answers_does_not_hold_up_the_stop(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    async with rig.running(*NAMES):
        await trio.sleep(5)
        rig.store.hangs = True
        rig.upstream.say(*frames(1, 2, 3))
        await trio.sleep(0.1)
    rig.store.hangs = False
    assert told(said, "spooled") == [3]
    async with rig.running():
        await trio.sleep(2)
        assert rig.store.numbers() == [1, 2, 3]
        assert rig.spool.count("ratings") == 0


async def test_damage_on_disk_ends_the_program_in_good_order(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """Whoever starts it again has it set aside (backlog/spool.py)."""
    bridge = rig.process(*NAMES)

    async def damage() -> None:
        await trio.sleep(5)
        rig.store.hangs = True
        rig.spool._db.execute("DROP TABLE item")
        rig.upstream.say(*frames(1, 2, 3))
        await trio.sleep(1.5)
        rig.store.hangs = False

    async with trio.open_nursery() as nursery:
        nursery.start_soon(damage)
        with pytest.raises(SpoolUnusable, match="no such table"), trio.fail_after(11):
            await bridge.run()
    assert {rig.store.status(name)["state"] for name in NAMES} == {"stopped"}


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


async def test_what_upstream_had_sent_is_still_read_as_we_stop(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running() as running:
        await trio.sleep(5)
        rig.upstream.say(*frames(1, 2))
        running.stop.set()
    assert rig.store.numbers() == [1, 2]


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
        await trio.sleep(5)
        rig.store.delay = 1.0
        rig.upstream.say(*frames(*range(100)))
        await trio.sleep(0.1)
    assert rig.store.numbers() == list(range(100))
    assert rig.store.status()["state"] == "stopped"
    async with rig.running():
        rig.store.delay = 0
        await trio.sleep(2)
        assert rig.store.numbers() == list(range(100))


# --------------------------------------------------------------- whatever upstream does


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


# --------------------------------------------------------------- whatever the disk does


async def test_without_room_for_the_rest_the_stop_says_what_is_lost(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    rig.limit = 10
    async with rig.running():
        await trio.sleep(5)
        rig.store.trouble = "LOADING"
        rig.upstream.say(*frames(1, 2, 3))
        await trio.sleep(0.1)
    assert told(said, "lost") == [3]


async def test_what_a_stop_loses_is_announced_by_the_next_process(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.limit = 10
    said_at = []
    async with rig.running():
        await trio.sleep(5)
        rig.store.poison = "Some Company"  # writes hang, statuses do not
        for number in (1, 2, 3):
            rig.upstream.say(frame(number))
            said_at.append(now())
            await trio.sleep(0.2)
    assert rig.store.status()["state"] == "stopped"
    rig.limit, rig.store.poison = ROOMY, ""
    rig.upstream.sessions.append(Session(replay=frames(50)))
    async with rig.running():
        await trio.sleep(20)
    [gap] = rig.store.gaps()
    assert [rig.store.gaps_over(at) for at in said_at] == [[gap]] * 3


async def test_a_disk_that_is_locked_as_we_stop_is_tried_again(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    async with rig.running():
        await trio.sleep(5)
        rig.store.hangs = True
        rig.spool._db.execute("PRAGMA query_only = ON")
        rig.upstream.say(*frames(1, 2, 3))
        await trio.sleep(0.1)
        rig.bridge.stop.set()
        await trio.sleep(bridge.DRAIN + bridge.SAVING / 2)
        rig.spool._db.execute("PRAGMA query_only = OFF")
    assert told(said, "spooled") == [3]


@pytest.mark.parametrize("away", [True, False])
@pytest.mark.parametrize("wait", [0.1, 1.0, 3.0])
async def test_a_disk_that_hangs_does_not_hold_up_the_stop(
    rig: Rig, disk: Disk, autojump_clock: MockClock, *, away: bool, wait: float
) -> None:
    async with rig.running():
        await trio.sleep(5)
        rig.store.trouble = "down" if away else ""
        disk.delay = 3_600
        rig.upstream.say(frame(1))
        await trio.sleep(wait)
    assert rig.store.numbers() == ([] if away else [1])


# -------------------------------------------------------------------- nothing is hidden


async def test_a_hole_that_opens_as_we_stop_is_announced_by_the_next_process(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.extend([Session([5.0, LOST]), Session(replay=frames(9))])
    async with rig.running() as running:
        await trio.sleep(4)
        rig.store.trouble = "LOADING"
        await trio.sleep(20)
        rig.store.trouble = ""
        running.stop.set()
    rig.upstream.cache = frames(9)
    async with rig.running():
        await trio.sleep(20)
        assert rig.store.is_alive()
    [gap] = rig.store.gaps()
    assert gap["cause"] == "reconnect"


async def test_a_stop_before_the_answer_does_not_hide_a_gap(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(5)
    heard = rig.store.db.of("ratings").until
    rig.upstream.cache = frames(7, 8)
    rig.store.is_mute = True
    async with rig.running():
        await trio.sleep(2)
    rig.store.is_mute = False
    async with rig.running():
        await trio.sleep(20)
    assert rig.store.numbers() == [1, 7, 8]
    assert [gap["begin"] for gap in rig.store.gaps()] == [heard]


async def test_a_stop_and_a_start_that_miss_nothing_leave_no_gap(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.cache = frames(1)
    for _ in range(3):
        async with rig.running():
            await trio.sleep(10)
            assert rig.store.is_alive()
    assert not rig.store.gaps()
    assert not rig.store.db.of("ratings").holes
