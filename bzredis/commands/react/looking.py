"""For who looks: what would have been reacted to, what failed; and that once more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing, suppress
from datetime import datetime
from functools import partial
from typing import Any, Final, NoReturn, TypeVar, cast

import msgspec
import trio
from rich.text import Text

from bzredis.commands.form import STOPPED, complain, endings
from bzredis.commands.looks.asked import put
from bzredis.commands.looks.drawn import news
from bzredis.commands.looks.drawn.pen import FAINT, ODD, STRONG, Pen
from bzredis.commands.looks.words import counted, day, one_line
from bzredis.commands.react.reaction import NotDone, React
from bzredis.commands.react.running import Wanted
from bzredis.commands.react.taking import failures
from bzredis.commands.react.taking.entries import happening, reads_latest
from bzredis.commands.react.taking.failures import Failure
from bzredis.commands.react.taking.patient import Patient
from bzredis.commands.react.ways import Make
from bzredis.commands.running.beside import beside
from bzredis.errors import ConfigError, StoreDown
from bzredis.reader import StreamName
from bzredis.reader.following import told
from bzredis.settings.config import Config
from bzredis.settings.names import meant

T = TypeVar("T")

LAST: Final = 1_000  # entries of each log
LEFT: Final = 1  # exit code of --again where something failed again


def rehearse(config: Config, wanted: Wanted) -> int:
    """Show what of the last entries would have been reacted to; raises ConfigError."""
    _show(*_once(config, partial(_rehearsed, wanted)))
    return STOPPED


def show_failed(config: Config, name: str, *, as_json: bool) -> int:
    """Show what a reaction could not do in the end; raises ConfigError."""
    kept = _once(config, partial(failures.kept, name=name))
    if not kept:  # well, or mistyped
        known = _once(config, partial(_groups, config.streams))
        if name not in known:
            raise ConfigError(
                f"no reaction {name} ever ran here, under the prefix"
                f" {config.prefix}{meant(name, known)}"
            )
    if as_json:
        _put_failures(kept)
    else:
        _show_failures(name, kept)
    return STOPPED


async def _groups(streams: Sequence[str], redis: Patient) -> tuple[str, ...]:
    """Return the names of all groups of the logs: reactions' and others'."""
    found = dict[str, None]()
    for stream in streams:
        with suppress(StoreDown):  # there is no such log yet
            [told] = await redis.once(("XINFO GROUPS", redis.key(stream, "events")))
            found |= {str(group["name"]): None for group in told}
    return tuple(found)


def again(config: Config, name: str, make: Make) -> int:
    """Do once more what failed in the end; raises ConfigError."""
    return _once(config, partial(_until_ended, partial(_again, name, make)))


def _once(config: Config, ask: Callable[[Patient], Awaitable[T]]) -> T:
    """Ask Redis once; raises ConfigError, which names the address."""
    shown = ", ".join(each.shown for each in config.redis)
    try:
        with closing(Patient.of(config)) as redis:
            return trio.run(ask, redis)
    except StoreDown as error:
        raise ConfigError(f"{error} (--redis {shown})") from None


# ---- what would have been reacted to


async def _rehearsed(wanted: Wanted, redis: Patient) -> tuple[list[Any], Counter[str]]:
    """Return what would have been reacted to, oldest first, and what was looked at.

    It touches no group. Raises StoreDown.
    """
    found, looked = list[tuple[str, Any]](), Counter[str]()
    for stream in wanted.streams:
        log = redis.key(stream.name, "events")
        [entries] = await redis.once(("XREVRANGE", log, "+", "-", "COUNT", LAST))
        looked[stream.name] = len(entries)
        for key, entry in reversed(entries):
            latest = {}
            if reads_latest(stream) and (symbol := entry.get("symbol")):
                ask = ("HGETALL", redis.key(stream.name, "latest", symbol))
                [latest] = await redis.once(ask)
            if wanted(happening(stream, key, entry, latest)):
                found.append((key, told(cast("StreamName", stream.name), key, entry)))
    by_place = sorted(found, key=lambda each: tuple(map(int, each[0].split("-"))))
    return [one for _, one in by_place], looked


def _show(found: Sequence[Any], looked: Counter[str]) -> None:
    """Show what would have been reacted to, and how many that are of how many."""
    pen = Pen()
    lines = news.draw(pen, found)
    matched = Counter(one.stream for one in found)
    words = [f"{name} {matched[name]:,} of {all_:,}" for name, all_ in looked.items()]
    foot = f"Would have been reacted to: {', '.join(words)}"
    pen.show(*lines, *([""] if lines else []), Text(foot, STRONG))


# ---- what failed


def _show_failures(name: str, kept: Sequence[Failure]) -> None:
    """Show what failed in the end, each with its reason on a line of its own."""
    pen = Pen()
    if not kept:
        pen.show(f"Nothing failed in the end for {name}.")
        return
    rows = [_row(pen, each) for each in kept]
    lines = pen.columns(rows, {3: 14}, right=(0,))
    for each, line in zip(kept, lines, strict=True):
        reason = Text(f"       {one_line(each.reason)}", ODD)
        pen.show(line, reason)
    again = f"{counted(len(kept), 'failure')}; --again does them once more"
    pen.show("", Text(again, STRONG))


def _row(pen: Pen, one: Failure) -> tuple[Any, ...]:
    what = one.happened
    fields = what.fields
    return (
        Text(_when(pen, one.when), FAINT),
        Text(one_line(what.symbol or what.kind), STRONG),
        pen.sign(str(fields.get("direction") or fields.get("shift") or "") or None),
        one_line(str(fields.get("firm") or what.stream)),
        one_line(str(fields.get("rating") or fields.get("reason") or "")),
        "1 try" if one.tries == 1 else f"{one.tries} tries",
    )


def _when(pen: Pen, text: str) -> str:
    try:
        return day(datetime.fromisoformat(text), pen.now)
    except ValueError:
        return text


def _put_failures(kept: Sequence[Failure]) -> None:
    """Write them as JSON, numbers with the digits sent."""
    told = [
        {
            "when": each.when,
            "reason": each.reason,
            "tries": each.tries,
            "kind": each.happened.kind,
            "stream": each.happened.stream,
            "event": each.happened.event,
            "fields": each.happened.fields,
        }
        for each in kept
    ]
    text = msgspec.json.Encoder(decimal_format="number").encode(told)
    put(msgspec.json.format(text, indent=2).decode() + "\n")


async def _until_ended(
    work: Callable[[Patient], Awaitable[int]], redis: Patient
) -> int:
    """Do it until a signal comes, at which a program that runs is ended as well."""
    with trio.open_signal_receiver(*endings()) as signals, trio.CancelScope() as scope:

        async def end() -> NoReturn:
            await anext(signals)
            complain("it was ended before all was done; what is left is kept on")
            scope.cancel()
            await trio.sleep_forever()

        async with beside(end):
            return await work(redis)
    return LEFT


async def _again(name: str, make: Make, redis: Patient) -> int:
    """Do once more what failed, one after the other; what is done is kept no longer."""
    kept = await failures.kept(redis, name)
    left, tried = 0, dict[tuple[str, str], bool]()
    async with make(redis) as done:
        for each in kept:
            # It may be kept twice, where Redis was lost in that moment.
            happened = each.happened
            key = (happened.stream, happened.event or each.id)
            if key not in tried:
                tried[key] = await _tried(done, each)
                left += not tried[key]
            if tried[key]:
                await failures.drop(redis, name, [each])
    complain(f"{len(tried) - left:,} of {len(tried):,} done, {left:,} failed again")
    return LEFT if left else STOPPED


async def _tried(done: React, one: Failure) -> bool:
    try:
        await done(one.happened)
    except NotDone as error:
        what = one.happened
        if error.output:
            complain(error.output)
        complain(f"{what.stream} {what.symbol or what.kind}: {error}")
        return False
    return True
