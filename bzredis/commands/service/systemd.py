"""A user unit of systemd's: what stands in it, and what is said to systemctl."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import attrs

from bzredis.commands.service.calls import ACT, Said, call
from bzredis.commands.service.plan import Plan, sealed
from bzredis.errors import ConfigError
from bzredis.settings.file import expanded

UNIT: Final = "bzredis.service"
BOARD: Final = "bzredis-board.service"
SHOWN: Final = (
    *("LoadState", "ActiveState", "SubState", "UnitFileState", "Result", "StatusText"),
    *("NRestarts", "ExecMainStatus", "ActiveEnterTimestamp"),
)
PLAIN: Final = re.compile(r"[\w/.,:@+=-]+", re.ASCII)  # what needs no quotes
RESTART: Final = f"systemctl --user restart {UNIT}"
UNSAFE: Final = {*"\"'\\"}
LAST: Final = "3"  # lines of the journal that are shown where it did not start
NO_SESSION: Final = (
    *("connect to bus", "connect to user scope bus", "XDG_RUNTIME_DIR"),
    *("bus connection", "not been booted with systemd"),
)
# Of systemd 252 (Debian 12) in a user's own service manager. What needs a mount
# namespace there (ProtectSystem=, PrivateTmp=, …) needs PrivateUsers= as well, which
# kernels and containers may forbid, and the service would not start; or it is passed
# over without a word. What is here is done by seccomp and prctl, and works everywhere.
TEXT: Final = """\
# What is to be otherwise belongs into `systemctl --user edit bzredis`.
[Unit]
Description=bzredis, which keeps Redis current with Benzinga's streams
Documentation=man:systemd.service(5)
# Redis and the network may be away: it waits for both by itself, for as long as it
# takes. So there is no end to starting it again, either.
StartLimitIntervalSec=0

[Service]
# Ready means that it runs, not that all is fresh: upstream may be away at that time.
Type=notify
NotifyAccess=main
ExecStart={command}
# A copy, which systemd makes at each start: restart it after the token was changed.
LoadCredential=token:{token}
{environment}\
# So that a bridge which hangs leaves word of where, when the watchdog ends it.
Environment=PYTHONFAULTHANDLER=1
# A sign of life comes every third of this while its work goes on; see `/healthz`.
WatchdogSec=60
Restart=on-failure
RestartSec=10
# 2: the settings are wrong; 3: upstream refused every stream. Somebody has to look.
RestartPreventExitStatus=2 3
# It ends within 5 s whatever hangs.
TimeoutStopSec=20

# What it keeps is for its user alone, and no dump of memory may hold the token.
UMask=0077
LimitCORE=0
# It needs no more than files of its own and the network (NETLINK: which addresses there
# are, as looking up names asks).
NoNewPrivileges=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=default.target
"""

BOARD_TEXT: Final = """\
# What is to be otherwise belongs into `systemctl --user edit bzredis-board`.
[Unit]
Description=bzredis' board in the browser
Documentation=man:systemd.service(5)
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command}
Restart=on-failure
RestartSec=10
# The settings are wrong, or its port is another's: somebody has to look.
RestartPreventExitStatus=2
TimeoutStopSec=20
UMask=0077
LimitCORE=0
NoNewPrivileges=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=default.target
"""


def board_text(plan: Plan) -> str:
    """Return the file of the board's unit. Raises ConfigError."""
    return sealed(BOARD_TEXT.format(command=" ".join(_words_of(plan.board))), "# {}")


def _words_of(command: tuple[str, ...]) -> list[str]:
    program, *arguments = command
    if UNSAFE & {*program}:
        raise ConfigError(
            f"{program}: systemd takes no program with quotes or backslashes in its"
            " path"
        )
    return [_quoted(program), *(_quoted(each, "$") for each in arguments)]


def text(plan: Plan, environ: Mapping[str, str]) -> str:
    """Return the unit's file. Raises ConfigError."""
    words = _words_of(plan.command)
    # The state folder is where this shell would have it, too.
    home = environ.get("XDG_STATE_HOME", "")
    kept = f"Environment={_quoted(f'XDG_STATE_HOME={home}')}\n" if home else ""
    body = TEXT.format(
        command=" ".join([*words, "${CREDENTIALS_DIRECTORY}/token"]),
        token=str(plan.token).replace("%", "%%"),
        environment=kept,
    )
    return sealed(body, "# {}")


def _quoted(word: str, doubled: str = "") -> str:
    """Write a word so that systemd takes it for one, as it is."""
    if PLAIN.fullmatch(word):
        return word
    for each in ("\\", '"'):
        word = word.replace(each, f"\\{each}")
    for each in ("%", *doubled):
        word = word.replace(each, each * 2)
    return f'"{word}"'


def _systemctl(*words: str) -> list[str]:
    return ["systemctl", "--user", *words]


@attrs.frozen
class Systemd:
    """The user's own service manager."""

    name: str = UNIT

    @property
    def file(self) -> Path:
        home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
        return expanded(Path(home)) / "systemd" / "user" / self.name

    def text(self, plan: Plan) -> str:
        return board_text(plan) if self.name == BOARD else text(plan, os.environ)

    # ---- what is run

    def starting(self, *, anew: bool) -> list[list[str]]:
        """Return the commands that start it, `anew` where another file was in force."""
        start = [_systemctl("daemon-reload"), _systemctl("enable", "--now", self.name)]
        return [*start, _systemctl("restart", self.name)] if anew else start

    def ending(self) -> list[list[str]]:
        return [_systemctl("disable", "--now", self.name)]

    def ended(self) -> list[list[str]]:
        """Return what is run once the file is gone."""
        return [_systemctl("daemon-reload")]

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
        if not said.code:
            return
        words = " ".join((said.error or said.output).split())
        if any(each in words for each in NO_SESSION):
            raise ConfigError(
                "no systemd session of this user is here: log in as this user itself"
                " (not by su or sudo), or let one run always with `loginctl"
                f" enable-linger {_user()}`, then log in anew ({words})"
            )
        last = self._last_words(words)
        raise ConfigError(f"systemd could not {what}: {words}{last}")

    def _last_words(self, words: str) -> str:
        """Return what a service said that did not start, where that is to be had."""
        if not words.startswith("Job for"):
            return ""
        command = ["journalctl", "--user", "--unit", self.name, "--lines", LAST]
        try:
            said = call([*command, "--output=cat", "--no-pager"])
        except ConfigError:
            return ""
        return f"; its last words: {said.output}" if said.output else ""

    # ---- how it is

    def state(self) -> tuple[bool, list[str]]:
        """Return whether it runs, and how it is in lines for people."""
        said = call(_systemctl("show", self.name, *(f"--property={p}" for p in SHOWN)))
        self._done(said, "be asked")
        found = dict(line.partition("=")[::2] for line in said.output.splitlines())
        return found.get("ActiveState") == "active", [*_words(self.name, found)]

    def afterwards(self) -> Iterator[str]:
        """Yield what else a person should know of a service that was installed."""
        if (lingers := _lingers()) is not None and not lingers:
            yield (
                "It ends when you log out, and begins when you log in. For it to run"
                " from the start of the machine on:\n"
                f"  loginctl enable-linger {_user()}"
            )
        yield (
            "After new settings or a new token:\n"
            f"  systemctl --user restart {self.name}\n"
            "What it says:\n"
            f"  journalctl --user --unit {self.name} --follow"
        )


def _words(name: str, found: Mapping[str, str]) -> Iterator[str]:
    if found.get("LoadState") == "not-found":
        yield f"{name} is not installed; `bzredis service install` does that"
        return
    state = f"{found.get('ActiveState')} ({found.get('SubState')})"
    since = found.get("ActiveEnterTimestamp", "")
    yield f"{name}: {state}" + (f" since {since}" if since else "")
    if found.get("UnitFileState") != "enabled":
        yield "It does not start by itself; `bzredis service install` mends that"
    if words := found.get("StatusText"):
        yield f"It says: {words}"
    if (result := found.get("Result", "success")) != "success":
        code = found.get("ExecMainStatus", "?")
        yield f"It ended with {result}, exit code {code}"
    if (restarts := found.get("NRestarts", "0")) not in {"", "0"}:
        yield f"It was started again {restarts} times"


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
