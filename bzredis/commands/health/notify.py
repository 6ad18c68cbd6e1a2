"""Tell systemd how the bridge is: sd_notify(3), where somebody listens.

What is on PyPI for it is ten lines as well, years old, and waits while it sends.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from math import inf
from typing import Final

import attrs
import structlog
import trio

from bzredis.commands.health.health import Health
from bzredis.commands.logs import redact

log = structlog.get_logger(__name__)

LOOK: Final = 1.0  # s between looks at how it is
SURE: Final = 2  # looks; at the first one all of us may just have been asleep
PER_LIMIT: Final = 3  # signs of life within the time in which one is wanted
SHORTEST: Final = 0.05  # s between signs of life; systemd would not mean less
LONGEST: Final = 400  # characters of a status


@attrs.frozen
class Notifier:
    """Where systemd listens; it is never waited for."""

    _socket: socket.socket
    every: float  # s between signs of life; inf: none is wanted

    def send(self, values: Mapping[str, str]) -> bool:
        """Send it now, or not at all; return whether it was taken."""
        text = "\n".join(f"{name}={value}" for name, value in values.items())
        with suppress(OSError):
            return self._socket.send(text.encode()) > 0
        return False


@contextmanager
def notifier() -> Iterator[Notifier | None]:
    """Give whom NOTIFY_SOCKET names; None where nobody listens."""
    if not (path := os.environ.get("NOTIFY_SOCKET", "")):
        yield None
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connected:
        connected.setblocking(False)
        try:
            connected.connect(path.replace("@", "\0", 1) if path[0] == "@" else path)
        except OSError as error:
            words = "NOTIFY_SOCKET: nobody listens there"
            log.warning(words, socket=path, error=str(error))
            yield None
        else:
            yield Notifier(connected, _interval())


def _interval() -> float:
    """Return how often systemd wants a sign of life of this process."""
    told = os.environ.get("WATCHDOG_USEC", "")
    ours = os.environ.get("WATCHDOG_PID") or str(os.getpid())
    if not (told.isdecimal() and int(told)) or ours != str(os.getpid()):
        return inf
    return max(int(told) / 1e6 / PER_LIMIT, SHORTEST)


async def tell(health: Health, to: Notifier) -> None:
    """Tell that it runs, how it is, and that it is alive while it works; then its end.

    That it runs is true before anything is fresh: upstream may be away for hours.
    """
    stop, news = health.bridge.stop, {"READY": "1"}
    said, looks = "", 0  # at what hangs
    due = inf if to.every == inf else trio.current_time()
    while not stop.is_set():
        hangs = health.hangs()
        looks = looks + 1 if hangs else 0
        if looks == SURE:
            log.error("the bridge hangs; systemd will start it again", what=hangs)
        status = redact(hangs or health.summary())[:LONGEST]
        is_due = trio.current_time() >= due and not hangs
        values = news | ({"STATUS": status} if status != said else {})
        values |= {"WATCHDOG": "1"} if is_due else {}
        if values and to.send(values):  # else at the next look
            news, said = {}, status
            due = trio.current_time() + to.every if is_due else due
        with trio.move_on_after(min(LOOK, to.every)):
            await stop.wait()
    to.send({"STOPPING": "1", "STATUS": "stopping"})
