"""A program that is run, and all the ways in which it may end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from bzredis.commands.react.program import program
from bzredis.commands.react.reaction import Happening, NotDone
from bzredis.errors import ConfigError

LONG = 60.0  # s; only failures meet it
SHORT = 3.0  # s, in which a shell has come to its first command, on a busy machine too
HAPPENED = Happening("entry", "ratings", "AAPL", "1-0", {"symbol": "AAPL"})


async def ran(
    *command: str, seconds: float = LONG, happened: Happening = HAPPENED
) -> None:
    async with program(command, seconds) as react:
        with trio.fail_after(LONG):
            await react(happened)


async def test_it_gets_what_happened(capfd: pytest.CaptureFixture[str]) -> None:
    await ran("sh", "-c", 'cat; echo "$BZ_SYMBOL $0" $1', "a b", "c")
    head, told = capfd.readouterr().out.splitlines()
    assert head.startswith('{"kind":"entry","stream":"ratings","event":"1-0"')
    assert told == "AAPL a b c"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["false"], "its exit code was 1"),
        (["sh", "-c", "echo one >&2; echo; echo ' two ' >&2; exit 3"], "two"),
        (["sh", "-c", "kill -9 $$"], "it was ended by SIGKILL"),
        (["sh", "-c", "echo oh >&2; kill -9 $$"], "it was ended by SIGKILL: oh"),
    ],
)
async def test_why_it_failed_is_its_last_word(
    command: Sequence[str], told: str
) -> None:
    with pytest.raises(NotDone) as raised:
        await ran(*command)
    assert str(raised.value) == told


async def test_ctrl_c_is_not_for_it() -> None:
    leads = "import os; assert os.getpgrp() == os.getpid()"
    await ran(sys.executable, "-c", leads)


async def test_what_stood_in_a_variable_before_is_none_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BZ_FIRM", "of another")
    monkeypatch.setenv("BZREDIS_PREFIX", "mine")
    await ran("sh", "-c", 'test "$BZ_FIRM$BZREDIS_PREFIX" = mine')


async def test_a_long_reason_is_cut_and_what_a_terminal_obeys_taken_out() -> None:
    with pytest.raises(NotDone) as raised:
        await ran("sh", "-c", "printf '\\033[31m%0100000d' 7 >&2; exit 1")
    assert len(str(raised.value)) <= 300
    assert "\x1b" not in str(raised.value)


async def test_its_complaints_are_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    await ran("sh", "-c", "echo hm >&2")
    said = ""
    with trio.fail_after(LONG):
        while said != "hm\n":  # another thread writes it
            said += capfd.readouterr().err
            await trio.sleep(0.01)


async def test_what_it_wrote_before_it_failed_is_told_with_that_and_not_before(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(NotDone, match=r"^why$") as raised:
        await ran("sh", "-c", "printf 'one\\n\\n two\\033[31m\\nwhy\\n' >&2; exit 1")
    assert raised.value.output == "one\n\n two[31m"
    with pytest.raises(NotDone, match="took longer") as raised:
        await ran("sh", "-c", "echo slow >&2; sleep 60", seconds=SHORT)
    assert raised.value.output == "slow"
    assert capfd.readouterr().err == ""


async def test_it_need_not_read_what_it_gets() -> None:
    big = Happening("entry", "ratings", "AAPL", "1-0", {"raw": "x" * 2_000_000})
    await ran("true", happened=big)
    await ran("sh", "-c", "head -c 10 >/dev/null", happened=big)
    await ran("sh", "-c", "test $(wc -c) -gt 2000000", happened=big)


async def test_what_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"sleep 60 & echo $! >{pid}; wait"
    with pytest.raises(NotDone, match=rf"longer than {SHORT:g} s, and was ended"):
        await ran("sh", "-c", script, seconds=SHORT)
    with trio.fail_after(LONG):
        while is_there(int(pid.read_text())):
            await trio.sleep(0.01)


async def test_what_does_not_listen_to_sigterm_is_killed() -> None:
    with pytest.raises(NotDone, match="took longer"):
        await ran("sh", "-c", "trap '' TERM; while :; do sleep 1; done", seconds=0.5)


async def test_what_it_leaves_running_holds_nothing_up(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    await ran("sh", "-c", f"sleep 60 & echo $! >{pid}")
    os.kill(int(pid.read_text()), signal.SIGKILL)


async def test_who_is_cancelled_ends_it(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = ("sh", "-c", f"echo $$ >{pid}; exec sleep 60")
    async with program(command, LONG) as react, trio.open_nursery() as nursery:
        nursery.start_soon(react, HAPPENED)
        with trio.fail_after(LONG):
            while not (pid.exists() and pid.read_text()):
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert not is_there(int(pid.read_text()))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("no-such-program", "no-such-program: there is no such command"),
        ("notify-send hello", "without quotes around it all, its parts"),
    ],
)
async def test_a_command_that_is_none_is_told_at_once(name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        await ran(name)


async def test_a_file_that_may_not_be_run_is_told(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    with pytest.raises(ConfigError, match="chmod"):
        await ran(str(script))


async def test_one_that_went_away_meanwhile_failed(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o700)
    async with program((str(script),), LONG) as react:
        await react(HAPPENED)
        script.unlink()
        with pytest.raises(NotDone, match="it cannot be run: No such file"):
            await react(HAPPENED)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2][1] == "Z")
