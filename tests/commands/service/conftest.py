"""A person with settings and a token, on a system whose service manager is a stand-in.

What it was asked for stands in a file; what it answers, in others.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from click.testing import Result
from commands.setup.conftest import environ, file, home, inside

from bzredis.commands.service import service as commands

__all__ = ["environ", "file", "home", "inside"]  # fixtures

TOKEN = "t0ken-0123456789"
PROGRAM = """#!/bin/sh
printf '%s\\n' "${{0##*/}} $*" >> {folder}/calls
for word; do
  case $word in
    --*) ;;
    *) if [ -e "{folder}/$word" ]; then . "{folder}/$word"; fi ;;
  esac
done
exit 0
"""


@attrs.define
class Manager:
    """Programs in the place of the system's own."""

    folder: Path

    def calls(self) -> list[str]:
        """Return what they were called with since the last look."""
        place = self.folder / "calls"
        found = place.read_text().splitlines() if place.exists() else []
        place.unlink(missing_ok=True)
        return found

    def on(self, word: str, script: str) -> None:
        """Let a shell's script run where a word is among the arguments."""
        (self.folder / word).write_text(script)

    def install(self, *names: str) -> None:
        for name in names:
            program = self.folder / "bin" / name
            program.parent.mkdir(exist_ok=True)
            program.write_text(PROGRAM.format(folder=self.folder))
            program.chmod(0o755)


@pytest.fixture
def manager(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Manager:
    folder = tmp_path / "manager"
    folder.mkdir()
    found = Manager(folder)
    found.install("systemctl", "loginctl", "journalctl", "launchctl")
    found.on("show", "echo ActiveState=active")
    found.on("print", "echo state = running")
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environ["PATH"] = path
    monkeypatch.setattr("sys.platform", "linux")
    return found


def interpreter(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put something in the place of the Python of this installation."""
    python = folder / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    return python


@pytest.fixture
def service(
    manager: Manager,
    file: Path,
    inside: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Result]:
    """Run `bzredis service` where the settings are made."""
    interpreter(manager.folder, "exit 0", monkeypatch)  # a Python takes long to start
    monkeypatch.setattr(commands, "SETTLED", 0.0)
    file.parent.mkdir(parents=True)
    (file.parent / "token").write_text(TOKEN)
    (file.parent / "token").chmod(0o600)
    file.write_text(f"token-file = '{file.parent / 'token'}'\n")

    def run(*arguments: str, **more: str) -> Result:
        return inside("service", *arguments, **more)

    return run
