"""A rig in which all is well."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from commands.setup.checks.rig import TOKEN, Rig

from bzredis.commands.embedded import Server, server_binary
from bzredis.simulator import Simulator


@pytest.fixture
async def rig(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Rig]:
    for name in ("BENZINGA_TOKEN_FILE", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENZINGA_TOKEN", TOKEN)
    server = Server(server_binary(), tmp_path / "redis", {"appendonly": "yes"})
    await server.start()
    state = tmp_path / "state"
    # A limit for which every disk has room.
    flags = {
        "redis": (server.url,),
        "state_dir": str(state),
        "spool_limit": "16MiB",
    }
    rig = Rig(tmp_path, server, Simulator(), nursery, flags)
    try:
        await rig.simulate()
        yield rig
    finally:
        await server.stop()
