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
from bzredis.settings.config import FILE_VARIABLE, Config
from bzredis.settings.options import unquoted
from bzredis.settings.settle import Setting, settle

APP = "bzredis"
NO_VALUE = "Invalid value"  # what tomllib calls text without quotes, among others
LONGEST = 65_536  # bytes of a file that is read as text


def default_file() -> Path:
    """Return where the TOML file is unless someone says otherwise."""
    return _of_user(user_config_path, "~/.config") / "config.toml"


def default_state_dir() -> Path:
    """Return where state is kept unless someone says otherwise."""
    return _of_user(user_state_path, "~/.local/state")


def _of_user(folder: Callable[[str], Path], without_home: str) -> Path:
    try:
        return folder(APP)
    except RuntimeError:  # nobody knows whose home it would be in
        return Path(without_home) / APP


@attrs.frozen
class Found:
    """The configuration as it is found here, and where it comes from."""

    file: Path
    named_by: str  # the flag or the variable that names the file; "" its usual place
    is_there: bool
    settings: tuple[Setting, ...]

    @property
    def config(self) -> Config:
        return Config(**{each.option.field: each.value for each in self.settings})


def load(file: Path | None, flags: Mapping[str, object]) -> Config:
    """Return the configuration; for all else see `find`."""
    return find(file, flags).config


def find(file: Path | None, flags: Mapping[str, object]) -> Found:
    """Return the configuration from flags, the environment and the TOML file.

    Raises ConfigError. A file that was named has to be there, the default one need not.
    """
    path, named_by = place(file)
    # In a folder that we may not look into, none is meant for us: pathlib would raise.
    is_there = bool(named_by) or os.path.isfile(path)  # noqa: PTH113
    toml = read_toml(path) if is_there else {}
    state_dir = default_state_dir()
    found = settle(flags, os.environ, toml, file=str(path), state_dir=state_dir)
    return Found(path, named_by, is_there, tuple(map(_at_home, found)))


def place(file: Path | None) -> tuple[Path, str]:
    """Return where the TOML file is, and what names it: a flag, a variable or ""."""
    if file is not None:
        return file, "--config"
    if variable := unquoted(os.environ.get(FILE_VARIABLE, "")).strip():
        return Path(variable), FILE_VARIABLE
    return default_file(), ""


def _at_home(setting: Setting) -> Setting:
    """Resolve a ~ that stands in a file, which the shell does not see."""
    if setting.option.field != "state_dir":
        return setting
    return attrs.evolve(setting, value=expanded(setting.value))


def expanded(path: Path) -> Path:
    """Return a path with its ~ resolved; where it cannot be, it stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib would raise


def read_toml(path: Path) -> dict[str, Any]:
    """Return what stands in a file, or raise ConfigError that names it."""
    try:
        # Editors of Windows begin a file with a mark, which is no TOML.
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        hint = "; text stands in quotes" if str(error).startswith(NO_VALUE) else ""
        raise ConfigError(f"{path}: is no TOML: {error}{hint}") from None


def read_text(path: Path, where: str) -> str:
    """Return what stands in a file that was named, or raise ConfigError.

    `where` is how the error begins: by what it was named.
    """
    place = expanded(path)
    try:
        with place.open("rb") as file:
            return file.read(LONGEST).decode("utf-8-sig")
    except OSError as error:
        words = f"{where}: the file {place} cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        words = f"{where}: the file {place} is not text in UTF-8"
    raise ConfigError(words)
