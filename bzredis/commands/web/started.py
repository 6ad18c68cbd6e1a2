"""The board, started: where it listens, who may look, and what a person is told."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import attrs
import click
import trio

from bzredis.commands.form import STOPPED, endings
from bzredis.commands.logs import add_secret, configure_logs
from bzredis.commands.running.listening import Taken, listening
from bzredis.errors import ConfigError
from bzredis.settings.addresses import Listener, is_loopback, listener
from bzredis.settings.config import Config
from bzredis.settings.file import expanded

PORT: Final = 8399
WAITING: Final = 64  # connections that the kernel may hold until they are taken
PORTS: Final = 20  # that are tried where the first may be another's
# By the name under which it is imported, and the one under which it is installed: all
# of them are the extra `board`.
LIBRARIES: Final = {
    "hypercorn": "hypercorn",
    "jinja2": "jinja2",
    "markdown_it": "markdown-it-py",
    "nh3": "nh3",
    "starlette": "starlette",
}
TOLD_NOT_INSTALLED: Final = (
    "the board needs libraries that are not here: install them where bzredis is, with"
    " `pip install {}`"
)
ORIGIN: Final = re.compile(
    r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?"
)
ANY: Final = {"0.0.0.0", "::"}  # noqa: S104 - what stands for all addresses of a machine


@attrs.frozen
class Opened:
    """A board that listens, and is not served yet."""

    at: Listener
    listener: socket.socket = attrs.field(repr=False)
    token: str = attrs.field(repr=False)
    file: Path | None  # of the token
    origins: Sequence[str] = ()

    @property
    def url(self) -> str:
        if self.at.host in ANY:
            return f"http://{socket.gethostname()}:{self.at.port}/"
        return f"http://{self.at}/"

    async def serve(
        self,
        config: Config,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve it until cancelled; it has started when it can be looked at."""
        from bzredis.commands.web.door import serving  # noqa: PLC0415 - an extra

        await serving.serve(
            *(config, self.listener, self.token, self.origins), task_status=task_status
        )

    def words(self) -> Iterator[str]:
        """Say where it is to be seen; the token on a terminal, since logs are kept."""
        if not self.token:
            yield f"The board is at {self.url}"
            return
        is_shown = sys.stdout is not None and sys.stdout.isatty()
        link = f"{self.url}?token={self.token if is_shown else 'TOKEN'}"
        yield f"The board is at {link}"
        if not is_shown:
            yield f"The token stands in {self.file}"
        yield (
            "Whoever has this link may look, and on its way it can be read: beyond a"
            " network that you trust, put a proxy with TLS before it."
        )


def check() -> None:
    """See that all it needs is here. Raises ConfigError."""
    absent = [name for each, name in LIBRARIES.items() if find_spec(each) is None]
    if absent:
        raise ConfigError(TOLD_NOT_INSTALLED.format(" ".join(absent)))


@contextmanager
def opened(
    config: Config, listen: str | None = None, origins: Sequence[str] = ()
) -> Iterator[Opened]:
    """Have it listen. Raises ConfigError."""
    check()
    from bzredis.commands.web.door import access  # noqa: PLC0415 - for who serves

    try:
        at = listener(PORT if listen is None else listen)
    except ValueError as error:
        raise ConfigError(f"--listen {error}") from None
    for origin in origins:
        if not ORIGIN.fullmatch(origin):
            words = f"has to be as https://example.com, not {origin!r}"
            raise ConfigError(f"--allow-origin {words}")
    token, file = "", None
    if not is_loopback(at.host):
        token, file = access.token_in(expanded(config.state_dir))
        add_secret(token)
    with listening(at, "--listen", WAITING) as made:
        yield Opened(at, made, token, file, origins)


@contextmanager
def opened_near(config: Config) -> Iterator[Opened]:
    """Have it listen at its usual place, or at the next one that is free."""
    for port in range(PORT, PORT + PORTS):
        with ExitStack() as stack:
            try:
                made = stack.enter_context(opened(config, str(port)))
            except Taken:
                if port == PORT + PORTS - 1:
                    raise
                continue
            yield made
            return


def board(config: Config, listen: str | None, origins: Sequence[str]) -> int:
    """Serve the board until a signal ends it; return the exit code."""
    secrets = {secret for each in config.redis for secret in each.secrets}
    configure_logs("warning", secrets)
    with opened(config, listen, origins) as made:
        trio.run(_until_signal, config, made)
    return STOPPED


async def _until_signal(config: Config, made: Opened) -> None:
    with trio.open_signal_receiver(*endings()) as signals:
        async with trio.open_nursery() as nursery:
            await nursery.start(made.serve, config)
            for words in (*made.words(), "Ctrl-C ends it."):
                click.echo(words)
            await anext(signals)
            nursery.cancel_scope.cancel()
