"""The spool: full, damaged, locked, or of another."""

from __future__ import annotations

import pytest
import trio
from fakes import Database, Rig, Said, frame, frames
from trio.testing import MockClock

from bzredis.backlog.spool import Spool
from bzredis.errors import SpoolLocked


async def test_a_full_spool_closes_the_streams_until_there_is_room(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    rig.limit = 20_000
    sent = 0
    async with rig.running():
        await trio.sleep(5)
        rig.store.trouble = "LOADING"
        while len(rig.upstream.ended) == 0:
            rig.upstream.say(frame(sent))
            sent += 1
            await trio.sleep(0.05)
        assert rig.intake.status.state == "full"
        await trio.sleep(600)
        assert rig.intake.status.state == "full"
        assert len(rig.upstream.asked) == 1
        rig.upstream.cache = frames(*range(sent - 5, sent + 5))
        rig.store.trouble = ""
        await trio.sleep(15)
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
        await trio.sleep(5)
        rig.store.poison = "Some Company"
        rig.upstream.say(frame(1))
        await trio.sleep(3)
        assert rig.store.status()["state"] == "full"
        rig.store.poison = ""
        await trio.sleep(20)
        assert rig.store.status()["state"] == "live"


async def test_a_full_disk_at_the_wrong_moment_stops_nothing(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running():
        rig.spool._db.execute("PRAGMA query_only = ON")
        await trio.sleep(5)
        rig.upstream.say(*frames(1))
        await trio.sleep(5)
        assert rig.store.numbers() == [1]
        rig.store.trouble = "LOADING"
        rig.upstream.say(*frames(2))
        await trio.sleep(5)
        assert rig.intake.status.state == "full"
        rig.store.trouble = ""
        await trio.sleep(10)
        assert rig.store.numbers() == [1, 2]
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


async def test_since_when_it_is_followed_a_lock_keeps_from_the_disk_for_a_while_only(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Else an emptied Redis would be taken for a first start, and hide all of it."""
    since = Spool.since

    def locking(self: Spool, stream: str, at: int | None = None) -> int | None:
        if at is not None and trio.current_time() < 3:
            raise SpoolLocked("for a moment")
        return since(self, stream, at)

    monkeypatch.setattr(Spool, "since", locking)
    async with rig.killed():
        await trio.sleep(10)
    began = rig.store.db.of("ratings").since
    rig.store.db = Database()
    async with rig.running():
        await trio.sleep(10)
    assert [gap["begin"] for gap in rig.store.gaps()] == [began]
