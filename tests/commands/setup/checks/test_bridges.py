"""Other bridges are named and not disturbed, and so is what they left."""

from __future__ import annotations

from typing import Any

import pytest
from commands.setup.checks.rig import NOBODY, Rig

from bzredis.backlog.spool import opened
from bzredis.backlog.statefolder import locked
from bzredis.commands.running.start import target
from bzredis.ports import Item, Log, Sign
from bzredis.simulator import Refusal
from bzredis.store.client import Store
from bzredis.streams import STREAMS


async def sign(rig: Rig, state: str = "live", presence: Any = "fresh") -> None:
    store = Store(rig.server.url)
    now = "2026-11-28T06:00:00.000Z"
    told = {"state": state, "upstream": "127.0.0.1", "version": "1", "started_at": now}
    for stream in STREAMS:
        await store.write_status(stream, told, Sign("them", presence, "log", -1))
    store.close()


async def test_a_second_bridge_disturbs_no_first_one(rig: Rig) -> None:
    await sign(rig)
    before = sorted(rig.client.keys())
    await rig.one("bridge", "warning", "one writes under bz already: version 1")
    assert not rig.simulator.attempts
    assert sorted(rig.client.keys()) == before


@pytest.mark.parametrize(
    ("state", "presence", "attempts"),
    [("retrying", "apart", 0), ("refused", "apart", 3), ("stopped", "gone", 3)],
)
async def test_which_bridge_is_not_to_be_disturbed(
    rig: Rig, state: str, presence: str, attempts: int
) -> None:
    await sign(rig, state, presence)
    found = await rig.all_of_it()
    assert len(rig.simulator.attempts) == attempts
    is_there = presence != "gone"
    assert found["bridge"].state == ("warning" if is_there else "ok")


async def test_the_bridge_that_runs_here(rig: Rig) -> None:
    await sign(rig)
    with locked(rig.folder / "state", "another bridge"):
        found = await rig.one(
            "bridge", "warning", "it runs already (a bridge, process "
        )
    assert found.todo == "nothing: one is enough"
    assert not rig.simulator.attempts


async def test_the_bridge_that_runs_here_and_is_refused(rig: Rig) -> None:
    await sign(rig, "refused", "apart")
    with locked(rig.folder / "state", "another bridge"):
        await rig.one("bridge", "warning", "it runs already (a bridge, process ")


async def test_one_that_holds_the_folder_and_writes_elsewhere(rig: Rig) -> None:
    with locked(rig.folder / "state", "another bridge") as folder:
        before = {each: each.read_bytes() for each in folder.iterdir()}
        await rig.one("folder", "error", "is in use by a bridge, process")
        assert {each: each.read_bytes() for each in folder.iterdir()} == before
    assert not rig.simulator.attempts
    assert await rig.ill() == []  # the lock was given back


async def test_one_that_runs_while_redis_is_away_is_left_to_it(rig: Rig) -> None:
    with locked(rig.folder / "state", "another bridge"):
        await rig.one("redis", "error", "nobody listens", redis=(NOBODY,))


async def test_one_that_is_connected_from_elsewhere(rig: Rig) -> None:
    for faults in rig.simulator.faults.values():
        faults.refuse = Refusal(429)
    await rig.one("connection", "warning", "the place of this key in ratings, insights")


async def test_keys_that_came_from_another_upstream(rig: Rig) -> None:
    rig.client.hset("bz:ratings:internal:coverage", "upstream", "elsewhere.example")
    found = await rig.one("keys", "error", "elsewhere.example")
    assert "--prefix" in found.todo
    assert await rig.ill(prefix="other") == []


async def test_what_waits_in_the_folder(rig: Rig) -> None:
    place, config = rig.folder / "state" / "spool", rig.found().config
    place.parent.mkdir(mode=0o700)
    own = f"{target(config)} {config.upstream.host}"
    for whose in (own, "demo 127.0.0.1:1/0 elsewhere.example"):
        spool, _ = opened(place, whose, 10**6)
        log = Log("log", "*", 0, "elsewhere.example")
        spool.append("ratings", [Item(log, 0, b"packed")])
        spool.close()
        if whose == own:
            before = {each: each.read_bytes() for each in place.iterdir()}
            found = await rig.all_of_it()
            assert found["spool"].state == "ok"
            assert "1 message" in found["spool"].words
            assert {each: each.read_bytes() for each in place.iterdir()} == before
    finding = await rig.one("spool", "warning", "1 message for prefix demo")
    assert "upstream elsewhere.example" in finding.words
