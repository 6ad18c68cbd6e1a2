"""What is said at the start: from where to where, and what lies spooled for whom."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from fakes import Said

from bzredis import __version__
from bzredis.bridge.bridge import Bridge
from bzredis.commands.run import assemble, proxies
from bzredis.commands.running.start import TOLD_NO_REST, TOLD_WAITS, say_start
from bzredis.errors import ConfigError
from bzredis.ports import Item
from bzredis.settings.file import Found
from bzredis.settings.settle import settle


def given(**flags: str) -> Found:
    """Return what flags say, with a file that is there."""
    told = {"upstream": "wss://api.example", "state_dir": "state", **flags}
    return Found(Path("/etc/some.toml"), "--config", True, settle(told, {}, {}))


def start(found: Found, folder: Path) -> Bridge:
    bridge = assemble(found.config, lambda: "t0ken", folder)
    say_start(found, proxies(found.config), folder, bridge)
    return bridge


async def test_one_line_says_what_runs(
    tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:s3cret-word@proxy.test:3128")
    found = given(redis="redis://u:s3cret-word@h:1/2", stream="insights", prefix="x")
    start(found, tmp_path).spool.close()
    [told] = said
    assert told == {
        "log_level": "info",
        "event": "bzredis starts",
        "version": __version__,
        "streams": ("insights",),
        "upstream": "api.example",
        "redis": ["redis://***@h:1/2"],
        "prefix": "x",
        "state": "state",
        "settings": "/etc/some.toml",
        "proxy": ["proxy.test:3128"],
    }


async def test_what_is_set_apart_is_told_behind_it(tmp_path: Path, said: Said) -> None:
    found = attrs.evolve(given(no_rest="true"), is_there=False)
    start(found, tmp_path).spool.close()
    assert said[0]["settings"] is None
    assert [each["event"] for each in said[1:]] == [TOLD_NO_REST]


async def test_what_lies_spooled_is_told_and_for_whom(
    tmp_path: Path, said: Said
) -> None:
    bridge = start(given(), tmp_path)
    log = bridge.lines[0].intake.holes.log
    bridge.spool.append("ratings", [Item(log, number, b"x") for number in range(3)])
    bridge.spool.close()
    start(given(), tmp_path).spool.close()
    start(given(prefix="other"), tmp_path).spool.close()
    whose = {"prefix": "bz", "redis": "127.0.0.1:6379/0", "upstream": "api.example"}
    assert [(e["log_level"], e["waiting"]) for e in said if "waiting" in e] == [
        ("info", 3),
        ("warning", 3),
    ]
    for told in said:
        assert "waiting" not in told or told.items() >= whose.items()
    assert said[2]["event"] == TOLD_WAITS


def test_a_proxy_that_cannot_be_asked_is_an_error_of_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://p.test")
    with pytest.raises(ConfigError, match="ALL_PROXY"):
        proxies(given().config)
