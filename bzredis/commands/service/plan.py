"""What a service is to run, and what would go wrong with it: told before it is."""

from __future__ import annotations

import os
import sys
from hashlib import sha256
from pathlib import Path
from typing import Final

import attrs

from bzredis.commands.service.calls import call
from bzredis.errors import ConfigError
from bzredis.settings import credentials
from bzredis.settings.file import Found, expanded

START: Final = 30.0  # s that a Python may take to start, on a busy machine
MARK: Final = "Written by `bzredis service install`; as it was written:"
INIT: Final = "`bzredis init` makes one"


@attrs.frozen
class Plan:
    """What a service runs."""

    python: str  # the interpreter of this installation
    settings: Path
    token: Path
    log_format: str = "text"  # for where no journal is, unless somebody said otherwise

    @property
    def board(self) -> tuple[str, ...]:
        """The command of the board in the browser."""
        program = (self.python, "-P", "-m", "bzredis", "board")
        return *program, "--config", str(self.settings)

    @property
    def command(self) -> tuple[str, ...]:
        """The command but for the token's file, which each kind of service names."""
        program = (self.python, "-P", "-m", "bzredis", "run")
        return *program, "--config", str(self.settings), "--token-file"


def plan(found: Found) -> Plan:
    """Return what is to be run of what was found. Raises ConfigError.

    A service begins in another folder, and with nothing of this shell's environment.
    """
    file = Path(os.path.abspath(expanded(found.file)))  # noqa: PTH100 - a link stays one
    if not found.is_there:
        raise ConfigError(f"there is no settings file {file}; {INIT}")
    settings = {each.option.field: each for each in found.settings}
    for each in found.settings:
        if each.kind == "variable":
            is_token = each.option.field == "token"
            place = f"the token in a file ({INIT})" if is_token else f"it in {file}"
            raise ConfigError(
                f"{each.source} is set here, and no service would see that: keep"
                f" {place}, and unset {each.source}"
            )
    token = credentials.required(settings["token"].value)
    if token.path is None or credentials.gives_once(expanded(token.path)):
        raise ConfigError(
            f"{token.source}: a service needs a file of the token: {INIT}"
        )
    paths = {"token-file": token.path, "state-dir": found.config.state_dir}
    for name, path in paths.items():
        if not expanded(path).is_absolute():
            raise ConfigError(
                f"{name}: {str(path)!r} depends on the folder in which one is, and a"
                " service begins in another: write the whole path"
            )
    credentials.read(token)
    form = settings["log_format"]
    text = "text" if form.kind == "default" else form.value
    made = Plan(sys.executable, file, expanded(token.path), text)
    _check_paths(made)
    _check_installation(made)
    return made


def sealed(body: str, comment: str) -> str:
    """Return a file's text, with a last line that tells whether anyone changed it."""
    return f"{body}{comment.format(f'{MARK} {_digest(body)}')}\n"


def is_sealed(text: str) -> bool:
    """Tell whether a file is as it was written here."""
    body, _, last = text.rstrip("\n").rpartition("\n")
    return MARK in last and _digest(f"{body}\n") in last


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]


def _check_paths(made: Plan) -> None:
    for path in (made.python, str(made.settings), str(made.token)):
        if not path.isprintable():
            raise ConfigError(
                f"{path!r}: no service can be written of a path with such characters"
            )


def _check_installation(made: Plan) -> None:
    """See that the program is found where nothing of this shell's is there."""
    if call([made.python, "-E", "-P", "-c", "import bzredis.commands.cli"], START).code:
        raise ConfigError(
            f"{made.python} does not find bzredis by itself (PYTHONPATH is nothing that"
            " a service sees): install it, as by `pip install .` in its folder"
        )
