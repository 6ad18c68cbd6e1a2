"""A launch agent of macOS': what stands in it, and what is said to launchctl."""

from __future__ import annotations

import os
import plistlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from bzredis.commands.service.calls import ACT, Said, call, shown
from bzredis.commands.service.plan import Plan, name_of, sealed
from bzredis.errors import ConfigError
from bzredis.settings.file import expanded

AGAIN: Final = 30  # s until it is started again; launchd does not know for which codes
OWN: Final = 0o077  # what is kept is for its user alone
STOP: Final = 20  # s; it ends within 5 whatever hangs


@attrs.frozen
class Launchd:
    """The user's own launchd, as long as he or she is logged in."""

    role: str = ""  # beside the bridge

    @property
    def name(self) -> str:
        return name_of(self.role)

    @property
    def file(self) -> Path:
        return expanded(Path("~/Library/LaunchAgents")) / f"{self.name}.plist"

    @property
    def log(self) -> Path:
        return expanded(Path("~/Library/Logs")) / f"{self.name}.log"

    def text(self, plan: Plan) -> str:
        run = (*plan.command, str(plan.token))
        command = plan.beside(self.role) if self.role else run
        agent = {
            "Label": self.name,
            "ProgramArguments": [*command],
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": AGAIN,
            "ExitTimeOut": STOP,
            "ProcessType": "Background",
            "Umask": OWN,
            "StandardErrorPath": str(self.log),
            "EnvironmentVariables": {
                "BZREDIS_LOG_FORMAT": plan.log_format,
                **plan.environment,
            },
        }
        return sealed(plistlib.dumps(agent).decode(), "<!-- {} -->")

    # ---- what is run

    def starting(self, *, anew: bool) -> list[list[str]]:
        """Return the commands that start it, `anew` where another file was in force."""
        load = ["launchctl", "bootstrap", _domain(), str(self.file)]
        return [*self.ending(), load] if anew else [load]

    def ending(self) -> list[list[str]]:
        return [["launchctl", "bootout", f"{_domain()}/{self.name}"]]

    def ended(self) -> list[list[str]]:
        return []

    def check(self) -> None:
        """Raise ConfigError where nobody could be asked for anything."""
        if (said := call(["launchctl", "print", _domain()])).code:
            raise ConfigError(
                "this user is not logged in on this Mac's screen, so that there is no"
                f" launchd for it ({_words(said)})"
            )

    def run(self, command: list[str]) -> None:
        """Run one of the commands; raises ConfigError in words for people."""
        said = call(command, ACT)
        is_loaded = not call(["launchctl", "print", f"{_domain()}/{self.name}"]).code
        # What is there already, or gone already, is an error to launchctl only.
        if said.code and is_loaded != (command[1] == "bootstrap"):
            words = f"`{shown(command)}` did not work: {_words(said)}"
            raise ConfigError(words)

    # ---- how it is

    def state(self) -> tuple[bool, list[str]]:
        """Return whether it runs, and how it is in lines for people."""
        said = call(["launchctl", "print", f"{_domain()}/{self.name}"])
        if said.code:
            there = "is not loaded" if self.file.exists() else "is not installed"
            return False, [f"{self.name} {there}; `bzredis service install` does that"]
        lines = (line.strip() for line in said.output.splitlines())
        found = dict(line.split(" = ", 1) for line in lines if " = " in line)
        told = [f"{self.name}: {found.get('state', 'unknown')}"]
        if "last exit code" in found:
            told.append(f"It ended last with the code {found['last exit code']}")
        return found.get("state") == "running", told

    def afterwards(self) -> Iterator[str]:
        """Yield what else a person should know of a service that was installed."""
        yield (
            "It ends when you log out, and begins when you log in.\n"
            "After new settings:\n"
            f"  launchctl kickstart -k {_domain()}/{self.name}\n"
            "What it says:\n"
            f"  {self.log}"
        )


def _domain() -> str:
    return f"gui/{os.getuid()}"


def _words(said: Said) -> str:
    return " ".join((said.error or said.output).split())
