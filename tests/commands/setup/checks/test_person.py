"""`bzredis check` as a person runs it: a process, its last line, its exit code."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import trio
from click.testing import Result
from commands.setup.checks.rig import LIMIT, NOBODY, TOKEN, Rig

Inside = Callable[..., Result]


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        (("--prefx", "x"), {}, "No such option '--prefx'; is --prefix meant?"),
        (("--tickers", "AAPL;MSFT"), {}, "--tickers"),
        ((), {"BZREDIS_TICKER": "AAPL"}, "BZREDIS_TICKER"),
        (("--config", "/dev/null/x"), {}, "/dev/null/x: cannot be read"),
    ],
)
def test_wrong_settings_are_one_line(
    inside: Inside, arguments: tuple[str, ...], variables: dict[str, str], words: str
) -> None:
    ended = inside("check", *arguments, BENZINGA_TOKEN=TOKEN, **variables)
    assert ended.exit_code == 2
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert words in line


def test_bad_toml_is_one_line(inside: Inside, file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text("prefix = x y\n")
    ended = inside("check", BENZINGA_TOKEN=TOKEN)
    [line] = ended.stderr.splitlines()
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert f"{file}: is no TOML" in line


async def process(
    rig: Rig, *arguments: str, closed: str = "", **variables: str
) -> CompletedProcess[bytes]:
    environ = {**os.environ, **variables}
    given = [sys.executable, "-P", "-m", "bzredis", "check", *arguments]
    given += ["--upstream", rig.flags["upstream"], "--state-dir", str(rig.folder / "s")]
    line = ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *given]
    with trio.fail_after(LIMIT):
        return await trio.run_process(
            line, env=environ, check=False, capture_stdout=True, capture_stderr=True
        )


async def test_it_ends_with_a_code_and_a_line_that_sums_up(rig: Rig) -> None:
    ended = await process(rig, BZREDIS_REDIS=rig.server.url)
    lines = ended.stdout.decode().splitlines()
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert lines[-1].startswith("All is well: start it with `")
    assert lines[-1].endswith("run` and the same options.")
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert b"\x1b" not in ended.stdout
    as_json = await process(rig, "--json", BZREDIS_REDIS=rig.server.url)
    found = json.loads(as_json.stdout)
    assert len(found) == len(lines) - 1
    assert {*found[0]} == {"name", "state", "words", "todo"}
    bad = {"BZREDIS_REDIS": f"{NOBODY}?password=s3cr3t", "BENZINGA_TOKEN": "wr0ng-tok"}
    ended = await process(rig, **bad)
    assert ended.returncode == 2
    assert ended.stdout.splitlines()[-1].startswith(b"2 things to mend before `")
    for secret in (b"s3cr3t", b"wr0ng", TOKEN.encode()):
        assert secret not in ended.stdout + ended.stderr


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
async def test_closed_standard_streams_change_nothing(rig: Rig, closed: str) -> None:
    ended = await process(rig, closed=closed, BZREDIS_REDIS=rig.server.url)
    assert ended.returncode == 0
    assert ended.stderr == b""
