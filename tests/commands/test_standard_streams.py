"""Where it says what, whoever reads that or does not: real processes."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
import trio
from hurt import seconds_to_end

from bzredis.commands import embedded
from bzredis.commands.outlet import WAITING, Outlet
from bzredis.simulator import Settings, Simulator

TOKEN = "s3cr3t-t0ken-of-the-test"
LIMIT = 60.0  # s
STOP = 5.0  # s (contract.md, 4)
C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
NOTICE = '{"type":"status","message":"%s"}'


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[embedded.Server]:
    async with embedded.running(tmp_path / "redis") as running:
        yield running


@pytest.fixture
async def upstream(nursery: trio.Nursery) -> Simulator:
    simulator = Simulator(Settings(token=TOKEN, rate=60, seed=1, refusal_delay=0.1))
    await nursery.start(simulator.serve)
    return simulator


@asynccontextmanager
async def running(  # noqa: PLR0913, PLR0917 - what differs from test to test
    upstream: Simulator,
    server: embedded.Server,
    folder: Path,
    prelude: str = "",
    environ: dict[str, str] | None = None,
    stderr: int | None = None,
) -> AsyncIterator[trio.Process]:
    """Run a bridge from a shell, after `prelude`; its end is sent what stops it."""
    told = ["--upstream", f"ws://127.0.0.1:{upstream.port}", "--redis", server.url]
    told += ["--state-dir", str(folder / "state"), "--no-rest", "--log-level", "debug"]
    program = [sys.executable, "-P", "-m", "bzredis", "run", *told]
    process = await trio.lowlevel.open_process(
        ["sh", "-c", f'{prelude or "exec"} "$@"', "sh", *program],
        env={**os.environ, "BENZINGA_TOKEN": TOKEN, **(environ or {})},
        stderr=stderr,
    )
    try:
        yield process
    finally:
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()


async def until_fresh(server: embedded.Server) -> None:
    client: Any = redis.Redis.from_url(server.url)
    with trio.fail_after(LIMIT):
        while not (
            client.exists("bz:ratings:alive") and client.xlen("bz:ratings:events") > 20
        ):
            await trio.sleep(0.05)
    client.close()


async def stopped(process: trio.Process, number: signal.Signals) -> int:
    with trio.fail_after(LIMIT):
        assert await seconds_to_end(process, number) < STOP
        return await process.wait()


@pytest.fixture
def stalled() -> Iterator[int]:
    """Give a pipe that is full, and that nobody reads."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while os.write(writing, b"x" * 1_000):
            pass
    os.set_blocking(writing, True)
    yield writing
    os.close(writing)
    os.close(reading)


async def test_nothing_waits_for_who_reads_the_log(
    server: embedded.Server, upstream: Simulator, tmp_path: Path, stalled: int
) -> None:
    async with running(upstream, server, tmp_path, stderr=stalled) as process:
        await until_fresh(server)
        assert await stopped(process, signal.SIGTERM) == 0


@pytest.mark.parametrize("prelude", ["exec 2>&- &&", "exec <&- >&- 2>&- &&"])
async def test_closed_streams_are_no_reason_to_end(
    server: embedded.Server, upstream: Simulator, tmp_path: Path, prelude: str
) -> None:
    prelude = f"{prelude} exec"
    async with running(upstream, server, tmp_path, prelude) as process:
        await until_fresh(server)
        # No file of ours has that number: warnings go there.
        target = await trio.Path(f"/proc/{process.pid}/fd/2").readlink()
        assert str(target) == os.devnull
        assert await stopped(process, signal.SIGTERM) == 0


async def test_a_full_disk_for_the_log_is_no_reason_to_end(
    server: embedded.Server, upstream: Simulator, tmp_path: Path
) -> None:
    prelude = "exec 2>/dev/full; exec"
    async with running(upstream, server, tmp_path, prelude) as process:
        await until_fresh(server)
        assert await stopped(process, signal.SIGTERM) == 0


async def test_a_terminal_that_is_closed_ends_it_in_good_order(
    server: embedded.Server, upstream: Simulator, tmp_path: Path
) -> None:
    # Of a locale without UTF-8 too: the script has to be read.
    async with running(upstream, server, tmp_path, environ=C) as process:
        await until_fresh(server)
        assert await stopped(process, signal.SIGHUP) == 0
    client: Any = redis.Redis.from_url(server.url, decode_responses=True)
    assert client.hget("bz:ratings:status", "state") == "stopped"
    client.close()


async def test_under_nohup_it_goes_on(
    server: embedded.Server, upstream: Simulator, tmp_path: Path
) -> None:
    prelude = "trap '' HUP; exec"
    async with running(upstream, server, tmp_path, prelude) as process:
        await until_fresh(server)
        process.send_signal(signal.SIGHUP)
        with trio.move_on_after(2):
            await process.wait()
        assert process.returncode is None
        assert await stopped(process, signal.SIGTERM) == 0


def bzredis(*arguments: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "bzredis", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )


def test_a_locale_without_our_letters_gets_them_escaped() -> None:
    found = bzredis("run", "--prefix", "ä ö", **C)
    assert (found.returncode, found.stderr.count(b"\n")) == (2, 1)
    assert bzredis("keys", **C).returncode == 0


@pytest.mark.parametrize("command", ["keys", "demo"])
def test_who_has_read_enough_ends_it_without_a_word(
    command: str, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "bzredis", command],
        env={**os.environ, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if command == "demo":
            assert process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(LIMIT) == (0 if command == "demo" else 1)  # click's way
    assert b"Traceback" not in said
    assert not list(tmp_path.glob("bzredis-demo-*"))


NOBODY = """
import os, pwd, sys
def unknown(*_): raise KeyError("no such user")
pwd.getpwuid = pwd.getpwnam = unknown
os.environ.pop("HOME", None)
from bzredis.__main__ import main
main()
"""


def test_who_has_no_home_is_told_which_option_helps(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-c", NOBODY, *arguments],
            env={"BENZINGA_TOKEN": TOKEN},
            cwd=tmp_path,
            capture_output=True,
            timeout=LIMIT,
            text=True,
            check=False,
        )

    assert run("--version").returncode == 0
    found = run("run")
    assert found.returncode == 2
    assert "--state-dir" in found.stderr
    assert found.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------- the outlet


def told(count: int) -> str:
    return f"{count} missing\n"


def test_what_does_not_fit_is_counted_and_told() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    for size in (1_000, 1):  # to the last byte: else lines find room, and all fit
        with suppress(BlockingIOError):
            while os.write(writing, b"x" * size):
                pass
    os.set_blocking(writing, True)
    with open(writing, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        outlet = Outlet(stream, told)
        for number in range(WAITING + 11):
            outlet.write(f"line {number}\n")
        assert os.read(reading, 1)
        heard = ""
        while "missing" not in heard:
            heard += os.read(reading, 2**20).decode()
        lines = heard.lstrip("x").splitlines()
        kept = [line for line in lines if line.startswith("line")]
        [missing] = [line for line in lines if line.endswith("missing")]
        # One was taken by the thread at once, perhaps; it is not in line any more.
        assert kept == [f"line {number}" for number in range(len(kept))]
        assert missing == told(WAITING + 11 - len(kept)).strip()
        outlet.flush()
    os.close(reading)


def test_a_stream_in_memory_is_written_at_once() -> None:
    stream = io.StringIO()
    outlet = Outlet(stream, told)
    outlet.write("a\n")
    assert stream.getvalue() == "a\n"
    stream.close()
    outlet.write("b\n")
    Outlet(None, told).write("c\n")


def test_letters_that_a_stream_does_not_know_are_escaped(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="ascii") as stream:
        outlet = Outlet(stream, told)
        outlet.write("ä\n")
        outlet.flush()
    assert (tmp_path / "log").read_bytes() == b"\\xe4\n"
