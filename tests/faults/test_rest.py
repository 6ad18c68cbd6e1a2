"""The bridge is killed in the middle of a replay or of what REST gives back.

Redis is away at that time. What upstream said since is more than a replay holds: none
of it may be missing in the end, and no gap stand for it: REST is given its time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from faults.checker import Keys
from faults.rig import Rig, rigged, until
from trio import sleep

RECORDS = ("ratings", "insights")  # of consensus REST has just the newest
ONLY = ("--stream", "ratings", "--stream", "insights")
REPLAY = 100  # messages of a stream
MISSED = 400  # messages of a stream: some three batches of rows


@pytest.fixture
async def rig(tmp_path: Path, seed: int, told: None) -> AsyncIterator[Rig]:
    """Give a bridge that was killed, and all that upstream has said since."""
    async with rigged(tmp_path, seed, rest=True) as rig:
        rig.bridge = rig.another("first", *ONLY)
        rig.bridge.patient = True
        await rig.start(*RECORDS)
        rig.publish(REPLAY, *RECORDS)
        await rig.settled()
        await rig.bridge.kill()
        rig.publish(MISSED, *RECORDS)
        yield rig


def asks_for_the_replay(rig: Rig) -> Callable[[], bool]:
    heard = [*rig.simulator.heard].count(("ratings", "replay"))
    return lambda: [*rig.simulator.heard].count(("ratings", "replay")) > heard


def asks_rest(rig: Rig) -> Callable[[], bool]:
    rig.simulator.rest_faults["ratings"].delay = 1.0
    asked = len(rig.simulator.asked("ratings"))
    return lambda: len(rig.simulator.asked("ratings")) > asked


def writes_rows(rig: Rig) -> Callable[[], bool]:
    known = rig.redis_length("ratings:events") + REPLAY
    return lambda: rig.redis_length("ratings:events") > known


@pytest.mark.parametrize("moment", [asks_for_the_replay, asks_rest, writes_rows])
async def test_killed_in_the_middle_while_redis_is_away(
    rig: Rig, moment: Callable[[Rig], Callable[[], bool]]
) -> None:
    is_there = moment(rig)
    await rig.bridge.start()
    await until(is_there)
    await rig.server.kill()
    await sleep(rig.rng.random())
    await rig.bridge.kill()
    rig.publish(10, *RECORDS)
    await rig.bridge.start()
    await sleep(1)
    await rig.server.start()
    tally = await rig.without_gaps(*RECORDS, good=lambda t: t.is_sound)
    assert tally.fetched


async def test_the_checker_finds_what_is_amiss_with_rows(rig: Rig) -> None:
    await rig.start(*RECORDS)
    tally = await rig.settled(lambda t: t.is_sound)
    assert tally.superseded
    await rig.bridge.stop()
    with rig.redis() as redis:
        identity, row = [
            (identity, fields)
            for identity, fields in Keys(redis, "bz:ratings").entries("events")
            if fields["source"] == "rest" and fields["action"] != "deleted"
        ][-1]
        copy = redis.xadd("bz:ratings:events", row)
        assert rig.tally().duplicated == 1
        redis.xdel("bz:ratings:events", identity, copy)
        tally = rig.tally()
        assert not tally.duplicated
        assert tally.lost, "and what it stood for"
        assert tally.wrong
