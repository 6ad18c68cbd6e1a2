"""What can be done to a process that is one of ours."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs
import trio

from bzredis.commands.embedded import Server

LOOK: Final = 0.02  # s


def number(server: Server) -> int | None:
    """Return its process, while there is one."""
    return server._process.pid if server._process else None


def freeze(server: Server) -> None:
    """Hold it: connections stay, and nothing answers."""
    if pid := number(server):
        os.kill(pid, signal.SIGSTOP)


def thaw(server: Server) -> None:
    """Let it go on."""
    if pid := number(server):
        os.kill(pid, signal.SIGCONT)


async def restart(server: Server) -> None:
    """Kill it and start it anew in the same place."""
    await server.kill()
    await server.start()


@attrs.define
class Stopwatch:
    """How long a process goes on from now, less what it waits for a core.

    What a busy machine takes is no fault of the program's.
    """

    process: trio.Process | subprocess.Popen[bytes]
    began: float = attrs.field(factory=time.monotonic)
    _before: dict[str, int] = attrs.field(init=False)
    _waited: dict[str, int] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._before = self._waited = _waited(self.process.pid)

    def goes_on(self) -> bool:
        """Look whether it does; often, since a thread that ended tells nothing."""
        if self.process.poll() is not None:
            return False
        self._waited = self._waited | _waited(self.process.pid)
        return True

    def seconds(self) -> float:
        """Return how long it went on until now."""
        waited = self._waited.items()
        lost = sum(count - self._before.get(task, 0) for task, count in waited)
        return time.monotonic() - self.began - lost / 1e9


async def seconds_to_end(process: trio.Process, how: signal.Signals) -> float:
    """Send a signal; return how long it went on by itself."""
    watch = Stopwatch(process)
    process.send_signal(how)
    while watch.goes_on():
        await trio.sleep(LOOK)
    return watch.seconds()


def _waited(pid: int) -> dict[str, int]:
    """Return for how many ns each thread was ready, and no core was free."""
    found = {}
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError, IndexError):  # it has ended
            found[path.parent.name] = int(path.read_text().split()[1])
    return found
