"""Ports that are still free when the program that was told of one listens there.

It may take seconds to start: meanwhile nobody else may be given the same one. So each
worker of a run has ports of its own, where neither connections nor the servers of
`embedded` are, which try several.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from random import SystemRandom
from typing import Final

FIRST: Final = 10_000
EACH: Final = 500  # of a worker
WORKERS: Final = 20  # then the first ones' once more


def free() -> int:
    """Return a port of 127.0.0.1 that no other worker is given."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    first = FIRST + int(worker) % WORKERS * EACH
    for port in SystemRandom().sample(range(first, first + EACH), EACH):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")
