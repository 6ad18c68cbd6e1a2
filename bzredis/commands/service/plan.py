"""What a service is to run, and what would go wrong with it: told before it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

import attrs

from bzredis import __version__
from bzredis.commands.running.proxies import EXCEPT, VARIABLES, proxy_for
from bzredis.commands.service.calls import call
from bzredis.errors import ConfigError
from bzredis.settings import credentials
from bzredis.settings.config import Config
from bzredis.settings.file import APP, Found, expanded

START: Final = 30.0  # s that a Python may take to start, on a busy machine
MARK: Final = "Written by `bzredis service install`; as it was written:"
STATE_HOME: Final = "XDG_STATE_HOME"  # the state folder is where this shell has it
INIT: Final = "`bzredis init` makes one"
# What may run beside the bridge as a service of its own: its command, and what it is.
BESIDE: Final = {
    "board": "bzredis' board in the browser",
    "react": "bzredis' reactions, as the settings file has them",
}


@attrs.frozen
class Plan:
    """What a service runs."""

    python: str  # the interpreter of this installation
    settings: Path
    token: Path
    log_format: str = "text"  # for where no journal is, unless somebody said otherwise
    environment: Mapping[str, str] = attrs.field(factory=dict)  # of this shell

    @property
    def command(self) -> tuple[str, ...]:
        """The command but for the token's file, which each kind of service names."""
        program = (self.python, "-P", "-m", "bzredis", "run")
        return *program, "--config", str(self.settings), "--token-file"

    def beside(self, role: str) -> tuple[str, ...]:
        """Return the command of what runs beside the bridge."""
        program = (self.python, "-P", "-m", "bzredis", role)
        return *program, "--config", str(self.settings)


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
    carried = kept(found.config, os.environ)
    made = Plan(sys.executable, file, expanded(token.path), text, carried)
    _check_paths(made)
    _check_installation(made)
    return made


def kept(config: Config, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what of this shell's environment a service needs as well.

    Of proxies only those that count for the hosts that are set. Raises ConfigError.
    """
    names = [STATE_HOME]
    hosts = (config.upstream, config.rest_origin)
    proxies = [proxy_for(at, environ) for at in hosts]  # each one's login is a secret
    if any(proxies):
        for alike in (VARIABLES, EXCEPT):
            names += [name for name in alike if environ.get(name, "").strip()][:1]
    found = {name: environ[name] for name in names if environ.get(name)}
    for name, value in found.items():
        if not value.isprintable():
            raise ConfigError(f"{name}: no service can be written of such characters")
    return found


def name_of(role: str) -> str:
    """Return a service's name: of the bridge, where it has no role beside it."""
    return f"{APP}-{role}" if role else APP


def sealed(body: str, comment: str) -> str:
    """Return a file's text, with a last line that tells whether anyone changed it.

    It names our version, so that what is installed after an upgrade is started anew.
    """
    told = f"{MARK} {_digest(body)}, by version {__version__}"
    return f"{body}{comment.format(told)}\n"


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
