"""What is to be thought of upstream's answers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import attrs

from bzredis.commands.looks.words import clock, lasted
from bzredis.commands.setup.checks.lines import Finding
from bzredis.upstream.pacing import moment

UNKNOWN, NOT_YOURS, BUSY = 401, 403, 429  # HTTP
NOTABLE: Final = timedelta(seconds=5)
# From then on TLS, times in Redis, and what is asked back for may well be wrong.
WRONG: Final = timedelta(minutes=5)
MINUTE, UNITED = 60, 600  # s; from ten minutes on only whole ones are told
ALLOWED: Final = "upstream lets us in"
GIVES: Final = "upstream answers"
OTHER_CONNECTION: Final = (
    "`bzredis run` waits for it: stop what has it, wherever that runs, or wait a moment"
)
NOT_ENTITLED: Final = "ask Benzinga for it, or leave it out with --stream"
NETWORK: Final = (
    "look at the network, at --upstream and --rest, and at HTTPS_PROXY where a proxy is"
    " needed"
)
LATER: Final = "nothing: `bzredis run` asks again until it answers"
# What does not work without a table of REST; its key may not be entitled to it.
WITHOUT: Final = {
    "rows": "what a replay no longer holds is announced as a gap and not fetched",
    "removals": "each outage leaves one gap",
    "lookup": "consensus that names no security stays unattributed",
}
What = Literal["stream", "rows", "removals", "lookup"]


@attrs.frozen
class Answer:
    """What came of asking for one thing."""

    name: str
    what: What
    place: str  # host and port
    words: str = ""  # "": all is well
    status: int = 0  # of HTTP, where an answer came that was none
    is_late: bool = False
    is_skipped: bool = False
    date: str = ""  # as HTTP tells it
    at: datetime | None = None  # when that came, by our clock

    @property
    def is_lost(self) -> bool:
        """Whether nothing came that upstream could have said."""
        return bool(self.words) and not self.status and not self.is_skipped


def judged(answers: Sequence[Answer], through: str, token: str) -> Iterator[Finding]:
    """Yield what they mean: what has one cause is told once.

    `through` tells of a proxy, and `token` where the token stands.
    """
    causes = [*_token(answers, token), *_hosts(answers, through), *_place(answers)]
    told = {name: finding.name for finding, names in causes for name in names}
    yield from (finding for finding, _ in causes)
    for each in answers:
        if each.is_skipped:
            yield Finding(each.name, "skipped", f"not asked, since {each.words}")
        elif each.name in told:
            yield Finding(each.name, "skipped", f"not known: see {told[each.name]}")
        elif each.what == "stream":
            yield _stream(each)
        else:
            yield _table(each)
    yield _time(answers)


Cause = tuple[Finding, list[str]]  # and what needs no line of its own for that


def _token(answers: Sequence[Answer], token: str) -> Iterator[Cause]:
    unknown = [each.name for each in answers if each.status == UNKNOWN]
    if unknown and all(each.words for each in answers):
        words = f"upstream does not know the token that stands in {token} (HTTP 401)"
        yield Finding("token", "error", words, "put the right one there"), unknown


def _hosts(answers: Sequence[Answer], through: str) -> Iterator[Cause]:
    for place in dict.fromkeys(each.place for each in answers):
        of = [each for each in answers if each.place == place and not each.is_skipped]
        name = "host" if place == answers[0].place else "rest host"
        if not of:
            yield Finding(name, "skipped", "not asked, but by the bridge that runs"), []
        elif all(each.is_lost for each in of):
            names = [each.name for each in of]
            yield Finding(name, "error", of[0].words, NETWORK), names
        else:
            yield Finding(name, "ok", f"{place} answers{through}"), []


def _place(answers: Sequence[Answer]) -> Iterator[Cause]:
    busy = [each.name for each in answers if _is_busy(each)]
    if len(busy) > 1:
        streams = ", ".join(name.removeprefix("stream ") for name in busy)
        words = f"another connection has the place of this key in {streams} (HTTP 429)"
        yield Finding("connection", "warning", words, OTHER_CONNECTION), busy


def _is_busy(each: Answer) -> bool:
    return each.what == "stream" and each.status == BUSY


def _stream(each: Answer) -> Finding:
    if not each.words:
        return Finding(each.name, "ok", ALLOWED)
    if each.status in {UNKNOWN, NOT_YOURS}:
        words = f"this key may not have it (HTTP {each.status})"
        return Finding(each.name, "error", words, NOT_ENTITLED)
    if _is_busy(each):
        words = "another connection has the place of this key (HTTP 429)"
        return Finding(each.name, "warning", words, OTHER_CONNECTION)
    if each.status:
        return Finding(each.name, "warning", each.words, LATER)
    return Finding(each.name, "error", each.words, NETWORK)


def _table(each: Answer) -> Finding:
    if not each.words:
        return Finding(each.name, "ok", GIVES)
    if each.is_late:
        return Finding(each.name, "error", each.words, NETWORK)
    if each.status in {UNKNOWN, NOT_YOURS}:
        words = f"this key may not ask for it (HTTP {each.status})"
        words = f"{words}: {WITHOUT[each.what]}"
        return Finding(each.name, "warning", words, "ask Benzinga for it")
    return Finding(each.name, "warning", each.words, LATER)


def _time(answers: Sequence[Answer]) -> Finding:
    told = ((each.at, moment(each.date)) for each in answers if each.date)
    for ours, theirs in told:
        if ours is not None and theirs is not None:
            return clocks(ours, theirs)
    return Finding("clock", "skipped", "not compared: nobody told the time")


def clocks(ours: datetime, theirs: datetime) -> Finding:
    """Judge this machine's clock by upstream's, which tells whole seconds."""
    apart = ours.astimezone(UTC) - theirs
    if abs(apart) <= NOTABLE:
        return Finding("clock", "ok", "agrees with upstream's")
    seconds = abs(apart).total_seconds()
    if seconds > UNITED:
        seconds = round(seconds / MINUTE) * MINUTE
    way = "ahead of" if apart > timedelta(0) else "behind"
    words = (
        f"{lasted(seconds)} {way} upstream's: here it is"
        f" {clock(ours, ours)}, there {clock(theirs, ours)}"
    )
    todo = "set it, best by itself (`timedatectl set-ntp true`)"
    return Finding("clock", "error" if abs(apart) >= WRONG else "warning", words, todo)
