"""Messages through real services on loopback, and what is told where they fail."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs
import pytest
import trio

from bzredis.commands.logs import redact
from bzredis.commands.react.notify.services import MISSING, Service, services
from bzredis.commands.react.notify.texts import Said
from bzredis.commands.react.reaction import NotDone
from bzredis.errors import ConfigError

SAID = Said("AAPL: upgraded", "AAPL: Mizuho upgrades to <Buy> from Neutral", "good")
LIMIT = 60.0  # s; what only a failure meets
KEY = "T1JJ3T3L2kcOXrIdevi7FQ"


@attrs.define
class Post:
    """A server that takes messages, as a chat does."""

    address: str
    got: list[dict[str, Any]] = attrs.field(factory=list)
    status: int = 200
    goes_on: threading.Event = attrs.field(factory=threading.Event)


@pytest.fixture
def post() -> Iterator[Post]:
    found = Post("")
    found.goes_on.set()

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.got.append({"path": self.path, **json.loads(body)})
            found.goes_on.wait(LIMIT)
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Say nothing of who hung up."""

    with Server(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        found.address = f"127.0.0.1:{server.server_port}"
        yield found
        found.goes_on.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Return what reaches a log; pytest's own also takes what goes into none."""
    found = list[str]()

    class Keeps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    root, handler = logging.getLogger(), Keeps()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield found
    root.removeHandler(handler)
    root.setLevel(level)


def one(url: str) -> Service:
    (found,) = services([url])
    return found


async def test_a_message_arrives(post: Post) -> None:
    await one(f"json://{post.address}/alerts").send(SAID, LIMIT)
    [got] = post.got
    assert got["path"] == "/alerts"
    assert (got["title"], got["message"]) == (SAID.title, SAID.body)
    assert got["type"] == "success"


async def test_a_refusal_is_the_reason(post: Post) -> None:
    post.status = 403
    with pytest.raises(NotDone, match=r"^service 1 \(JSON\): .*403") as error:
        await one(f"json://{post.address}").send(SAID, LIMIT)
    assert "\n" not in str(error.value)


async def test_nobody_there_is_the_reason(post: Post) -> None:
    with pytest.raises(NotDone, match=r"^service 1 \(JSON\): A Connection error"):
        await one("json://127.0.0.1:1").send(SAID, LIMIT)


async def test_who_does_not_answer_is_not_waited_for(post: Post) -> None:
    post.goes_on.clear()
    service = one(f"json://{post.address}?rto=30")
    with pytest.raises(NotDone, match=r"did not answer within 0.2 s"):
        await service.send(SAID, 0.2)
    with trio.move_on_after(0.2) as scope:  # nor holds it up who is stopped
        await service.send(SAID, LIMIT)
    assert scope.cancelled_caught


def test_nor_does_it_hold_up_the_end_of_the_program(post: Post) -> None:
    post.goes_on.clear()
    program = (
        "import sys, trio; from bzredis.commands.react.notify.services import services;"
        "from bzredis.commands.react.notify.texts import Said\n"
        "async def main():\n"
        "  async with trio.open_nursery() as nursery:\n"
        "    send = services([sys.argv[1]])[0].send\n"
        "    nursery.start_soon(send, Said('t', 'b'), 60)\n"
        "    await trio.to_thread.run_sync(sys.stdin.read)\n"
        "    nursery.cancel_scope.cancel()\n"
        "trio.run(main)"
    )
    command = [sys.executable, "-c", program, f"json://{post.address}?rto=300"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        while not post.got and process.poll() is None:
            time.sleep(0.01)
        assert process.stdin
        process.stdin.close()
        assert process.wait(LIMIT / 2) == 0


# ---- secrets


@pytest.mark.parametrize(
    ("url", "is_secret"),
    [
        ("json://127.0.0.1:8123/hooks/alerts", False),
        ("ntfy://my-stocks", False),
        ("json://me:hunter2@127.0.0.1:1", True),
        ("tgram://123456789:AAbbccddeeffgghhiijjkkllmmnnooppqqr/12345", True),
        (f"json://127.0.0.1:1/hooks/{KEY}", True),
        (f"json://127.0.0.1:1/?+X-Auth={KEY}", True),
        ("mailto://me:pass@gmail.com", True),
    ],
)
def test_a_secret_in_a_url_is_noticed(url: str, *, is_secret: bool) -> None:
    found = one(url)
    assert found.holds_secret is is_secret
    assert url not in repr(found)
    assert "hunter2" not in repr(found)


async def test_a_secret_is_in_no_reason_and_in_no_log(
    post: Post, logged: list[str]
) -> None:
    post.status = 500
    urls = [
        f"json://me:hunter2xyz@{post.address}/hooks/{KEY}",
        f"json://127.0.0.1:1/{KEY}?+X-Auth=another5ecret8",
    ]
    for service in services(urls):
        with pytest.raises(NotDone) as error:
            await service.send(SAID, LIMIT)
        told = f"{error.value!r} {service!r}"
        for secret in ("hunter2xyz", KEY, "another5ecret8"):
            assert secret not in told
    assert not logged
    assert KEY not in redact(f"POST /hooks/{KEY} HTTP/1.1")
    assert "hunter2xyz" not in redact("hunter2xyz")


# ---- what cannot be used


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("hello", "it has to begin as tgram://, mailto:// or ntfy:// do"),
        ("nosuch://x", "apprise knows no nosuch://"),
        ("json://", "something is missing in it, or wrong, for json://"),
        ("discord://1234abcd9999", "discord://: An invalid Discord Webhook Token was"),
    ],
)
def test_a_url_that_cannot_be_used_is_told_without_it(url: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        services(["json://127.0.0.1:1", url])
    assert str(error.value).startswith(f"notify URL 2 cannot be used: {told}")
    assert "1234abcd9999" not in str(error.value)


def test_without_apprise_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError) as error:
        services(["json://127.0.0.1:1"])
    assert str(error.value) == MISSING
