"""One connection: what its frames are, what is kept of them, until when all is here."""

from __future__ import annotations

import attrs
import pytest
import trio
from fakes import EPOCH, FakeLink, Rig, Said, Session, frame, frames, now
from trio.testing import MockClock

from bzredis.bridge import intake
from bzredis.errors import FeedLost
from bzredis.messages.times import rfc3339

LOST = FeedLost("upstream went away")


def until(rig: Rig) -> float:
    """Return until when all is in Redis, in s of virtual time, but for ms."""
    at = rig.store.db.of("ratings").until
    assert at is not None
    return round((at - EPOCH) / 1_000, 1)


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
        assert "last_event_at" not in status
        assert status["last_pong_at"] == rfc3339(EPOCH + 1_000)
    told = [e for e in said if e["event"] == "upstream says"]
    assert [e["log_level"] for e in told] == ["warning", "debug"]


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


async def test_a_bug_ends_the_program(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    def read(*_: object, **__: object) -> None:
        raise ZeroDivisionError("nobody named me")

    monkeypatch.setattr(intake, "read", read)
    rig.upstream.cache = frames(1)
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        await rig.process().run()
    assert trio.current_time() < 10


# ---------------------------------------------------------------- what was read is kept


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


async def test_a_pong_that_was_read_when_the_stop_came_counts(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.append(Session(answers="no"))
    async with rig.running() as bridge:
        await trio.sleep(35)
        rig.upstream.say(frame(1), "pong", "pong")
        bridge.stop.set()
    assert until(rig) == 30
    assert rig.store.numbers() == [1]


# --------------------------------------------------------------- until when all is here


async def test_all_is_here_that_was_sent_before_the_last_ping_answered(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running():
        for ping in (0, 30, 60, 90):
            await trio.sleep(ping + 29 - trio.current_time())
            assert until(rig) == ping
            assert not rig.store.gaps()


async def test_each_pong_answers_the_oldest_ping_without_one(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """What was sent between a ping and its pong may be on its way still."""
    rig.upstream.sessions.append(Session(answers="no"))
    async with rig.running():
        await trio.sleep(35)
        rig.upstream.say("pong")
        await trio.sleep(1)
        assert until(rig) == 0
        rig.upstream.say("pong")
        await trio.sleep(1)
        assert until(rig) == 30
        rig.upstream.say("pong", "pong")  # of nothing that we said
        await trio.sleep(1)
        assert until(rig) == 30


async def test_a_ping_of_a_lost_connection_is_not_answered_by_the_next(
    rig: Rig, autojump_clock: MockClock
) -> None:
    quiet = Session(answers="no")
    rig.upstream.sessions.extend([Session([70.0, LOST], answers="no"), quiet])
    async with rig.running():
        await trio.sleep(80)
        opened = rig.upstream.links[1].opened
        assert until(rig) == pytest.approx(opened, abs=0.1)
        rig.upstream.say("pong")
        await trio.sleep(1)
        assert until(rig) == pytest.approx(opened, abs=0.1)


@pytest.mark.parametrize(
    ("answers", "manners"),
    [
        ("no", {}),
        ("yes", {"pings": False}),
        ("yes", {"replays": False, "pings": False}),
    ],
)
async def test_without_pongs_what_came_less_30_s_tells(
    rig: Rig, answers: str, manners: dict[str, bool], autojump_clock: MockClock
) -> None:
    """So late a link may be before it counts as dead."""
    rig.upstream.sessions.append(
        Session([50.0, frame(1), 50.0, '{"status":"ok"}'], answers=answers)
    )
    async with rig.running(**manners):
        await trio.sleep(59)
        assert until(rig) == 0
        await trio.sleep(3)
        assert until(rig) == 20
        await trio.sleep(57)
        assert until(rig) == 20
        await trio.sleep(3)
        assert until(rig) == 70, "any frame tells"
        await trio.sleep(300)
        assert until(rig) == 70, "silence does not"


@pytest.mark.parametrize("_", range(8))  # as trio takes its turns by chance
async def test_a_pong_that_lay_there_before_the_ping_vouches_for_nothing(
    rig: Rig, _: int, autojump_clock: MockClock
) -> None:
    """Said unasked, and read only after a while in which all of us stood still."""
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(20)
        stood, link = until(rig), rig.upstream.links[-1]
        link.session = attrs.evolve(link.session, answers="no")
        rig.upstream.say(frame(2), "pong")
        autojump_clock.jump(40)  # the next ping is due
        await trio.sleep(20)
        assert rig.store.numbers() == [1, 2]
        assert until(rig) == stood


async def test_nor_does_one_that_came_while_the_replay_was_asked_for(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async def send(link: FakeLink, text: str) -> None:
        await trio.lowlevel.checkpoint()
        if text == "replay":
            link.push("pong")
            autojump_clock.jump(40)  # we stood still

    heard: list[int] = []
    monkeypatch.setattr(FakeLink, "send", send)
    monkeypatch.setattr(intake.Intake, "heard", lambda _, sent: heard.append(sent))
    began = now()
    async with rig.running():
        await trio.sleep(20)
    assert heard
    assert max(heard) < began + 1_000
