"""`bzredis init`: a first file of settings, and the token where no one else reads."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import GetPassWarning, getpass
from pathlib import Path
from typing import Final, NoReturn
from warnings import catch_warnings, simplefilter

import click

from bzredis.commands.form import INTERRUPTED, complain, endings
from bzredis.commands.running.called import typed
from bzredis.commands.service.systemd import RESTART, Systemd
from bzredis.commands.setup.put import put
from bzredis.commands.setup.template import template
from bzredis.errors import ConfigError
from bzredis.settings import credentials
from bzredis.settings.config import FILE_VARIABLE, TOKEN_VARIABLE, Token
from bzredis.settings.file import (
    default_file,
    default_state_dir,
    expanded,
    place,
    read_toml,
)
from bzredis.settings.settle import configure

TRIES: Final = 3  # that who types a token has
QUESTION: Final = "Your Benzinga token (it is not shown; Enter alone: {}): "


@click.command()
@click.option(
    "--config",
    "named",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help=f"TOML file to write. [{FILE_VARIABLE}; {default_file()}]",
)
@click.option("--force", is_flag=True, help="Write that file anew where it is there.")
@click.option(
    "--token-stdin",
    "is_piped",
    is_flag=True,
    help="Take the token from standard input, as from a password manager.",
)
def init(named: Path | None, *, force: bool, is_piped: bool) -> int:
    """Write a first file of settings, and keep the token beside it.

    On a terminal it asks for the token, without showing it. A file that is there
    already stays as it is.
    """
    found, by = place(named)
    file = Path(os.path.abspath(expanded(found)))  # noqa: PTH100 - a link stays one
    if str(expanded(found)).startswith("~"):
        raise ConfigError(
            "there is no home folder to write the settings to: name their file with"
            " --config"
        )
    try:
        str(file).encode()
    except UnicodeEncodeError:  # it could not name the token's file beside it
        raise ConfigError(f"{by or file}: is not text in UTF-8") from None
    given = _from_standard_input() if is_piped else ""
    is_terminal = not is_piped and sys.stdin is not None and sys.stdin.isatty()
    secret = _settings_file(file, force=force, is_terminal=is_terminal)
    is_there = os.path.lexists(secret)
    if given or (is_terminal and (given := _asked(is_there=is_there))):
        put(secret, given + "\n", anew=True)
        click.echo(f"Kept, for you alone: {secret}")
        if Systemd().file.exists():  # it has a copy
            click.echo(f"The service takes it once it is started anew: {RESTART}")
    elif is_there:
        click.echo(f"As it was: {secret}")
    else:
        _tell_how_to_give_it(secret)
    if words := credentials.exposed(Token("", path=secret)):
        complain(words)
    if os.environ.get(TOKEN_VARIABLE, "").strip():
        click.echo(f"{TOKEN_VARIABLE} is set here, and goes before that file.")
    more = f" --config {shlex.quote(str(file))}" if by == "--config" else ""
    click.echo(
        typed(
            f"\nNext: `bzredis check{more}` looks whether all is there,\n"
            f"      `bzredis service install{more}` has it run from each login on,\n"
            f"      or `bzredis run{more}` here."
        )
    )
    return 0


def _settings_file(file: Path, *, force: bool, is_terminal: bool) -> Path:
    """Write the settings unless they are there; return the token's file they name."""
    secret = file.parent / "token"
    text = template(secret, default_state_dir())
    anew = force
    if is_terminal and not force and os.path.lexists(file):
        with _stoppable():
            question = f"{file} is there already. Write it anew?"
            anew = click.confirm(question, default=False)
    if put(file, text, anew=anew):
        click.echo(f"Written: {file}")
        return secret
    click.echo(f"As it was: {file}" + ("" if is_terminal else " (unless --force)"))
    token = configure({}, {}, read_toml(file), file=str(file)).token
    if token is None or token.path is None:
        click.echo(f"For the token's file to be read, add: token-file = '{secret}'")
        return secret
    return expanded(token.path)


def _from_standard_input() -> str:
    if sys.stdin is None or sys.stdin.isatty():
        raise ConfigError(
            "--token-stdin: nothing is sent there, as by `pass show benzinga | bzredis"
            " init --token-stdin`; without it the token is asked for"
        )
    try:
        text = sys.stdin.read(credentials.LONGEST)
    except UnicodeDecodeError:
        text = "\0"  # what is no token
    return credentials.read(Token("--token-stdin", text))


def _asked(*, is_there: bool) -> str:
    """Ask for the token on the terminal; return "" where none was given."""
    question = QUESTION.format("as it was" if is_there else "later")
    with _stoppable(), catch_warnings():
        simplefilter("error", GetPassWarning)  # of a terminal that would show it
        for left in reversed(range(TRIES)):
            try:
                if not (typed := getpass(question)).strip():
                    return ""
                return credentials.read(Token("what was typed", typed))
            except (EOFError, GetPassWarning):
                click.echo()
                return ""
            except ConfigError as error:
                if not left:
                    raise
                click.echo(f"{error}; once more:")
    return ""


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let a signal end a question: else the terminal would go on showing nothing."""

    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in endings()}
    try:
        yield
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nStopped; no token was kept.")
        sys.exit(INTERRUPTED)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell_how_to_give_it(secret: Path) -> None:
    words = (
        "No token is kept yet. Each of these gives it:\n"
        "  `bzredis init` on a terminal, where it asks\n"
        "  `bzredis init --token-stdin`, which reads it, from a password manager say\n"
        f"  {TOKEN_VARIABLE}, a variable of the environment\n"
        f"  {secret},\n"
        "    a file of mode 0600 with nothing else in it"
    )
    click.echo(typed(words))
