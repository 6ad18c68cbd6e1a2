"""Read the token from where it stands, anew at each use: files get replaced.

But a pipe, as of `--token-file <(pass show benzinga)`, gives it once.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import attrs

from bzredis.errors import ConfigError, FeedLost
from bzredis.settings.config import TOKEN_VARIABLE, VARIABLES, Token
from bzredis.settings.file import expanded
from bzredis.settings.options import unquoted

MOMENT = 0.2  # s that the file of a token is waited for; else what it held counts
# What a file of variables is made of, and what a shell would have put a value for.
_ASSIGNED = re.compile(r"(?:export\s+)?[A-Z_]+(?:TOKEN|KEY)=")
_NOT_PUT_IN = re.compile(r"\$(?:[A-Z_]+|\{[A-Za-z_]+\})")
OTHERS = stat.S_IRWXG | stat.S_IRWXO  # what a mode grants to anyone but its owner
LONGEST = 4_096  # bytes; a file larger than that is some other file


def token_reader(token: Token, keep_secret: Callable[[str], None]) -> Callable[[], str]:
    """Return what reads the token at each connect, and tells it to `keep_secret`.

    ConfigError now, where a person has to see to it; FeedLost from it later, while the
    file is being replaced.
    """
    token = lasting(token)
    known = read(token)
    keep_secret(known)
    reading: Future[str] | None = None

    def read_again() -> str:
        nonlocal known, reading
        if token.path is None:
            return known
        reading = reading or _begin_to_read(token)
        try:
            known = reading.result(MOMENT)
        except TimeoutError:  # a disk that hangs may give it in the end
            return known
        except ConfigError as error:
            reading = None
            raise FeedLost(str(error)) from None
        reading = None
        keep_secret(known)
        return known

    return read_again


def required(token: Token | None) -> Token:
    """Return where the token stands; ConfigError where nobody said that."""
    if token is None:
        near = [name for name in sorted(os.environ) if name.startswith("BENZINGA_")]
        others = [name for name in near if name not in VARIABLES]
        if others:  # as BENZINGA_API_KEY, which other programs read
            raise ConfigError(
                f"there is no token: {others[0]} is set, and what is read is"
                f" {TOKEN_VARIABLE}; is that meant?"
            )
        raise ConfigError(
            f"there is no token: set {TOKEN_VARIABLE}, or name a file that holds it"
            " with --token-file, or let `bzredis init` ask for it (`bzredis demo` needs"
            " none)"
        )
    return token


def exposed(token: Token) -> str:
    """Say in words who else may read the token's file, "" where none or nobody's fault.

    What belongs to another, or cannot be changed, is as it is meant to be: the secrets
    of containers are readable to all.
    """
    if token.path is None:
        return ""
    path = expanded(token.path)
    try:
        found, system = path.stat(), os.statvfs(path)
    except OSError:  # whoever reads it will say so
        return ""
    is_ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
    if not is_ours or system.f_flag & os.ST_RDONLY or not found.st_mode & OTHERS:
        return ""
    mode = stat.S_IMODE(found.st_mode)
    return (
        f"others may read the token: its file {path} has the mode {mode:04o}; take that"
        f" away with `chmod 600 {shlex.quote(str(path))}`"
    )


def _begin_to_read(token: Token) -> Future[str]:
    """Read in a thread of its own, which nobody waits for at the end."""
    reading = Future[str]()

    def run() -> None:
        try:
            reading.set_result(read(token))
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            reading.set_exception(error)

    threading.Thread(target=run, name="token", daemon=True).start()
    return reading


def lasting(token: Token) -> Token:
    """Return where the token stands for as long as one likes; ConfigError as `read`.

    What can be read only once is read now, and kept: later it would be empty, or wait
    for somebody to write into it.
    """
    if token.path is None or not gives_once(expanded(token.path)):
        return token
    return attrs.evolve(token, literal=read(token), path=None)


def gives_once(path: Path) -> bool:
    """Whether a file is a pipe, or the like, out of which a token comes but once."""
    # Some systems open these as what they stand for, read to its end as it may be.
    if path.is_relative_to("/dev/fd") or path == Path("/dev/stdin"):
        return True
    with suppress(OSError):  # whoever reads it will say so
        mode = path.stat().st_mode
        return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
    return False


def read(token: Token) -> str:
    """Return the token itself, or raise ConfigError that names its variable or file."""
    where, text = token.source, token.literal
    if token.path is not None:
        path = expanded(token.path)
        where = f"{token.source}: the file {path}"
        try:
            with path.open("rb") as file:
                raw = file.read(LONGEST + 1)
            if len(raw) > LONGEST:
                raise ConfigError(f"{where} is too large to hold a token")
            text = raw.decode("utf-8-sig")
        except FileNotFoundError as error:
            raise ConfigError(
                f"{where} cannot be read: {error.strerror}; put the token there, or let"
                " `bzredis init` ask for it"
            ) from None
        except OSError as error:
            raise ConfigError(f"{where} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{where} is not text, so it holds no token") from None
    found = unquoted(text).strip()
    if not found:
        raise ConfigError(f"{where} is empty: it has to hold the {TOKEN_VARIABLE}")
    if _ASSIGNED.match(found) or _NOT_PUT_IN.fullmatch(found):
        raise ConfigError(
            f"{where} holds the name of a variable: it has to hold the token itself"
        )
    if not (found.isascii() and found.isprintable()) or " " in found:
        raise ConfigError(
            f"{where} holds no token: there are white space or special characters in it"
        )
    return found
