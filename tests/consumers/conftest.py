"""Consumers of every language that is here, a server, and a log to read."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import attrs
import pytest
from consumers.languages import LANGUAGES, is_here
from consumers.lines import STATES
from consumers.recording import Fields, Log, Recording, recorded
from store.servers import Peer, running

LOG: Final = "bz:ratings:events"
PAGE: Final = 500  # entries at once


@attrs.define
class Feed:
    """A bridge's log, appended to a server's under its own ids as a test wants it."""

    _entries: Iterator[tuple[str, Fields]]
    key: str = LOG

    def append(self, redis: Any, count: int) -> Log:
        """Append so many entries more, and return them."""
        made: Log = {}
        while page := [*islice(self._entries, min(PAGE, count - len(made)))]:
            pipeline = redis.pipeline(transaction=False)
            for identity, fields in page:
                pipeline.xadd(self.key, fields, identity)
            assert pipeline.execute() == [identity for identity, _ in page]
            made.update(page)
        return made


@attrs.define
class Consumer:
    """One language's program, run against a server as often as a test wants."""

    command: list[str]
    environment: dict[str, str]
    folder: Path
    _running: list[subprocess.Popen[bytes]] = attrs.field(factory=list)

    def start(self, *words: str, output: int | IO[bytes]) -> subprocess.Popen[bytes]:
        """Start it in a process group of its own: some run others."""
        with (self.folder / "errors").open("ab") as errors:
            process = subprocess.Popen(
                [*self.command, *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=self.environment,
                start_new_session=True,
            )
        self._running.append(process)
        return process

    def run(self, *words: str) -> list[str]:
        """Run it to its end; return the lines it printed."""
        done = subprocess.run(
            [*self.command, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=self.environment,
            timeout=60,
            check=False,
        )
        assert not done.returncode, done.stderr.decode()
        return split(done.stdout)

    def stop(self, how: int = signal.SIGKILL) -> None:
        """End all that still runs."""
        for process in self._running:
            end(process, how)


def end(process: subprocess.Popen[bytes], how: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, how)
    process.wait(60)


def split(output: bytes) -> list[str]:
    """Return the complete lines; `splitlines` would end them at more."""
    return output.decode().split("\n")[:-1]


def news(lines: list[str]) -> list[str]:
    """Return the lines of entries, without what was said of freshness."""
    return [line for line in lines if line not in STATES]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with running("valkey", tmp_path_factory.mktemp("consumers")) as peer:
        yield peer


@pytest.fixture
def peer(server: Peer) -> Peer:
    """Return a server with nothing in it."""
    server.redis.flushall()
    return server


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Peer]:
    """Return a server that knows after a restart what it knew before."""
    with running("valkey", tmp_path / "kept", appendonly="yes") as peer:
        yield peer


@pytest.fixture(scope="session", params=LANGUAGES)
def language(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[str], dict[str, str]]:
    """Return the command and the environment of each language that is here."""
    name: str = request.param
    if not is_here(name):
        pytest.skip(f"what the consumer in {name} needs is not installed")
    language = LANGUAGES[name]
    return language.ready(tmp_path_factory.mktemp(name)), language.surroundings()


@pytest.fixture
def consume(
    language: tuple[list[str], dict[str, str]], tmp_path: Path
) -> Iterator[Callable[[Peer], Consumer]]:
    """Return what makes a consumer of a server; with the test ends what it runs."""
    made: list[Consumer] = []

    def consumer(peer: Peer) -> Consumer:
        command, environment = language
        environment = {**environment, "REDIS_URL": peer.server.url}
        made.append(Consumer(command, environment, tmp_path))
        return made[-1]

    yield consumer
    for each in made:
        each.stop()


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Return what a bridge wrote; all workers of a run share one."""
    folder = tmp_path_factory.getbasetemp()
    return recorded(folder.parent if os.environ.get("PYTEST_XDIST_WORKER") else folder)


@pytest.fixture
def feed(recording: Recording) -> Feed:
    """Return what appends to a server's log what stood in a bridge's."""
    return Feed(recording.over_and_over())


def until(holds: Callable[[], bool], limit: float = 60) -> None:
    """Wait until it holds: what other processes do has to be polled."""
    deadline = time.monotonic() + limit
    while not holds():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)
