"""What upstream is told, and servers that do not like it."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from fakes import Rig, Said, Session, frame, frames
from trio.testing import MockClock

from bzredis.bridge.manners import STEADY
from bzredis.errors import FeedLost

LOST = FeedLost("upstream went away")
UNUSABLE = FeedLost("upstream sent a message of more than 4 MiB", unusable=True)


async def test_each_connection_asks_for_the_replay_and_then_pings(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.extend([Session([100.0, LOST]), Session()])
    async with rig.running():
        await trio.sleep(200)
    for link in rig.upstream.links:
        assert link.texts[:2] == ["replay", "ping"]
        assert set(link.texts[2:]) == {"ping"}
        pings = [at for at, text in link.sent if text == "ping"]
        assert all(30 <= b - a <= 60 for a, b in pairwise(pings))
        assert len(pings) >= 3


async def test_pings_go_on_during_a_replay_without_end(
    rig: Rig, autojump_clock: MockClock
) -> None:
    drip = [step for n in range(100) for step in (1.0, frame(n))]
    rig.upstream.sessions.append(Session(drip, answers="no"))
    async with rig.running():
        await trio.sleep(100)
    pings = [at for at, text in rig.upstream.links[0].sent if text == "ping"]
    assert all(30 <= b - a <= 60 for a, b in pairwise(pings))
    assert len(pings) == 4


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"replays": False}, ["ping", "ping"]),
        ({"pings": False}, ["replay"]),
        ({"replays": False, "pings": False}, []),
    ],
)
async def test_commands_can_be_switched_off(
    rig: Rig, options: dict[str, bool], sent: list[str], autojump_clock: MockClock
) -> None:
    async with rig.running(**options):
        await trio.sleep(35)
        rig.upstream.say(frame(1))
        await trio.sleep(1)
    assert rig.upstream.links[0].texts == sent
    assert rig.store.numbers() == [1]


# ------------------------------------------------------------- who drops whoever speaks


async def test_a_server_that_drops_whoever_speaks_is_spoken_to_no_more(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.extend([Session(answers="drop")] * 10)
    async with rig.running():
        await trio.sleep(300)
        rig.upstream.say(frame(1))
        await trio.sleep(1)
        assert rig.store.numbers() == [1]
    texts = [link.texts for link in rig.upstream.links]
    assert texts == [["replay"]] * 3 + [[]]
    [told] = [e for e in said if "whenever we send" in e.get("error", "")]
    assert (told["log_level"], told["streams"]) == ("warning", ["ratings"])


@pytest.mark.parametrize("still_drops", [True, False])
async def test_who_was_spoken_to_no_more_is_tried_again_later(
    rig: Rig, *, still_drops: bool, autojump_clock: MockClock
) -> None:
    """It may have been going down: without its replay each reconnect leaves a gap."""
    drop, long = Session(answers="drop"), Session([STEADY + 1, LOST])
    rig.upstream.sessions.extend([drop] * 3)
    rig.upstream.sessions.extend([long, drop if still_drops else long, Session()])
    async with rig.running():
        await trio.sleep(60)
        assert "whenever we send text" in rig.store.status()["error"]
        await trio.sleep(240)
    texts = [link.texts[:1] for link in rig.upstream.links]
    last = [] if still_drops else ["replay"]
    assert texts == [["replay"]] * 3 + [[], ["replay"], last]


async def test_a_server_that_answers_before_it_drops_is_not_brusque(
    rig: Rig, autojump_clock: MockClock
) -> None:
    data = Session([1.0, frame(1), 1.0, LOST], answers="no")
    rig.upstream.sessions.extend([Session([1.0, LOST])] * 6)
    rig.upstream.sessions.extend([data] * 6)
    async with rig.running():
        await trio.sleep(300)
    assert all(link.texts[0] == "replay" for link in rig.upstream.links)


async def test_two_brusque_ends_and_a_patient_one_prove_nothing(
    rig: Rig, autojump_clock: MockClock
) -> None:
    drop, stay = Session(answers="drop"), Session([10.0, LOST], answers="no")
    rig.upstream.sessions.extend([drop, drop, stay, drop, drop, Session()])
    async with rig.running():
        await trio.sleep(300)
    assert rig.upstream.links[-1].texts[0] == "replay"


# ------------------------------------------------------------------- poison in a replay


async def test_a_frame_that_nobody_can_read_leaves_word_and_does_not_come_for_ever(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """The replay would bring it each time; that it did, two in a row tell."""
    poisoned = Session([0.1, UNUSABLE], answers="no")
    rig.upstream.sessions.extend([poisoned, poisoned, Session([300.0, LOST]), poisoned])
    async with rig.running():
        await trio.sleep(200)
        texts = [link.texts[0] for link in rig.upstream.links]
        assert texts == ["replay", "replay", "ping"]
        rig.upstream.say(frame(1))
        await trio.sleep(400)
        assert rig.store.status()["state"] == "live"
        [aside] = rig.store.rejected()
    assert "4 MiB" in aside["reason"]
    texts = [link.texts[0] for link in rig.upstream.links]
    assert texts == ["replay", "replay", "ping", "replay", "replay"]
    assert rig.store.numbers() == [1]


async def test_a_live_frame_that_nobody_can_read_costs_no_replay(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """It came within the seconds in which a replay may still be under way."""
    rig.upstream.cache = frames(1, 2)
    rig.upstream.sessions.append(Session([0.1, UNUSABLE]))
    async with rig.running():
        await trio.sleep(1)
        rig.upstream.cache = frames(1, 2, 3)
        await trio.sleep(20)
        assert rig.store.numbers() == [1, 2, 3]
        assert not rig.store.gaps()
