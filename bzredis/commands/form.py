"""The command line's form: options out of their table, errors in one line."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final, NoReturn, cast

import click

from bzredis.commands.logs import add_secret, redact
from bzredis.commands.looks.words import one_line
from bzredis.commands.running.called import examples, shown, typed
from bzredis.commands.running.people import fitting
from bzredis.errors import ConfigError
from bzredis.settings.config import FILE_VARIABLE, OPTIONS, TOKEN_VARIABLE
from bzredis.settings.file import APP, default_file, find, load
from bzredis.settings.names import meant, nearest

# Exit codes: stopped by a signal, as what runs until then is; where an option or the
# configuration is wrong; where Ctrl-C came before it was done.
STOPPED, WRONG, INTERRUPTED = 0, 2, 128 + signal.SIGINT
ALL: Final = frozenset(option.name for option in OPTIONS)

WHOLE: Final = 1_000  # characters, which no first sentence has

Command = Callable[..., int]


class Group(click.Group):
    """Commands whose return value is the exit code, and whose errors are one line.

    `places` names the module of each that is loaded only when it is asked for.
    """

    def __init__(
        self, *args: Any, places: Mapping[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(*args, **extra)
        self.places = places or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.places, *super().list_commands(ctx)]

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """List them, of each the first sentence, whole: click would cut it."""
        found = (
            (name, self.get_command(ctx, name)) for name in self.list_commands(ctx)
        )
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, each.get_short_help_str(WHOLE)) for name, each in found if each]
            )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if place := self.places.get(cmd_name):
            found = cast("click.Command", getattr(import_module(place), cmd_name))
            found.help = examples(found.help or "")
            return found
        return super().get_command(ctx, cmd_name)

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run a command and end the process."""
        # Also where someone gives it as an argument, and the error repeats that.
        add_secret(os.environ.get(TOKEN_VARIABLE, ""))
        for stream in filter(None, (sys.stdout, sys.stderr)):
            # Of a locale without our letters; a test's stream may be no such one.
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except ConfigError as error:
            code = complain(str(error))
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else shown()
            code = complain(f"{_said(error)} ({path} --help tells more)")
        except click.ClickException as error:
            code = complain(error.format_message())
        except click.Abort:  # at a question
            code = INTERRUPTED
        sys.exit(code)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is to run, or name the nearest one."""
        name = args[0]
        if self.get_command(ctx, name) is None and name[:1].isalnum():
            hint = meant(name, self.list_commands(ctx))
            raise click.UsageError(f"No such command {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)


def _said(error: click.UsageError) -> str:
    """Return click's words; of an option that is none ours, with the nearest one."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return error.format_message()
    words, command = f"No such option {error.option_name!r}", error.ctx.command
    given = [(*each.opts, *each.secondary_opts) for each in command.params]
    known = {flag for flags in given for flag in flags} - {"--token"}
    if isinstance(command, Group) and (name := nearest(error.option_name, ALL)):
        path = error.ctx.command_path
        return f"{words} here: it stands behind a command, as `{path} run --{name}`"
    return words + meant(error.option_name, known)


def endings() -> list[signal.Signals]:
    """Return the signals that end a program in good order.

    SIGHUP, of a terminal that is closed, is not among them where it was ignored from
    the start, as by nohup.
    """
    ignores_hangup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    hangup = [] if ignores_hangup else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *hangup]


def complain(words: str) -> int:
    """Say in a line what is wrong, on a terminal broken between words."""
    if sys.stderr is not None:
        line = f"{APP}: {redact(one_line(typed(words)))}"
        click.echo(fitting(line, sys.stderr), err=True)
    return WRONG


def with_options(
    names: Collection[str], *, origins: bool = False
) -> Callable[[Command], Command]:
    """Give a command these of the table's options and `--config`, and it a Config.

    With `origins` it is given what was Found: where each value comes from as well.
    """
    taken = [option for option in OPTIONS if option.name in names]

    def decorate(function: Command) -> Command:
        for option in reversed(taken):
            # Every value stays text: configure() reads it, as it does all others.
            two_ways = option.switch and not option.name.startswith("no-")
            function = click.option(
                f"{option.flag}/--no-{option.name}" if two_ways else option.flag,
                option.key,
                default=None,
                metavar=option.form.metavar or None,
                multiple=option.repeatable,
                type=bool if option.switch else str,
                is_flag=True if option.switch else None,
                help=f"{option.help} [{option.variable}; {option.shown}]",
            )(function)

        @click.option(
            "--config",
            "file",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help=f"TOML file of options. [{FILE_VARIABLE}; {default_file()}]",
        )
        @wraps(function)
        def command(file: Path | None, **values: Any) -> int:
            flags = {option.key: values.pop(option.key) for option in taken}
            found = find(file, flags) if origins else load(file, flags)
            return function(found, **values)

        return command

    return decorate


class Finite(click.FloatRange):
    """A range without nan, which is neither in it nor out of it, and without inf."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or fail with words that repeat what was given."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number that one can count to", param, ctx)
        return float(number)
