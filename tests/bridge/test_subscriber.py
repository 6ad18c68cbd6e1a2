"""One stream's connections, one after the other: back-off, refusals, losses."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import trio
from fakes import Rig, Said, Session
from trio.testing import MockClock

from bzredis.errors import FeedLost, FeedRefused

LOST = FeedLost("upstream went away")
BAD_GATEWAY = FeedLost("upstream answered HTTP 503", status=503)
REFUSED = FeedRefused("upstream answered HTTP 401")


def events(said: Said, level: str) -> list[dict[str, Any]]:
    return [entry for entry in said if entry["log_level"] == level]


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


async def test_without_a_connection_nothing_is_fresh(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.extend([Session([20.0, LOST]), *[LOST] * 5])
    async with rig.running():
        await trio.sleep(19)
        assert rig.store.is_alive()
        await trio.sleep(2)
        assert not rig.store.is_alive()
        assert rig.store.status()["state"] == "retrying"
        await trio.sleep(100)
        assert rig.store.is_alive()


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
    told = [e["error"] for e in events(said, "warning")]
    assert told == [str(BAD_GATEWAY), str(LOST)]
    [over] = [e for e in events(said, "info") if e["event"] == "connected again"]
    assert over["streams"] == ["ratings"]
    assert over["seconds"] > 60


async def test_a_refused_stream_waits_alone_until_a_person_mends_it(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.extend([REFUSED, REFUSED])
    async with rig.running("ratings", "insights"):
        await trio.sleep(60)
        status = rig.store.status()
        assert (status["state"], status.get("connected_at")) == ("refused", None)
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
    assert told["streams"] == ["ratings"]
    for word in ("HTTP 401", "BENZINGA_TOKEN"):
        assert word in told["error"]


async def test_a_stream_refused_later_goes_on_asking(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """It was connected once: the program has something to go on for."""
    rig.upstream.sessions.extend([Session([10.0, LOST]), REFUSED, Session()])
    async with rig.running():
        await trio.sleep(1000)
        assert rig.store.status()["state"] == "live"
