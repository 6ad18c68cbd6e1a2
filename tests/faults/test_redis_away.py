"""Redis dies, hangs, forgets: nothing is lost, and nothing comes twice."""

from __future__ import annotations

import trio
from faults.rig import Rig, until
from hurt import freeze, restart, thaw


async def test_killed_and_back(rig: Rig) -> None:
    await rig.start()
    async with rig.talking(50):
        await trio.sleep(0.2)
        await rig.server.kill()
        await trio.sleep(3)
        await rig.server.start()
        await trio.sleep(0.5)
    tally = await rig.without_gaps()
    assert tally.sent > 100


async def test_killed_and_the_bridge_too_in_the_meantime(rig: Rig) -> None:
    await rig.start()
    await rig.known()
    async with rig.talking():
        await trio.sleep(0.5)
        await rig.server.kill()
        await trio.sleep(1.2)
        await rig.bridge.kill()
        await rig.start()  # its place upstream is taken for a while: 429
        await trio.sleep(0.5)
        await rig.server.start()
    await rig.without_gaps()


async def test_frozen(rig: Rig) -> None:
    await rig.start()
    async with rig.talking():
        await trio.sleep(0.2)
        freeze(rig.server)
        await trio.sleep(4)
        thaw(rig.server)
    await rig.without_gaps()


async def test_away_at_the_start(rig: Rig) -> None:
    await rig.server.kill()
    await rig.start()
    async with rig.talking():
        await until(lambda: "trouble with Redis" in rig.bridge.said())
        await trio.sleep(1.5)
        await rig.server.start()
    await rig.without_gaps()


async def test_back_with_nothing_it_gets_again_what_is_held(forgetful: Rig) -> None:
    rig = forgetful
    await rig.start()
    rig.publish(150)
    await rig.settled()
    await restart(rig.server)
    async with rig.talking():
        await trio.sleep(1)
    await rig.without_gaps()
    await until(lambda: "has less than it had confirmed" in rig.bridge.said())


async def test_back_with_nothing_what_nobody_holds_is_announced(
    forgetful: Rig,
) -> None:
    rig = forgetful
    await rig.start()
    rig.publish(300)
    await rig.settled()
    await rig.bridge.stop()
    await rig.start()  # it holds what a replay brings: 100 of each stream
    rig.publish(1)
    await rig.without_gaps()  # the replay has come
    await restart(rig.server)
    rig.publish(10)
    tally = await rig.settled(lambda t: t.is_sound and len(t.gaps) == 3)
    assert {gap["cause"] for gap in tally.gaps} == {"redis-rollback"}
    assert tally.covered + tally.logged == tally.sent
