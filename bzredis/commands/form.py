"""The command line's form: options out of their table, the file, errors in one line.

What the commands do is in `cli`.
"""

from __future__ import annotations

import math
import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import attrs
import click
from platformdirs import user_config_path, user_state_path

from bzredis.commands.logs import add_secret, redact
from bzredis.errors import ConfigError
from bzredis.settings.config import OPTIONS, TOKEN_VARIABLE, Config, configure
from bzredis.settings.options import Option

APP = "bzredis"
# Exit codes: stopped by a signal, and where an option or the configuration is wrong.
STOPPED, WRONG = 0, 2
FILE_VARIABLE = "BZREDIS_CONFIG"

Command = TypeVar("Command", bound=Callable[..., Any])


class Group(click.Group):
    """Commands whose return value is the exit code, and whose errors are one line."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run a command and end the process."""
        # Also where someone gives it as an argument, and the error repeats that.
        add_secret(os.environ.get(TOKEN_VARIABLE, ""))
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except ConfigError as error:
            code = _complain(str(error))
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else APP
            code = _complain(f"{error.format_message()} ({path} --help tells more)")
        except click.ClickException as error:
            code = _complain(error.format_message())
        except click.Abort:  # Ctrl-C where nothing ran yet that would have to end well
            code = STOPPED
        sys.exit(code)


def _complain(words: str) -> int:
    click.echo(f"{APP}: {redact(' '.join(words.split()))}", err=True)
    return WRONG


def with_options(command: str) -> Callable[[Command], Command]:
    """Give a command those options that the table says it has, and `--config`."""

    def decorate(function: Command) -> Command:
        for option in reversed(OPTIONS):
            if command in option.commands:
                function = _decorator(option)(function)
        return click.option(
            "--config",
            "file",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help=f"TOML file of options. [{FILE_VARIABLE}; {default_file()}]",
        )(function)

    return decorate


def _decorator(option: Option) -> Callable[[Command], Command]:
    # Every value stays text: configure() reads it, as it does all others.
    two_ways = option.switch and not option.name.startswith("no-")
    return click.option(
        f"{option.flag}/--no-{option.name}" if two_ways else option.flag,
        option.key,
        default=None,
        metavar=option.metavar or None,
        multiple=option.repeatable,
        type=bool if option.switch else str,
        is_flag=True if option.switch else None,
        help=f"{option.help} [{option.variable}; {option.shown}]",
    )


class Finite(click.FloatRange):
    """A range without nan, which is neither in it nor out of it, and without inf."""

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Return the number, or fail with words that repeat what was given."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number that one can count to", param, ctx)
        return float(number)


def default_file() -> Path:
    """Return where the TOML file is unless someone says otherwise."""
    return user_config_path(APP) / "config.toml"


def load(file: Path | None, flags: Mapping[str, object]) -> Config:
    """Return the configuration from flags, the environment and the TOML file.

    Raises ConfigError. A file that was named has to be there, the default one need not.
    """
    named = file or (Path(os.environ[FILE_VARIABLE]) if _is_named() else None)
    path = named or default_file()
    toml = _read(path) if named or _is_there(path) else {}
    config = configure(
        flags, os.environ, toml, file=str(path), state_dir=user_state_path(APP)
    )
    # The shell does not see a ~ that stands in a file. One that cannot be resolved
    # stays as it is, where pathlib would raise.
    state_dir = Path(os.path.expanduser(config.state_dir))  # noqa: PTH111
    return attrs.evolve(config, state_dir=state_dir)


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that we may not look into: then none is meant for us
        return False


def _is_named() -> bool:
    return bool(os.environ.get(FILE_VARIABLE, "").strip())


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is no TOML: {error}") from None
