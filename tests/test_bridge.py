from __future__ import annotations

from fakes import Rig, frames
import trio


async def test_smoke(rig: Rig) -> None:
    rig.upstream.cache = frames(1, 2, 3)
    async with rig.running():
        await trio.sleep(3)
        rig.upstream.say(*frames(4))
        await trio.sleep(3)
        assert rig.store.numbers() == [1, 2, 3, 4]
        assert rig.store.status()["state"] == "live"
        assert rig.store.alive["ratings"]
    assert rig.store.status()["state"] == "stopped"
    assert rig.upstream.links[0].texts == ["replay", "ping"]
    print(trio.current_time())
