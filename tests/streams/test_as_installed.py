"""A package with a stream, put into a fresh environment by an installer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

import pytest
from streams.offered import EXAMPLE, offer

from bzredis.streams.installed import OURS

ROOT: Final = EXAMPLE.parents[2]
LIMIT: Final = 120.0  # s; it takes five
CONTRACT: Final = """
import sys; sys.path.insert(0, sys.argv[1])
import pytest
from streams import offered
from bzredis.streams.installed import stream
installed = stream(offered.GUIDANCE.name)
assert installed.read.__module__ == "bzredis.streams.rules"
offered.EVERY = (installed,)
sys.exit(pytest.main(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the example installed, beside what is installed here."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    said(sys.executable, "-m", "venv", "--without-pip", str(folder))
    site = Path(said(str(folder / "bin" / "python"), "-c", WHERE).strip())
    here = sysconfig.get_path("purelib")
    (site / "here.pth").write_text(f"{here}\n{ROOT}\n")
    copied = tmp_path_factory.mktemp("copied") / EXAMPLE.name  # building writes there
    copied.mkdir()
    for each in EXAMPLE.iterdir():
        if each.is_file():
            (copied / each.name).write_bytes(each.read_bytes())
    how = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    python = str(folder / "bin" / "python")
    said(
        *(sys.executable, "-m", "pip", "--python", python), "install", *how, str(copied)
    )
    return folder


WHERE: Final = "import sysconfig; print(sysconfig.get_path('purelib'))"


def said(*command: str, code: int = 0) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_its_stream_is_there_and_passes_the_contracts_tests(environment: Path) -> None:
    python = str(environment / "bin" / "python")
    found = json.loads(said(python, "-m", "bzredis", "plugins", "--json"))
    assert [each["name"] for each in found] == [*OURS, "guidance"]
    assert (found[-1]["package"], found[-1]["version"]) == ("bzredis-guidance", "0.1.0")
    tests = ROOT / "tests"
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", "guidance")
    file = str(tests / "store" / "test_every_stream.py")
    told = said(python, "-c", CONTRACT, str(tests), *options, file)
    assert " passed" in told
    assert "skipped" not in told


def test_a_broken_one_beside_it_harms_nothing(environment: Path) -> None:
    python = str(environment / "bin" / "python")
    site = Path(said(python, "-c", WHERE).strip())
    offer(site, "b-package", {"broken": "b_package:TWO"}, "import of_nobody")
    told = said(python, "-m", "bzredis", "plugins", code=1)
    assert "BROKEN: it cannot be loaded (ModuleNotFoundError" in told
    assert "bz:guidance:events" in said(
        python, "-m", "bzredis", "keys", "--stream", "guidance"
    )
