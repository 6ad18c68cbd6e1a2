"""What `bzredis service` does to the system, which is a stand-in here, and says."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from commands.service.conftest import TOKEN, Manager, interpreter

from bzredis.commands.running.called import installer
from bzredis.commands.service import calls, plan

Service = Callable[..., Result]
ASKED = "systemctl --user show --property=Version"
STARTED = [
    "systemctl --user daemon-reload",
    "systemctl --user enable --now bzredis.service",
]
ENDED = [
    "systemctl --user disable --now bzredis.service",
    "systemctl --user daemon-reload",
    "systemctl --user reset-failed bzredis.service",
]


@pytest.fixture
def unit(home: Path) -> Path:
    return home / ".config" / "systemd" / "user" / "bzredis.service"


def acts(manager: Manager) -> list[str]:
    """Return the calls that change something."""
    return [c for c in manager.calls() if " show" not in c and "journalctl" not in c]


def test_alone_it_says_what_there_is(service: Service) -> None:
    result = service()
    assert result.exit_code == 0
    assert "\n  install " in result.stdout
    assert "\n  uninstall " in result.stdout


def test_it_is_written_and_started(
    service: Service, manager: Manager, unit: Path
) -> None:
    result = service("install")
    assert result.exit_code == 0, result.output
    assert manager.calls()[0] == ASKED
    assert f"Written: {unit}" in result.stdout
    assert "systemctl --user restart bzredis.service" in result.stdout
    assert "journalctl --user" in result.stdout
    assert unit.stat().st_mode & 0o777 == 0o600
    assert TOKEN not in unit.read_text() + result.output


def test_again_changes_nothing(service: Service, manager: Manager, unit: Path) -> None:
    service("install")
    before = unit.read_text(), unit.stat().st_mtime_ns
    assert acts(manager) == STARTED
    result = service("install")
    assert (unit.read_text(), unit.stat().st_mtime_ns) == before
    assert f"As it was: {unit}" in result.stdout
    assert acts(manager) == STARTED


def test_what_it_wrote_for_other_settings_it_writes_anew(
    service: Service, manager: Manager, unit: Path, file: Path
) -> None:
    service("install")
    manager.calls()
    other = file.with_name("other.toml")
    other.write_text(file.read_text())
    assert service("install", "--config", str(other)).exit_code == 0
    assert f"--config {other}" in unit.read_text()
    assert acts(manager) == [*STARTED, "systemctl --user restart bzredis.service"]


def test_installed_after_an_upgrade_it_is_started_anew(
    service: Service, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    service("install")
    manager.calls()
    monkeypatch.setattr(plan, "__version__", "99.0")
    assert "Written: " in service("install").stdout
    assert acts(manager) == [*STARTED, "systemctl --user restart bzredis.service"]


@pytest.mark.parametrize("text", ["[Service]\nExecStart=/bin/true\n", "", None])
@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_what_is_not_as_it_was_written_stays_unless_forced(
    service: Service, manager: Manager, unit: Path, text: str | None, command: str
) -> None:
    if text is None:
        service("install")
        text = unit.read_text().replace("RestartSec=10", "RestartSec=99")
    unit.parent.mkdir(parents=True, exist_ok=True)
    unit.write_text(text)
    manager.calls()
    result = service(command)
    assert result.exit_code == 2
    assert f"{unit} was changed by somebody, or is another's" in result.stderr
    assert unit.read_text() == text
    assert acts(manager) == []
    assert service(command, "--force").exit_code == 0
    assert unit.exists() == (command == "install")


def test_of_a_unit_that_is_masked_nothing_is_written(
    service: Service, unit: Path
) -> None:
    unit.parent.mkdir(parents=True)
    unit.symlink_to(os.devnull)
    result = service("install", "--force")
    assert result.exit_code == 2
    assert "unmask" in result.stderr
    assert Path(os.devnull).is_char_device()


def test_a_dry_run_shows_it_all_and_does_nothing(
    service: Service, manager: Manager, unit: Path
) -> None:
    result = service("install", "--dry-run")
    assert result.exit_code == 0
    assert not unit.parent.exists()
    assert manager.calls() == []
    assert str(unit) in result.stdout
    for command in STARTED:
        assert f"\n  {command}\n" in result.stdout
    service("install")
    assert unit.read_text() in result.stdout


@pytest.mark.parametrize(
    "case",
    [
        (None, {}, "there is no settings file"),
        ("", {}, "let `bzredis init` ask for it"),
        ("token-file = '{folder}/absent'", {}, "absent cannot be read"),
        ("token-file = 'token'", {}, "write the whole path"),
        ("token-file = '/dev/stdin'", {}, "a service needs a file of the token"),
        (
            "token-file = '{folder}/token'\nstate-dir = 'here'",
            {},
            "state-dir: 'here' depends on the folder",
        ),
        ("prefix = 'a b'", {}, "prefix: has white space"),
        (
            "token-file = '{folder}/token'",
            {"BENZINGA_TOKEN": TOKEN},
            "keep the token in a file (`bzredis init` makes one), and unset BENZINGA",
        ),
        (
            "token-file = '{folder}/token'",
            {"BZREDIS_PREFIX": "mine"},
            "BZREDIS_PREFIX is set here, and no service would see that: keep it in ",
        ),
    ],
)
def test_what_could_not_run_is_not_installed(
    service: Service,
    manager: Manager,
    unit: Path,
    file: Path,
    case: tuple[str | None, dict[str, str], str],
) -> None:
    settings, more, words = case
    if settings is None:
        file.unlink()
    else:
        file.write_text(settings.format(folder=file.parent))
    result = service("install", **more)
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert words in line
    assert TOKEN not in line
    assert not unit.exists()
    assert manager.calls() == []


def test_a_program_that_only_this_shell_finds_is_not_installed(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python = interpreter(tmp_path, "exit 1", monkeypatch)
    result = service("install")
    assert result.exit_code == 2
    assert f"{python} does not find bzredis by itself" in result.stderr


BUS = "Failed to connect to bus: "


@pytest.mark.parametrize(
    "said",
    [
        f"{BUS}No medium found",
        f"{BUS}$DBUS_SESSION_BUS_ADDRESS and $XDG_RUNTIME_DIR not defined (consider)",
        "Failed to connect to user scope bus via local transport: Connection refused",
        "System has not been booted with systemd as init system (PID 1). Can't go on.",
    ],
)
def test_without_a_session_it_is_said_how_to_get_one(
    service: Service, manager: Manager, unit: Path, said: str
) -> None:
    manager.on("show", f"cat >&2 <<'END'\n{said}\nEND\nexit 1\n")
    result = service("install")
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert "no systemd session of this user is here" in line
    assert "loginctl enable-linger" in line
    assert not unit.exists()


def test_without_systemd_it_is_said_so(
    service: Service, manager: Manager, environ: dict[str, str], unit: Path
) -> None:
    (manager.folder / "bin" / "systemctl").unlink()
    result = service("install", PATH=str(manager.folder / "bin"))
    assert result.exit_code == 2
    assert "there is no systemd here" in result.stderr
    assert not unit.exists()


def test_of_one_that_does_not_start_the_last_words_are_told(
    service: Service, manager: Manager
) -> None:
    failed = "Job for bzredis.service failed because the control process exited."
    manager.on("enable", f"echo '{failed}' >&2; exit 1")
    manager.on(
        "bzredis.service", "case $0 in *journalctl) echo 'it was the disk';; esac"
    )
    result = service("install")
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert line.endswith("systemd could not enable bzredis.service: it was the disk")


PROXY = "http://me:secret%2Fword@proxy.example:3128"


def test_the_proxy_of_this_shell_goes_along(
    service: Service, unit: Path, home: Path
) -> None:
    """A service would not see it, and never reach upstream."""
    more = {"HTTPS_PROXY": PROXY, "no_proxy": "10.0.0.1", "ALL_PROXY": "http://other"}
    shown = service("install", "--dry-run", **more)
    assert "HTTPS_PROXY" in shown.stdout
    assert "secret%" not in shown.output
    result = service("install", **more)
    assert "It has HTTPS_PROXY, no_proxy as set here" in result.stdout
    assert "secret%" not in result.output
    text = unit.read_text()
    quoted = f"HTTPS_PROXY={PROXY.replace('%', '%%')}"
    assert f'Environment="{quoted}"\n' in text
    assert "Environment=no_proxy=10.0.0.1\n" in text
    assert "ALL_PROXY" not in text
    assert "HTTPS_PROXY" not in service("install").output + unit.read_text()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"HTTPS_PROXY": "socks5://proxy.example"}, "socks5:// is no way"),
        ({"XDG_STATE_HOME": "/a\nExecStart=/b"}, "XDG_STATE_HOME: no service can be"),
    ],
)
def test_an_environment_that_no_service_can_have_is_refused(
    service: Service, unit: Path, more: dict[str, str], words: str
) -> None:
    result = service("install", **more)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not unit.exists()


def test_a_proxy_that_does_not_count_is_not_kept(service: Service, unit: Path) -> None:
    service("install", HTTPS_PROXY=PROXY, NO_PROXY=".benzinga.com")
    assert "PROXY" not in unit.read_text()


def test_a_manager_that_hangs_is_not_waited_for(
    service: Service, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls.call, "__defaults__", (0.5,))
    manager.on("show", "exec sleep 60")
    result = service("install")
    assert result.exit_code == 2
    assert f"`{ASKED}` did not end within 0 s" in result.stderr


@pytest.mark.parametrize(("lingers", "times"), [("no", 1), ("yes", 0)])
def test_linger_is_told_of_where_it_is_not_set(
    service: Service, manager: Manager, lingers: str, times: int
) -> None:
    manager.on("show-user", f"echo {lingers}")
    assert service("install").stdout.count("loginctl enable-linger") == times


def test_it_is_removed_and_what_stays_is_told(
    service: Service, manager: Manager, unit: Path, file: Path
) -> None:
    service("install")
    gone = "Failed to reset failed state of unit {0}: Unit {0} not loaded."
    gone = gone.format("bzredis.service")
    manager.on("reset-failed", f"echo '{gone}' >&2; exit 1")
    manager.calls()
    result = service("uninstall")
    assert result.exit_code == 0
    assert acts(manager) == ENDED
    assert not unit.exists()
    assert file.exists()
    for words in (str(unit), str(file.parent), "bzredis", "Redis"):
        assert words in result.stdout
    again = service("uninstall")
    assert again.exit_code == 0
    assert f"there is no {unit}" in again.stdout
    assert acts(manager) == []


def test_where_it_cannot_be_stopped_its_file_stays(
    service: Service, manager: Manager, unit: Path
) -> None:
    service("install")
    manager.on("disable", "echo 'Access denied' >&2; exit 1")
    result = service("uninstall")
    assert result.exit_code == 2
    assert "systemd could not disable bzredis.service: Access denied" in result.stderr
    assert unit.exists()


def test_a_new_token_counts_once_it_is_started_anew(
    service: Service, inside: Callable[..., Result]
) -> None:
    """It has a copy of the token's file, made when it was started."""
    assert (
        "started anew" not in inside("init", "--token-stdin", given="a-token-1").stdout
    )
    service("install")
    said = inside("init", "--token-stdin", given="a-token-2").stdout
    assert "started anew: systemctl --user restart bzredis.service" in said


def test_without_a_home_nothing_is_written(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    result = service("install", XDG_CONFIG_HOME="here", BZREDIS_CONFIG=str(file))
    assert result.exit_code == 2
    assert "there is no home folder" in result.stderr
    assert not (tmp_path / "here").exists()


def test_the_board_is_a_service_of_its_own(
    service: Service, manager: Manager, unit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = unit.with_name("bzredis-board.service")
    result = service("install", "--board")
    assert result.exit_code == 0, result.output
    starts = [
        call.replace("bzredis.service", "bzredis-board.service") for call in STARTED
    ]
    assert acts(manager) == [*STARTED, *starts]
    assert " -P -m bzredis board --config " in board.read_text()
    assert "token" not in board.read_text()
    assert "The board is at http://127.0.0.1:8399/" in result.stdout
    assert "bzredis-board.service: " in service("status").stdout
    manager.calls()
    result = service("uninstall")
    ends = [call.replace("bzredis.service", "bzredis-board.service") for call in ENDED]
    assert acts(manager) == [*ends, *ENDED]
    assert not unit.exists()
    assert not board.exists()
    monkeypatch.setattr("bzredis.commands.web.started.find_spec", lambda _: None)
    result = service("install", "--board")
    assert result.exit_code == 2
    assert f"`{shlex.join(installer())} hypercorn jinja2 " in result.stderr
    assert acts(manager) == []
