"""What a bridge is made of, as its options say."""

from __future__ import annotations

from pathlib import Path

from bzredis.bridge.bridge import Bridge
from bzredis.commands.run import assemble
from bzredis.settings.settle import configure
from bzredis.store.client import Store

HERE, PORT = "ws://127.0.0.1:8765", "ws://127.0.0.1:8766"
THERE = "wss://api.example"


def made(folder: Path, upstream: str, **flags: str) -> Bridge:
    config = configure({"upstream": upstream, **flags}, {}, {})
    bridge = assemble(config, lambda: "t0ken", folder)
    bridge.spool.close()
    return bridge


async def test_what_is_kept_is_as_long_as_the_options_say(tmp_path: Path) -> None:
    lengths = {"events_maxlen": "7000", "timeline_length": "7", "history_length": "70"}
    store = made(tmp_path, HERE, **lengths).store
    assert isinstance(store, Store)
    found = {name: str(getattr(store.limits, name)) for name in lengths}
    assert found == lengths


async def test_of_another_upstream_nothing_that_was_spooled_is_written(
    tmp_path: Path,
) -> None:
    """A host is meant without its port."""
    bridges = {at: made(tmp_path, at) for at in (HERE, PORT, THERE)}
    logs = {at: bridge.lines[0].intake.holes.log for at, bridge in bridges.items()}
    hosts = [log.upstream for log in logs.values()]
    assert hosts == ["127.0.0.1", "127.0.0.1", "api.example"]
    spools = [str(getattr(bridge.spool, "path", "")) for bridge in bridges.values()]
    assert spools[0] == spools[1] != spools[2]
