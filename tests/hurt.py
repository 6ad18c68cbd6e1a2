"""What can be done to a process that is one of ours."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

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


async def seconds_to_end(process: trio.Process, how: signal.Signals) -> float:
    """Send a signal; return how long it went on, less what it waited for a core.

    What a busy machine takes is no fault of the program's.
    """
    waited = before = _waited(process.pid)
    began = trio.current_time()
    process.send_signal(how)
    while process.poll() is None:
        waited = waited | _waited(process.pid)
        await trio.sleep(LOOK)
    lost = sum(count - before.get(task, 0) for task, count in waited.items()) / 1e9
    return trio.current_time() - began - lost


def _waited(pid: int) -> dict[str, int]:
    """Return for how many ns each thread was ready, and no core was free."""
    found = {}
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError, IndexError):  # it has ended
            found[path.parent.name] = int(path.read_text().split()[1])
    return found
