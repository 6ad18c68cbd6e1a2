"""`bzredis service`: the bridge as a service that starts by itself."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import click

from bzredis.commands.form import Group, with_options
from bzredis.commands.logs import redact
from bzredis.commands.looks.asked import PLACE
from bzredis.commands.looks.status import NOT_FRESH, show
from bzredis.commands.running.called import typed
from bzredis.commands.service.calls import shown
from bzredis.commands.service.plan import BESIDE, STATE_HOME, Plan, is_sealed, plan
from bzredis.commands.service.systemd import Systemd
from bzredis.commands.setup.put import put
from bzredis.errors import ConfigError
from bzredis.settings.config import Config
from bzredis.settings.file import Found, default_file, default_state_dir, read_toml

if TYPE_CHECKING:
    from bzredis.commands.service.launchd import Launchd

SETTLED: Final = 3.0  # s; who is refused, or finds its folder in use, has ended by then
BOARD_PORT: Final = 8399  # of who names no other
FORCE = click.option(
    "--force", is_flag=True, help="Also where its file was changed, or is not ours."
)


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def service(context: click.Context) -> None:
    """Keep the bridge running as a service of yours.

    It needs no rights but yours: on Linux it is a user unit of systemd, on macOS a
    launch agent. It runs with what stands in the settings file, and is started again
    where it fails or hangs.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@service.command()
@with_options((), origins=True)
@click.option(
    "--dry-run", is_flag=True, help="Show the file and the commands; do nothing."
)
@click.option(
    "--board", is_flag=True, help="The board in the browser, too, as a second service."
)
@click.option(
    "--react",
    is_flag=True,
    help="The [[reaction]]s of the settings file, too, as a service of their own.",
)
@FORCE
def install(found: Found, *, dry_run: bool, force: bool, **beside: bool) -> int:
    """Write the service's file, and start it now and at each login."""
    made, roles = plan(found), [role for role in BESIDE if beside[role]]
    for role in roles:
        CHECKS[role](made)
    for number, keeper in enumerate(map(_keeper, ("", *roles))):
        if number:
            click.echo("")
        _install(keeper, made, dry_run=dry_run, force=force)
    if "board" in roles and not dry_run:
        click.echo(f"\nThe board is at http://127.0.0.1:{BOARD_PORT}/")
    return 0


def _install(
    keeper: Systemd | Launchd, made: Plan, *, dry_run: bool, force: bool
) -> None:
    text = keeper.text(made)
    if dry_run:
        hidden = {name: redact(value) for name, value in made.environment.items()}
        text = keeper.text(attrs.evolve(made, environment=hidden))
        click.echo(f"{keeper.file}\n\n{text}\nThen would be run:")
        for command in keeper.starting(anew=False):
            click.echo(f"  {shown(command)}")
        return
    keeper.check()
    before = _there(keeper.file)
    if before is not None and before != text:
        _refuse_what_is_not_ours(keeper.file, before, force=force)
    is_anew = before not in {None, text}
    if before == text:
        click.echo(f"As it was: {keeper.file}")
    else:
        put(keeper.file, text, anew=True, hint="")
        click.echo(f"Written: {keeper.file}")
    if proxies := ", ".join(name for name in made.environment if name != STATE_HOME):
        click.echo(f"It has {proxies} as set here; install it anew to change that.")
    for command in keeper.starting(anew=is_anew):
        keeper.run(command)
    time.sleep(SETTLED)
    runs, lines = keeper.state()
    if not runs:
        raise ConfigError(f"it was started, and does not run: {'. '.join(lines)}")
    click.echo(typed("It runs; `bzredis service status` shows how it is."))
    for words in keeper.afterwards():
        click.echo(f"\n{words}")


@service.command()
@with_options(PLACE | {"stream"})
def status(config: Config) -> int:
    """Show how the service is, and how each stream stands.

    The exit code is 0 where it runs and all streams are fresh, 1 where not, and 2 where
    that cannot be found out.
    """
    are_running = True
    for keeper in _there_are():
        runs, lines = keeper.state()
        are_running = are_running and runs
        click.echo(typed("\n".join(lines) + "\n"))
    are_fresh = show(config)
    return 0 if are_running and are_fresh else NOT_FRESH


@service.command()
@FORCE
def uninstall(*, force: bool) -> int:
    """Stop the service, and remove its file; settings and data stay."""
    for keeper in reversed(_there_are()):
        _uninstall(keeper, force=force)
    click.echo(
        "What stays, unless you remove it:\n"
        f"  settings and token in {default_file().parent}\n"
        f"  what waits for Redis in {default_state_dir()}\n"
        "  all that stands in Redis"
    )
    return 0


def _uninstall(keeper: Systemd | Launchd, *, force: bool) -> None:
    before = _there(keeper.file)
    if before is None:
        click.echo(f"It is not installed: there is no {keeper.file}")
        return
    _refuse_what_is_not_ours(keeper.file, before, force=force)
    keeper.check()
    for command in keeper.ending():
        keeper.run(command)
    keeper.file.unlink(missing_ok=True)
    for command in keeper.ended():
        keeper.run(command)
    click.echo(f"Stopped, and removed: {keeper.file}")


def _keeper(role: str = "") -> Systemd | Launchd:
    if sys.platform == "darwin":
        from bzredis.commands.service.launchd import Launchd  # noqa: PLC0415 - there only

        return Launchd(role)
    return Systemd(role)


def _there_are() -> list[Systemd | Launchd]:
    """Return who keeps the bridge, and who keeps what is installed beside it."""
    beside = [_keeper(role) for role in BESIDE]
    return [_keeper(), *(each for each in beside if os.path.lexists(each.file))]


def _check_board(_: Plan) -> None:
    from bzredis.commands.web.started import check  # noqa: PLC0415 - for who has it

    check()


def _check_reactions(made: Plan) -> None:
    from bzredis.commands.react.written import reactions  # noqa: PLC0415 - likewise

    if not reactions(read_toml(made.settings), str(made.settings)):
        raise ConfigError(
            f"there is no [[reaction]] in {made.settings}: `bzredis manual` shows one"
        )


# What would be wrong with it is told before it is installed.
CHECKS: Final = {"board": _check_board, "react": _check_reactions}


def _there(file: Path) -> str | None:
    """Return what stands in a file, None where there is none. Raises ConfigError."""
    if not file.is_absolute():
        raise ConfigError(f"there is no home folder for a service's file ({file})")
    if not os.path.lexists(file):
        return None
    if not file.is_file():  # as of a unit that is masked, which links to /dev/null
        raise ConfigError(f"{file} is there, and no file: remove it (or unmask it)")
    try:
        return file.read_text(errors="replace")
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None


def _refuse_what_is_not_ours(file: Path, text: str, *, force: bool) -> None:
    if not (force or is_sealed(text)):
        raise ConfigError(
            f"{file} was changed by somebody, or is another's: look at it, and then say"
            " --force"
        )
