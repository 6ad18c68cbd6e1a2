"""The user's own systemd: what is said to systemctl, and what it says."""

from __future__ import annotations

import getpass
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import attrs

from bzredis.commands.service.calls import ACT, Said, call
from bzredis.commands.service.plan import Plan, name_of
from bzredis.commands.service.unit import text
from bzredis.errors import ConfigError
from bzredis.settings.file import expanded

SHOWN: Final = (
    *("LoadState", "ActiveState", "SubState", "UnitFileState", "Result", "StatusText"),
    *("NRestarts", "ExecMainCode", "ExecMainStatus"),
    *("ActiveEnterTimestamp", "StateChangeTimestamp"),
)
MEANS: Final = {  # exit codes
    "2": "the settings are wrong, or another bridge has the state folder",
    "3": "upstream refused every stream",
}
KILLED: Final = {"2", "3"}  # CLD_KILLED, CLD_DUMPED
HOW: Final = {"signal": "", "core-dump": "", "watchdog": ", since it hung"}
NOTHING_FAILED: Final = ".service not loaded."
RESTART: Final = "systemctl --user restart bzredis.service"
NO_SESSION: Final = (
    *("connect to bus", "connect to user scope bus", "XDG_RUNTIME_DIR"),
    *("bus connection", "not been booted with systemd"),
)


def _systemctl(*words: str) -> list[str]:
    return ["systemctl", "--user", *words]


@attrs.frozen
class Systemd:
    """The user's own service manager."""

    role: str = ""  # beside the bridge

    @property
    def name(self) -> str:
        return f"{name_of(self.role)}.service"

    @property
    def file(self) -> Path:
        home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
        return expanded(Path(home)) / "systemd" / "user" / self.name

    def text(self, plan: Plan) -> str:
        return text(plan, self.role)

    # ---- what is run

    def starting(self, *, anew: bool) -> list[list[str]]:
        """Return the commands that start it, `anew` where another file was in force."""
        start = [_systemctl("daemon-reload"), _systemctl("enable", "--now", self.name)]
        return [*start, _systemctl("restart", self.name)] if anew else start

    def ending(self) -> list[list[str]]:
        return [_systemctl("disable", "--now", self.name)]

    def ended(self) -> list[list[str]]:
        """Return what is run once the file is gone."""
        # One that had failed would be remembered as that.
        return [_systemctl("daemon-reload"), [*_systemctl("reset-failed"), self.name]]

    def check(self) -> None:
        """Raise ConfigError where nobody could be asked for anything."""
        try:
            self._done(call(_systemctl("show", "--property=Version")), "be asked")
        except ConfigError as error:
            if "there is no systemctl" not in str(error):
                raise
            raise ConfigError(
                "there is no systemd here: have `bzredis run` started by whatever"
                " starts services on this system"
            ) from None

    def run(self, command: list[str]) -> None:
        """Run one of the commands; raises ConfigError in words for people."""
        self._done(call(command, ACT), f"{command[2]} {self.name}")

    def _done(self, said: Said, what: str) -> None:
        words = " ".join((said.error or said.output).split())
        if not said.code or words.endswith(NOTHING_FAILED):
            return
        if any(each in words for each in NO_SESSION):
            raise ConfigError(
                "no systemd session of this user is here: log in as this user itself"
                " (not by su or sudo), or let one run always with `loginctl"
                f" enable-linger {_user()}`, then log in anew ({words})"
            )
        last = self._last_words() if words.startswith("Job for") else ""
        words = last or words  # systemd's own only name the commands that ask for that
        raise ConfigError(f"systemd could not {what}: {words}")

    # ---- how it is

    def state(self) -> tuple[bool, list[str]]:
        """Return whether it runs, and how it is in lines for people."""
        said = call(_systemctl("show", self.name, *(f"--property={p}" for p in SHOWN)))
        self._done(said, "be asked")
        found = dict(line.partition("=")[::2] for line in said.output.splitlines())
        return found.get("ActiveState") == "active", [*self._words(found)]

    def afterwards(self) -> Iterator[str]:
        """Yield what else a person should know of a service that was installed."""
        if (lingers := _lingers()) is not None and not lingers:
            yield (
                "It ends when you log out, and begins when you log in. For it to run\n"
                "from the start of the machine on:\n"
                f"  loginctl enable-linger {_user()}"
            )
        yield (
            "After new settings or a new token:\n"
            f"  systemctl --user restart {self.name}\n"
            "What it says:\n"
            f"  journalctl --user --unit {self.name} --follow"
        )

    def _words(self, found: Mapping[str, str]) -> Iterator[str]:
        if found.get("LoadState") == "not-found":
            yield f"{self.name} is not installed; `bzredis service install` does that"
            return
        state, sub = found.get("ActiveState", ""), found.get("SubState", "")
        runs = state == "active"
        since = found.get(
            "ActiveEnterTimestamp" if runs else "StateChangeTimestamp", ""
        )
        told = state if sub in {state, ""} else f"{state} ({sub})"
        yield f"{self.name}: {told}" + (f" since {since}" if since else "")
        if found.get("UnitFileState") != "enabled":
            yield "It does not start by itself; `bzredis service install` mends that"
        if runs and (words := found.get("StatusText")):
            yield f"It says: {words}"
        if found.get("Result", "success") != "success":
            yield _end(found)
            is_killed = (
                found.get("ExecMainCode") in KILLED
            )  # then it had no time for any
            if not (runs or is_killed) and (last := self._last_words()):
                yield f"Its last words: {last}"
        if (restarts := found.get("NRestarts", "0")) not in {"", "0"}:
            times = "once" if restarts == "1" else f"{restarts} times"
            yield f"It was started again {times}"

    def _last_words(self) -> str:
        """Return what it said last in the journal, "" where that cannot be had."""
        command = ["journalctl", "--user", "--unit", self.name]
        command += ["--identifier", name_of(self.role)]
        try:
            said = call(
                [*command, "--lines=1", "--output=cat", "--no-pager", "--quiet"]
            )
        except ConfigError:
            return ""
        return "" if said.code else " ".join(said.output.split())


def _end(found: Mapping[str, str]) -> str:
    """Say how it ended that does not run, or would not."""
    result, status = found["Result"], found.get("ExecMainStatus", "?")
    if found.get("ExecMainCode") in KILLED:
        try:
            status = signal.Signals(int(status)).name
        except ValueError:
            status = f"signal {status}"
        how = HOW.get(result, f" ({result})")
        return f"It was ended by {status}{how}"
    meant = f": {MEANS[status]}" if status in MEANS else ""
    how = "" if result == "exit-code" else f" ({result})"
    return f"It ended with the exit code {status}{how}{meant}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # nobody knows this number
        return str(os.getuid())


def _lingers() -> bool | None:
    """Return whether this user's services run without a login; None: nobody knows."""
    command = ["loginctl", "show-user", str(os.getuid()), "--property=Linger"]
    try:
        said = call([*command, "--value"])
    except ConfigError:
        return None
    return None if said.code else said.output == "yes"
