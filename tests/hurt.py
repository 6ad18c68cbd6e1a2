"""What can be done to a server that is one of ours."""

from __future__ import annotations

import os
import signal

from bzredis.commands.embedded import Server


def freeze(server: Server) -> None:
    """Hold it: connections stay, and nothing answers."""
    if server.pid is not None:
        os.kill(server.pid, signal.SIGSTOP)


def thaw(server: Server) -> None:
    """Let it go on."""
    if server.pid is not None:
        os.kill(server.pid, signal.SIGCONT)


async def restart(server: Server) -> None:
    """Kill it and start it anew in the same place."""
    await server.kill()
    await server.start()
