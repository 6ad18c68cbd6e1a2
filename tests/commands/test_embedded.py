from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import trio
from hurt import freeze, number, restart, thaw
from redis import Redis

from bzredis.commands import embedded
from bzredis.commands.embedded import Server, running, server_binary
from bzredis.errors import ConfigError

PARENT = """
import sys, trio
from pathlib import Path
from bzredis.commands.embedded import running

async def main():
    async with running(Path(sys.argv[1])) as server:
        print(server._process.pid, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has waited for does not."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return bool(state) and not state.startswith("Z")


async def gone(pid: int) -> None:
    with trio.fail_after(60):
        while is_alive(pid):
            await trio.sleep(0.02)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path / "with space") as server:
        yield server


async def test_it_answers_on_loopback_and_keeps_its_things_in_its_folder(
    server: Server,
) -> None:
    with Redis.from_url(server.url) as redis:
        assert redis.ping()
        assert redis.config_get("bind")["bind"].split() == ["127.0.0.1"]
        assert redis.config_get("dir")["dir"] == str(server.folder)
    assert "eady to accept connections" in server.log.read_text()
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700


async def test_it_does_not_get_our_ctrl_c(server: Server) -> None:
    pid = number(server)
    assert pid is not None
    assert os.getpgid(pid) == pid


async def test_it_ends_with_its_block(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        pid = number(server)
    assert pid is not None
    assert not is_alive(pid)
    assert number(server) is None


async def test_it_ends_when_we_are_cancelled_even_if_it_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "GOODBYE", 0.1)
    monkeypatch.setattr(signal, "SIGCONT", signal.SIGSTOP)  # it goes on hanging
    with trio.CancelScope() as scope:
        async with running(tmp_path) as server:
            pid = number(server)
            freeze(server)
            scope.cancel()
            await trio.sleep_forever()
    assert pid is not None
    assert not is_alive(pid)


async def test_it_ends_when_we_are_killed(tmp_path: Path) -> None:
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    async with process.stdout:
        with trio.fail_after(60):
            pid = int(await process.stdout.receive_some())
        assert is_alive(pid)
        process.kill()
        await process.wait()
        await gone(pid)


async def test_a_restart_keeps_the_port_and_with_aof_the_data(tmp_path: Path) -> None:
    settings = {"appendonly": "yes", "appendfsync": "always"}
    server = Server(server_binary(), tmp_path, settings=settings)
    await server.start()
    try:
        url = server.url
        with Redis.from_url(url) as redis:
            redis.set("a", "1")
        await restart(server)
        assert server.url == url
        with Redis.from_url(url, decode_responses=True) as redis:
            assert redis.get("a") == "1"
    finally:
        await server.stop()


async def test_without_aof_it_comes_back_empty(server: Server) -> None:
    with Redis.from_url(server.url) as redis:
        redis.set("a", "1")
    await server.kill()
    assert number(server) is None
    await server.start()
    with Redis.from_url(server.url) as redis:
        assert redis.get("a") is None


async def test_a_frozen_server_answers_once_it_is_thawed(server: Server) -> None:
    freeze(server)
    with trio.move_on_after(0.2) as scope:
        await server._is_ready(number(server) or 0)
    assert scope.cancelled_caught
    thaw(server)
    with trio.fail_after(60):
        assert await server._is_ready(number(server) or 0)


async def test_a_server_that_wants_a_password_is_ready_too(tmp_path: Path) -> None:
    server = Server(server_binary(), tmp_path, settings={"requirepass": "s3cret"})
    await server.start()
    await server.stop()


async def test_a_taken_port_is_exchanged_for_another(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = iter([server.port, embedded.free_port()])
    monkeypatch.setattr(embedded, "free_port", lambda _: next(ports))
    async with running(tmp_path / "second") as second:
        assert second.port != server.port


def test_a_free_port_is_none_that_a_connection_may_be_given() -> None:
    given = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if not given.exists():
        pytest.skip("no list of them here")
    first, last = map(int, given.read_text().split())
    assert not {embedded.free_port() for _ in range(100)} & {*range(first, last + 1)}


async def test_a_port_that_was_asked_for_is_not(server: Server, tmp_path: Path) -> None:
    second = Server(server_binary(), tmp_path / "second", port=server.port)
    with pytest.raises(ConfigError, match=r"did not start: .*server\.log"):
        await second.start()
    assert number(second) is None


async def test_a_server_that_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "READY", 0.1)
    mute = tmp_path / "mute"
    mute.write_text("#!/bin/sh\nexec sleep 60\n")
    mute.chmod(0o755)
    with pytest.raises(ConfigError, match="it said nothing"):
        await Server(mute, tmp_path, port=1).start()


def fake_server(folder: Path, name: str, said: str) -> Path:
    binary = folder / name
    binary.write_text(f"#!/bin/sh\necho '{said}'\n")
    binary.chmod(0o755)
    return binary


def test_an_installed_server_is_the_fallback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "files", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    fake_server(tmp_path, "valkey-server", "Redis server v=5.0.14 sha=0")
    found = fake_server(tmp_path, "redis-server", "Redis server v=6.2.1 sha=0")
    assert server_binary() == found


def test_without_any_server_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(embedded, "files", absent)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "redis-server").write_bytes(b"\x7fELF of another platform")
    (tmp_path / "redis-server").chmod(0o755)
    with pytest.raises(ConfigError, match="install valkey-server or redis-server"):
        server_binary()


def test_the_binary_of_here_runs() -> None:
    version = embedded._version(server_binary())
    assert version is not None
    assert version >= embedded.OLDEST


async def test_the_port_that_is_wanted_or_the_next_one(
    server: Server, tmp_path: Path
) -> None:
    async with running(tmp_path / "second", server.port) as second:
        assert server.port < second.port < server.port + embedded.NEAR
