"""The bridge is stopped, at any moment and whatever hangs, and started again."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
import trio
from faults.checker import Tally
from faults.press import STREAMS
from faults.rig import PATIENCE, Rig, until
from hurt import freeze, thaw

AT_ONCE = 5.0  # s that an orderly stop may take


async def test_stopped_at_random_moments(rig: Rig) -> None:
    await rig.start()
    await rig.known()
    await rig.bridge.stop()
    async with rig.talking():
        for _ in range(3):
            await rig.start("ratings")
            await trio.sleep(rig.rng.random())
            assert await rig.bridge.stop() < AT_ONCE
        await rig.start()
    await rig.without_gaps()


async def test_stopped_before_it_has_begun(rig: Rig) -> None:
    for round_ in range(3):
        rig.bridge = rig.another(f"bridge {round_}")
        await rig.bridge.start()
        await until((rig.bridge.state / "spool").exists)
        await trio.sleep(rig.rng.random() / 10)
        assert await rig.bridge.stop() < AT_ONCE


async def test_stopped_while_redis_hangs_and_upstream_answers_no_goodbye(
    rig: Rig,
) -> None:
    await rig.start()
    await rig.known()
    async with rig.talking():
        await trio.sleep(0.5)
        freeze(rig.server)
        for faults in rig.simulator.faults.values():
            faults.ignore_close = True
        await trio.sleep(0.5)
        assert await rig.bridge.stop() < AT_ONCE
        for faults in rig.simulator.faults.values():
            faults.ignore_close = False
        thaw(rig.server)
        await rig.start()
    await rig.without_gaps()
    assert "spooled" in rig.bridge.said()


async def test_a_second_bridge(rig: Rig) -> None:
    """With our state folder it is turned away; with its own it touches nothing."""
    await rig.start()
    await until(rig.is_fresh)
    second = rig.another("first")
    await second.start()
    assert await second.ended() == 2
    assert f"in use by another bridge, process {rig.bridge.pid}" in second.said()
    assert all(map(rig.is_connected, STREAMS))
    first = rig.status()["bridge"]
    second = rig.another("second")
    await second.start()
    try:
        seen = set()
        refused = 0.0  # when upstream did, and a while after
        with trio.fail_after(PATIENCE):
            while not refused or time.monotonic() < refused + 1:
                seen.add((rig.status()["bridge"], rig.status()["state"], holder(rig)))
                await trio.sleep(0.1)
                if 429 in {attempt.status for attempt in rig.simulator.attempts}:
                    refused = refused or time.monotonic()
        assert seen == {(first, "live", first)}
    finally:
        await second.stop()
    assert rig.status()["bridge"] == first
    assert rig.is_fresh()
    rig.publish(10)
    await rig.without_gaps()


def holder(rig: Rig) -> str:
    with rig.redis() as redis:
        return (redis.get("bz:ratings:alive") or b"").decode()


async def test_a_state_folder_that_cannot_be(rig: Rig) -> None:
    rig.bridge.folder.mkdir()
    rig.bridge.state.write_text("a file")
    await rig.bridge.start()
    assert await rig.bridge.ended() == 2
    assert "--state-dir" in rig.bridge.said()


def spool_of(rig: Rig) -> Path:
    [spool] = (rig.bridge.state / "spool").glob("*.sqlite3")
    return spool


def spooled(rig: Rig) -> int:
    with closing(sqlite3.connect(spool_of(rig))) as db:
        (count,) = db.execute("SELECT count(*) FROM item").fetchone()
    return int(count)


def damage_spool(rig: Rig) -> None:
    spool = spool_of(rig)
    with closing(sqlite3.connect(spool)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with spool.open("r+b") as file:
        file.seek(2_048)
        file.write(rig.rng.randbytes(100_000))


@pytest.mark.parametrize("is_running", [False, True], ids=["between", "while it runs"])
async def test_a_damaged_spool(rig: Rig, *, is_running: bool) -> None:
    await rig.start()
    rig.publish(20)
    await rig.settled()
    await rig.server.kill()
    rig.publish(300)  # more than the replay brings back
    await until(lambda: spooled(rig) >= 300 * len(STREAMS))
    if is_running:
        damage_spool(rig)
        await rig.server.start()
        assert await rig.bridge.ended() == 1
        assert "Traceback" not in rig.bridge.said()
        assert "its spool was damaged while it ran" in rig.bridge.said()
        assert "start it again" in rig.bridge.said()
    else:
        await rig.bridge.kill()
        damage_spool(rig)
        await rig.server.start()
    await rig.start()
    await until(lambda: "damaged spool was set aside" in rig.bridge.said())
    rig.publish(10)

    def announced(tally: Tally) -> bool:
        return tally.is_sound and tally.covered > 0 and len(tally.gaps) == 3

    tally = await rig.settled(announced)
    assert {gap["cause"] for gap in tally.gaps} == {"restart"}
