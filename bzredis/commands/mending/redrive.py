"""`bzredis redrive`: what stands in `rejected`, once more through today's code."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any, Final
from uuid import uuid4

import attrs
import click

from bzredis.changes.from_frame import CUT, LONGEST_REASON, read
from bzredis.changes.from_rest import row
from bzredis.changes.kinds import Change, Rejected
from bzredis.commands.form import with_options
from bzredis.commands.looks.asked import put, put_json
from bzredis.commands.looks.words import one_line
from bzredis.commands.mending.asked import PLACE, Progress, keys, with_store
from bzredis.errors import ConfigError, StoreDown, StoreForeign, StoreSlow, StoreUnready
from bzredis.messages.times import milliseconds
from bzredis.ports import Applied, Batch, Log
from bzredis.settings.config import Config
from bzredis.store.client import Store
from bzredis.store.mending import START, Entry, Keys, place
from bzredis.store.script import Limits
from bzredis.streams import Stream

LEFT: Final = 1  # exit code
REASONS: Final = 5  # that are told one by one
REFUSED: Final = "Redis refused:"  # … this one; or else it was not there
# What came of a message, where it counts as applied.
APPLIED: Final = {"latest", "record", "none", "unattributed"}


@attrs.define
class Report:
    """What came of a stream's `rejected`."""

    stream: str
    applied: Counter[str] = attrs.field(factory=Counter)  # by effect
    known: int = 0  # they came in another way meanwhile
    notices: int = 0  # no messages, by today's code
    left: Counter[str] = attrs.field(factory=Counter)  # by reason


@click.command()
@with_options(
    PLACE | {"events-maxlen", "timeline-length", "history-length"},
)
@click.option("--json", "as_json", is_flag=True, help="One object, by stream.")
def redrive(config: Config, *, as_json: bool) -> int:
    """Try once more what stands in `rejected`.

    A new version may be able to use it. What can be used now is applied as if it had
    just come, once, and leaves `rejected`; the rest stays, with the reason of today. It
    may be ended at any moment, and run while the bridge does. The lengths have to be
    those of the bridge.

    The exit code is 0 where nothing is left there, 1 where something is, and 2 where
    Redis cannot be asked.
    """
    reports = with_store(config, partial(_all, config))
    if as_json:
        put_json({each.stream: _told(each) for each in reports})
    else:
        put("".join(f"{line}\n" for each in reports for line in lines(each)))
    return LEFT if any(each.left for each in reports) else 0


async def _all(config: Config, store: Store) -> list[Report]:
    say = Progress()
    try:
        return [await redriven(keys(store, name), say) for name in config.streams]
    except StoreForeign as error:  # it changed hands in this moment
        raise ConfigError(str(error)) from None


async def redriven(at: Keys, say: Progress) -> Report:
    """Try all that stands in a stream's `rejected` now."""
    report, entries = Report(at.stream.name), await _entries(at)
    tried = [(entry, fields, _read(at.stream, fields)) for entry, fields in entries]
    usable = [found for *_, found in tried if isinstance(found, Change)]
    limits = await _limits(at, usable)
    log = Log(f"redrive-{uuid4().hex}", "", 0, await at.upstream())
    store = Store(at.store.url, at.store.prefix, limits, at.store.others)
    try:
        drive = _Drive(at, store, log, report)
        for number, (entry, fields, found) in enumerate(tried, 1):
            await drive.one(entry, fields, found)
            say(f"{report.stream}: tried {number:,} of {len(tried):,}")
    finally:
        store.close()
    await at.drop(f"internal:log:{log.id}")
    return report


async def _entries(at: Keys) -> list[Entry]:
    """Return what stands there now, and nothing that comes meanwhile."""
    last = place(await at.last("rejected"))
    found, after = list[Entry](), START
    while page := await at.log(after, "rejected"):
        found += [each for each in page if place(each[0]) <= last]
        after = page[-1][0]
        if place(after) >= last:
            break
    return found


async def _limits(at: Keys, usable: list[Change]) -> Limits:
    """Return the limits told, or what is kept already: nothing is to fall off."""
    told = at.store.limits
    symbols = sorted({change.symbol for change in usable} - {""})
    names = [f"{kind}:{each}" for each in symbols for kind in ("timeline", "history")]
    events, *counts = await at.count(["events", *names])
    return Limits(
        max(told.events_maxlen, events),
        max((told.timeline_length, *counts[::2])),
        max((told.history_length, *counts[1::2])),
    )


def _read(stream: Stream, fields: dict[str, str]) -> Change | str | None:
    """Read a text as today's code does; return why it cannot, None for no message.

    Whose a consensus is stays open where it does not say so: the subscription of then
    is not known. A row of REST, which has no envelope, has to say all of it.
    """
    raw, received = fields.get("raw", ""), milliseconds(fields.get("received", ""))
    reason = fields.get("reason", "")
    if not raw or reason.endswith(CUT):
        return reason
    found = read(stream, raw, received=received or 0, source="replay")
    if isinstance(found, Change):
        return found
    other = row(stream, raw, received=received or 0) if stream.rows else None
    if isinstance(other, Change) and other.symbol and other.record and other.updated:
        return other
    return found.reason if isinstance(found, Rejected) else None


@attrs.define
class _Drive:
    """Applies one after the other; each counts before the next is tried."""

    at: Keys
    store: Store
    log: Log
    report: Report
    _number: int = 0

    async def one(self, entry: str, fields: dict[str, str], found: Any) -> None:
        if found is None:
            self.report.notices += 1
            await self.at.take_out([entry])
        elif isinstance(found, str):
            await self._stays(entry, fields, found)
        else:
            await self._apply(entry, fields, found)

    async def _apply(self, entry: str, fields: dict[str, str], change: Change) -> None:
        before = await self.at.last("rejected")
        batch = Batch(self.log, self._number, [change.pack()], None)
        try:
            answer = await self.store.apply(self.at.stream, batch)
        except StoreDown as error:
            of_server = isinstance(error, (StoreUnready, StoreSlow))
            if of_server or not str(error).startswith(REFUSED):
                raise
            await self._stays(entry, fields, str(error))
            return
        assert isinstance(answer, Applied)  # noqa: S101 - it has no number before these
        self._number += 1
        (result,) = answer.results
        if result.startswith("refused "):
            await self._refused(entry, fields, result.removeprefix("refused "), before)
            return
        # Were it to end here, it would be known when it is tried again.
        await self.at.take_out([entry])
        if result in APPLIED:
            self.report.applied[result] += 1
        else:
            self.report.known += 1

    async def _refused(
        self, entry: str, fields: dict[str, str], reason: str, before: str
    ) -> None:
        """Keep it once: where it is not known that it was refused, it stands anew."""
        raw = fields.get("raw", "")
        anew = await self.at.log(before, "rejected")
        if any(each.get("raw") == raw for _, each in anew):
            await self.at.take_out([entry])
            self.report.left[reason] += 1
        else:
            await self._stays(entry, fields, reason)

    async def _stays(self, entry: str, fields: dict[str, str], reason: str) -> None:
        reason = reason[:LONGEST_REASON]
        self.report.left[reason] += 1
        if reason != fields.get("reason"):
            await self.at.say_why(entry, {**fields, "reason": reason})


# ---- in words


def lines(report: Report) -> list[str]:
    """Return what came of a stream, and why what is left cannot be used."""
    told = []
    if applied := report.applied.total():
        effects = ", ".join(f"{n:,} {name}" for name, n in report.applied.items())
        told.append(f"{applied:,} applied ({effects})")
    if report.known:
        told.append(f"{report.known:,} known already")
    if report.notices:
        told.append(f"{report.notices:,} no message at all")
    if left := report.left.total():
        told.append(f"{left:,} still not usable")
    found = [f"{report.stream}: {', '.join(told) or 'nothing stands in rejected'}"]
    reasons = report.left.most_common()
    found += [f"  {count:,}: {_cut(reason)}" for reason, count in reasons[:REASONS]]
    if len(reasons) > REASONS:
        found.append(f"  and {len(reasons) - REASONS:,} other reasons")
    return found


def _cut(reason: str) -> str:
    plain = one_line(reason)
    return plain if len(plain) <= 70 else f"{plain[:69]}…"  # noqa: PLR2004 - a line's


def _told(report: Report) -> dict[str, Any]:
    counts = {"known": report.known, "notices": report.notices}
    return {"applied": dict(report.applied), **counts, "left": dict(report.left)}
