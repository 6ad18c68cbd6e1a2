"""A bridge as systemd and Prometheus see it: a process of its own."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from commands.health.conftest import Systemd, count
from commands.health.test_pages import LIMIT, ask, at, values
from commands.test_process import bzredis, ended, run_on, server, stopped, upstream
from prometheus_client.parser import text_string_to_metric_families as of_text

from bzredis.commands.embedded import Server
from bzredis.settings.addresses import Listener
from bzredis.simulator import Simulator

__all__ = ["at", "server", "upstream"]  # fixtures

EVERY = 0.5  # s between signs of life


async def until(systemd: Systemd, found: Callable[[dict[str, str]], bool]) -> int:
    """Wait for a message; return how many signs of life came until then."""
    signs = 0
    with trio.fail_after(LIMIT):
        while True:
            for each in (heard := systemd.heard()):
                if found(each):
                    return signs + count(heard, "WATCHDOG")
            signs += count(heard, "WATCHDOG")
            await trio.sleep(0.05)


def is_alive(message: dict[str, str]) -> bool:
    return "WATCHDOG" in message


@asynccontextmanager
async def running(
    systemd: Systemd, upstream: Simulator, server: Server, folder: Path, *more: str
) -> AsyncIterator[trio.Process]:
    environ = {
        "NOTIFY_SOCKET": str(systemd.path.absolute()),
        "WATCHDOG_USEC": str(round(EVERY * 3e6)),
    }
    command = run_on(upstream, server, folder, "--no-rest", *more)
    async with bzredis(*command, environ=environ) as process:
        yield process


async def stopped_still(process: trio.Process) -> None:
    status = trio.Path(f"/proc/{process.pid}/stat")
    with trio.fail_after(LIMIT):
        while (await status.read_text()).rpartition(")")[2].split()[0] != "T":
            await trio.sleep(0.01)


async def test_systemd_hears_that_it_runs_that_it_lives_and_that_it_ends(
    systemd: Systemd, upstream: Simulator, server: Server, tmp_path: Path
) -> None:
    async with running(systemd, upstream, server, tmp_path) as process:
        await until(systemd, lambda each: each.get("READY") == "1")
        await until(systemd, lambda each: each.get("STATUS") == "all is fresh")
        for _ in range(3):
            await until(systemd, is_alive)
        process.send_signal(signal.SIGSTOP)
        await stopped_still(process)
        systemd.heard()  # what it said before
        await trio.sleep(4 * EVERY)
        assert systemd.heard() == [], "it is frozen, and says that it lives"
        process.send_signal(signal.SIGCONT)
        await until(systemd, is_alive)
        process.terminate()
        await until(systemd, lambda each: each.get("STOPPING") == "1")
        assert (await ended(process))[0] == 0


async def test_whoever_asks_gets_what_is_so_and_holds_up_no_end(
    systemd: Systemd,
    upstream: Simulator,
    server: Server,
    tmp_path: Path,
    at: Listener,
) -> None:
    more = ("--metrics", str(at.port))
    async with running(systemd, upstream, server, tmp_path, *more) as process:
        await until(systemd, lambda each: each.get("STATUS") == "all is fresh")
        code, _, text = await ask(at, "/metrics")
        assert code == 200
        found = values(list(of_text(text)))
        for name in ("ratings", "insights", "consensus"):
            assert found["bzredis_stream_fresh", name] == 1
            assert found["bzredis_events_total", name] > 0
        assert "s3cr3t" not in text
        assert (await ask(at, "/healthz"))[0] == (await ask(at, "/fresh"))[0] == 200
        with trio.fail_after(LIMIT):
            waiting = await trio.open_tcp_stream(at.host, at.port)
        async with waiting:
            assert await stopped(process) < 5
        assert (await ended(process))[0] == 0


@pytest.mark.parametrize("more", [(), ("--metrics",)])
async def test_a_port_that_is_taken_is_told_and_no_bridge_runs(
    upstream: Simulator, server: Server, tmp_path: Path, more: tuple[str, ...]
) -> None:
    place = f"127.0.0.1:{upstream.port}"
    given = ("--metrics", place) if more else ()
    environ = {} if more else {"BZREDIS_METRICS": place}
    command = run_on(upstream, server, tmp_path, *given)
    async with bzredis(*command, environ=environ) as process:
        code, said = await ended(process)
    assert code == 2
    [line] = said.splitlines()
    assert line.startswith(f"bzredis: --metrics: nobody can listen at {place}: ")
