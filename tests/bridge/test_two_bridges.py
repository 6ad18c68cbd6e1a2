"""Two bridges on one Redis: upstream lets one of them connect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import trio
from fakes import FakeStore, FakeUpstream, Rig, Session, frame, frames, now
from trio.testing import MockClock

from bzredis.errors import FeedLost

TAKEN = FeedLost("upstream answered HTTP 429: one connection a key", status=429)


@attrs.define
class Pair:
    """Two bridges, each with a folder and its own way to the same Redis."""

    one: Rig
    two: Rig

    def hand_over(self, *, replay: list[str]) -> None:
        """Let upstream end the connection of one, and take two instead."""
        self.one.upstream.sessions.extend([TAKEN] * 999)
        self.one.upstream.say(self.one.lost)
        turn_to(self.two.upstream, replay)


def turn_to(upstream: FakeUpstream, replay: list[str]) -> None:
    """Let who was turned away in; it tries again every few seconds."""
    upstream.sessions.clear()
    upstream.cache = replay


@pytest.fixture
def pair(tmp_path: Path, rig: Rig) -> Iterator[Pair]:
    rig.name = "one"
    two = Rig(tmp_path / "two", rig.lost, FakeStore(rig.store.db), name="two")
    two.upstream.sessions.extend([TAKEN] * 999)
    yield Pair(rig, two)
    two.close()


def holder(rig: Rig) -> str:
    """Return who wrote the status."""
    return rig.store.status()["bridge"]


async def test_who_cannot_connect_touches_neither_status_nor_coverage(
    pair: Pair, autojump_clock: MockClock
) -> None:
    async with pair.one.running(), pair.two.running():
        await trio.sleep(60)
        assert holder(pair.one) == "one"
        assert pair.one.store.is_alive()
        assert not pair.two.store.is_alive()
        assert pair.one.store.db.of("ratings").reader == "one1"
        assert not pair.one.store.db.of("ratings").holes


async def test_the_other_one_takes_over_and_nothing_is_missing(
    pair: Pair, autojump_clock: MockClock
) -> None:
    async with pair.one.running(), pair.two.running():
        await trio.sleep(5)
        pair.one.upstream.say(*frames(1, 2))
        await trio.sleep(5)
        pair.hand_over(replay=frames(2, 3))
        await trio.sleep(40)
        assert pair.two.store.numbers() == [1, 2, 3]
        assert holder(pair.one) == "two"
        assert pair.two.store.is_alive()
        assert not pair.one.store.is_alive()
    assert not pair.two.store.gaps()


async def test_a_message_that_both_read_takes_effect_once(
    pair: Pair, autojump_clock: MockClock
) -> None:
    async with pair.one.running(), pair.two.running():
        await trio.sleep(5)
        pair.one.store.trouble = "partitioned"
        pair.one.upstream.say(*frames(1, 2, 3))
        await trio.sleep(5)
        pair.hand_over(replay=frames(1, 2, 3))
        await trio.sleep(40)
        pair.one.store.trouble = ""
        await trio.sleep(10)
        assert pair.two.store.numbers() == [1, 2, 3]
        assert len(pair.one.backlog) == 0


async def test_a_log_that_comes_late_brings_its_messages_and_moves_nothing(
    pair: Pair, autojump_clock: MockClock
) -> None:
    """What one read meanwhile is missing until then, which is announced."""
    kept = pair.one.store.db.of("ratings")
    async with pair.one.running(), pair.two.running():
        await trio.sleep(5)
        pair.one.store.trouble = "partitioned"
        pair.one.upstream.say(*frames(1, 2))
        read_at = now()
        await trio.sleep(40)  # also pings are answered
        pair.hand_over(replay=frames(5))
        await trio.sleep(40)
        assert pair.two.store.is_alive()
        assert pair.two.store.numbers() == [5]
        [gap] = pair.two.store.gaps_over(read_at)
        until = kept.until
        pair.one.store.trouble = ""
        await trio.sleep(3)
        assert pair.two.store.numbers() == [5, 1, 2]
        assert len(pair.one.backlog) == 0
        assert (kept.reader, kept.until) == ("two1", until)
        assert pair.two.store.gaps() == [gap]
        assert pair.two.store.is_alive()
        assert holder(pair.one) == "two"


@pytest.mark.parametrize("moment", [0.0, 0.5, 1.0, 1.9])
async def test_the_replay_of_a_late_log_closes_no_hole_of_who_is_connected(
    pair: Pair, moment: float, autojump_clock: MockClock
) -> None:
    """It held a message that was known, but not all that came since it was read."""
    one, two = pair.one, pair.two
    one.upstream.sessions.append(Session([5.0, frame(1), 5.0, one.lost]))
    one.upstream.cache = frames(1)
    async with one.running(), two.running():
        await trio.sleep(8)
        one.store.trouble = "partitioned"
        await trio.sleep(20)  # connected again, and all of its replay on disk
        assert one.backlog.disk.count >= 3
        pair.hand_over(replay=frames(5))
        lost_at = now()
        while not two.upstream.links:
            await trio.sleep(0.1)
        await trio.sleep(moment)
        one.store.trouble = ""
        await trio.sleep(20)
        assert len(one.backlog) == 0
        assert two.store.numbers() == [1, 5]
        assert two.store.is_alive()
    assert len(two.store.gaps_over(lost_at)) == 1


async def test_a_bridge_that_is_partitioned_is_not_alive(
    pair: Pair, autojump_clock: MockClock
) -> None:
    async with pair.one.running(), pair.two.running():
        await trio.sleep(5)
        pair.one.store.trouble = "partitioned"
        await trio.sleep(3)
        assert pair.one.line.presence() == ("connected", "behind")
        pair.hand_over(replay=[])
        await trio.sleep(40)
        assert pair.one.line.presence() == ("apart", "disconnected")
        assert pair.two.line.presence() == ("fresh", "")
        pair.one.store.trouble = ""
