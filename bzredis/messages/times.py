"""Times as upstream writes them, and as we do: pure functions, and no clock.

An *instant* is a count of nanoseconds since 1970 in UTC, since upstream writes up to
nine fractional digits. What goes to Redis is in milliseconds.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo

NS = 1_000_000_000
NS_PER_MS = 1_000_000
EASTERN = ZoneInfo("America/New_York")  # upstream.md, 3: publication is US/Eastern

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_UTC = re.compile(
    r"(\d{4}-\d\d-\d\d)T(?:[01]\d|2[0-3])(?::[0-5]\d){2}(?:\.\d{1,9})?Z", re.ASCII
)
# A time of day whose hour may have one digit, as in 9:30:00, or be one of twelve.
_CLOCK = re.compile(r"([0-9]{1,2})((?::[0-9:.]+)?)(?:\s*([AP])\.?M\.?)?", re.IGNORECASE)
_PLAIN = re.compile(  # a date, and a time of it to the second
    r"\d{4}-\d\d-\d\d ((?:[01]\d|2[0-3]):[0-5]\d):([0-5]\d)", re.ASCII
)
_MIDNIGHT = re.compile(r"00:00:00(\.0+)?", re.ASCII)
_EPOCH = re.compile(r"(\d{1,20})(?:\.(\d{1,9})\d*)?", re.ASCII)
NOON = 12
MINUTE, HOUR, DAY = 60, 3_600, 86_400  # s
# A count of seconds has at most 11 digits until the year 5138, and a count of
# milliseconds has at least 12 since 1973: the size tells the unit. Likewise micro- and
# nanoseconds.
SECONDS = 10  # digits, from 2001 to 2286
_UNITS = ((10**11, NS), (10**14, NS_PER_MS), (10**17, 1_000), (10**20, 1))
# Outside of these a time says "not known" (0, or Go's year 1), or cannot be written.
_EARLIEST = 0
_LATEST = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp()) * NS


def instant(text: str) -> int | None:
    """Read RFC 3339, or a count since 1970 in s, ms, µs or ns; None if it is neither.

    A time without an offset is taken as UTC.
    """
    if match := _RFC3339.fullmatch(text):
        day, clock, fraction, offset = match.groups("")
        try:
            moment = datetime.fromisoformat(f"{day}T{clock}{offset.upper() or 'Z'}")
        except ValueError:  # there is no such day, hour or offset
            return None
        found = int(moment.timestamp()) * NS + int(fraction.ljust(9, "0"))
    elif match := _EPOCH.fullmatch(text):
        count, fraction = int(match[1]), match[2] or ""
        unit = next(unit for limit, unit in _UNITS if count < limit)
        found = count * unit + int(fraction.ljust(9, "0")) * unit // NS
    else:
        return None
    return found if _EARLIEST < found < _LATEST else None


def milliseconds(text: str) -> int | None:
    """Read a time as `instant` does, cut to milliseconds since 1970."""
    if len(text) == SECONDS and text.isdecimal() and text.isascii():  # as a rule
        return int(text) * 1_000 or None
    found = instant(text)
    return None if found is None else found // NS_PER_MS


def rfc3339(ms: int) -> str:
    """Write milliseconds since 1970 as UTC, RFC 3339 with milliseconds."""
    minutes, ms = divmod(ms, 60_000)
    return f"{_minute(minutes)}:{ms // 1_000:02d}.{ms % 1_000:03d}Z"


@lru_cache(maxsize=1_024)  # what comes in one go shares it
def _minute(minutes: int) -> str:
    return datetime.fromtimestamp(minutes * MINUTE, UTC).isoformat()[:16]


def comparable(text: str) -> str:
    """Return `text` in UTC, so that two of these compare digit by digit.

    What is UTC already stays as it was sent; what is no time gives "".
    """
    if (match := _UTC.fullmatch(text)) and _is_known(match[1]):
        return text
    found = instant(text)
    return f"{rfc3339(found // NS_PER_MS)[:19]}.{found % NS:09d}Z" if found else ""


@lru_cache(maxsize=1_024)
def _is_known(day: str) -> bool:
    """Tell whether there is such a day, and all of it is later than the earliest."""
    return (instant(day + "T00:00:00Z") or _EARLIEST) > _EARLIEST


def published(day: str, clock: str) -> int | None:
    """Return the publication time in ms of a US/Eastern date and wall time.

    Without a usable time it is the start of the day; without a usable date, None. Of a
    time that comes twice, when summer time ends, the first is meant. A date that tells
    the time as well is taken at its word, but midnight is how a mere date gets written.
    """
    if found := _PLAIN.fullmatch(f"{day} {clock}"):  # as a rule
        begin = _eastern_minute(day, found[1])
        if begin is not None:
            return begin + int(found[2]) * 1_000
    return _published(day, clock)


@lru_cache(maxsize=1_024)  # what comes in one go shares it
def _eastern_minute(day: str, minute: str) -> int | None:
    return _published(day, minute)


def _published(day: str, clock: str) -> int | None:
    day = day.strip()
    if whole := _RFC3339.fullmatch(day):
        on_day, at_time, fraction, offset = whole.groups()
        if fraction:
            at_time = f"{at_time}.{fraction}"
        if not _MIDNIGHT.fullmatch(at_time):
            if offset:
                return milliseconds(day)
            clock = at_time
        day = on_day
    try:
        on = date.fromisoformat(day)
    except ValueError:
        return None
    found = round(datetime.combine(on, _wall(clock), EASTERN).timestamp() * 1000)
    return found if _EARLIEST < found * NS_PER_MS < _LATEST else None


def _wall(clock: str) -> time:
    """Read a time of day of 24 or of twelve hours; midnight where it is neither."""
    clock = clock.strip()
    try:
        return time.fromisoformat(clock)
    except ValueError:
        match = _CLOCK.fullmatch(clock)
    if match is None:
        return time()
    hour, rest, half = int(match[1]), match[2], (match[3] or "").upper()
    if half and hour <= NOON:
        hour = hour % NOON + (NOON if half == "P" else 0)
    written = f"{hour:02}{rest}"
    return time() if written == clock else _wall(written)
