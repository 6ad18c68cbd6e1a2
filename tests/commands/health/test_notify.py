"""What systemd is told, and when it is not told that all is well."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf

import pytest
import trio
from commands.health.conftest import Systemd, count
from fakes import Rig, Said
from trio.testing import MockClock

from bzredis.commands.health.around import looked_after
from bzredis.commands.health.notify import notifier


@asynccontextmanager
async def running(rig: Rig) -> AsyncIterator[None]:
    async with rig.running() as bridge, looked_after(bridge, None):
        yield
        bridge.stop.set()
        await trio.sleep(5)


async def test_it_is_ready_once_and_then_alive_until_it_stops(
    rig: Rig, systemd: Systemd, autojump_clock: MockClock
) -> None:
    async with running(rig):
        await trio.sleep(0.5)
        [first] = systemd.heard()
        assert first == {
            "READY": "1",
            "WATCHDOG": "1",
            "STATUS": "ratings: not fresh: not connected yet",
        }
        later = await systemd.listen(1_000)
        assert count(later, "READY") == 0
        assert 95 < count(later, "WATCHDOG") < 105
        assert [each["STATUS"] for each in later if "STATUS" in each][-1] == (
            "all is fresh"
        )
    assert systemd.heard() == [{"STOPPING": "1", "STATUS": "stopping"}]


async def test_what_hangs_is_not_alive(
    rig: Rig, systemd: Systemd, said: Said, autojump_clock: MockClock
) -> None:
    async with running(rig):
        await systemd.listen(100)
        rig.store.hangs = True
        heard = await systemd.listen(500)
        told = [each.get("STATUS", "") for each in heard]
        since = next(n for n, words in enumerate(told) if "for a minute" in words)
        assert 3 < count(heard[:since], "WATCHDOG") < 10
        assert count(heard[since:], "WATCHDOG") == 0
        hanging = [
            f"ratings: {what} was not written for a minute"
            for what in ("a change", "its status")
        ]
        assert {*filter(None, told[since:])} <= {
            *hanging,
            "; ".join(hanging),
        }
        assert len([e for e in said if "hangs" in e["event"]]) == 1
        rig.store.hangs = False


async def test_while_upstream_and_redis_are_away_it_is_alive(
    rig: Rig, systemd: Systemd, autojump_clock: MockClock
) -> None:
    rig.store.trouble = "connection refused"
    rig.upstream.sessions.append("hang")
    async with running(rig):
        assert 95 < count(await systemd.listen(1_000), "WATCHDOG") < 105
        rig.store.trouble = ""


async def test_where_nobody_takes_it_it_is_told_again(
    rig: Rig,
    systemd: Systemd,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
) -> None:
    """A socket's queue may be full: nobody waits for that, and nothing is lost."""
    with notifier() as first:
        assert first is not None
        while first.send({"X": "y" * 100}):
            pass
        async with running(rig):
            await trio.sleep(10)
            assert all("X" in each for each in systemd.heard())
            await trio.sleep(10)
            assert "READY" in systemd.heard()[0]


async def test_no_sign_of_life_is_sent_that_nobody_wants(
    rig: Rig,
    systemd: Systemd,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
) -> None:
    monkeypatch.delenv("WATCHDOG_USEC")
    async with running(rig):
        await trio.sleep(100)
    told = systemd.heard()
    assert count(told, "WATCHDOG") == 0
    assert count(told, "READY") == count(told, "STOPPING") == 1


@pytest.mark.parametrize(
    ("wanted", "whose", "every"),
    [
        ("30000000", "", 10.0),
        ("30000000", "ours", 10.0),
        ("30000000", "1", inf),  # of whoever started us
        ("0", "", inf),
        ("", "", inf),
        ("soon", "", inf),
    ],
)
def test_how_often_is_as_systemd_says(
    systemd: Systemd,
    monkeypatch: pytest.MonkeyPatch,
    wanted: str,
    whose: str,
    every: float,
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", wanted)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if whose == "ours" else whose)
    with notifier() as to:
        assert to is not None
        assert to.every == every


def test_without_systemd_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    with notifier() as to:
        assert to is None


def test_an_abstract_socket_is_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"bzredis-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        with notifier() as to:
            assert to is not None
            assert to.send({"READY": "1"})
        assert listener.recv(100) == b"READY=1"


@pytest.mark.parametrize("path", ["/nowhere/notify", "relative", "/" + 200 * "x"])
def test_where_nobody_listens_the_bridge_runs_all_the_same(
    monkeypatch: pytest.MonkeyPatch, said: Said, path: str
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with notifier() as to:
        assert to is None
    assert [each["log_level"] for each in said] == ["warning"]
