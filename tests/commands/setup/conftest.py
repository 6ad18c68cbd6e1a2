"""A person with an empty home, who runs the program itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bzredis.commands import logs
from bzredis.commands.cli import bzredis as program

LIMIT = 60.0  # s for a process, on a busy machine too
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def environ(home: Path) -> dict[str, str]:
    kept = ("PATH", "PYTHONPATH", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
    return {
        "HOME": str(home),
        "BRIDGE_COMMAND": "bzredis",  # as if it were installed, whoever runs this
        **{name: os.environ[name] for name in kept if name in os.environ},
    }


@pytest.fixture
def file(home: Path) -> Path:
    """Return where the settings are by default on Linux and macOS."""
    is_mac = sys.platform == "darwin"
    folder = "Library/Application Support" if is_mac else ".config"
    return home / folder / "bzredis" / "config.toml"


@pytest.fixture
def bzredis(environ: dict[str, str]) -> Run:
    """Run the program to its end, with no terminal."""

    def run(
        *arguments: str, given: str = "", **more: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "bzredis", *arguments],
            env={**environ, **more},
            input=given,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )

    return run


@pytest.fixture
def inside(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Result]]:
    """Run it inside of this process: for tables of cases, since a start takes long."""
    for name in [*os.environ]:
        if name.startswith(("BZREDIS_", "BENZINGA_", "XDG_")):
            monkeypatch.delenv(name)

    def run(*arguments: str, given: str = "", **more: str) -> Result:
        runner = CliRunner(env={**environ, **more})
        return runner.invoke(program, arguments, input=given, prog_name="bzredis")

    yield run
    vars(logs._Secrets)["__init__"](logs._secrets)
