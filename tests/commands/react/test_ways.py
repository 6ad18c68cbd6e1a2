"""`bzredis react` with --notify and --mqtt, as a person types it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from commands.looks.conftest import LIMIT, Look
from commands.react.test_react import reacting, until
from consumers.week import LAST, Bridge
from store.servers import Peer

from bzredis.commands.react.notify import asked as notify
from bzredis.commands.react.reaction import Happening
from bzredis.settings.config import FILE_VARIABLE, REACTS
from bzredis.streams import RATINGS


@attrs.define
class Post:
    """A server that takes messages."""

    address: str = ""
    got: list[dict[str, Any]] = attrs.field(factory=list)


@pytest.fixture
def post() -> Iterator[Post]:
    found = Post()

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.got.append(json.loads(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        found.address = f"127.0.0.1:{server.server_port}"
        yield found
        server.shutdown()
        thread.join(LIMIT)


def test_people_are_told_by_what_a_variable_names(
    look: Look, bridge: Bridge, post: Post
) -> None:
    url = f"json://me:hunter2xyz@{post.address}"
    words = ("phone", "--when", "_pt_change_pct > 20", "--from-start")
    with reacting(look, *words, environ={"BZREDIS_NOTIFY": url}):
        until(lambda: post.got)
        bridge.apply(RATINGS, bridge.week.rating(attrs.evolve(LAST, pt="140.00")))
        until(lambda: any("XOM" in each["message"] for each in post.got))
    lines = [line for each in post.got for line in each["message"].splitlines()]
    aapl, nvda, xom = lines
    assert aapl.startswith("AAPL: Evercore ISI Group upgrades to Outperform from In-")
    assert nvda == "NVDA: Citigroup keeps Buy, target 150.00 → 210.00"
    assert xom.endswith(" Overweight from Equal-Weight, target 112.00 → 140.00")
    assert bridge.peer.redis.xpending("bz:ratings:events", "phone")["pending"] == 0


def test_a_secret_comes_from_a_file(post: Post, tmp_path: Path) -> None:
    file = tmp_path / "urls"
    file.write_text(f"# mine\njson://me:hunter2xyz@{post.address} # by night\n")
    does = {"notify_file": file, "template": "{symbol}!"}
    make = notify.reaction(does, [RATINGS], str, LIMIT)

    async def tell() -> None:
        async with make() as react:
            await react(Happening("entry", "ratings", "AAPL", "1-0"))

    trio.run(tell)
    assert [each["message"] for each in post.got] == ["AAPL!"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--notify", "json://a:b@127.0.0.1"], "--notify: this URL holds a secret"),
        (["--notify", "nosuch://a"], "notify URL 1 cannot be used: apprise knows no"),
        (["--notify", " "], "--notify: is empty"),
        (["--notify-file", "/nope"], "--notify-file: the file /nope cannot be read"),
        (["--notify-file", "/dev/null"], "--notify-file: the file /dev/null names no"),
        (
            ["--notify", "json://127.0.0.1", "--template", "{fim}"],
            "--template: there is no field {fim}; is firm meant?",
        ),
        (["--notify", "json://127.0.0.1", "--per-minute", "0"], "--per-minute: has"),
        (["--notify", "json://127.0.0.1", "--", "true"], "x: one thing is done, not"),
        (["--template", "x", "--", "true"], "--template: it goes with notify alone"),
        (["--template", "x"], "there is no reaction x in "),
        (["--mqtt", "mqtt://a:b@127.0.0.1"], "--mqtt: this URL holds a password"),
        (["--mqtt", "mqtt://127.0.0.1:99999"], "--mqtt: its host or port cannot be"),
        (["--mqtt-file", "/dev/null"], "--mqtt-file: the URL cannot be used: it is"),
        (["--mqtt", "mqtt://h", "--when", "news"], "--when: it does not go with mqtt"),
        (["--mqtt", "mqtt://h", "--watch", "US0378331005"], "--watch: US0378331005 is"),
        (["--watch", "AAPL", "--", "true"], "--watch: it goes with mqtt alone"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(
    look: Look, peer: Peer, words: list[str], told: str
) -> None:
    done = look.run("react", "x", *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"bzredis: {told}")
    assert done.stderr.count("\n") == 1
    assert "a:b" not in done.stderr


def test_two_variables_are_one_too_many(look: Look, peer: Peer) -> None:
    both = {"BZREDIS_NOTIFY": "json://127.0.0.1", "BZREDIS_MQTT": "mqtt://127.0.0.1"}
    assert {*both} == {*REACTS}
    done = look.run("react", "x", environ=both)
    assert done.stderr.startswith("bzredis: BZREDIS_NOTIFY and BZREDIS_MQTT are set")


def test_a_mistake_in_the_file_is_told_with_its_place(
    look: Look, peer: Peer, tmp_path: Path
) -> None:
    file = tmp_path / "f.toml"
    file.write_text("[[reaction]]\nname = 'a'\nmqtt = 'mqtt://h'\nwatch = ['a b']\n")
    done = look.run("react", environ={FILE_VARIABLE: str(file)})
    assert done.stderr.startswith(f"bzredis: {file}: reaction 1 (a): watch: ")
