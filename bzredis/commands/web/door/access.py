"""The token that the board asks for beyond this machine."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from bzredis.errors import ConfigError

TOKEN_FILE: Final = "board-token"  # noqa: S105 - its name
TOKEN_BYTES: Final = 32
SHORTEST: Final = 16  # characters of a token


def token_in(folder: Path) -> tuple[str, Path]:
    """Return the token to ask for, and its file.

    It is made once, and kept for the user alone. Raises ConfigError.
    """
    file = folder / TOKEN_FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with open(os.open(file, mode, 0o600), "w", encoding="ascii") as made:  # noqa: PTH123 - for its mode
            made.write(secrets.token_urlsafe(TOKEN_BYTES) + "\n")
    except FileExistsError:
        pass
    except OSError as error:
        words = f"the board's token cannot be kept in {file}: {error.strerror}"
        raise ConfigError(words) from None
    try:
        token = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the board's token in {file} cannot be read: {error}"
        ) from None
    if len(token) < SHORTEST or not (token.isascii() and token.isprintable()):
        raise ConfigError(
            f"{file} holds no token: remove it, and a new one is made (or write at"
            f" least {SHORTEST} letters and digits into it)"
        )
    return token, file
