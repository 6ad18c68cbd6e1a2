"""Programs of the system's, asked and waited for within limits."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from typing import Final

import attrs

from bzredis.errors import ConfigError

ASK: Final = 10.0  # s for what only looks
ACT: Final = 100.0  # s for what starts or stops: systemd itself gives up after 90


@attrs.frozen
class Said:
    """What a program said, and how it ended."""

    code: int
    output: str
    error: str


def shown(command: Sequence[str]) -> str:
    """Write a command as a person would type it."""
    return shlex.join(command)


def call(command: Sequence[str], limit: float = ASK) -> Said:
    """Run a program to its end; what it says is in English. Raises ConfigError."""
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and each word is ours
            command,
            env={**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit,
            check=False,
        )
    except FileNotFoundError:
        raise ConfigError(f"there is no {command[0]} here") from None
    except OSError as error:
        raise ConfigError(f"{command[0]} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        words = f"`{shown(command)}` did not end within {limit:.0f} s"
        raise ConfigError(words) from None
    return Said(done.returncode, done.stdout.strip(), done.stderr.strip())
