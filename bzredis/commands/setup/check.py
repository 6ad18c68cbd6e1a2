"""`bzredis check`: whether all is there that a bridge needs, before it runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

import attrs
import click
import trio

from bzredis.commands.form import ALL, with_options
from bzredis.commands.logs import configure_logs, redact
from bzredis.commands.looks.asked import put_json
from bzredis.commands.running.called import shown
from bzredis.commands.running.followed import sifted
from bzredis.commands.setup.checks import here
from bzredis.commands.setup.checks.lines import Finding, Sheet, State, code, summary
from bzredis.commands.setup.checks.presence import Presence
from bzredis.commands.setup.checks.redis import redis
from bzredis.commands.setup.checks.upstream import upstream
from bzredis.settings.file import Found

# s for each family, whatever hangs; what it asks has shorter limits of its own.
LIMIT: Final = 17.0
FILE: Final = 3.0  # s for the token's file, which upstream waits for
MEND: Final = "mend or remove it, or leave it out with --stream; `run` does without it"
CODES: Final[tuple[State, ...]] = ("ok", "warning", "error")


@click.command()
@with_options(ALL, origins=True)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="An array of objects: name, state (ok, warning, error, skipped), words, todo.",
)
def check(found: Found, *, as_json: bool) -> int:
    """Look whether all is there that a bridge needs, and say what to do.

    It takes the options of `run`, and looks at what that would: settings, token, state
    folder, Redis, upstream and the clock. It writes nothing, and leaves a bridge that
    runs alone. It takes some 20 s at the most. The exit code is 0 where all is well, 1
    where something is to be looked at, and 2 where something is to be mended.
    """
    secrets = {secret for each in found.config.redis for secret in each.secrets}
    configure_logs("error", secrets)
    if as_json:
        findings = [*trio.run(checked, found)]
        put_json([attrs.asdict(each) for each in findings])
        return code(findings)
    # What draws is for who looks.
    from bzredis.commands.looks.drawn.pen import Pen  # noqa: PLC0415
    from bzredis.commands.setup.checks.shown import busy, draw  # noqa: PLC0415

    pen = Pen()
    with busy(pen):
        sheet = trio.run(checked, found)
    findings = [*sheet]
    result, command = code(findings), f"{shown()} run"
    kinds = {each.kind for each in found.settings}
    options = "flag" in kinds or found.named_by == "--config"
    words = summary(findings, command, options=options)
    pen.show(*draw(pen, sheet, words, CODES[result]))
    return result


async def checked(found: Found) -> Sheet:
    """Look at everything, all at the same time."""
    sheet, presence = Sheet(), Presence()
    found, wrong = sifted(found)
    for each in wrong:
        sheet.add(Finding("plugins", "error", each, MEND))
    config = found.config
    sheet.add(here.settings(found))
    tokens = list[Callable[[], str]]()
    async with trio.open_nursery() as nursery:
        for name, probe in (
            ("folder", here.folder(config, presence)),
            ("redis", redis(config, presence)),
        ):
            nursery.start_soon(within, LIMIT, name, probe, sheet)
        await within(FILE, "token", here.token(config, tokens.append), sheet)
        if tokens:
            asking = upstream(config, tokens[0], presence)
            await within(LIMIT, "host", asking, sheet)
        else:
            words = "not asked, for want of a token"
            sheet.add(Finding("host", "skipped", words))
    return sheet


async def within(
    seconds: float, name: str, probe: AsyncGenerator[Finding, None], sheet: Sheet
) -> None:
    """Put down what a family finds; where it hangs, that."""
    with trio.move_on_after(seconds) as limit:
        async with aclosing(probe):
            async for each in probe:
                words, todo = redact(each.words), redact(each.todo)
                sheet.add(attrs.evolve(each, words=words, todo=todo))
    if limit.cancelled_caught:
        sheet.add(Finding(name, "error", f"did not answer within {seconds:.0f} s"))
