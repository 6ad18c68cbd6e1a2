"""Read the token from where it stands, anew at each use: files get replaced.

Who else may read the file is not checked: container secrets are readable to all.
"""

from __future__ import annotations

import os
from pathlib import Path

from bzredis.config import TOKEN_VARIABLE, Token
from bzredis.errors import ConfigError

LONGEST = 4_096  # bytes; a file larger than that is some other file


def read(token: Token) -> str:
    """Return the token itself, or raise ConfigError that names its variable or file."""
    if token.path is None:
        return _checked(token.literal, token.source)
    # Leaves a ~ that it cannot resolve as it is, where pathlib raises.
    path = Path(os.path.expanduser(token.path))  # noqa: PTH111
    where = f"{token.source}: the file {path}"
    try:
        with path.open("rb") as file:
            raw = file.read(LONGEST + 1)
        if len(raw) > LONGEST:
            raise ConfigError(f"{where} is too large to hold a token")
        return _checked(raw.decode("utf-8-sig"), where)
    except OSError as error:
        raise ConfigError(f"{where} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{where} is not text, so it holds no token") from None


def _checked(text: str, where: str) -> str:
    token = text.strip()
    if not token:
        raise ConfigError(f"{where} is empty: it has to hold the {TOKEN_VARIABLE}")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError(
            f"{where} holds no token: there are white space or special characters in it"
        )
    return token
