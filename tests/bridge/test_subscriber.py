"""One stream's connections: rude servers, refusals, back-off, and replays' proofs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import trio
from fakes import EPOCH, Rig, Said, Session, frame, frames
from trio.testing import MockClock

from bzredis.bridge import subscriber as mirror
from bzredis.changes.replay import HINT, LONGEST, QUIET, Continuity, Uncovered
from bzredis.errors import FeedLost, FeedRefused
from bzredis.messages.times import rfc3339

LOST = FeedLost("upstream went away")
BAD_GATEWAY = FeedLost("upstream answered HTTP 503", status=503)
REFUSED = FeedRefused("upstream answered HTTP 401")
UNUSABLE = FeedLost("upstream sent a message of more than 4 MiB", unusable=True)


def events(said: Said, level: str) -> list[dict[str, Any]]:
    return [entry for entry in said if entry["log_level"] == level]


def when(seconds: float) -> str:
    """Return a moment of virtual time as it stands in Redis."""
    return rfc3339(EPOCH + round(seconds * 1000))


# ------------------------------------------------------------------ commands, heartbeat


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
    drip: list[str | float] = []
    for n in range(100):
        drip += [1.0, frame(n)]
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
    [told] = [e for e in events(said, "warning") if "whenever we send" in e["event"]]
    assert told["stream"] == "ratings"


@pytest.mark.parametrize("still_drops", [True, False])
async def test_who_was_spoken_to_no_more_is_tried_again_later(
    rig: Rig, *, still_drops: bool, autojump_clock: MockClock
) -> None:
    """It may have been going down: without its replay each reconnect leaves a gap."""
    drop, long = Session(answers="drop"), Session([mirror.STEADY + 1, LOST])
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
    rig.upstream.sessions.extend([Session([1.0, LOST])] * 6)
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


# -------------------------------------------------------------------- back-off, refusal


async def test_back_off_is_jittered_and_grows_to_its_limit(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.extend([BAD_GATEWAY] * 12)
    async with rig.running():
        await trio.sleep(160)
    delays = [b - a for a, b in pairwise(rig.upstream.asked)]
    for delay, ceiling in zip(delays, [2, 4, 8, *[15] * 9], strict=False):
        assert ceiling / 2 <= delay <= ceiling
    assert len(delays) >= 10
    assert len(set(delays)) == len(delays)


@pytest.mark.parametrize(("stood", "is_reset"), [(59.0, False), (61.0, True)])
async def test_only_a_healthy_session_resets_the_back_off(
    rig: Rig,
    stood: float,
    is_reset: bool,  # noqa: FBT001 - a case
    autojump_clock: MockClock,
) -> None:
    rig.upstream.sessions.extend([LOST] * 6 + [Session([stood, LOST])])
    async with rig.running():
        await trio.sleep(300)
    last = rig.upstream.asked[7] - rig.upstream.ended[0]
    assert (last <= 2) is is_reset
    assert last <= 15


async def test_there_is_never_a_second_connection(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """FakeUpstream asserts it; here closing takes long."""
    rig.upstream.goodbye = 2.0
    rig.upstream.sessions.extend([Session([0.5, LOST])] * 20)
    async with rig.running():
        await trio.sleep(200)
    assert len(rig.upstream.links) > 10


async def test_losses_are_told_once_for_each_reason(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.extend([BAD_GATEWAY] * 5 + [LOST] * 3)
    async with rig.running():
        await trio.sleep(120)
        assert rig.store.status()["reconnects"] == "8"
        assert rig.store.status()["state"] == "live"
    lost = [e["error"] for e in events(said, "warning") if "feed lost" in e["event"]]
    assert lost == [str(BAD_GATEWAY), str(LOST)]


async def test_a_refused_stream_waits_alone_until_a_person_mends_it(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.extend([REFUSED, REFUSED])
    async with rig.running("ratings", "insights"):
        await trio.sleep(60)
        status = rig.store.status()
        assert (status["state"], status["connected_at"]) == ("refused", "")
        for word in ("HTTP 401", "the ratings stream", "BENZINGA_TOKEN", "15 min"):
            assert word in status["error"]
        assert not rig.store.is_alive()
        assert rig.store.status("insights")["state"] == "live"
        await trio.sleep(1800)
        assert rig.store.status()["state"] == "live"
        assert rig.store.is_alive()
    first, second, third = rig.upstream.asked
    assert second - first == pytest.approx(900, abs=0.01)
    assert third - second == pytest.approx(900, abs=0.01)
    assert len(rig.upstreams["insights"].asked) == 1
    [told] = events(said, "error")
    for word in ("HTTP 401", "the ratings stream", "BENZINGA_TOKEN"):
        assert word in told["event"]


async def test_a_stream_refused_later_goes_on_asking(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """It was connected once: the program has something to go on for."""
    rig.upstream.sessions.extend([Session([10.0, LOST]), REFUSED, Session()])
    async with rig.running():
        await trio.sleep(1000)
        assert rig.store.status()["state"] == "live"


# ------------------------------------------------------------------------------- frames


async def test_notices_and_pongs_are_no_events(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    notices = ['{"type":"error","message":"slow down"}', '{"status":"connected"}']
    async with rig.running():
        await trio.sleep(1)
        rig.upstream.say(*notices, "pong", "1234", b"pong")
        await trio.sleep(2)
        status = rig.store.status()
        assert (status["events"], status["rejected"]) == ("0", "0")
        assert (status["last_event_at"], status["last_pong_at"]) == ("", when(1))
    told = [e for e in said if e["event"] == "upstream says"]
    assert [e["log_level"] for e in told] == ["warning", "info"]


async def test_one_bad_frame_harms_only_itself(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running():
        await trio.sleep(1)
        rig.upstream.say(frame(1), "<html>", b"\xff\xfe", frame(2))
        await trio.sleep(2)
        assert rig.store.numbers() == [1, 2]
        raws = [each["raw"] for each in rig.store.rejected()]
        assert raws == ["<html>", "\\xff\\xfe"]
        assert rig.store.status()["rejected"] == "2"
    assert len(rig.upstream.asked) == 1


async def test_what_was_read_when_the_stop_came_is_kept(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running() as bridge:
        await trio.sleep(1)
        rig.upstream.say(*frames(*range(500)))
        bridge.stop.set()
    assert rig.store.numbers() == list(range(500))


async def test_what_was_read_when_a_send_failed_is_kept(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with rig.running():
        await trio.sleep(1)
        link = rig.upstream.links[0]

        async def fail(_: str) -> None:
            link.push(*frames(*range(500)))
            raise LOST

        monkeypatch.setattr(type(link), "send", lambda _, text: fail(text))
        await trio.sleep(35)
        assert rig.store.numbers() == list(range(500))


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


async def test_a_bug_ends_the_program(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    def read(*_: object, **__: object) -> None:
        raise ZeroDivisionError("nobody named me")

    monkeypatch.setattr(mirror, "read", read)
    rig.upstream.cache = frames(1)
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        await rig.process().run()
    assert trio.current_time() < 10


# ------------------------------------------------------------------- what replays prove


async def reconnected(rig: Rig, *, before: list[int], after: list[int]) -> None:
    """Lose a connection that stood from 1 s to 21 s; the replay then brings `after`."""
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


async def test_without_a_replay_each_reconnect_leaves_a_gap(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """Nothing was asked for, so nothing proves that no message is missing."""
    rig.upstream.cache = frames(1)
    rig.upstream.sessions.extend([Session([frame(1), 5.0, LOST]), Session([frame(1)])])
    async with rig.running(replays=False):
        await trio.sleep(30)
        assert [gap["cause"] for gap in rig.store.gaps()] == ["reconnect"]
    async with rig.running(replays=False):
        await trio.sleep(30)
        assert len(rig.store.gaps()) == 2
    assert rig.store.gaps()[1]["cause"] == "restart"
    rig.subscription = "AAPL"
    async with rig.running(replays=False):
        await trio.sleep(30)
        assert len(rig.store.gaps()) == 2
    assert not any("replay" in link.texts for link in rig.upstream.links)


@pytest.mark.parametrize("after", [[1], [5, 6, 7], list(range(5, 105))])
async def test_one_known_message_closes_the_gap(
    rig: Rig, after: list[int], said: Said, autojump_clock: MockClock
) -> None:
    await reconnected(rig, before=[1, 2, 3, 4, 5], after=after)
    assert not rig.store.gaps()
    assert rig.store.status()["gaps"] == "0"
    assert not [e for e in events(said, "warning") if "missing" in e["event"]]


@pytest.mark.parametrize("count", [0, 5, 100])
async def test_a_replay_of_strangers_leaves_a_gap(
    rig: Rig, count: int, said: Said, autojump_clock: MockClock
) -> None:
    await reconnected(rig, before=[1, 2], after=list(range(10, 10 + count)))
    [gap] = rig.store.gaps()
    # The last that was heard of the first connection was the pong, at its beginning.
    assert gap["begin"] == when(0)
    assert gap["end"] == when(rig.upstream.links[1].opened)
    assert (gap["cause"], gap["recovered"]) == ("reconnect", count)
    assert rig.store.status()["gaps"] == "1"
    [told] = [e for e in events(said, "warning") if "missing" in e["event"]]
    assert (told["since"], told["until"]) == (gap["begin"], gap["end"])


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
    assert gap["begin"] == when(0)
    assert gap["end"] == when(rig.upstream.links[-1].opened)


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
    assert gap["end"] == when(rig.upstream.links[1].opened)


async def test_a_replay_without_a_pong_ends_when_it_is_quiet(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.extend(
        [
            Session([20.0, LOST]),
            Session([1.0, frame(1), 4.0, frame(2), 4.0, frame(3)], answers="no"),
        ]
    )
    async with rig.running():
        await trio.sleep(23)
        while not rig.store.gaps():
            await trio.sleep(0.1)
        opened = rig.upstream.links[1].opened
        assert trio.current_time() == pytest.approx(opened + 9 + QUIET, abs=0.3)
        assert rig.store.gaps()[0]["recovered"] == 3


async def test_a_replay_that_never_ends_has_ended_after_a_minute(
    rig: Rig, autojump_clock: MockClock
) -> None:
    drip: list[str | float] = []
    for n in range(200):
        drip += [1.0, frame(n)]
    rig.upstream.sessions.extend([
        Session([20.0, LOST]), Session(drip, answers="no")
    ])  # fmt: skip
    async with rig.running():
        await trio.sleep(23)
        while not rig.store.gaps():
            await trio.sleep(0.1)
        opened = rig.upstream.links[1].opened
        assert trio.current_time() == pytest.approx(opened + LONGEST, abs=0.3)


@pytest.mark.parametrize("first", ["pong", "42", '{"status":"connected"}'])
async def test_control_text_before_the_replay_does_not_end_it(
    rig: Rig, first: str, autojump_clock: MockClock
) -> None:
    """A pong is a hint of the end, never a promise (upstream.md, 1)."""
    rig.upstream.cache = frames(1)
    rig.upstream.sessions.extend(
        [
            Session([20.0, LOST]),
            Session([first, 0.3, frame(2), 0.3, frame(1)], replay=()),
        ]
    )
    async with rig.running():
        await trio.sleep(60)
        assert rig.store.numbers() == [1, 2]
        assert not rig.store.gaps()


async def test_a_pong_shortens_the_wait_for_the_end(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.extend([Session([20.0, LOST]), Session()])
    async with rig.running():
        await trio.sleep(20.5)
        while not rig.store.gaps():
            await trio.sleep(0.1)
        opened = rig.upstream.links[1].opened
        assert trio.current_time() == pytest.approx(opened + HINT, abs=0.4)


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
    """What Redis then calls known may be of our own making."""
    rig.upstream.sessions.extend([Session([20.0, LOST]), Session(replay=frames(7, 8))])
    async with rig.running():
        await trio.sleep(20)
        rig.store.lost_answers = 1
        await trio.sleep(40)
        assert rig.store.numbers() == [7, 8]
        assert len(rig.store.gaps()) == 1


# ---------------------------------------------------------------------- across restarts


async def first_run(rig: Rig) -> None:
    """Hear message 1, and stop at 10 s."""
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(10)
    await trio.sleep(100)


async def test_a_restart_whose_replay_is_all_new_is_a_gap(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await first_run(rig)
    heard = rig.store.status()["last_frame_at"]
    rig.upstream.cache = frames(5, 6)
    began = trio.current_time()
    async with rig.running():
        await trio.sleep(10)
        [gap] = rig.store.gaps()
    assert (gap["begin"], gap["end"]) == (heard, when(began))
    assert (gap["cause"], gap["recovered"]) == ("restart", 2)


async def test_a_restart_that_knows_its_replay_is_none(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await first_run(rig)
    rig.upstream.cache = frames(1, 5)
    async with rig.running():
        await trio.sleep(10)
        assert not rig.store.gaps()


async def test_a_restart_with_another_subscription_is_none(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await first_run(rig)
    rig.upstream.cache = frames(5)
    rig.subscription = "AAPL"
    async with rig.running():
        await trio.sleep(10)
        assert not rig.store.gaps()


async def test_a_restart_before_redis_is_there_announces_its_gap_then(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await first_run(rig)
    heard = rig.store.status()["last_frame_at"]
    rig.upstream.cache = frames(5)
    rig.store.trouble = "LOADING"
    began = trio.current_time()
    async with rig.running():
        await trio.sleep(100)
        rig.store.trouble = ""
        await trio.sleep(20)
        [gap] = rig.store.gaps()
    assert (gap["begin"], gap["end"], gap["cause"]) == (heard, when(began), "restart")


async def test_a_process_that_never_saw_redis_does_not_hide_the_gap(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await first_run(rig)
    heard = rig.store.status()["last_frame_at"]
    rig.upstream.cache = frames(5, 6)
    rig.store.trouble = "LOADING"
    async with rig.running():
        await trio.sleep(10)
    rig.store.trouble = ""
    async with rig.running():
        await trio.sleep(20)
        assert rig.store.numbers() == [1, 5, 6]
        [gap] = rig.store.gaps()
    assert gap["begin"] == heard


async def test_a_stop_during_the_replay_does_not_hide_the_gap(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await first_run(rig)
    heard = rig.store.status()["last_frame_at"]
    fresh = frames(5, 6)
    rig.upstream.sessions.append(Session(fresh, answers="no"))
    async with rig.running():
        await trio.sleep(3)
    rig.upstream.cache = fresh
    async with rig.running():
        await trio.sleep(20)
        assert rig.store.numbers() == [1, 5, 6]
        [gap] = rig.store.gaps()
    assert gap["begin"] == heard


async def test_a_process_that_never_saw_upstream_does_not_hide_the_gap(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await first_run(rig)
    heard = rig.store.status()["last_frame_at"]
    rig.upstream.cache = frames(5, 6)
    rig.upstream.sessions.append("hangs")
    async with rig.running():
        await trio.sleep(10)
    assert rig.store.status()["last_frame_at"] == heard
    async with rig.running():
        await trio.sleep(20)
        [gap] = rig.store.gaps()
    assert gap["begin"] == heard


@pytest.mark.parametrize("moment", [0.0, 0.4, 0.9, 1.1, 1.6, 2.5])
async def test_a_kill_during_the_replay_does_not_hide_the_gap(
    rig: Rig, moment: float, autojump_clock: MockClock
) -> None:
    """What the killed process brought is known now, and proves nothing."""
    await first_run(rig)
    heard = rig.store.status()["last_frame_at"]
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
    assert gap["begin"] == heard


async def test_after_a_kill_during_the_replay_what_was_noted_proves_still(
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


def test_numbers_begin_anew_with_a_process_and_mean_other_messages() -> None:
    was = Continuity()
    was.previous(1000)
    was.connected(heard=None, now=5000, at=0)
    was.saw(0, ["known"], at=1)
    was.answered(0, known=True)
    new = Continuity()
    new.restore(was.save(), range(0))
    new.belongs(here=True, last=0)
    new.previous(3000)
    new.connected(heard=None, now=7000, at=0)
    new.saw(0, ["another"], at=1)
    new.answered(0, known=False)
    new.end()
    assert list(new.settle()) == [Uncovered(1000, 7000, "restart", 1)]


def left_open(**how: Any) -> str:
    """Return what a process leaves: a gap whose replay brought 4, 5 and 6."""
    was = Continuity()
    was.previous(1000)
    was.connected(heard=None, now=5000, at=0)
    for number in (4, 5, 6):
        was.saw(number, [str(number)], at=1)
    was.end()
    was.answered(4, known=False)
    return was.save(**how)


@pytest.mark.parametrize(
    ("waiting", "known", "recovered"),
    [
        (range(5, 7), False, 3),
        # It may have had that from the process that was killed, which heard no answer.
        (range(5, 7), True, 1),
        # Confirmed or lost after it was noted: nobody will tell any more.
        (range(6, 7), False, 2),
        (range(7, 9), False, 1),
    ],
)
def test_the_next_process_takes_up_what_is_open(
    waiting: range,
    known: bool,  # noqa: FBT001 - a case
    recovered: int,
) -> None:
    new = Continuity()
    new.restore(left_open(), waiting)
    new.belongs(here=True, last=0)
    new.previous(3000)
    for number in waiting:
        new.answered(number, known=known)
    assert list(new.settle()) == [Uncovered(1000, 5000, "restart", recovered)]
    assert new.save() == ""


@pytest.mark.parametrize(
    ("sent", "gaps"),
    [(4, []), (5, []), (6, [Uncovered(1000, 5000, "restart", 1)])],
)
def test_what_an_orderly_stop_left_proves_but_for_what_redis_may_have(
    sent: int, gaps: list[Uncovered]
) -> None:
    new = Continuity()
    new.restore(left_open(last=True, sent=sent), range(5, 7))
    new.belongs(here=True, last=0)
    new.previous(3000)
    for number in (5, 6):
        new.answered(number, known=True)
    assert list(new.settle()) == gaps


def test_nothing_open_is_nothing_to_take_up() -> None:
    new = Continuity()
    assert new.save() == ""
    new.restore("", range(3))
    assert new.save() == ""
