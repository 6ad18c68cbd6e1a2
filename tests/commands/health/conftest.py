"""Somebody who listens as systemd does."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import trio


@attrs.define
class Systemd:
    """The other end of NOTIFY_SOCKET."""

    path: Path
    _socket: socket.socket

    def heard(self) -> list[dict[str, str]]:
        """Return what has come since, a message each."""
        found: list[dict[str, str]] = []
        while True:
            try:
                data = self._socket.recv(65_536)
            except BlockingIOError:
                return found
            pairs = (line.partition("=") for line in data.decode().splitlines())
            found.append({name: value for name, _, value in pairs})

    async def listen(self, seconds: float) -> list[dict[str, str]]:
        """Return what comes meanwhile; the kernel keeps but ten for who does not."""
        end, found = trio.current_time() + seconds, self.heard()
        while trio.current_time() < end:
            await trio.sleep(1)
            found += self.heard()
        return found


def count(messages: list[dict[str, str]], name: str) -> int:
    return sum(name in each for each in messages)


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    """Listen, and want a sign of life within 30 s."""
    path = Path(os.path.relpath(tmp_path / "notify"))  # such a path is short
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield Systemd(path, listener)
