"""The program itself, as a user runs it: real processes, sockets and signals."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import redis
import trio
from hurt import freeze, seconds_to_end, thaw

from bzredis import __version__
from bzredis.commands import embedded
from bzredis.simulator import Refusal, Settings, Simulator

TOKEN = "s3cr3t-t0ken-of-the-test"
LIMIT = 60.0  # s for anything that a process is waited for, on a busy machine too
STOP = 5.0  # s (contract.md, 4)
STREAMS = ("ratings", "insights", "consensus")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[embedded.Server]:
    async with embedded.running(tmp_path / "redis") as running:
        yield running


@pytest.fixture
async def upstream(nursery: trio.Nursery) -> Simulator:
    simulator = Simulator(
        Settings(token=TOKEN, rate=60, seed=1, consensus_ticker=True, refusal_delay=0.1)
    )
    await nursery.start(simulator.serve)
    return simulator


@asynccontextmanager
async def bzredis(
    *arguments: str, environ: Mapping[str, str] | None = None
) -> AsyncIterator[trio.Process]:
    """Run a command to the end of the block, and kill it if it goes on."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-P", "-m", "bzredis", *arguments],
        env={**os.environ, "BENZINGA_TOKEN": TOKEN, **(environ or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()
            for pipe in (process.stdout, process.stderr):
                assert pipe is not None
                await pipe.aclose()


def run_on(
    upstream: Simulator, server: embedded.Server, folder: Path, *more: str
) -> list[str]:
    return [
        *("run", "--upstream", f"ws://127.0.0.1:{upstream.port}"),
        *("--redis", server.url, "--state-dir", str(folder / "state"), *more),
    ]


async def ended(process: trio.Process) -> tuple[int, str]:
    """Wait for the end; return exit code and standard error."""
    assert process.stderr is not None
    said = b""
    with trio.fail_after(LIMIT):
        async for part in process.stderr:
            said += part
        return await process.wait(), said.decode()


async def stopped(process: trio.Process) -> float:
    """Ask it to end; return for how many s it went on."""
    with trio.fail_after(LIMIT):
        return await seconds_to_end(process, signal.SIGTERM)


def connect(url: str) -> Any:
    """Return a client; its types would want every answer narrowed."""
    return redis.Redis.from_url(url, decode_responses=True)


async def until_live(client: Any) -> None:
    with trio.fail_after(LIMIT):
        for stream in STREAMS:
            while not (
                client.exists(f"bz:{stream}:alive")
                and client.xlen(f"bz:{stream}:events") > 100
                and client.xrevrange(f"bz:{stream}:events", count=1)[0][1]["source"]
                == "live"
            ):
                await trio.sleep(0.05)


async def until_read(client: Any, upstream: Simulator) -> None:
    """Wait until what upstream sent last of each stream by now is in Redis."""
    last = dict(upstream.sent)
    with trio.fail_after(LIMIT):
        for stream, text in last.items():
            while text not in newest(client, stream):
                await trio.sleep(0.01)


def newest(client: Any, stream: str) -> set[str]:
    found = client.xrevrange(f"bz:{stream}:events", count=100)
    return {entry["raw"] for _, entry in found}


async def test_mirrors_and_flushes_at_sigterm(
    server: embedded.Server, upstream: Simulator, tmp_path: Path
) -> None:
    client = connect(server.url)
    # A frame whose row came first would be missing among those that came live.
    command = run_on(upstream, server, tmp_path, "--no-rest", "--log-level", "debug")
    async with bzredis(*command) as process:
        await until_live(client)
        told = await trio.run_process(
            ["ps", "-o", "args=", "-p", str(process.pid)], capture_stdout=True
        )
        assert b"bzredis" in told.stdout
        assert TOKEN.encode() not in told.stdout
        await until_read(client, upstream)  # however slow the machine is
        by_then = len(upstream.sent)
        took = await stopped(process)
        code, said = await ended(process)
    assert code == 0
    assert took < STOP
    assert TOKEN not in said
    sent = {
        stream: [text for name, text in upstream.sent if name == stream]
        for stream in STREAMS
    }
    unread = Counter(name for name, _ in [*upstream.sent][by_then:])
    for stream in STREAMS:
        status = client.hgetall(f"bz:{stream}:status")
        assert status["state"] == "stopped"
        assert status["backlog"] == status["rejected"] == status["gaps"] == "0"
        assert not client.exists(f"bz:{stream}:alive", f"bz:{stream}:rejected")
        entries = [entry for _, entry in client.xrange(f"bz:{stream}:events")]
        logged = [entry["raw"] for entry in entries]
        assert len(set(logged)) == len(logged)
        # What came with the replay came in no order. The last few may have been sent
        # and not read when the signal came, and none had to be that were sent later.
        live = [entry["raw"] for entry in entries if entry["source"] == "live"]
        first = sent[stream].index(live[0])
        assert live == sent[stream][first : first + len(live)]
        assert len(sent[stream]) - unread[stream] - first - len(live) < 30
        for symbol in client.zrange(f"bz:{stream}:symbols", 0, -1):
            assert client.hget(f"bz:{stream}:latest:{symbol}", "_symbol") == symbol
    client.close()


@pytest.mark.parametrize("level", ["info", "warning"])
async def test_it_says_in_a_few_lines_that_all_is_well_or_nothing(
    server: embedded.Server, upstream: Simulator, tmp_path: Path, level: str
) -> None:
    client = connect(server.url)
    command = run_on(upstream, server, tmp_path, "--log-level", level)
    environ = {"HOME": str(tmp_path), "HTTPS_PROXY": "http://nowhere.test:1"}
    async with bzredis(*command, environ=environ) as process:
        # It is told a moment after it stands there.
        told = "" if level == "warning" else await heard(process, "is fresh")
        with trio.fail_after(LIMIT):
            while client.exists(*(f"bz:{stream}:alive" for stream in STREAMS)) < 3:
                await trio.sleep(0.05)
        await stopped(process)
        code, said = await ended(process)
    client.close()
    assert code == 0
    lines = [json.loads(each) for each in (told + said).splitlines()]
    if level == "warning":
        assert lines == []
        return
    assert [each["event"] for each in lines] == [
        "bzredis starts",
        "all that stands in Redis is fresh",
        "stopping",
        "stopped; Redis has everything that was read",
    ]
    assert (
        lines[0].items()
        >= {
            "version": __version__,
            "streams": [*STREAMS],
            "upstream": "127.0.0.1",
            "redis": [server.url],
            "prefix": "bz",
            "state": str(tmp_path / "state"),
            "settings": None,
        }.items()
    )
    assert "proxy" not in lines[0], "this machine is reached without"


async def heard(process: trio.Process, words: str) -> str:
    """Wait until it has said something on standard error; return all until then."""
    assert process.stderr is not None
    said = b""
    with trio.fail_after(LIMIT):
        while words.encode() not in said:
            part = await process.stderr.receive_some()
            assert part, said.decode()
            said += part
    return said.decode()


STOPS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@STOPS
@pytest.mark.parametrize("command", ["run", "demo"])
async def test_a_stop_while_it_is_being_imported(
    command: str, number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "click.py").write_text(
        "import sys, time; print('here', file=sys.stderr, flush=True); time.sleep(60)"
    )
    async with bzredis(command, environ={"PYTHONPATH": str(tmp_path)}) as process:
        await heard(process, "here")
        process.send_signal(number)
        assert await ended(process) == (0, "")


@STOPS
@pytest.mark.parametrize("command", ["check", "rebuild"])
async def test_what_a_signal_keeps_from_its_end_does_not_say_that_all_is_well(
    command: str, number: signal.Signals
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        silent.settimeout(LIMIT)
        at = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        async with bzredis(command, "--redis", at) as process:
            asked, _ = await trio.to_thread.run_sync(silent.accept)
            with closing(asked):  # it waits for an answer
                process.send_signal(number)
                assert await ended(process) == (128 + number, "")


@STOPS
async def test_a_stop_while_it_reads_what_never_comes(
    number: signal.Signals, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    os.mkfifo(token)
    environ = {"BENZINGA_TOKEN": "", "BENZINGA_TOKEN_FILE": str(token)}
    async with bzredis("run", environ=environ) as process:
        with trio.fail_after(LIMIT):
            # Opened only once someone reads there, who then waits for what is written.
            writer = await trio.to_thread.run_sync(os.open, token, os.O_WRONLY)
        process.send_signal(number)
        assert await ended(process) == (0, "")
        os.close(writer)


async def test_stopped_twice_is_stopped(tmp_path: Path) -> None:
    """By someone impatient, say: the second signal finds that it ends already."""
    nowhere = ["--upstream", "ws://127.0.0.1:1", "--redis", "redis://127.0.0.1:1"]
    state = ["--state-dir", str(tmp_path / "state")]
    async with bzredis("run", *nowhere, *state) as process:
        await heard(process, "trouble with Redis")
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        code, said = await ended(process)
    assert code == 0
    assert "Traceback" not in said


def demos(folder: Path) -> list[Path]:
    """Return what demos have left there."""
    return list(folder.glob("bzredis-demo-*"))


async def test_a_demo_stopped_twice_leaves_nothing(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    async with bzredis("demo", environ=environ) as process:
        assert process.stdout is not None
        with trio.fail_after(LIMIT):
            while b"Ctrl-C ends" not in await process.stdout.receive_some():
                pass
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        code, said = await ended(process)
    assert code == 0
    assert "Traceback" not in said
    assert not demos(tmp_path)


async def test_a_spool_that_another_process_has_locked_does_not_hold_up_the_end(
    server: embedded.Server, upstream: Simulator, tmp_path: Path
) -> None:
    """Each of a stop's calls would wait for that lock."""
    client = connect(server.url)
    async with bzredis(*run_on(upstream, server, tmp_path, "--no-rest")) as process:
        await until_live(client)
        client.close()
        await server.stop()
        [path] = (tmp_path / "state" / "spool").glob("*.sqlite3")
        with closing(sqlite3.connect(path, isolation_level=None)) as shell:
            shell.execute("BEGIN IMMEDIATE")
            await trio.sleep(1.5)
            took = await stopped(process)
            code, said = await ended(process)
            shell.execute("ROLLBACK")
    assert code == 0
    assert took < STOP
    assert "is locked by another process" in said
    assert said.count("trouble with the state folder") == 1


async def test_a_wrong_token_ends_it_in_words(
    server: embedded.Server, upstream: Simulator, tmp_path: Path
) -> None:
    command = run_on(upstream, server, tmp_path, "--log-level", "debug")
    wrong = {"BENZINGA_TOKEN": "wr0ng-t0ken-of-the-test"}
    async with bzredis(*command, environ=wrong) as process:
        code, said = await ended(process)
    assert code == 3
    for stream in ("ratings", "insights", "consensus"):
        assert stream in said
    assert said.count("127.0.0.1 answered HTTP 401") == 1
    assert "BENZINGA_TOKEN" in said.splitlines()[-1]
    assert "tried again" not in said
    assert wrong["BENZINGA_TOKEN"] not in said


async def test_one_refused_stream_leaves_the_others_alone(
    server: embedded.Server, upstream: Simulator, tmp_path: Path
) -> None:
    upstream.faults["insights"].refuse = Refusal(403)
    client = connect(server.url)
    async with bzredis(*run_on(upstream, server, tmp_path)) as process:
        with trio.fail_after(LIMIT):
            while client.hget("bz:insights:status", "state") != "refused":
                await trio.sleep(0.05)
            while client.exists("bz:ratings:alive", "bz:consensus:alive") != 2:
                await trio.sleep(0.05)
        assert "403" in client.hget("bz:insights:status", "error")
        assert not client.exists("bz:insights:alive")
        process.send_signal(signal.SIGINT)
        code, said = await ended(process)
    assert code == 0
    assert "insights" in said
    client.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prefix", "a b"], "--prefix"),
        (["--upstream", "ws://example.com"], "--upstream"),
        (["--stream", "news"], "--stream"),
        (["--nonsense"], "--nonsense"),
    ],
)
async def test_a_bad_option_is_named_in_one_line(
    arguments: list[str], words: str
) -> None:
    async with bzredis("run", *arguments) as process:
        code, said = await ended(process)
    assert code == 2
    assert words in said
    assert said.count("\n") == 1


@pytest.mark.long
async def test_a_second_bridge_on_a_state_folder_names_the_first(
    server: embedded.Server, upstream: Simulator, tmp_path: Path
) -> None:
    client = connect(server.url)
    command = run_on(upstream, server, tmp_path)
    async with bzredis(*command) as first:
        with trio.fail_after(LIMIT):
            while not client.exists("bz:ratings:alive"):
                await trio.sleep(0.05)
        async with bzredis(*command) as second:
            code, said = await ended(second)
        assert code == 2
        assert str(first.pid) in said
        assert "--state-dir" in said
    client.close()


async def until_all_is_there(port: int, at: str) -> None:
    """Wait for each kind of key of each stream, and never see one of `rejected`."""
    names = ("latest:AAPL", "events", "symbols", "status", "alive")
    left = {f"{at}:{stream}:{name}" for stream in STREAMS for name in names}
    with closing(connect(f"redis://127.0.0.1:{port}")) as client:
        while left:
            left = {key for key in left if not client.exists(key)}
            assert not any(client.exists(f"{at}:{each}:rejected") for each in STREAMS)
            await trio.sleep(0.05)


@pytest.mark.parametrize("named", [True, False])
async def test_the_demo_shows_the_keys_and_takes_them_away(
    server: embedded.Server, tmp_path: Path, *, named: bool
) -> None:
    """It never goes to a Redis that was not named for it."""
    mine = connect(server.url)
    environ = {"HOME": str(tmp_path), "BZREDIS_REDIS": server.url}
    more = ["--redis", server.url] if named else []
    at = "demo" if named else "bz"  # made-up data stays apart
    async with bzredis("demo", *more, environ=environ) as process:
        assert process.stdout is not None
        text = ""
        with trio.fail_after(LIMIT):
            while (found := re.search(r"redis://127\.0\.0\.1:(\d+)", text)) is None:
                part = await process.stdout.receive_some()
                assert part, text
                text += part.decode()
            port = int(found[1])
            await until_all_is_there(port, at)
            while "Ctrl-C ends" not in text:
                part = await process.stdout.receive_some()
                assert part, text
                text += part.decode()
            process.terminate()
            async for part in process.stdout:
                text += part.decode()
            assert await process.wait() == 0
    assert "SIMULATED" in text.partition("\n")[0]
    if shutil.which("redis-cli"):
        assert f"HGETALL {at}:ratings:latest:AAPL" in text
    assert f"get AAPL --redis redis://127.0.0.1:{port}/0" in text
    assert "What came to Redis" in text
    assert not mine.keys("*"), "it takes its keys away, and never touched others"
    mine.close()


async def test_what_is_made_up_goes_where_nothing_is(
    server: embedded.Server, tmp_path: Path
) -> None:
    """Told a prefix by mistake it would take real keys away at its end."""
    mine = connect(server.url)
    mine.xadd("bz:insights:events", {"action": "created"})
    environ, to = {"HOME": str(tmp_path)}, ("--redis", server.url, "--prefix")
    async with bzredis("demo", *to, "bz", environ=environ) as process:
        code, said = await ended(process)
    assert (code, said.count("\n")) == (2, 1)
    assert "--prefix bz: something stands there already" in said
    assert mine.keys("*") == ["bz:insights:events"]
    more = ("--seconds", "3")
    async with bzredis("demo", *to, "mine", *more, environ=environ) as process:
        code, said = await ended(process)
    assert code == 0
    assert mine.keys("*") == ["bz:insights:events"]
    mine.close()


async def test_a_demo_for_a_redis_that_is_not_there_ends_in_one_line(
    tmp_path: Path,
) -> None:
    url = "redis://127.0.0.1:1"
    environ = {"HOME": str(tmp_path)}
    async with bzredis("demo", "--redis", url, environ=environ) as process:
        code, said = await ended(process)
    assert (code, said.count("\n")) == (2, 1)
    assert f"--redis {url}: cannot reach Redis" in said


async def test_a_demo_ends_in_time_though_its_redis_hangs(
    server: embedded.Server, tmp_path: Path
) -> None:
    client = connect(server.url)
    environ = {"HOME": str(tmp_path)}
    async with bzredis("demo", "--redis", server.url, environ=environ) as process:
        with trio.fail_after(LIMIT):
            while not client.exists("demo:ratings:events"):
                await trio.sleep(0.05)
        client.close()
        freeze(server)
        try:
            took = await stopped(process)
        finally:
            thaw(server)
        assert process.stdout is not None
        said = b""
        async for part in process.stdout:
            said += part
    assert took < STOP
    assert b"could not be taken away" in said
