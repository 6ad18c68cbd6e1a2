"""The bridge as a process of its own, as a user runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import attrs
import trio
from hurt import seconds_to_end

TOKEN: Final = "t0ken+with/odd=signs%2b"
GONE: Final = 60.0  # s that a process may take to end, on a busy machine too
JUMPY: Final = Path(__file__).with_name("jumpy.py")
UNREAD: Final[list[int]] = []  # ends of pipes, open as long as this process is
ENOUGH: Final = "1000000"  # entries and records: nothing may be trimmed
# As the command itself, but REST has longer than a minute before a hole is a gap.
PATIENT: Final = (
    "from bzredis.bridge import coverage; coverage.GIVE_UP = 600.0;"
    "from bzredis.__main__ import main; main()"
)


@contextmanager
def full_pipe() -> Iterator[int]:
    """Give the end of a pipe that is full, and that nobody will ever read."""
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)  # or who writes would hear that it is broken
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while os.write(writing, b"x" * 4_096):
            pass
    os.set_blocking(writing, True)
    try:
        yield writing
    finally:
        os.close(writing)
        UNREAD.append(reading)


@attrs.define
class Bridge:
    """`bzredis run` as a process of its own; it comes and goes, its folder stays."""

    folder: Path
    upstream: int  # port
    redis: str
    options: tuple[str, ...] = ()
    rest: bool = False
    process: trio.Process | None = None
    stalls: bool = False  # its log is a pipe that nobody reads
    clock: Path | None = None  # a file with s that its clock on the wall is ahead
    patient: bool = False  # with REST, however long a busy machine takes for it

    @property
    def log(self) -> Path:
        return self.folder / "bridge.log"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def start(self) -> None:
        """Start it; the log goes on where it was."""
        assert self.process is None
        self.folder.mkdir(parents=True, exist_ok=True)
        program = ["-c", PATIENT] if self.patient else ["-m", "bzredis"]
        if self.clock is not None:
            program = [str(JUMPY)]
        command = [sys.executable, "-P", *program, "run"]
        command += ["--upstream", f"ws://127.0.0.1:{self.upstream}"]
        command += ["--state-dir", str(self.state)]
        if not self.rest:  # then what is read from sockets is what counts
            command += ["--no-rest"]
        command += ["--events-maxlen", ENOUGH, "--timeline-length", "10000"]
        command += ["--history-length", "100000"]
        environ = {k: v for k, v in os.environ.items() if not k.startswith("BZREDIS_")}
        if self.clock is not None:
            environ["JUMPY_CLOCK"] = str(self.clock)
        with full_pipe() if self.stalls else self.log.open("ab") as log:
            self.process = await trio.lowlevel.open_process(
                [*command, *self.options],
                env={**environ, "BENZINGA_TOKEN": TOKEN, "BZREDIS_REDIS": self.redis},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def ended(self, seconds: float = GONE) -> int:
        """Wait for its end; return the exit code."""
        assert self.process is not None
        with trio.fail_after(seconds):
            code = await self.process.wait()
        self.process = None
        return code

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def is_awake(self) -> bool:
        """Tell whether SIGTERM would find a bridge, and not a Python that starts."""
        told = Path(f"/proc/{self.pid}/status").read_text()
        [caught] = [line for line in told.splitlines() if line.startswith("SigCgt")]
        return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)

    async def kill(self) -> None:
        """End it as the power would."""
        if self.process is not None:
            self.process.kill()
            await self.ended()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Ask it to end; return for how many s it went on by itself (hurt.py)."""
        assert self.process is not None
        with trio.fail_after(GONE):
            took = await seconds_to_end(self.process, number)
        assert await self.ended() == 0
        return took

    def shown(self) -> str:
        """Return what everybody on this machine can see of it."""
        process = Path(f"/proc/{self.pid}")
        return (process / "cmdline").read_text() + (process / "comm").read_text()

    def memory(self) -> float:
        """Return the resident set in MB."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""
