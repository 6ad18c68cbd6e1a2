"""What stands in a user unit of systemd's."""

from __future__ import annotations

import re
from typing import Final

from bzredis.commands.service.plan import BESIDE, Plan, name_of, sealed
from bzredis.errors import ConfigError

PLAIN: Final = re.compile(r"[\w/.,:@+=-]+", re.ASCII)  # what needs no quotes
UNSAFE: Final = {*"\"'\\"}
# Of systemd 252 (Debian 12) in a user's own service manager. What needs a mount
# namespace there (ProtectSystem=, PrivateTmp=, …) needs PrivateUsers= as well, which
# kernels and containers may forbid, and the service would not start; or it is passed
# over without a word. What is here is done by seccomp and prctl, and works everywhere.
TEXT: Final = """\
# What is to be otherwise belongs into `systemctl --user edit bzredis`.
[Unit]
Description=bzredis, which keeps Redis current with Benzinga's streams
# Redis and the network may be away: it waits for both by itself, for as long as it
# takes. So there is no end to starting it again, either.
StartLimitIntervalSec=0

[Service]
# Ready means that it runs, not that all is fresh: upstream may be away at that time.
Type=notify
NotifyAccess=main
# The journal's name for it, else it is the interpreter's.
SyslogIdentifier={name}
ExecStart={command}
# A copy, which systemd makes at each start: restart it after the token was changed.
LoadCredential=token:{token}
{environment}\
# So that a bridge which hangs leaves word of where, when the watchdog ends it.
Environment=PYTHONFAULTHANDLER=1
# 4 MB less of an idle bridge, and a tenth slower where thousands come at once.
Environment=MALLOC_ARENA_MAX=1 MALLOC_TRIM_THRESHOLD_=65536
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
# Programs of somebody's that `react` runs are not to be hindered.
TEXT_BESIDE: Final = """\
# What is to be otherwise belongs into `systemctl --user edit {name}`.
[Unit]
Description={what}
StartLimitIntervalSec=0

[Service]
Type=exec
SyslogIdentifier={name}
ExecStart={command}
{environment}\
Restart=on-failure
RestartSec=10
# The settings are wrong, say: somebody has to look.
RestartPreventExitStatus=2
TimeoutStopSec=20
UMask=0077
LimitCORE=0
NoNewPrivileges=yes

[Install]
WantedBy=default.target
"""


def text(plan: Plan, role: str = "") -> str:
    """Return the unit's file. Raises ConfigError."""
    name, token = name_of(role), str(plan.token).replace("%", "%%")
    kept = "".join(
        f"Environment={_quoted(f'{name}={value}')}\n"
        for name, value in plan.environment.items()
    )
    if role:
        command = " ".join(_words(plan.beside(role)))
        body = TEXT_BESIDE.format(
            name=name, what=BESIDE[role], command=command, environment=kept
        )
    else:
        command = " ".join([*_words(plan.command), "${CREDENTIALS_DIRECTORY}/token"])
        body = TEXT.format(name=name, command=command, token=token, environment=kept)
    return sealed(body, "# {}")


def _words(command: tuple[str, ...]) -> list[str]:
    program, *arguments = command
    if UNSAFE & {*program}:
        raise ConfigError(
            f"{program}: systemd takes no program with quotes or backslashes in its"
            " path"
        )
    return [_quoted(program), *(_quoted(each, "$") for each in arguments)]


def _quoted(word: str, doubled: str = "") -> str:
    """Write a word so that systemd takes it for one, as it is."""
    if PLAIN.fullmatch(word):
        return word
    for each in ("\\", '"'):
        word = word.replace(each, f"\\{each}")
    for each in ("%", *doubled):
        word = word.replace(each, each * 2)
    return f'"{word}"'
