"""The state folder, and the lock that keeps a second bridge out of it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
    with ExitStack() as stack:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = stack.enter_context((folder / "lock").open("a+", encoding="utf-8"))
            is_ours = _lock(file)
            file.seek(0)
            other = file.read().strip() or "another bridge"
            if is_ours:
                file.truncate(0)
                file.write(f"{holder}, process {os.getpid()}\n")
                file.flush()
        except OSError as error:
            raise ConfigError(
                f"the state folder {folder} cannot be used: {error.strerror}; name one"
                " that can be written with --state-dir"
            ) from None
        if not is_ours:
            raise ConfigError(
                f"the state folder {folder} is in use by {other}; stop that one, or"
                " give this one a folder of its own with --state-dir"
            )
        yield folder


def _lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
