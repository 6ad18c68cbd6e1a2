"""What is told to be typed next is what works where one is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from store.servers import running

from bzredis.commands.cli import PLACES
from bzredis.commands.running.called import CALLED
from bzredis.commands.running.people import ForPeople
from bzredis.commands.web.drawing import environment

LIMIT = 60  # s; only failures meet it
HERE = "./my bridge"  # as a shell takes it, in quotes
INSTALLED = re.compile(rf"(?<![\w./-])bzredis (?:{'|'.join(PLACES)})\b")

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the program as scripts/bridge does; return all that it says."""

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "bzredis", *arguments],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(Path(__file__).parents[3]),
                "HOME": str(tmp_path),
                CALLED: HERE,
            },
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        return done.stdout + done.stderr

    return run


@pytest.mark.parametrize("name", ["", *PLACES])
def test_help_tells_what_one_can_type_here(run: Run, name: str) -> None:
    said = run(*filter(None, [name]), "--help")
    assert f"Usage: './my bridge' {name}".rstrip() in said
    assert INSTALLED.findall(said) == []
    assert max(map(len, said.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["get"], "('./my bridge' get --help tells more)"),
        (["--tickers", "A"], "as `'./my bridge' run --tickers`"),
        (["run"], "let `'./my bridge' init` ask for it"),
        (["config"], "(not there; `'./my bridge' init` writes one)"),
        (["status"], "(`'./my bridge' run` is one)"),
        (["react", "--help"], "\n    './my bridge' react up --when"),
    ],
)
def test_hints_tell_what_one_can_type_here(
    run: Run, tmp_path: Path, arguments: list[str], meant: str
) -> None:
    with running("valkey", tmp_path / "server") as peer:
        at = ["--redis", peer.server.url] if arguments == ["status"] else []
        said = run(*arguments, *at)
    assert meant in " ".join(said.split()) or meant in said
    assert INSTALLED.findall(said) == []


def test_the_log_of_people_and_the_board_do_so_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(CALLED, HERE)
    now = "2026-01-02T23:30:00.123456Z"
    event = {"event": "x", "error": "do `bzredis rebuild`", "timestamp": now}
    said = ForPeople(lambda text: text)(None, "", {**event, "level": "info"})
    assert said.endswith("x: do `'./my bridge' rebuild`")
    assert environment().globals["PROGRAM"] == "'./my bridge'"
