"""A real mosquitto, and what stands in it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from hashlib import pbkdf2_hmac
from pathlib import Path
from secrets import token_bytes
from typing import Any

import attrs
import ports
import pytest
import structlog
import trustme
from commands.looks.conftest import bridge, look, peer, server
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

__all__ = ["bridge", "look", "peer", "server"]

LIMIT = 60.0  # s; what only a failure meets


def mosquitto_binary() -> str:
    """Return where it is: Debian keeps it out of a person's PATH."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if found is None:
        pytest.skip("no mosquitto here")
    return found


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@attrs.define
class Mosquitto:
    """A broker that can be stopped and started again."""

    folder: Path
    settings: str = "allow_anonymous true"
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        if not self.port:
            self.port = ports.free()
        file = self.folder / "mosquitto.conf"
        lines = (f"listener {self.port} 127.0.0.1", self.settings, "user root")
        file.write_text("\n".join(lines) + "\n")
        command = [mosquitto_binary(), "-c", str(file)]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._answers)

    def _answers(self) -> bool:
        with closing(socket.socket()) as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0

    def need(self, user: str, password: str) -> None:
        """Let in nobody else, from the next start on."""
        salt = token_bytes(12)
        digest = pbkdf2_hmac("sha512", password.encode(), salt, 101)
        told = "$".join(("$7", "101", *(b64encode(e).decode() for e in (salt, digest))))
        file = self.folder / "passwords"
        file.write_text(f"{user}:{told}\n")
        self.settings = f"allow_anonymous false\npassword_file {file}"

    def encrypt(self, patch: pytest.MonkeyPatch) -> None:
        """Speak TLS from the next start on, and be trusted."""
        authority = trustme.CA()
        issued = authority.issue_cert("localhost")
        for name, what in (
            ("ca.pem", authority.cert_pem),
            ("key.pem", issued.private_key_pem),
            ("cert.pem", issued.cert_chain_pems[0]),
        ):
            what.write_to_path(str(self.folder / name))
        self.settings += f"\nkeyfile {self.folder / 'key.pem'}"
        self.settings += f"\ncertfile {self.folder / 'cert.pem'}"
        patch.setenv("SSL_CERT_FILE", str(self.folder / "ca.pem"))

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(LIMIT)
            self._process = None


@attrs.define
class Watcher:
    """What somebody sees who subscribed to all: each message, and what stands there."""

    url: str
    user: tuple[str, str] | None = None
    came: list[tuple[str, bytes]] = attrs.field(factory=list)
    _client: Client = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        client = Client(CallbackAPIVersion.VERSION2)
        client.on_message = lambda _, __, it: self._take(it)
        ready = list[object]()
        client.on_subscribe = lambda *_: ready.append(True)
        if self.user:
            client.username_pw_set(*self.user)
        client.connect("127.0.0.1", int(self.url.rpartition(":")[2]))
        client.subscribe("#", 1)
        client.loop_start()
        self._client = client
        until(lambda: ready)

    def _take(self, found: MQTTMessage) -> None:
        self.came.append((found.topic, bytes(found.payload)))

    @property
    def stands(self) -> dict[str, bytes]:
        return {topic: payload for topic, payload in list(self.came) if payload}

    def last(self, topic: str) -> bytes | None:
        return next((p for t, p in reversed(list(self.came)) if t == topic), None)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, 1, retain).wait_for_publish(LIMIT)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    found = Mosquitto(tmp_path)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def watch() -> Iterator[Callable[..., Watcher]]:
    """Return what begins to watch a broker."""
    with ExitStack() as stack:

        def begin(url: str, user: tuple[str, str] | None = None) -> Watcher:
            watcher = Watcher(url, user)
            stack.callback(watcher.close)
            return watcher

        yield begin


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    """Return what is logged."""
    with structlog.testing.capture_logs() as found:
        yield found
