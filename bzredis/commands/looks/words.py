"""What a person reads of times, numbers and states; times are in the local zone."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

import attrs

from bzredis.commands.running.called import typed

if TYPE_CHECKING:  # a bridge has words, too, and reads nothing of what it writes
    from bzredis.reader import Entry, Insight, Rating, Span, Status

MINUTE, HOUR, DAY, YEAR = 60, 3_600, 86_400, 365 * 86_400  # s
UNITS: Final = ((YEAR, "year"), (DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"))
SOON: Final = 2  # s; what two clocks differ by, and a status may be late
# The bridge asks upstream for a sign each 30 s, and writes down when it came.
SILENT: Final = timedelta(seconds=75)
# By then REST gave what was missed, or it is announced, and stays in `missing`.
FETCHED: Final = timedelta(minutes=2)
NEAR: Final = 3  # symbols that are named in the place of one that is not there
SPANS: Final = 3  # that are told one by one
# Characters that turn around what comes behind them.
TURNING: Final = {*map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A)))}


def clean(text: str) -> str:
    """Take out what a terminal would obey: this text comes from far away."""
    kept = (
        " " if each == "\t" else each
        for each in text.replace("\r\n", "\n")
        if each in "\t\n" or unicodedata.category(each) != "Cc"
    )
    return "".join(each for each in kept if each not in TURNING)


def one_line(text: str) -> str:
    return " ".join(clean(text).split())


# ---- times


def clock(at: datetime, now: datetime) -> str:
    """Write a time as short as can be understood, always with its zone."""
    here, today = at.astimezone(), now.astimezone()
    zone = here.strftime("%Z")
    if here.date() == today.date():
        return f"{here:%H:%M:%S} {zone}"
    if abs(now - at) < timedelta(days=300):
        return f"{here.day} {here:%b %H:%M} {zone}"
    return f"{here.day} {here:%b %Y %H:%M} {zone}"


def day(at: datetime, now: datetime) -> str:
    """Write a day for a column; of today the time."""
    here, today = at.astimezone(), now.astimezone()
    if here.date() == today.date():
        return f"{here:%H:%M}"
    if abs(now - at) < timedelta(days=300):
        return f"{here.day} {here:%b}"
    return f"{here:%b %Y}"


def lasted(seconds: float) -> str:
    """Write how long something took or takes, in words."""
    for unit, words in UNITS:
        if seconds >= unit:
            return counted(int(seconds // unit), words)
    return counted(max(0, int(seconds)), "second")


def counted(number: int, words: str) -> str:
    """Write how many there are of something."""
    return f"{number:,} {words}{'' if number == 1 else 's'}"


def ago(at: datetime, now: datetime) -> str:
    seconds = (now - at).total_seconds()
    return "just now" if seconds < SOON else f"{lasted(seconds)} ago"


def when(at: datetime, now: datetime) -> str:
    return f"{clock(at, now)}, {ago(at, now)}"


def way(one: Entry) -> str | None:
    """Return where a call or a consensus went: nowhere, where it is withdrawn.

    An entry that deletes has the direction of what is gone.
    """
    return None if one.action == "deleted" else one.direction or one.shift


def published(one: Rating | Insight, now: datetime) -> str:
    """Write when a call was published; of some only the day is known."""
    if one.date and not one.time:
        return one_line(one.date)
    return when(one.published, now) if one.published else ""


def span(one: Span, now: datetime) -> str:
    """Write a time with a beginning and an end."""
    begin, end = clock(one.begin, now), clock(one.end, now)
    zone = begin.rpartition(" ")[2]
    head, _, tail = end.rpartition(" ")
    if tail != zone:
        return f"{begin} to {end}"
    begin, end = begin.rpartition(" ")[0], head
    same_day = begin.rpartition(" ")[0] == end.rpartition(" ")[0]
    return f"{begin} to {end.rpartition(' ')[2] if same_day else end} {zone}"


def spans(all_of_them: Iterable[Span], now: datetime) -> str:
    told = [span(each, now) for each in all_of_them]
    more = len(told) - SPANS
    rest = [f"{more} more"] if more > 0 else []
    return ", ".join([*told[-SPANS:], *rest])


# ---- numbers


def price(number: Decimal) -> str:
    """Write a price: with the digits it has, but of a computed one two decimals."""
    exponent = number.as_tuple().exponent
    long = isinstance(exponent, int) and exponent < -2  # noqa: PLR2004 - cents
    if long and abs(number) >= 1:
        number = number.quantize(Decimal("0.01"))
    return f"{number:f}"


# ---- symbols


def nearest(symbol: str, known: Iterable[str]) -> list[str]:
    """Return symbols that may be meant: of another market, or mistyped."""
    there = sorted(set(known))
    elsewhere = [each for each in there if each.rpartition(":")[2] == symbol]
    bare = symbol.rpartition(":")[2]
    elsewhere += [each for each in there if each == bare]
    close = get_close_matches(symbol, there, NEAR, cutoff=0.5)
    longer = [each for each in there if each.startswith(symbol)]
    return list(dict.fromkeys([*elsewhere, *close, *longer]))[:NEAR]


# ---- how a stream stands


@attrs.frozen
class Health:
    """How a stream stands: in a word, and why where it is not fresh."""

    word: str
    why: str = ""
    fresh: bool = False


# What a bridge that is not connected said last; a reason of its own goes before.
SAID: Final = {
    "refused": "upstream refuses us",
    "full": "there is no room on disk for what Redis does not take",
    "retrying": "no connection to upstream",
}
OWN_WORDS: Final = {"refused", "full"}  # where `error` is about just that
NOBODY: Final = "no bridge has written here yet (`bzredis run` is one)"


def health(status: Status, now: datetime) -> Health:
    """Say how a stream stands: what its bridge said last counts only with `alive`."""
    if status.fresh:
        return Health("fresh", fresh=True)
    if not status.text:
        return Health("no bridge", typed(NOBODY))
    if status.state == "live":
        return _not_yet(status, now)
    word = one_line(status.text.get("state", "unknown"))
    since = f" since {when(status.since, now)}" if status.since else ""
    if word == "stopped":
        return Health(word, f"the bridge is stopped{since}")
    words = SAID.get(word, "not connected yet")
    error = one_line(status.error or "")
    if error and word in OWN_WORDS:
        words = error
    reason = f": {error}" if error and word == "retrying" else ""
    # Nobody can see from here whether it still runs.
    return Health(word, f"the bridge said last: {words}{since}{reason}")


def _not_yet(status: Status, now: datetime) -> Health:
    """Say why nothing is fresh though the bridge was connected when it spoke last."""
    times = (
        *(status.last_pong_at, status.last_frame_at, status.connected_at, status.since),
        *(status.covered_until, status.last_event_at, status.started_at),
    )
    heard = max(filter(None, times), default=None)
    if heard is None or now - heard > SILENT:
        sign = f" since {when(heard, now)}" if heard else ""
        return Health(
            *("gone", f"no sign of the bridge{sign}: killed, or its machine is off")
        )
    if status.backlog:
        words = f"{counted(status.backlog, 'message')} wait for Redis"
        return Health("behind", words)
    if any(now - each.end < FETCHED for each in status.missing):
        return Health("catching up", "what was missed is being fetched")
    return Health(
        "checking", "connected when it spoke last; whether all is here is not certain"
    )
