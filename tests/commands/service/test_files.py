"""The files of a service, as what reads them takes them."""

from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from click.testing import Result
from commands.service.conftest import Manager

from bzredis.commands.form import WRONG
from bzredis.commands.run import REFUSED
from bzredis.commands.service import systemd, unit
from bzredis.commands.service.launchd import Launchd
from bzredis.commands.service.plan import BESIDE, Plan, is_sealed, plan, sealed
from bzredis.errors import ConfigError
from bzredis.settings.file import APP, find

LIMIT = 60.0  # s
HERE = Plan(sys.executable, Path("/home/me/config.toml"), Path("/home/me/token"))
ODD = "a \"b\" 'c' $HOME ${X} 100% %h \\n ä;#"
SYSTEMD = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(SYSTEMD is None, reason="there is no systemd here")


def values(text: str) -> dict[str, list[str]]:
    """Return what stands in a unit, by name."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, is_one, value = line.partition("=")
        if is_one and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def verified(text: str, folder: Path) -> str:
    """Return what systemd finds wrong with a unit of a user's."""
    file = folder / systemd.Systemd().name
    file.write_text(text)
    done = subprocess.run(
        [SYSTEMD or "", "verify", "--user", str(file)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    return done.stderr + (f"exit code {done.returncode}" if done.returncode else "")


@needs_systemd
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    assert verified(unit.text(HERE), tmp_path) == ""


@needs_systemd
@pytest.mark.parametrize("role", BESIDE)
def test_systemd_finds_nothing_wrong_with_what_runs_beside(
    role: str, tmp_path: Path
) -> None:
    assert verified(unit.text(HERE, role), tmp_path) == ""


@pytest.mark.parametrize("role", BESIDE)
def test_what_runs_beside_as_a_launch_agent(role: str) -> None:
    found = Launchd(role)
    assert found.file.name == f"bzredis-{role}.plist"
    agent = plistlib.loads(found.text(HERE).encode())
    assert agent["Label"] == f"bzredis-{role}"
    expected = ["bzredis", role, "--config", "/home/me/config.toml"]
    assert agent["ProgramArguments"][3:] == expected


@needs_systemd
def test_systemd_would_have_found_something(tmp_path: Path) -> None:
    text = unit.text(HERE).replace("WatchdogSec=60", "WatchdogSec=soon")
    assert "Failed to parse sec value" in verified(text, tmp_path)


@needs_systemd
def test_systemd_takes_odd_paths(tmp_path: Path) -> None:
    folder = tmp_path / "100% of ä b;#"
    folder.mkdir()
    python = folder / "python"
    python.symlink_to(sys.executable)
    odd = Plan(str(python), tmp_path / ODD / "config.toml", tmp_path / ODD / "token")
    odd = attrs.evolve(odd, environment={"XDG_STATE_HOME": str(folder)})
    text = unit.text(odd)
    assert verified(text, tmp_path) == ""


def test_odd_words_are_written_so_that_systemd_takes_them_as_they_are() -> None:
    kept = {"XDG_STATE_HOME": "/a b%"}
    token = Path("/100%/token")
    odd = Plan("/usr/bin/python3", Path(f"/{ODD}"), token, environment=kept)
    found = values(unit.text(odd))
    [command] = found["ExecStart"]
    quoted = '"/a \\"b\\" \'c\' $$HOME $${X} 100%% %%h \\\\n ä;#"'
    assert f" --config {quoted} --token-file " in command
    assert command.endswith(" ${CREDENTIALS_DIRECTORY}/token")
    assert found["LoadCredential"] == ["token:/100%%/token"]
    assert '"XDG_STATE_HOME=/a b%%"' in found["Environment"]


def test_the_unit_agrees_with_the_program() -> None:
    found = values(unit.text(HERE))
    assert found["Type"] == ["notify"]
    assert found["Restart"] == ["on-failure"]
    assert found["RestartPreventExitStatus"] == [f"{WRONG} {REFUSED}"]
    assert found["ExecStart"][0].startswith(f"{sys.executable} -P -m bzredis run ")
    assert found["LoadCredential"] == ["token:/home/me/token"]
    assert found["StartLimitIntervalSec"] == ["0"]
    assert int(found["TimeoutStopSec"][0]) > 5
    memory = "MALLOC_ARENA_MAX=1 MALLOC_TRIM_THRESHOLD_=65536"
    assert found["Environment"] == ["PYTHONFAULTHANDLER=1", memory]
    assert found["SyslogIdentifier"] == ["bzredis"]  # by which the journal is asked


@pytest.mark.parametrize("comment", ["# {}", "<!-- {} -->"])
def test_a_file_that_was_changed_is_known(comment: str) -> None:
    text = sealed("one\ntwo\n", comment)
    assert is_sealed(text)
    assert is_sealed(text.rstrip())
    for other in (text.replace("two", "three"), "one\ntwo\n", "", text + "more\n"):
        assert not is_sealed(other)


def test_this_installation_can_be_a_service(
    file: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*os.environ]:
        if name.startswith(("BZREDIS_", "BENZINGA_")):
            monkeypatch.delenv(name)
    file.parent.mkdir(parents=True)
    (file.parent / "token").write_text("t0ken-0123456789")
    file.write_text(f"token-file = '{file.parent / 'token'}'")
    made = plan(find(file, {}))
    assert made == Plan(sys.executable, file, file.parent / "token")


def test_the_launch_agent_is_what_launchd_reads() -> None:
    text = Launchd().text(HERE)
    assert is_sealed(text)
    found = plistlib.loads(text.encode())
    assert found["Label"] == APP
    assert found["ProgramArguments"] == [
        *(sys.executable, "-P", "-m", "bzredis", "run"),
        *("--config", "/home/me/config.toml", "--token-file", "/home/me/token"),
    ]
    assert found["KeepAlive"] == {"SuccessfulExit": False}
    assert found["RunAtLoad"] is True
    assert found["Umask"] == 0o077


def test_on_a_mac_launchd_is_asked(
    service: Callable[..., Result],
    manager: Manager,
    home: Path,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    agent = home / "Library" / "LaunchAgents" / "bzredis.plist"
    domain = f"gui/{os.getuid()}"
    assert service("install", "--config", str(file)).exit_code == 0
    assert plistlib.loads(agent.read_bytes())["Label"] == APP
    assert f"launchctl bootstrap {domain} {agent}" in manager.calls()
    manager.on("print", "exit 113")  # it is gone
    manager.on("bootout", "exit 3")  # … already
    assert "not loaded" in service("status").stdout
    manager.on("print", f"case $* in */{APP}) exit 113;; esac")
    result = service("uninstall")
    assert result.exit_code == 0, result.output
    assert f"launchctl bootout {domain}/{APP}" in manager.calls()
    assert not agent.exists()


def test_without_a_login_on_the_mac_that_is_said(
    service: Callable[..., Result],
    manager: Manager,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    manager.on("print", "echo 'Could not find domain' >&2; exit 112")
    result = service("install", "--config", str(file))
    assert result.exit_code == 2
    assert "not logged in on this Mac's screen" in result.stderr


@pytest.mark.parametrize("sign", ['"', "'", "\\"])
def test_a_program_that_systemd_would_not_take_is_refused(sign: str) -> None:
    with pytest.raises(ConfigError, match="quotes or backslashes"):
        unit.text(attrs.evolve(HERE, python=f"/a{sign}/python"))
