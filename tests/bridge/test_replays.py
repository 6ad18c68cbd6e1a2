"""When a replay is over, and what it proves: across connections, and restarts."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from fakes import EPOCH, Rig, Said, Session, frame, frames
from trio.testing import MockClock

from bzredis.bridge.subscriber import HINT, LONGEST, QUIET
from bzredis.errors import FeedLost
from bzredis.messages.times import rfc3339

LOST = FeedLost("upstream went away")

Drip = list[str | bytes | float | Exception]


def about(seconds: float) -> Any:
    """Match a moment of virtual time in ms; one mark has to be after the other."""
    return pytest.approx(EPOCH + 1_000 * seconds, abs=20)


async def until_a_gap(rig: Rig) -> float:
    """Wait for a gap; return how many s the last connection stood."""
    with trio.fail_after(100):
        while not rig.store.gaps():
            await trio.sleep(0.1)
    return trio.current_time() - rig.upstream.links[-1].opened


# ---------------------------------------------------------------------- when it is over


async def test_a_replay_without_a_pong_ends_when_it_is_quiet(
    rig: Rig, autojump_clock: MockClock
) -> None:
    drip: Drip = [1.0, frame(1), 4.0, frame(2), 4.0, frame(3)]
    rig.upstream.sessions.extend([Session([20.0, LOST]), Session(drip, answers="no")])
    async with rig.running():
        await trio.sleep(23)
        assert await until_a_gap(rig) == pytest.approx(9 + QUIET, abs=0.4)
        assert rig.store.gaps()[0]["recovered"] == 3


async def test_a_replay_that_never_ends_has_ended_after_a_minute(
    rig: Rig, autojump_clock: MockClock
) -> None:
    drip = [step for n in range(200) for step in (1.0, frame(n))]
    rig.upstream.sessions.append(Session(drip, answers="no"))
    async with rig.running():
        await trio.sleep(100)
        brought = [each["source"] for each in rig.store.db.of("ratings").log]
    assert brought.count("replay") == pytest.approx(LONGEST, abs=1)


@pytest.mark.parametrize("dies", [1.5, 1e9])
async def test_a_replay_in_whose_midst_the_link_dies_proves_nothing(
    rig: Rig, dies: float, autojump_clock: MockClock
) -> None:
    """What is known came first, and what is missing would have come after it."""
    first = Session([frame(1), 20.0, LOST])
    again = Session([1.0, frame(1), 38.5, LOST], answers="no", dies=dies)
    rig.upstream.sessions.extend([first, again])
    async with rig.running():
        await trio.sleep(50)
        assert bool(rig.store.db.of("ratings").holes) == (dies < 2)


@pytest.mark.parametrize("dies", [1.2, 1e9])
async def test_a_pong_in_front_of_the_replay_does_not_vouch_for_it(
    rig: Rig, dies: float, autojump_clock: MockClock
) -> None:
    """It only hints at the end: what comes behind it may be cut short."""
    first = Session([frame(1), 20.0, LOST])
    again = Session([0.5, "pong", 0.5, frame(1), 38.5, LOST], answers="no", dies=dies)
    rig.upstream.sessions.extend([first, again])
    async with rig.running():
        await trio.sleep(50)
        assert bool(rig.store.db.of("ratings").holes) == (dies < 2)


async def test_a_pong_shortens_the_wait_for_the_end(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.extend([Session([20.0, LOST]), Session()])
    async with rig.running():
        await trio.sleep(20.5)
        assert await until_a_gap(rig) == pytest.approx(HINT, abs=0.5)


@pytest.mark.parametrize("first", ["pong", "42", '{"status":"connected"}'])
async def test_control_text_before_the_replay_does_not_end_it(
    rig: Rig, first: str, autojump_clock: MockClock
) -> None:
    """A pong is a hint of the end, never a promise (upstream.md, 1)."""
    rig.upstream.cache = frames(1)
    drip: Drip = [first, 0.3, frame(2), 0.3, frame(1)]
    rig.upstream.sessions.extend([Session([20.0, LOST]), Session(drip, replay=())])
    async with rig.running():
        await trio.sleep(60)
        assert rig.store.numbers() == [1, 2]
        assert not rig.store.gaps()


async def test_a_pong_on_a_lost_connection_ends_nothing_on_the_next(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.cache = frames(1)
    rig.upstream.sessions.extend(
        [
            Session([20.0, LOST]),
            Session([0.5, LOST], replay=()),
            Session([4.0, frame(2), 4.0, frame(1)], answers="no"),
        ]
    )
    async with rig.running():
        await trio.sleep(60)
        assert rig.store.numbers() == [1, 2]
        assert not rig.store.gaps()


# ----------------------------------------------------------------------- what it proves


async def reconnected(rig: Rig, *, before: list[int], after: list[int]) -> None:
    """Lose a connection that stood for 21 s; the replay then brings `after`."""
    rig.upstream.cache = frames(*before)
    rig.upstream.sessions.append(Session([1.0, 20.0, LOST]))
    async with rig.running():
        await trio.sleep(20.5)
        rig.upstream.cache = frames(*after)
        await trio.sleep(30)
        assert rig.store.numbers() == sorted({*before, *after})


async def test_a_first_start_has_no_gap(rig: Rig, autojump_clock: MockClock) -> None:
    rig.upstream.cache = frames(*range(100))
    async with rig.running():
        await trio.sleep(100)
        assert not rig.store.gaps()


@pytest.mark.parametrize("after", [[1], [5, 6, 7], list(range(5, 105))])
async def test_one_known_message_closes_the_gap(
    rig: Rig, after: list[int], said: Said, autojump_clock: MockClock
) -> None:
    await reconnected(rig, before=[1, 2, 3, 4, 5], after=after)
    assert not rig.store.gaps()
    assert rig.store.status()["gaps"] == "0"
    assert "missing" not in rig.store.status()
    assert not [e for e in said if "missing" in e["event"]]


@pytest.mark.parametrize("count", [0, 5, 100])
async def test_a_replay_of_strangers_leaves_a_gap(
    rig: Rig, count: int, said: Said, autojump_clock: MockClock
) -> None:
    await reconnected(rig, before=[1, 2], after=list(range(10, 10 + count)))
    [gap] = rig.store.gaps()
    # The last ping of the first connection that was answered was sent at its beginning.
    assert gap["begin"] == about(0)
    assert gap["end"] == about(rig.upstream.links[1].opened)
    assert (gap["cause"], gap["recovered"]) == ("reconnect", count)
    assert rig.store.status()["gaps"] == "1"
    [told] = [e for e in said if "missing" in e["event"]]
    assert told["log_level"] == "warning"
    times = (rfc3339(gap["begin"]), rfc3339(gap["end"]))
    assert (told["since"], told["until"]) == times


async def test_without_a_replay_each_reconnect_leaves_a_gap(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """Nothing was asked for, so what comes at once proves nothing."""
    again = Session([frame(1), 5.0, LOST])
    rig.upstream.sessions.extend([again] * 10)
    async with rig.running(replays=False):
        await trio.sleep(300)
        assert [gap["cause"] for gap in rig.store.gaps()] == ["reconnect"] * 10
    async with rig.running(replays=False):
        await trio.sleep(30)
        assert rig.store.gaps()[10]["cause"] == "restart"
    assert not any("replay" in link.texts for link in rig.upstream.links)


async def test_a_known_message_that_comes_live_later_proves_nothing(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.cache = frames(1)
    rig.upstream.sessions.append(Session([20.0, LOST]))
    async with rig.running():
        await trio.sleep(15)
        rig.upstream.cache = frames(7)
        await trio.sleep(20)
        rig.upstream.say(frame(1))
        await trio.sleep(20)
        assert len(rig.store.gaps()) == 1


async def test_two_short_sessions_do_not_hide_the_gap(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """The second replay knows what the first one brought; that is no proof."""
    rig.upstream.cache = frames(1)
    fresh = frames(*range(10, 20))
    rig.upstream.sessions.extend(
        [
            Session([20.0, LOST]),
            Session([*fresh[:5], LOST], answers="no"),
            Session([*fresh, LOST], answers="no"),
            Session(replay=fresh),
        ]
    )
    async with rig.running():
        await trio.sleep(60)
        [gap] = rig.store.gaps()
    assert gap["recovered"] == 10
    assert gap["begin"] == about(0)
    assert gap["end"] == about(rig.upstream.links[1].opened)


async def test_the_same_once_the_replays_have_ended(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.cache = frames(1)
    fresh = frames(*range(10, 20))
    rig.upstream.sessions.extend(
        [
            Session([20.0, LOST]),
            Session([10.0, LOST], replay=fresh),
            Session(replay=fresh),
        ]
    )
    async with rig.running():
        await trio.sleep(60)
        [gap] = rig.store.gaps()
    assert gap["end"] == about(rig.upstream.links[1].opened)


# ------------------------------------------------------------------ while Redis is away


async def test_redis_is_away_meanwhile_and_the_gap_is_closed(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.cache = frames(1, 2)
    rig.upstream.sessions.append(Session([20.0, LOST]))
    async with rig.running():
        await trio.sleep(19)
        rig.store.trouble = "LOADING"
        await trio.sleep(30)
        assert not rig.store.gaps()
        rig.upstream.say(frame(3))
        rig.store.trouble = ""
        await trio.sleep(10)
        assert rig.store.numbers() == [1, 2, 3]
        assert not rig.store.gaps()


async def test_redis_is_away_meanwhile_and_the_gap_is_not_closed(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.cache = frames(1, 2)
    rig.upstream.sessions.extend([Session([20.0, LOST]), Session(replay=frames(7, 8))])
    async with rig.running():
        await trio.sleep(19)
        rig.store.trouble = "LOADING"
        await trio.sleep(30)
        rig.upstream.say(frame(9))
        rig.store.trouble = ""
        await trio.sleep(10)
        assert rig.store.numbers() == [1, 2, 7, 8, 9]
        [gap] = rig.store.gaps()
    assert gap["recovered"] == 2


async def test_an_answer_lost_over_a_replay_proves_nothing(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """What is sent again is skipped: it is not *known*."""
    rig.upstream.sessions.extend([Session([20.0, LOST]), Session(replay=frames(7, 8))])
    async with rig.running():
        await trio.sleep(20)
        rig.store.lost_answers = 1
        await trio.sleep(40)
        assert rig.store.numbers() == [7, 8]
        assert len(rig.store.gaps()) == 1


# ---------------------------------------------------------------------- across restarts


async def first_run(rig: Rig) -> None:
    """Hear message 1, and stop at 10 s: all is here until the ping at 0 s."""
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(10)
    await trio.sleep(100)


async def test_a_restart_whose_replay_is_all_new_is_a_gap(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await first_run(rig)
    rig.upstream.cache = frames(5, 6)
    began = trio.current_time()
    async with rig.running():
        await trio.sleep(10)
        [gap] = rig.store.gaps()
    assert (gap["begin"], gap["end"]) == (about(0), about(began))
    assert (gap["cause"], gap["recovered"]) == ("restart", 2)


@pytest.mark.parametrize("subscription", ["*", "AAPL"])
async def test_a_restart_that_knows_its_replay_is_none(
    rig: Rig, subscription: str, autojump_clock: MockClock
) -> None:
    await first_run(rig)
    rig.upstream.cache = frames(1, 5)
    rig.subscription = subscription
    async with rig.running():
        await trio.sleep(10)
        assert not rig.store.gaps()


async def test_another_subscription_does_not_hide_the_gap(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """What both have in common was to be had in between."""
    await first_run(rig)
    rig.upstream.cache = frames(5)
    rig.subscription = "AAPL"
    async with rig.running():
        await trio.sleep(10)
        assert len(rig.store.gaps()) == 1


async def test_a_restart_before_redis_is_there_announces_its_gap_then(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await first_run(rig)
    rig.upstream.cache = frames(5)
    rig.store.trouble = "LOADING"
    began = trio.current_time()
    async with rig.running():
        await trio.sleep(100)
        rig.store.trouble = ""
        await trio.sleep(20)
        [gap] = rig.store.gaps()
    assert (gap["begin"], gap["end"]) == (about(0), about(began))
    assert gap["cause"] == "restart"


async def test_a_process_that_never_saw_redis_does_not_hide_the_gap(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await first_run(rig)
    rig.upstream.cache = frames(5, 6)
    rig.store.trouble = "LOADING"
    async with rig.running():
        await trio.sleep(10)
    rig.store.trouble = ""
    async with rig.running():
        await trio.sleep(20)
        assert rig.store.numbers() == [1, 5, 6]
        [gap] = rig.store.gaps()
    assert gap["begin"] == about(0)


async def test_a_process_that_never_saw_upstream_does_not_hide_the_gap(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await first_run(rig)
    rig.upstream.cache = frames(5, 6)
    rig.upstream.sessions.append("hangs")
    async with rig.running():
        await trio.sleep(10)
    assert rig.store.db.of("ratings").until == about(0)
    async with rig.running():
        await trio.sleep(20)
        [gap] = rig.store.gaps()
    assert gap["begin"] == about(0)


async def test_a_stop_during_the_replay_does_not_hide_the_gap(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await first_run(rig)
    fresh = frames(5, 6)
    rig.upstream.sessions.append(Session(fresh, answers="no"))
    async with rig.running():
        await trio.sleep(3)
    rig.upstream.cache = fresh
    async with rig.running():
        await trio.sleep(20)
        assert rig.store.numbers() == [1, 5, 6]
        [gap] = rig.store.gaps()
    assert gap["begin"] == about(0)


@pytest.mark.parametrize("moment", [0.0, 0.4, 0.9, 1.1, 1.6, 2.5])
async def test_a_kill_during_the_replay_does_not_hide_the_gap(
    rig: Rig, moment: float, autojump_clock: MockClock
) -> None:
    """What the killed process brought is known now, and proves nothing."""
    await first_run(rig)
    drip = [step for n in range(5, 35) for step in (frame(n), 0.1)]
    rig.upstream.sessions.append(Session(drip, answers="no"))
    async with rig.killed():
        await trio.sleep(moment + 0.05)
    brought = rig.store.numbers()[1:]
    assert len(brought) == int(moment * 10) + 1
    rig.upstream.cache = frames(*brought)
    async with rig.running():
        await trio.sleep(20)
        [gap] = rig.store.gaps()
    assert gap["begin"] == about(0)


async def test_after_a_kill_during_the_replay_a_whole_one_proves_still(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await first_run(rig)
    rig.upstream.sessions.append(Session(frames(1, 5), answers="no"))
    async with rig.killed():
        await trio.sleep(3)
    rig.upstream.cache = frames(1, 5, 6)
    async with rig.running():
        await trio.sleep(20)
        assert rig.store.numbers() == [1, 5, 6]
        assert not rig.store.gaps()
