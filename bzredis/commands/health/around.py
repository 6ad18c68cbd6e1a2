"""Who looks after a bridge while it runs: systemd, and whoever asks by HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from socket import socket

import trio

from bzredis.bridge.bridge import Bridge
from bzredis.commands.health.health import Health
from bzredis.commands.health.http import TEXT, Answer, Pages, serve
from bzredis.commands.health.notify import notifier, tell
from bzredis.commands.logs import redact
from bzredis.commands.running.listening import listening
from bzredis.errors import ConfigError
from bzredis.settings.addresses import Listener

WAITING = 16  # connections that the kernel may hold until they are taken
Serving = Callable[[Bridge], tuple[socket, Pages]]

TOLD_NOT_INSTALLED = (
    "--metrics needs the library prometheus-client: install it where bzredis is, with"
    " `pip install prometheus-client`"
)


def server(at: Listener | None) -> Serving | None:
    """Return what serves a bridge's pages, None where nobody wants them.

    Raises ConfigError where that cannot be; it listens already.
    """
    if at is None:
        return None
    try:
        from bzredis.commands.health import metrics  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if error.name != "prometheus_client":
            raise
        raise ConfigError(TOLD_NOT_INSTALLED) from None
    listener = listening(at, "--metrics", WAITING)

    def made(bridge: Bridge) -> tuple[socket, Pages]:
        return listener, {"/metrics": metrics.page(bridge), **pages(Health(bridge))}

    return made


def pages(health: Health) -> Pages:
    """Return the pages for probes: whether a restart would help, and how fresh it is.

    Only the first may have a program started again: while upstream is away nothing is
    fresh, and a restart would lose what is in memory.
    """

    def healthz(_: str) -> Answer:
        hangs = health.hangs()
        return _told(hangs or "ok", is_good=not hangs)

    def fresh(_: str) -> Answer:
        return _told("\n".join(health.words()), is_good=health.is_fresh())

    return {"/healthz": healthz, "/fresh": fresh}


def _told(words: str, *, is_good: bool) -> Answer:
    return 200 if is_good else 503, TEXT, redact(words + "\n").encode()


@asynccontextmanager
async def looked_after(bridge: Bridge, serving: Serving | None) -> AsyncIterator[None]:
    """Tell systemd of a bridge, and answer whoever asks, to the end of the block."""
    with notifier() as to, ExitStack() as stack:
        async with trio.open_nursery() as nursery:
            if to is not None:
                nursery.start_soon(tell, Health(bridge), to)
            if serving is not None:
                listener, answers = serving(bridge)
                stack.enter_context(listener)
                nursery.start_soon(serve, listener, answers)
            yield
            nursery.cancel_scope.cancel()
