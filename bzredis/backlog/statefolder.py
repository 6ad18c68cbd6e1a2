"""The state folder, and the lock that keeps a second bridge out of it."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final, Literal, TextIO

from bzredis.errors import ConfigError

UNUSABLE: Final = (
    "the state folder {} cannot be used: {}; name one that can be written with"
    " --state-dir"
)

LOOKED: Final = 0.2  # s in which who only looks (`holder`) has let go again


@contextmanager
def locked(folder: Path, holder: str) -> Iterator[Path]:
    """Hold the folder until the end of the block; make it where there is none.

    `holder` says who holds it, for another who wants to. The kernel lets go when the
    process ends, however that is. Raises ConfigError where the folder is held already,
    or cannot be written.
    """
    with ExitStack() as stack:
        try:
            _refuse_homeless(folder)
            os.umask(0o077)  # what is made in it is for nobody else, the spool too
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if complaint := _complaint(folder):
                raise ConfigError(complaint)
            file = stack.enter_context(
                open(folder / "lock", "a+", encoding="utf-8", opener=_no_link)
            )
            is_ours = _lock(file) or _lock_after(LOOKED, file)
            file.seek(0)
            other = file.read().strip() or "another bridge"
            if is_ours:
                file.truncate(0)
                file.write(f"{holder}, process {os.getpid()}\n")
                file.flush()
        except OSError as error:
            raise ConfigError(UNUSABLE.format(folder, error.strerror)) from None
        if not is_ours:
            raise ConfigError(
                f"the state folder {folder} is in use by {other}; stop that one, or"
                " give this one a folder of its own with --state-dir"
            )
        yield folder


def holder(folder: Path) -> str:
    """Say who holds a folder, "" for nobody; nothing is made, nor kept from anyone.

    Raises ConfigError where it is there and cannot be used.
    """
    _refuse_homeless(folder)
    try:
        if not folder.exists():
            return _refuse_unmakable(folder)
        if complaint := _complaint(folder):
            raise ConfigError(complaint)
        with TemporaryFile(dir=folder):  # where that can be, so can a spool
            pass
        with open(folder / "lock", encoding="utf-8", opener=_no_link) as file:
            # Shared, and at once given back: nobody who comes now is kept out for long.
            is_free = _lock(file, fcntl.LOCK_SH)
            return "" if is_free else file.read().strip() or "another bridge"
    except FileNotFoundError:  # nobody ever held it
        return ""
    except OSError as error:
        raise ConfigError(UNUSABLE.format(folder, error.strerror)) from None


def _refuse_unmakable(folder: Path) -> Literal[""]:
    above = next(each for each in folder.absolute().parents if each.exists())
    if not above.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(above, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return ""


def _refuse_homeless(folder: Path) -> None:
    if str(folder).startswith("~"):  # there is no home for that
        raise ConfigError(
            f"the state folder {folder} is in the home of nobody known: name another"
            " one with --state-dir"
        )


def _no_link(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    # What it leads to is not ours to empty.
    raise ConfigError(
        f"{path} is a link: remove it, or name another folder with --state-dir"
    )


def _complaint(folder: Path) -> str:
    """Say what is wrong with a folder that others may write to, "" if nothing is."""
    found, me = folder.stat(), os.geteuid()
    if found.st_uid != me:
        return (
            f"the state folder {folder} belongs to user {found.st_uid}, and this is"
            f" user {me}: name a folder of your own with --state-dir"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return (
            f"others may write to the state folder {folder}: take that away with"
            f" `chmod go-w`, or name another one with --state-dir"
        )
    return ""


def _lock_after(seconds: float, file: TextIO) -> bool:
    time.sleep(seconds)
    return _lock(file)


def _lock(file: TextIO, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
