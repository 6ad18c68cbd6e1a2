"""A server with a week of a market in it, and the commands that look at it."""

from __future__ import annotations

import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from fcntl import ioctl
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from click.testing import CliRunner, Result
from consumers.week import BRIDGE, DAY, Bridge, Week, today
from hurt import LOOK, Stopwatch
from store.servers import Peer, running

from bzredis.commands.cli import bzredis
from bzredis.ports import Sign
from bzredis.settings.config import OPTIONS
from bzredis.streams.installed import stream as named

LIMIT = 60.0  # s for anything that is waited for, on a busy machine too
WIDTH, HEIGHT = 80, 24
ZONE, AHEAD = "CET-1", 3_600  # s


@attrs.define
class Look:
    """Runs a command as a process, through pipes or on a terminal of its own."""

    url: str
    environ: dict[str, str]

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-P", "-m", "bzredis", *words]

    def surroundings(self, more: dict[str, str] | None = None) -> dict[str, str]:
        return {**self.environ, "BZREDIS_REDIS": self.url, **(more or {})}

    def __call__(
        self, *words: str, code: int = 0, environ: dict[str, str] | None = None
    ) -> str:
        """Run it within this process; return what it printed."""
        done = self.run(*words, environ=environ)
        assert (done.exit_code, done.stderr) == (code, "")
        return done.stdout

    def run(self, *words: str, environ: dict[str, str] | None = None) -> Result:
        env = {**dict.fromkeys(os.environ), **self.surroundings(environ)}
        return CliRunner().invoke(bzredis, words, prog_name="bzredis", env=env)

    def process(
        self,
        *words: str,
        stdout: int = subprocess.PIPE,
        environ: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it as a process of its own, through pipes."""
        return subprocess.run(
            self.command(*words),
            env=self.surroundings(environ),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=LIMIT,
            check=False,
        )

    def terminal(
        self, *words: str, width: int = WIDTH, environ: dict[str, str] | None = None
    ) -> Terminal:
        """Start it on a terminal."""
        ours, its = pty.openpty()
        before = termios.tcgetattr(its)
        ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, width, 0, 0))
        process = subprocess.Popen(
            self.command(*words),
            env=self.surroundings({"TERM": "xterm-256color", **(environ or {})}),
            stdin=its,
            stdout=its,
            stderr=its,
            start_new_session=True,
        )
        os.close(its)
        return Terminal(process, ours, before)

    def shown(
        self,
        *words: str,
        code: int = 0,
        width: int = WIDTH,
        environ: dict[str, str] | None = None,
    ) -> str:
        """Run it on a terminal to its end; return what was printed there."""
        terminal = self.terminal(*words, width=width, environ=environ)
        with closing(terminal):
            assert terminal.ended() == code, terminal.text
        return terminal.text


@attrs.define(eq=False)
class Terminal:
    """A terminal with a command on it."""

    process: subprocess.Popen[bytes]
    fd: int
    before: list[Any]  # its modes, when nobody had changed them
    _read: bytearray = attrs.field(factory=bytearray)

    @property
    def text(self) -> str:
        """Everything that was printed."""
        return self._read.decode(errors="replace").replace("\r\n", "\n")

    def look(self, seconds: float = 0.1) -> bool:
        """Read what is there, waiting a little; tell whether there may be more."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            found = os.read(self.fd, 65_536)
        except OSError:  # nobody has it open any more
            return False
        self._read += found
        return bool(found)

    def until(self, holds: Callable[[str], bool]) -> str:
        """Read on until this holds of the text since the last time; return that."""
        deadline = time.monotonic() + LIMIT
        while not holds(self.text):
            assert self.look(), self.text
            assert time.monotonic() < deadline, self.text
        found = self.text
        self._read.clear()
        return found

    def seconds_to_end(self, ask: Callable[[], None]) -> float:
        """Ask it to end, and read on; return how long it went on by itself."""
        watch = Stopwatch(self.process)
        ask()
        deadline = time.monotonic() + LIMIT
        while watch.goes_on():
            self.look(LOOK)
            assert time.monotonic() < deadline, self.text
        return watch.seconds()

    def ended(self) -> int:
        """Read to the end; return the exit code."""
        deadline = time.monotonic() + LIMIT
        while self.look():
            assert time.monotonic() < deadline, self.text
        return self.process.wait(LIMIT)

    def type(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def resize(self, width: int, height: int) -> None:
        ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        os.killpg(self.process.pid, signal.SIGWINCH)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(LIMIT)
        os.close(self.fd)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with running("valkey", tmp_path_factory.mktemp("looks")) as peer:
        yield peer


@pytest.fixture
def peer(server: Peer) -> Peer:
    """Return a server with nothing in it."""
    server.redis.flushall()
    return server


@pytest.fixture
def bridge(peer: Peer) -> Bridge:
    """Return what wrote a week into the server, and goes on to.

    Its last day is today where `look` is, and that is not over before the test is.
    """
    left = DAY - (time.time() + AHEAD) % DAY
    if left < 2 * LIMIT:
        time.sleep(left)
    bridge = Bridge(peer, Week(today(AHEAD)))
    bridge.write()
    return bridge


@pytest.fixture
def look(server: Peer, tmp_path: Path) -> Iterator[Look]:
    environ = {**os.environ, "HOME": str(tmp_path), "TZ": ZONE}
    ours = {name for option in OPTIONS for name in (option.variable, *option.variables)}
    for name in (*ours, "XDG_CONFIG_HOME", "BZREDIS_CONFIG", "NO_COLOR", "COLUMNS"):
        environ.pop(name, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", environ["TZ"])
        time.tzset()
        yield Look(server.server.url, environ)
    time.tzset()


@pytest.fixture
def say(peer: Peer) -> Callable[..., None]:
    """Return what writes a stream's status as a bridge does."""

    def write(
        presence: Any = "connected", stream: str = "ratings", **fields: str
    ) -> None:
        with closing(peer.store()) as store:
            sign = Sign(BRIDGE, presence, "log", -1)
            trio.run(store.write_status, named(stream), fields, sign)

    return write
