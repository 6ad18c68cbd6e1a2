"""Put a small file in its place, whole, for its owner alone."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Final

from bzredis.errors import ConfigError

OWNERS: Final = 0o600


ELSEWHERE: Final = "; name a file in another folder with --config"


def put(path: Path, text: str, *, anew: bool, hint: str = ELSEWHERE) -> bool:
    """Write a file; return whether that was done: what is there stays, unless `anew`.

    Whoever reads meanwhile finds the old one or the new one. Raises ConfigError.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not anew and os.path.lexists(path):
            return False
        # A link stays one: of a folder that is kept elsewhere, say.
        target = os.path.realpath(path)
        handle, draft = mkstemp(prefix=".bzredis-", dir=os.path.dirname(target))  # noqa: PTH120 - a string, as realpath's
        try:
            with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
                file.write(text)
                file.flush()
                os.fchmod(handle, OWNERS)
                os.fsync(handle)
            os.replace(draft, target)  # noqa: PTH105 - strings
        finally:
            with suppress(FileNotFoundError):
                os.unlink(draft)  # noqa: PTH108 - likewise
    except OSError as error:
        # Of a folder that is no folder: nothing else in here minds what exists.
        is_none = isinstance(error, FileExistsError)
        reason = "Not a directory" if is_none else error.strerror
        raise ConfigError(f"{path} cannot be written: {reason}{hint}") from None
    return True
