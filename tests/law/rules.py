"""The script's side of coverage: what a batch does to one stream of one Redis.

Plain and pure, so that a test can copy it, roll it back or take out a rule. A rule
has a name where it stands: `on("…")`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from bzredis import ports
from bzredis.changes.fingerprints import ROW
from bzredis.changes.kinds import (
    Change,
    Filled,
    GaveUp,
    Heard,
    Mark,
    Opened,
    Rejected,
    Replayed,
    unpack,
)
from bzredis.errors import StoreForeign
from bzredis.ports import Applied, Batch, Behind, Coverage, Log

CLOCKS: Final = 3_600_000  # ms by which two clocks may differ
EXPIRES: Final = 35 * 86_400_000  # ms that a position is kept without being used
TOOK_EFFECT: Final = ("latest", "record", "none")
WITHOUT: set[str] = set()  # rules that are taken out, to see that a test notices


def on(rule: str) -> bool:
    """Tell whether a rule is in force."""
    return rule not in WITHOUT


# ---- subscriptions: `*`, or names with commas


def beyond(wide: str, narrow: str) -> bool:
    """Tell whether a subscription holds what another has not."""
    if narrow == "*":
        return False
    return wide == "*" or not _names(wide) <= _names(narrow)


def common(one: str, other: str) -> str:
    """Return what two subscriptions have in common."""
    if "*" in (one, other):
        return other if one == "*" else one
    return ",".join(sorted(_names(one) & _names(other)))


def _names(subscription: str) -> set[str]:
    return {*subscription.split(",")} - {""}


# ---- what stands in Redis


@attrs.define
class Hole:
    """A hole as the script keeps it."""

    id: str
    begin: int
    end: int
    cause: str
    resume: int
    opened: int  # a stamp
    announced: bool = False
    recovered: int = 0  # messages that a replay or REST brought since then

    def told(self) -> ports.Hole:
        """Return what the answer says of it."""
        return ports.Hole(
            self.id, self.begin, self.end, self.cause, self.resume, self.announced
        )


@attrs.define
class Rules:
    """One stream of one Redis, and the script. What is logged is for subclasses."""

    most: int = 16  # holes, `first` apart
    since: int | None = None
    until: int | None = None
    newest: int = 0
    subscription: str = ""
    upstream: str = ""
    stamp: int = 0
    reader: str = ""
    proving: bool = False
    reached: int | None = None
    holes: list[Hole] = attrs.field(factory=list)
    # log -> number of the last change applied, and when (ms) it was used last
    position: dict[str, tuple[int, int]] = attrs.field(factory=dict)
    seen: dict[str, int] = attrs.field(factory=dict)  # print -> stamp
    # record -> its version, and whether that deletes
    versions: dict[str, tuple[int, bool]] = attrs.field(factory=dict)
    _time: int = 0  # µs
    _at_work: str = ""  # log and number

    # ---- for subclasses

    def is_whole_for(self, log: str) -> bool:
        """Tell whether a log's bridge may say that what stands here is fresh."""
        is_reader = self.reader in {"", log}
        return is_reader and all(hole.announced for hole in self.holes)

    def take(self, change: Change | Rejected, known: str) -> str:
        """Do what a message does besides; `known` is "", "row" or "message".

        Returns its result. What raises ends the batch here.
        """
        if known == "row" and isinstance(change, Change) and change.source != "rest":
            return "duplicate of a row"
        if known:
            return "duplicate"
        return "rejected" if isinstance(change, Rejected) else "latest"

    def announce(self, hole: Hole, t: int) -> None:
        """Write a hole's gap entry, given up at `t`."""

    # ---- a batch

    def apply(self, batch: Batch, now: int) -> Applied | Behind:
        """Apply a batch at `now` (ms, Redis' TIME)."""
        log, first = batch.log, batch.first
        if self.upstream and self.upstream != log.upstream:
            raise StoreForeign(self.upstream)
        at = self._position(log, now)
        skip = min(max(0, at + 1 - first), len(batch.packed)) if on("skip") else 0
        changes = [unpack(packed) for packed in batch.packed]
        is_lacking = first > at + 1 and on("numbers")
        if is_lacking and (batch.may_hold or not changes):
            return Behind(at)
        self._time, self._at_work = now * 1_000, f"{log.id}-{first}"
        self._tick()
        if is_lacking:
            self._lacking(log, changes[0].t, batch.since)
        results, symbols = ["again"] * skip, dict[str, None]()
        fetched = 0
        if changes:
            self.upstream = log.upstream
        try:
            for number, change in enumerate(changes[skip:], first + skip):
                self._at_work = f"{log.id}-{number}"
                result = self._one(log, change, batch.since, number)
                results.append(result)
                if isinstance(change, Change) and result in TOOK_EFFECT:
                    fetched += change.source == "rest"
                    if change.symbol and result != "none":
                        symbols[change.symbol] = None
        finally:  # also where it ends early
            count = len(results) if on("early") else len(changes)
            last = max(at, first + count - 1) if changes else at
            if last >= 0:
                self.position[log.id] = last, now
        return Applied(last, tuple(results), tuple(symbols), fetched, self.coverage())

    def coverage(self) -> Coverage:
        """Return what an answer tells."""
        holes = tuple(hole.told() for hole in self.holes)
        return Coverage(self.since, self.until, self.subscription, self.reader, holes)

    def _position(self, log: Log, now: int) -> int:
        number, used = self.position.get(log.id, (-1, now))
        return number if now - used < EXPIRES else -1

    def _tick(self) -> int:
        last = self.stamp
        self.stamp = max(self._time, last + 1) if on("stamps") else self._time
        return self.stamp

    def _new_id(self, begin: int) -> str:
        self._tick()
        change = f"-{self._at_work}" if on("id-change") else ""
        return f"{self.stamp}{change}" + (f"-{begin}" if on("id-begin") else "")

    def _one(
        self,
        log: Log,
        change: Change | Rejected | Mark,
        since: int | None,
        number: int,
    ) -> str:
        match change:
            case Change() | Rejected():
                return self._message(log, change)
            case Opened():
                return self._opened(log, change.t, since, number)
            case Heard():
                is_reader = self.reader == log.id or not on("reader")
                if self.until is not None and is_reader:
                    self.until = max(self.until, change.sent)
                return "heard"
            case Replayed():
                return self._replayed(log)
            case Filled():
                self.holes = [h for h in self.holes if not _named(h, change.ids)]
                return "filled"
            case GaveUp():
                return self._gave_up(change)

    # ---- holes

    def _open(self, begin: int, end: int, cause: str) -> None:
        is_first = cause == "first"
        resume = self.newest if not is_first else 0
        if not on("resume"):
            resume = begin
        elif not resume:
            resume = begin - (CLOCKS if on("clocks") else 0)
        identity = self._new_id(begin)
        # Where the coverage is gone, what is seen proves nothing of it.
        opened = 0 if self.until is None else self.stamp
        self.holes.append(Hole(identity, begin, end, cause, resume, opened))
        alike = [h for h in self.holes if (h.cause == "first") == is_first]
        if len(alike) > (1 if is_first else self.most):
            self._join(*alike[:2])

    def _join(self, one: Hole, other: Hole) -> None:
        """Make the two oldest one."""
        pick = {True: min, False: max}
        one.begin, one.end = min(one.begin, other.begin), max(one.end, other.end)
        one.cause = other.cause
        one.resume = pick[on("join-resume")](one.resume, other.resume)
        one.opened = pick[on("join-opened")](one.opened, other.opened)
        both, any_ = one.announced and other.announced, one.announced or other.announced
        one.announced = both if on("join-announced") else any_
        one.recovered = max(one.recovered, other.recovered)
        if on("join-id"):
            one.id = self._new_id(one.begin)
        self.holes.remove(other)

    def _lacking(self, log: Log, end: int, since: int | None) -> None:
        """Account for changes of the log that are lost; they were read by `end`."""
        begin = self.until
        if begin is None:
            begin = self.since = end if since is None else since
        if begin < end and on("lacking"):
            self._open(begin, end, "redis-rollback")
        if self.until is None or self.until < end:
            self.until, self.reader = end, log.id
            # The Opened that told of more may be lost as well.
            both = common(self.subscription, log.subscription)
            self._subscribe(log, end, both if on("share") else log.subscription)
        for hole in self.holes:  # no mark on its way may close one
            if on("new-ids"):
                hole.id = self._new_id(hole.begin)
        if on("unprove"):
            self.proving = False

    def _subscribe(self, log: Log, t: int, stored: str) -> None:
        """Fetch what is new: of that nothing was promised until now."""
        is_new = beyond(log.subscription, self.subscription)
        if is_new and log.window and (on("grown") or not self.subscription):
            self._open(t - log.window, t, "first")
        self.subscription = stored

    # ---- marks

    def _opened(self, log: Log, t: int, since: int | None, number: int) -> str:
        if self.until is None:  # a first start, or emptied under us
            self.since = t if since is None else since
            if self.since < t and on("emptied"):
                self._open(self.since, t, "redis-rollback")
        elif t > self.until:
            if on("opened"):
                self._open(self.until, t, "reconnect" if number else "restart")
        elif on("late-opened"):
            if self.reader == log.id and on("late-unproves"):
                self.proving = False  # it is sent again: what it brought, it brought
            return "late"  # that time is accounted for already
        self._subscribe(log, t, log.subscription)
        if on("forget"):
            self.reached = None  # proof is within one whole replay
        self.reader, self.proving = log.id, True
        self.until = max(t, self.until or 0)
        return "opened"

    def _may_prove(self, log: Log) -> bool:
        return self.proving and (self.reader == log.id or not on("proving"))

    def _replayed(self, log: Log) -> str:
        reached = self.reached
        if self._may_prove(log) or not on("proving"):
            self.proving = False
            if reached is not None and on("proof"):
                self.holes = [h for h in self.holes if not _proven(h, reached)]
        return "replayed"

    def _gave_up(self, change: GaveUp) -> str:
        result = "given up"
        for hole in [h for h in self.holes if h.id in change.ids]:
            if hole.cause != "first" and not (hole.announced and on("once")):
                self.announce(hole, change.t)
                result = "gap"
            hole.announced = True
            if not change.keep:
                self.holes.remove(hole)
        return result

    # ---- messages

    def known(self, prints: Iterable[str]) -> tuple[str, int]:
        """Tell by what a message is known, and since which stamp."""
        found = [print_ for print_ in prints if print_ in self.seen]
        strong = [p for p in found if p[:1] != ROW or not on("row-proves-nothing")]
        if strong:
            return "message", min(self.seen[print_] for print_ in strong)
        return ("row" if found else ""), 0

    def _message(self, log: Log, change: Change | Rejected) -> str:
        known, stamp = self.known(change.known_by)
        is_row = isinstance(change, Change) and change.source == "rest"
        if isinstance(change, Change) and change.record and not known:
            version = change.version, change.action == "deleted"
            before = self.versions.get(change.record, (0, False))
            if is_row and version <= before:  # of REST only what is newer is taken
                return "duplicate"
            self.versions[change.record] = max(version, before)
        result = self.take(change, known)
        if result.startswith("refused"):
            return result
        if not (known and is_row):  # it would hide what comes live in the same second
            for print_ in change.remember:
                self.seen.setdefault(print_, self.stamp)
        if isinstance(change, Change):
            self._account(log, change, result)
            if known == "message" and not is_row and self._may_prove(log):
                stamp = stamp if on("known-before") else 0
                self.reached = min(self.reached or stamp, stamp)
        if not on("until-by-marks"):
            self.until = max(self.until or 0, change.t)
        return result

    def _account(self, log: Log, change: Change, result: str) -> None:
        """See from where REST resumes, and what came of asking it."""
        # What came before is here only where the connection counts that it came by.
        is_reader = self.reader == log.id or not on("newest-reader")
        if is_reader and (change.source != "rest" or not on("row-newest")):
            self.newest = max(self.newest, change.updated)
        if change.source != "live" and result in TOOK_EFFECT:
            for hole in self.holes:
                hole.recovered += 1


def _named(hole: Hole, ids: tuple[str, ...]) -> bool:
    def moment(identity: str) -> int:
        return int(identity.partition("-")[0])

    if on("ids"):
        return hole.id in ids
    return moment(hole.id) <= max(map(moment, ids), default=0)


def _proven(hole: Hole, reached: int) -> bool:
    """Tell whether a replay that reached so far back brought all that is in a hole."""
    if hole.cause == "first" and on("first-unproven"):
        return False
    return reached < hole.opened
