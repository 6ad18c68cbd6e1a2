"""A server with a week of a market in it, a board before that, and a browser."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import httpx
import ports
import pytest
from consumers.week import DAY, LAST, Bridge, Week, nanos, today
from playwright.sync_api import Browser, Page, sync_playwright
from store.servers import Peer, running

from bzredis.streams import CONSENSUS, RATINGS, STREAMS, Stream

OURS: Final = ("AttributeError", "KeyError", "TypeError", "ValueError", "jinja2")
LIMIT: Final = 60.0  # s for anything that is waited for, on a busy machine too
CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")


@attrs.define(eq=False)
class Board:
    """`bzredis board` as a process of its own."""

    process: subprocess.Popen[bytes]
    port: int
    said: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=headers, timeout=LIMIT)

    def stopped(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(LIMIT)


@contextmanager
def board_at(
    url: str, folder: Path, *words: str, host: str = "127.0.0.1"
) -> Iterator[Board]:
    """Serve a board until the end of the block."""
    port, said = ports.free(), folder / "board.log"
    command = [sys.executable, "-P", "-m", "bzredis", "board", "--redis", url]
    environ = {**os.environ, "HOME": str(folder), "TZ": "UTC"}
    environ.pop("XDG_STATE_HOME", None)
    at = f"{host}:{port}"
    with said.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--listen", at, *words], env=environ, stdout=out, stderr=out
        )
    try:
        deadline = time.monotonic() + LIMIT
        while b"The board is at" not in said.read_bytes():
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < deadline, said.read_text()
            time.sleep(0.05)
        yield Board(process, port, said)
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait(LIMIT)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with running("valkey", tmp_path_factory.mktemp("web")) as peer:
        yield peer


@attrs.define
class Wrote:
    """What wrote a week into the server that ended yesterday, and goes on to."""

    bridge: Bridge
    _minutes: Iterator[int] = attrs.field(factory=lambda: itertools.count(14 * 60))

    @property
    def clock(self) -> str:
        """A time at which nothing came yet."""
        hour, minute = divmod(next(self._minutes), 60)
        return f"{hour:02}:{minute:02}"

    def rate(self, **what: Any) -> None:
        """Have one more rating come."""
        call = attrs.evolve(LAST, clock=self.clock, **what)
        self.bridge.apply(RATINGS, self.bridge.week.rating(call))

    def send(self, stream: Stream, **content: Any) -> None:
        """Have any content come."""
        week = self.bridge.week
        at = week.at(0, self.clock)
        if stream is not CONSENSUS:
            about = {"action": "created", "id": content["id"], "timestamp": nanos(at)}
            content = {**about, "content": content}
        self.bridge.apply(stream, week.frame(stream, at, **content))

    def live(self) -> None:
        """Have it be fresh, until `die`."""
        self.bridge.say("fresh")

    def die(self) -> None:
        """Take the signs of life away, as they expire after a kill -9."""
        for stream in STREAMS:
            self.bridge.peer.redis.delete(f"bz:{stream.name}:alive")


def week_into(peer: Peer) -> Wrote:
    made = Wrote(Bridge(peer, Week(today() - DAY)))
    made.bridge.write()
    made.live()
    return made


@pytest.fixture(scope="session")
def _wrote(server: Peer) -> Wrote:
    return week_into(server)


@pytest.fixture
def wrote(_wrote: Wrote) -> Wrote:
    _wrote.live()
    return _wrote


@pytest.fixture(scope="session")
def board(
    _wrote: Wrote, server: Peer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Board]:
    folder = tmp_path_factory.mktemp("board")
    with board_at(server.server.url, folder) as made:
        yield made
        assert made.stopped() == 0
        bugs = [each for each in made.said.read_text().splitlines() if "Error" in each]
        assert not [each for each in bugs if each.startswith(OURS)]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is here: scripts/consumers/provide installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@attrs.define(eq=False)
class Seen:
    """A page that is looked at, and what it did that it must not."""

    page: Page
    wrong: list[str] = attrs.field(factory=list)
    elsewhere: list[str] = attrs.field(factory=list)


@pytest.fixture
def seen(browser: Browser, board: Board, wrote: Wrote) -> Iterator[Seen]:
    """Return a page that runs no script of others, and asks this board only."""
    context = browser.new_context(base_url=board.url)
    context.set_default_timeout(1000 * LIMIT)
    found = Seen(context.new_page())
    page = found.page
    page.on("pageerror", lambda error: found.wrong.append(str(error)))
    page.on("dialog", lambda dialog: found.wrong.append(dialog.message))
    page.on(
        "console",
        lambda said: (
            found.wrong.append(said.text)
            if said.type == "error" and "Failed to load resource" not in said.text
            else None
        ),
    )
    page.on(
        "request",
        lambda asked: (
            None
            if asked.url.startswith(board.url)
            else found.elsewhere.append(asked.url)
        ),
    )
    yield found
    context.close()
    assert found.wrong == []
    assert found.elsewhere == []
