"""The checker finds what is amiss: else its zeros would tell nothing."""

from __future__ import annotations

import pytest
from faults.checker import Keys, Tally, _late
from faults.model import Message
from faults.press import STREAMS
from faults.rig import Rig

SOUND = (0, 0, 0, 0)


def counts(tally: Tally) -> tuple[int, int, int, int]:
    return tally.lost, tally.duplicated, tally.disordered, tally.wrong


@pytest.fixture
async def tally(rig: Rig) -> Tally:
    """Leave a Redis behind in which all is well, and no bridge."""
    await rig.start()
    rig.publish(50)
    tally = await rig.settled()
    await rig.bridge.stop()
    return tally


async def test_it_finds_each_fault(rig: Rig, tally: Tally) -> None:
    assert (counts(tally), tally.sent, tally.logged) == (SOUND, 150, 150)
    with rig.redis() as redis:
        entries = list(Keys(redis, "bz:ratings").entries("events"))
        redis.xadd("bz:ratings:events", entries[10][1])
        found = counts(rig.tally())
        assert (found[0], found[1]) == (0, 1)
        redis.xdel("bz:ratings:events", entries[10][0])
        assert counts(rig.tally())[2] == (entries[10][1]["source"] == "live")
        redis.xdel("bz:insights:events", "0-1", *ids(Keys(redis, "bz:insights"))[:2])
        assert counts(rig.tally())[0] == 2


async def test_it_finds_wrong_keys(rig: Rig, tally: Tally) -> None:
    for stream in STREAMS:
        breaks(rig, stream, before=rig.tally().wrong)


CONNECTIONS = {"1": "one", "2": "one", "3": "other", "4": "other"}


@pytest.mark.parametrize(
    ("logged", "late"),
    [
        ("1 2 3 4", 0),
        ("3 4 1 2", 0),  # the first of two bridges had it on its disk
        ("3 1 4 2", 0),
        ("2 1 3 4", 1),
        ("4 1 2 3", 1),
        ("2r 1 3 4", 0),  # a replay brought it before
        ("1 2 4 3r", 0),
    ],
)
def test_what_came_by_one_connection_has_its_order(logged: str, late: int) -> None:
    entries = [
        ("", {"source": "replay" if word.endswith("r") else "live"}, of(word[0]))
        for word in logged.split()
    ]
    assert len(list(_late(entries, CONNECTIONS))) == late


def of(number: str) -> Message:
    return Message(int(number), 0.0, "", "", (0, 0, 0, False), 0, number)


def breaks(rig: Rig, stream: str, *, before: int) -> None:
    """Make two keys of a stream wrong for good, and one for a while."""
    with rig.redis() as redis:
        symbol = redis.zrange(f"bz:{stream}:symbols", 0, 0)[0].decode()
        latest = f"bz:{stream}:latest:{symbol}"
        version = redis.hget(latest, "_version")
        redis.hset(latest, "_version", "1")
        assert counts(rig.tally())[3] > before
        redis.hset(latest, "_version", version)
        assert counts(rig.tally()) == (0, 0, 0, before)
        redis.zrem(f"bz:{stream}:symbols", symbol)
        assert counts(rig.tally())[3] == before + 1
        line = "history" if stream == "consensus" else "timeline"
        redis.delete(f"bz:{stream}:{line}:{symbol}")
        assert counts(rig.tally())[3] >= before + 2


def ids(keys: Keys) -> list[str]:
    return [identity for identity, _ in keys.entries("events")]
