"""`bzredis rebuild`: what the log says each hash should be, and the differences."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any, Final

import attrs
import click

from bzredis.commands.form import complain, with_options
from bzredis.commands.looks.asked import put, put_json
from bzredis.commands.looks.words import counted, one_line
from bzredis.commands.mending.asked import PLACE, Progress, keys, named, with_store
from bzredis.commands.mending.judging.judged import Difference, Judged, Why
from bzredis.commands.mending.survey import TRIES, Survey
from bzredis.settings.config import Config
from bzredis.store.client import Store

DIFFERS: Final = 1  # exit code
TOLD: Final = 100  # differences of a stream, to people
SHOWN: Final = 32  # characters of a value
SIEVED: Final = (
    "entries were taken out of the log (XDEL), so that what is gone stays gone"
)
REASONS: Final[dict[Why, str]] = {
    "older": "the log no longer has what wrote them",
    "unreadable": "this version cannot read what wrote them",
    "open": "the log does not say which of two came later",
}


@attrs.define
class Report:
    """What was found of a stream."""

    stream: str
    entries: int = 0
    symbols: set[str] = attrs.field(factory=set)
    judged: int = 0  # hashes
    left: Counter[Why] = attrs.field(factory=Counter)
    found: list[Difference] = attrs.field(factory=list)
    mended: int = 0  # symbols
    busy: list[str] = attrs.field(factory=list)
    sieved: bool = False

    @property
    def is_well(self) -> bool:
        return not self.busy and not self.found

    def add(self, each: Judged) -> None:
        self.symbols |= {each.symbol} - {""}
        self.judged += each.judged
        self.left.update(each.left)
        self.found += each.found


@click.command()
@click.argument("symbols", nargs=-1, metavar="[SYMBOL]…")
@with_options(PLACE | {"timeline-length"})
@click.option("--verify", is_flag=True, help="Only say what differs; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="One object, by stream.")
def rebuild(
    config: Config, *, symbols: tuple[str, ...], verify: bool, as_json: bool
) -> int:
    """Write each hash as the log says that it should be, if it is not.

    For keys that were evicted, deleted or changed by hand, and for fields that a new
    version derives. It is safe while the bridge runs: a symbol is written as one step,
    and only while the log says nothing newer of it. Who hears `changed` is told of
    each `latest` that changes, with the entry that it is of; nothing is logged anew,
    and nothing becomes news.

    What the log no longer has is counted, and left as it is. Histories are left as
    well: what was trimmed or deleted there does not come back. --timeline-length has
    to be that of the bridge.

    The exit code is 0 where nothing differs, or all was mended; 1 where something
    differs, or there is nothing about a symbol; 2 where Redis cannot be asked.
    """
    wanted = named(symbols)
    reports = with_store(config, partial(_all, config, wanted, verify=verify))
    if as_json:
        put_json({each.stream: _told(each, verify=verify) for each in reports})
    else:
        for each in reports:
            put("".join(f"{line}\n" for line in lines(each, verify=verify)))
    unknown = [s for s in wanted if not any(s in each.symbols for each in reports)]
    for symbol in unknown:
        complain(f"there is nothing about {symbol!r}")
    is_well = all(not each.busy and (not verify or each.is_well) for each in reports)
    return 0 if is_well and not unknown else DIFFERS


async def _all(
    config: Config, symbols: tuple[str, ...], store: Store, *, verify: bool
) -> list[Report]:
    say = Progress()
    found = []
    for name in config.streams:
        survey = Survey(keys(store, name), config.timeline_length, say)
        found.append(await survey_of(survey, symbols, verify=verify))
    return found


async def survey_of(
    survey: Survey, symbols: tuple[str, ...], *, verify: bool
) -> Report:
    """Look at a stream, and mend it unless one only looks."""
    report = Report(survey.keys.stream.name)
    wanted = await survey.begin(symbols)
    async for lot in survey.judged(wanted):
        for each in lot:
            report.add(each)
        if not verify:
            report.mended += await _mend(survey, lot)
    report.entries, report.busy = survey.entries, sorted(survey.busy)
    report.symbols |= survey.busy
    report.sieved = survey.sieved
    return report


async def _mend(survey: Survey, lot: list[Judged]) -> int:
    """Write what differs; what changes meanwhile is looked at again."""
    mended = 0
    for _ in range(TRIES):
        written, again = await survey.mend(lot)
        mended += len(written)
        if not again:
            return mended
        lot = await survey.judge(again)
    survey.busy.update(each.symbol for each in lot)
    return mended


# ---- in words


def lines(report: Report, *, verify: bool) -> list[str]:
    """Return a line for each difference, and what they come to."""
    told = [difference(report.stream, each) for each in report.found[:TOLD]]
    if (more := len(report.found) - TOLD) > 0:
        told.append(f"{report.stream}: and {more:,} more (--json tells all)")
    what = "no difference"
    if report.found:
        of = counted(len({each.symbol for each in report.found}), "symbol")
        what = f"{counted(len(report.found), 'difference')} at {of}"
        what += "" if verify else f", {report.mended:,} mended"
    hashes = "1 hash" if report.judged == 1 else f"{report.judged:,} hashes"
    told.append(f"{report.stream}: {what}; {hashes} judged")
    for why, count in sorted(report.left.items()):
        told.append(f"{report.stream}: {count:,} not judged, since {REASONS[why]}")
    if report.sieved:
        told.append(f"{report.stream}: {SIEVED}")
    if report.busy:
        busy = ", ".join(report.busy[:3])
        told.append(
            f"{report.stream}: {counted(len(report.busy), 'symbol')} changed all the"
            f" time ({busy}): try again"
        )
    return told


def difference(stream: str, each: Difference) -> str:
    """Write a difference in one line."""
    where = " ".join(filter(None, (stream, each.symbol, each.key, each.field)))
    is_, should = _cut(each.is_), _cut(each.should)
    if is_ and should:
        return f"{where}: is {is_}, should be {should}"
    words = "should not be there" if is_ else "is missing"
    if not each.field:  # of a whole key, what says which
        return f"{where}: {words} ({is_ or should})"
    # Of a timeline, the time says little.
    named = "" if each.key == "timeline" else f", should be {should}" if should else ""
    return f"{where}: {words}{named}"


def _cut(text: str) -> str:
    plain = one_line(text)
    return plain if len(plain) <= SHOWN else f"{plain[: SHOWN - 1]}…"


def _told(report: Report, *, verify: bool) -> dict[str, Any]:
    found = [
        {
            "symbol": each.symbol,
            "key": each.key,
            "field": each.field or None,
            "is": each.is_ or None,
            "should_be": each.should or None,
        }
        for each in report.found
    ]
    counts = {"symbols": len(report.symbols), "hashes": report.judged}
    told: dict[str, Any] = {**counts, "entries": report.entries}
    told["not_judged"] = dict(report.left)
    mended = {} if verify else {"mended": report.mended}
    return {
        "differences": found,
        **told,
        **mended,
        "busy": report.busy,
        "sieved": report.sieved,
    }
