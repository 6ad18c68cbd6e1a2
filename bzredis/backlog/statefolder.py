"""The state folder, and the lock that keeps a second bridge out of it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from bzredis.errors import ConfigError


@contextmanager
def locked(folder: Path, holder: str) -> Iterator[Path]:
    """Hold the folder until the end of the block; make it where there is none.

    `holder` says who holds it, for another who wants to. The kernel lets go when the
    process ends, however that is. Raises ConfigError where the folder is held already,
    or cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (folder / "lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise ConfigError(_unusable(folder, error)) from None
    with file:
        _lock(file, folder)
        try:
            file.seek(0)
            file.truncate()
            file.write(f"{holder}, process {os.getpid()}\n")
            file.flush()
        except OSError as error:
            raise ConfigError(_unusable(folder, error)) from None
        yield folder


def _lock(file: TextIO, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "another bridge"
        msg = (
            f"the state folder {folder} is in use by {holder}; stop that one, or give"
            " this one a folder of its own with --state-dir"
        )
        raise ConfigError(msg) from None
    except OSError as error:
        raise ConfigError(_unusable(folder, error)) from None


def _unusable(folder: Path, error: OSError) -> str:
    return (
        f"the state folder {folder} cannot be used: {error.strerror}; name one that"
        " can be written with --state-dir"
    )
