"""Redis dies, hangs, forgets: nothing that was read is lost, and nothing comes twice."""

from __future__ import annotations

import trio
from faults.rig import Rig


async def test_redis_is_killed_and_comes_back(rig: Rig) -> None:
    await rig.start()
    async with rig.talking():
        await trio.sleep(0.5)
        await rig.server.kill()
        await trio.sleep(3)
        await rig.server.start()
        await trio.sleep(0.5)
    tally = await rig.settled()
    assert not tally.gaps
    assert tally.sent > 100
