"""More than memory should hold."""

from __future__ import annotations

import pytest
import trio
from faults.rig import Rig

COUNT = 20_000
MOST = 150  # MB; it begins with 50


@pytest.mark.long
async def test_a_flood_while_redis_is_away(rig: Rig) -> None:
    await rig.start()
    await rig.server.kill()
    peak = 0.0

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, rig.bridge.memory())
            await trio.sleep(0.1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await rig.flood(COUNT)
        await rig.server.start()
        tally = await rig.drained(COUNT, 180)
        nursery.cancel_scope.cancel()
    assert tally.is_whole, tally
    assert not tally.gaps
    assert peak < MOST
