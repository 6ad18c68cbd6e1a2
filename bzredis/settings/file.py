"""The configuration as it is found here: flags, the environment and the TOML file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
from platformdirs import user_config_path, user_state_path

from bzredis.errors import ConfigError
from bzredis.settings.config import FILE_VARIABLE, Config, configure
from bzredis.settings.options import unquoted

APP = "bzredis"


def default_file() -> Path:
    """Return where the TOML file is unless someone says otherwise."""
    return _of_user(user_config_path, "~/.config") / "config.toml"


def _of_user(folder: Callable[[str], Path], without_home: str) -> Path:
    try:
        return folder(APP)
    except RuntimeError:  # nobody knows whose home it would be in
        return Path(without_home) / APP


def load(file: Path | None, flags: Mapping[str, object]) -> Config:
    """Return the configuration from flags, the environment and the TOML file.

    Raises ConfigError. A file that was named has to be there, the default one need not.
    """
    variable = unquoted(os.environ.get(FILE_VARIABLE, "")).strip()
    named = file or (Path(variable) if variable else None)
    path = named or default_file()
    # In a folder that we may not look into, none is meant for us: pathlib would raise.
    toml = _read(path) if named or os.path.isfile(path) else {}  # noqa: PTH113
    state_dir = _of_user(user_state_path, "~/.local/state")
    config = configure(flags, os.environ, toml, file=str(path), state_dir=state_dir)
    # The shell does not see a ~ that stands in a file.
    return attrs.evolve(config, state_dir=expanded(config.state_dir))


def expanded(path: Path) -> Path:
    """Return a path with its ~ resolved; where it cannot be, it stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib would raise


def _read(path: Path) -> dict[str, Any]:
    try:
        # Editors of Windows begin a file with a mark, which is no TOML.
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is no TOML: {error}") from None
