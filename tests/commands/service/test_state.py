"""What `bzredis service` makes of what systemd says of it, which is a stand-in here."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
from click.testing import Result
from commands.service.conftest import Manager

from bzredis.commands.service import service as commands

Service = Callable[..., Result]
WELL = """LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
Result=success
NRestarts=0
"""
AT = "Sat 2026-11-28 05:04:41 UTC"
ILL = """LoadState=loaded
ActiveState=failed
SubState=failed
UnitFileState=disabled
Result=exit-code
ExecMainCode=1
ExecMainStatus=3
StatusText=stopping
NRestarts=2
StateChangeTimestamp=Sat 2026-11-28 05:04:41 UTC
"""
AGAIN = """LoadState=loaded
ActiveState=activating
SubState=auto-restart
UnitFileState=enabled
StatusText=all is fresh
NRestarts=1
ActiveEnterTimestamp=Fri 2026-11-27 05:04:41 UTC
StateChangeTimestamp=Sat 2026-11-28 05:04:41 UTC
"""
KILLED = f"{AGAIN}Result=signal\nExecMainCode=2\nExecMainStatus=9"
HUNG = f"{AGAIN}Result=watchdog\nExecMainCode=3\nExecMainStatus=6"
NAME = "bzredis.service"


@attrs.frozen
class Case:
    """What systemd says of a service, and what is to be made of it."""

    shown: str
    words: list[str]
    code: int = 1
    are_fresh: bool = True


@pytest.mark.parametrize(
    "case",
    [
        Case(
            f"{WELL}StatusText=all is fresh\nActiveEnterTimestamp={AT}",
            [f"{NAME}: active (running) since {AT}", "It says: all is fresh"],
            0,
        ),
        Case(WELL, [f"{NAME}: active (running)"], are_fresh=False),
        Case(
            ILL,
            [
                f"{NAME}: failed since {AT}",
                "It does not start by itself; `bzredis service install` mends that",
                "It ended with the exit code 3: upstream refused every stream",
                "It was started again 2 times",
            ],
        ),
        Case(
            KILLED,
            [
                f"{NAME}: activating (auto-restart) since {AT}",
                "It was ended by SIGKILL",
                "It was started again once",
            ],
        ),
        Case(
            HUNG,
            [
                f"{NAME}: activating (auto-restart) since {AT}",
                "It was ended by SIGABRT, since it hung",
                "It was started again once",
            ],
        ),
        Case(
            "LoadState=not-found\nActiveState=inactive",
            [f"{NAME} is not installed; `bzredis service install` does that"],
        ),
    ],
)
def test_how_it_is_is_shown(
    service: Service, manager: Manager, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    monkeypatch.setattr(commands, "show", lambda _: case.are_fresh)
    manager.on("show", f"cat <<'END'\n{case.shown}\nEND\n")
    result = service("status")
    assert result.exit_code == case.code, result.output
    assert result.stdout.split("\n\n")[0].splitlines() == case.words


def test_where_redis_cannot_be_asked_the_service_is_shown_all_the_same(
    service: Service, manager: Manager
) -> None:
    manager.on("show", "echo ActiveState=active")
    result = service("status", "--redis", "redis://127.0.0.1:1")
    assert result.exit_code == 2
    assert "bzredis.service: active" in result.stdout
    assert "127.0.0.1:1" in result.stderr


def test_of_one_that_ends_at_once_it_is_not_said_that_it_runs(
    service: Service, manager: Manager
) -> None:
    """It said that it is ready, and then upstream refused it."""
    manager.on("show", f"cat <<'END'\n{ILL}\nEND\n")
    manager.on("bzredis.service", "case $0 in *journalctl) echo 'refused: 401';; esac")
    result = service("install")
    assert result.exit_code == 2
    assert "It runs" not in result.stdout
    [line] = result.stderr.splitlines()
    assert "it was started, and does not run: " in line
    assert "exit code 3: upstream refused every stream" in line
    assert "Its last words: refused: 401" in line


def test_the_journal_is_asked_for_what_the_program_said_not_for_systemds_words(
    service: Service, manager: Manager
) -> None:
    manager.on("show", f"cat <<'END'\n{ILL}\nEND\n")
    service("status")
    [asked] = [call for call in manager.calls() if call.startswith("journalctl")]
    assert " --identifier bzredis " in asked
