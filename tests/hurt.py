"""What can be done to a server that is one of ours."""

from __future__ import annotations

import os
import signal

from bzredis.commands.embedded import Server


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
