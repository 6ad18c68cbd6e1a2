"""What of the past would have been reacted to; and what failed. For who looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, cast

from rich.text import Text

from bzredis.commands.looks.asked import put_json
from bzredis.commands.looks.drawn import news
from bzredis.commands.looks.drawn.pen import FAINT, ODD, STRONG, Pen
from bzredis.commands.looks.words import counted, day, one_line
from bzredis.commands.react.running import Wanted
from bzredis.commands.react.taking.entries import happening, reads_latest
from bzredis.commands.react.taking.failures import Failure
from bzredis.commands.react.taking.patient import Patient
from bzredis.reader import StreamName
from bzredis.reader.following import told

LAST: Final = 1_000  # entries of each log


async def rehearse(redis: Patient, wanted: Wanted) -> tuple[list[Any], Counter[str]]:
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


def show(found: Sequence[Any], looked: Counter[str]) -> None:
    """Show what would have been reacted to, and how many that are of how many."""
    pen = Pen()
    lines = news.draw(pen, found)
    matched = Counter(one.stream for one in found)
    words = [
        f"{matched[name]:,} of the last {count:,} of {name}"
        for name, count in looked.items()
    ]
    foot = f"{', '.join(words)} would have been reacted to"
    pen.show(*lines, *([""] if lines else []), Text(foot, STRONG))


def show_failures(name: str, kept: Sequence[Failure]) -> None:
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
    again = f"{counted(len(kept), 'failure')}; --again handles them again"
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


def put_failures(kept: Sequence[Failure]) -> None:
    """Write them as JSON."""
    put_json(
        [
            {
                "when": each.when,
                "reason": each.reason,
                "tries": each.tries,
                "kind": each.happened.kind,
                "stream": each.happened.stream,
                "event": each.happened.event,
                "fields": {
                    name: str(value) for name, value in each.happened.fields.items()
                },
            }
            for each in kept
        ]
    )
