"""Stand-ins for what the engine is handed: upstream, Redis, and the threads to disk.

Fakes, not mocks: a FakeStore knows what it knows already, as the script does, and can
die, hang, lose its answer or its memory; a FakeUpstream takes one connection at a time.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, closing
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import attrs
import msgspec
import trio
from law.rules import Hole, Rules
from trio.lowlevel import ParkingLot
from trio.testing import MockClock

from bzredis.backlog import disk
from bzredis.backlog.backlog import Backlog
from bzredis.backlog.queue import Queue
from bzredis.backlog.spool import Spool, opened
from bzredis.backlog.writer import Writer
from bzredis.bridge.bridge import Bridge, Line
from bzredis.bridge.coverage import Holes
from bzredis.bridge.intake import Intake
from bzredis.bridge.manners import Manners
from bzredis.bridge.status import Identity, StreamStatus
from bzredis.bridge.subscriber import Subscriber
from bzredis.changes.from_frame import rejected
from bzredis.changes.kinds import Change, Rejected, unpack
from bzredis.errors import StoreDown, StoreEvicts, StoreSlow, StoreUnready
from bzredis.ports import Applied, Batch, Behind, Log, Removal, Sign
from bzredis.streams import STREAMS, Stream
from bzredis.streams.stream import Table

T = TypeVar("T")
Said = list[dict[str, Any]]  # what was logged

EPOCH = 1_760_000_000_000  # ms since 1970, when virtual time begins
BY_NAME = {stream.name: stream for stream in STREAMS}
RATINGS, CONSENSUS = BY_NAME["ratings"], BY_NAME["consensus"]
UPDATED = 1_728_069_666  # unix s: when the rating with the number 0 was
HANG = "hang"  # a connect that never comes back, as of a name that nobody resolves
ROOMY = 2**30
ALIVE = 15.0  # s that a sign of life lasts


def now() -> int:
    """Return virtual time as ms since 1970."""
    return EPOCH + round(trio.current_time() * 1000)


def frame(number: int, padding: int = 0) -> str:
    """Return a rating of its own; `padding` makes it as large as one likes."""
    record = f"{number:024x}"
    content = {
        "id": record,
        "date": "2024-10-04",
        "ticker": f"T{number % 7}",
        "exchange": "NASDAQ",
        "name": "Some Company",
        "notes": "x" * padding,
        "updated": UPDATED + number,
    }
    data = {"action": "created", "id": record, "content": content}
    return json.dumps({"id": f"e{number}", "data": data})


def frames(*numbers: int) -> list[str]:
    """Return one rating for each number."""
    return [frame(number) for number in numbers]


def number_of(raw: str) -> int:
    """Return the number that `frame` was given."""
    return int(json.loads(raw)["data"]["id"], 16)


def plain(number: int, size: int = 0) -> bytes:
    """Return a small packed change of its own, where any will do."""
    return rejected(f"reason {number}", "x" * size, received=EPOCH + number).pack()


# ------------------------------------------------------------------------- upstream


@attrs.define
class Session:
    """What a connection brings: frames, pauses in s, an exception; then silence.

    `answers` is how upstream takes our text: "yes", "no" (not at all), or "drop".
    """

    script: Sequence[str | bytes | float | Exception] = ()
    answers: str = "yes"
    replay: Sequence[str] | None = None  # None: what FakeUpstream holds
    dies: float = float("inf")  # s: from then on nothing comes, and nobody is told


@attrs.define(eq=False)
class FakeLink:
    """One connection, seen from both sides."""

    session: Session
    cache: Sequence[str]
    lost: Exception
    opened: float = attrs.field(factory=trio.current_time)
    sent: list[tuple[float, str]] = attrs.field(factory=list)
    pending: deque[str | bytes | Exception] = attrs.field(factory=deque)
    _steps: deque[str | bytes | float | Exception] = attrs.field(factory=deque)
    _until: float = 0.0
    _news: trio.Event = attrs.field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self._steps.extend(self.session.script)

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.sent]

    @property
    def heard_at(self) -> float:
        """Say that bytes come all the time, as long as it is alive."""
        return min(trio.current_time(), self.opened + self.session.dies)

    async def send(self, text: str, /) -> None:
        await trio.lowlevel.checkpoint()
        self.sent.append((trio.current_time(), text))
        if self.session.answers == "drop":
            self.push(self.lost)
            raise self.lost
        if self.session.answers == "yes":
            held = self.session.replay
            replay = self.cache if held is None else held
            self.push(*(["pong"] if text == "ping" else replay))

    async def receive(self) -> str | bytes:
        await trio.lowlevel.checkpoint()
        while True:
            self._advance()
            if self.pending:
                step = self.pending.popleft()
                if isinstance(step, Exception):
                    raise step
                return step
            self._news = trio.Event()
            deadline = self._until if self._steps else float("inf")
            with trio.move_on_at(deadline):
                await self._news.wait()

    def arrived(self) -> Iterator[str | bytes]:
        self._advance()
        while self.pending and not isinstance(self.pending[0], Exception):
            yield self.pending.popleft()  # type: ignore[misc]

    def push(self, *steps: str | bytes | Exception) -> None:
        """Let something come now."""
        self.pending.extend(steps)
        self._news.set()

    def _advance(self) -> None:
        while self._steps and trio.current_time() >= self._until:
            step = self._steps.popleft()
            if isinstance(step, int | float):
                self._until = trio.current_time() + step
            else:
                self.pending.append(step)


@attrs.define(eq=False)
class FakeUpstream:
    """One stream's server: plays a session for each connection, then keeps quiet."""

    lost: Exception
    sessions: deque[Session | Exception | str] = attrs.field(factory=deque)
    cache: list[str] = attrs.field(factory=list)  # what a replay brings
    links: list[FakeLink] = attrs.field(factory=list)
    asked: list[float] = attrs.field(factory=list)  # when a connection was wanted
    ended: list[float] = attrs.field(factory=list)
    goodbye: float = 0.0  # s that closing takes
    _open: int = 0

    @asynccontextmanager
    async def connect(self, stream: Stream) -> AsyncIterator[FakeLink]:
        assert not self._open, f"two connections at once for {stream.name}"
        self.asked.append(trio.current_time())
        self._open += 1
        try:
            await trio.lowlevel.checkpoint()
            session = self.sessions.popleft() if self.sessions else Session()
            if isinstance(session, Exception):
                raise session
            if not isinstance(session, Session):
                await trio.sleep_forever()
            assert isinstance(session, Session)
            link = FakeLink(session, self.cache, self.lost)
            self.links.append(link)
            try:
                yield link
            finally:
                self.ended.append(trio.current_time())
                with trio.CancelScope(shield=True):
                    await trio.sleep(self.goodbye)
        finally:
            self._open -= 1

    def say(self, *steps: str | bytes | Exception) -> None:
        """Let something come on the connection that stands."""
        self.links[-1].push(*steps)


# ---------------------------------------------------------------------------- Redis


@attrs.define
class Kept(Rules):
    """One stream in one Redis: its coverage, and what the log of events says."""

    log: list[dict[str, Any]] = attrs.field(factory=list)
    rejected: list[dict[str, Any]] = attrs.field(factory=list)
    refuses: str = ""  # a change with this in it is refused, as of a wrong type

    def take(self, change: Change | Rejected, known: str) -> str:
        if not known and self.refuses and self.refuses in change.raw:
            return "refused WRONGTYPE"
        result = super().take(change, known)
        if result == "rejected":
            self.rejected.append(as_dict(change))
        elif not known:
            self.log.append(as_dict(change))
        return result

    def announce(self, hole: Hole, t: int) -> None:
        super().announce(hole, t)
        self.log.append({"kind": "gap", **attrs.asdict(hole)})


@attrs.define
class Database:
    """What one Redis holds."""

    streams: dict[str, Kept] = attrs.field(factory=dict)
    status: dict[str, dict[str, str]] = attrs.field(factory=dict)
    # Which bridge writes it, and until when nobody else may who is not connected.
    holder: dict[str, tuple[str, float]] = attrs.field(factory=dict)

    def of(self, name: str) -> Kept:
        """Return what it holds of a stream."""
        return self.streams.setdefault(name, Kept())


def as_dict(change: Change | Rejected) -> dict[str, Any]:
    """Return what the script would read, each part under its name."""
    return {"kind": change.__struct_config__.tag, **msgspec.structs.asdict(change)}


@attrs.define(eq=False)
class FakeStore:
    """Redis behind its client, in whatever state it is."""

    db: Database = attrs.field(factory=Database)
    trouble: str = ""  # it does not take anything, in these words
    hangs: bool = False  # it does not even answer
    delay: float = 0.0  # s that a call takes
    lost_answers: int = 0  # so many batches take effect, and nobody is told
    is_mute: bool = False  # batches take effect, and no answer ever comes
    closes_at: int = 0  # bytes of a batch over which it closes the connection
    poison: str = ""  # a message with this in it is never answered, nor takes effect
    most: int = 10**9  # changes that it manages in time
    deaf: bool = False  # not even a batch of nothing is answered
    refuses: str = ""  # a change with this in it is refused, as of a wrong type
    batches: list[int] = attrs.field(factory=list)  # how large each attempt was
    questions: int = 0  # batches of nothing
    sent_ahead: int = 0  # batches, behind another one
    _ahead: dict[str, tuple[Batch, Applied | Behind]] = attrs.field(factory=dict)
    known: list[str] = attrs.field(factory=list)  # symbols that have a `latest`
    evicts: str = ""  # it takes keys away, in these words
    fresh: list[str] = attrs.field(factory=list)  # what the channel of that name said
    _alive: dict[str, bool] = attrs.field(factory=dict)
    statuses: list[tuple[float, str, dict[str, str], bool]] = attrs.field(factory=list)

    async def _reach(self) -> None:
        await trio.sleep(self.delay)
        if self.hangs:
            await trio.sleep_forever()
        if self.trouble:
            raise StoreUnready(self.trouble)

    async def apply(
        self, stream: Stream, batch: Batch, following: Batch | None = None, /
    ) -> Applied | Behind:
        self.batches.append(len(batch.packed))
        self.questions += not batch.packed
        ahead = self._ahead.pop(stream.name, None)
        await self._reach()
        if ahead and ahead[0].packed == batch.packed:
            answer = ahead[1]
        else:
            if not self._takes(batch):
                if self.closes_at:
                    raise StoreDown("cannot reach Redis: connection reset")
                await trio.sleep(5)
                raise StoreSlow("no answer")
            answer = self._applied(stream, batch)
        if following and self._takes(following):
            self._ahead[stream.name] = following, self._applied(stream, following)
            self.sent_ahead += 1
        if self.lost_answers and batch.packed:
            self.lost_answers -= 1
            self._ahead.clear()
            raise StoreSlow("no answer")
        if self.is_mute and batch.packed:
            await trio.sleep_forever()
        return answer

    def _takes(self, batch: Batch) -> bool:
        changes = [unpack(packed) for packed in batch.packed]
        if self.closes_at:
            return sum(map(len, batch.packed)) <= self.closes_at
        is_deaf = self.deaf and not changes
        is_poisoned = any(map(self._is_poison, changes))
        return not (is_deaf or len(changes) > self.most or is_poisoned)

    def _applied(self, stream: Stream, batch: Batch) -> Applied | Behind:
        kept = self.db.of(stream.name)
        kept.refuses = self.refuses
        return kept.apply(batch, now())

    def _is_poison(self, change: object) -> bool:
        return (
            bool(self.poison)
            and isinstance(change, Change)
            and self.poison in change.raw
        )

    async def symbols(self, _: Stream, /) -> list[str]:
        await self._reach()
        return list(self.known)

    async def write_status(
        self, stream: Stream, fields: Mapping[str, str], sign: Sign, /
    ) -> bool:
        await self._reach()
        assert fields["bridge"] == sign.bridge
        held_by, until = self.db.holder.get(stream.name, ("", 0.0))
        is_held = held_by != sign.bridge and trio.current_time() < until
        if is_held and sign.presence in {"apart", "gone"}:
            self._alive[stream.name] = False
            return False
        self.db.holder[stream.name] = sign.bridge, trio.current_time() + ALIVE
        self.db.status[stream.name] = dict(fields)
        kept = self.db.of(stream.name)
        at, _ = kept.position.get(sign.log, (-1, 0))
        is_whole = at >= sign.confirmed and kept.is_whole_for(sign.log)
        is_there = is_whole and not self.evicts
        alive = sign.presence == "fresh" and is_there
        if alive != self.is_alive(stream.name):
            self.fresh.append("1" if alive else f"0 {sign.why}")
        self._alive[stream.name] = alive
        self.statuses.append((trio.current_time(), stream.name, dict(fields), alive))
        if self.evicts and sign.presence == "fresh":
            raise StoreEvicts(self.evicts)
        return alive or sign.presence != "fresh"

    # ---- what a test asks

    def saved(self) -> Database:
        """Return what is on its disk, for a Redis that comes back older."""
        return deepcopy(self.db)

    def numbers(self, name: str = "ratings") -> list[int]:
        """Return the numbers of the ratings in the log, in its order."""
        log = self.db.of(name).log
        return [number_of(c["raw"]) for c in log if c["kind"] == "message"]

    def gaps(self, name: str = "ratings") -> list[dict[str, Any]]:
        """Return the gaps in the log."""
        return [c for c in self.db.of(name).log if c["kind"] == "gap"]

    def gaps_over(self, at: int, name: str = "ratings") -> list[dict[str, Any]]:
        """Return the gaps that hold a time."""
        return [gap for gap in self.gaps(name) if gap["begin"] < at <= gap["end"]]

    def rejected(self, name: str = "ratings") -> list[dict[str, Any]]:
        """Return what was set aside."""
        return self.db.of(name).rejected

    def is_alive(self, name: str = "ratings") -> bool:
        """Tell whether a stream counted as fresh the last time anyone said so."""
        return self._alive.get(name, False)

    def status(self, name: str = "ratings") -> dict[str, str]:
        """Return a status as it stands."""
        return self.db.status[name]


# ----------------------------------------------------------------------------- REST


@attrs.define(eq=False)
class FakeRest:
    """REST, with the ratings that it holds and anybody's consensus, in any state."""

    held: Sequence[int] = ()
    isins: Mapping[int, str] = attrs.field(factory=dict)
    gone: Sequence[Removal] = ()
    delay: float = 0.0  # s until it answers
    trouble: Exception | None = None  # of all tables, …
    troubles: dict[str, Exception] = attrs.field(factory=dict)  # … of a path or ticker
    spoiled: list[str] = attrs.field(factory=list)  # rows that are none
    cut: Exception | None = None  # after the first page
    none: set[str] = attrs.field(factory=set)  # tickers without a consensus
    updated_at: str = ""  # of each consensus
    asked: list[tuple[float, int, tuple[str, ...]]] = attrs.field(factory=list)
    looked_up: list[tuple[float, str]] = attrs.field(factory=list)
    queries: list[Mapping[str, str]] = attrs.field(factory=list)

    async def rows(
        self, table: Table, since: int, tickers: Sequence[str] = (), /
    ) -> AsyncGenerator[list[str], None]:
        self.asked.append((trio.current_time(), since, tuple(tickers)))
        await self._answer(table.path)
        held = [n for n in sorted(self.held, reverse=True) if UPDATED + n >= since]
        if held or self.spoiled:
            yield [self._row(number) for number in held] + self.spoiled
        if self.cut:
            raise self.cut

    def _row(self, number: int) -> str:
        found = json.loads(frame(number))["data"]["content"]
        return json.dumps(found | {"isin": self.isins.get(number, "")})

    async def removals(
        self, table: Table, since: int, /
    ) -> AsyncGenerator[Removal, None]:
        await self._answer(table.path)
        for one in self.gone:
            if (one.updated or since) >= since:
                yield one

    async def lookup(
        self, _: Table, ticker: str, query: Mapping[str, str], /
    ) -> str | None:
        self.looked_up.append((trio.current_time(), ticker))
        self.queries.append(query)
        await self._answer(ticker)
        found = {"consensus_rating": "BUY", "n": len(self.looked_up)}
        told = json.dumps(found | {"updated_at": self.updated_at})
        return None if ticker in self.none else told

    async def _answer(self, what: str) -> None:
        await trio.sleep(self.delay)
        if trouble := self.troubles.get(what, self.trouble):
            raise trouble


# ----------------------------------------------------------------------------- disk


@attrs.define
class Disk:
    """In the place of worker threads, during which virtual time would jump.

    Like them it cannot be cancelled once it works, only left alone. `delay` is how long
    that takes, before and after.
    """

    delay: float = 0.0
    calls: int = 0

    async def run_sync(
        self, call: Callable[..., T], *args: object, abandon_on_cancel: bool = False
    ) -> T:
        await trio.lowlevel.checkpoint_if_cancelled()
        self.calls += 1
        with trio.CancelScope(shield=not abandon_on_cancel):
            await trio.sleep(self.delay)
        found = call(*args)
        with trio.CancelScope(shield=not abandon_on_cancel):
            await trio.sleep(self.delay)
        return found


# ------------------------------------------------------------------------ altogether


@attrs.define
class Rig:
    """A bridge with all around it; its processes come and go, its folder stays."""

    folder: Path
    lost: Exception
    store: FakeStore = attrs.field(factory=FakeStore)
    limit: int = ROOMY
    subscription: str = "*"
    window: int = 0  # ms; with `rest`: how far back it is asked
    rest: bool = False
    host: str = "upstream"
    name: str = "me"  # of the bridge, and what its logs begin with: two have two
    clock: Callable[[], int] = now  # its own, which may be wrong
    upstreams: dict[str, FakeUpstream] = attrs.field(factory=dict)
    bridge: Bridge = attrs.field(init=False)
    _spools: list[Spool] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.upstreams.update((name, FakeUpstream(self.lost)) for name in BY_NAME)

    @property
    def upstream(self) -> FakeUpstream:
        """The server of ratings."""
        return self.upstreams["ratings"]

    @property
    def line(self) -> Line:
        """The line of the first stream."""
        return self.bridge.lines[0]

    @property
    def intake(self) -> Intake:
        """Where what that stream reads goes."""
        return self.line.intake

    @property
    def backlog(self) -> Backlog:
        """What of it waits."""
        return self.line.backlog

    @property
    def spool(self) -> Spool:
        """The spool of the process that runs, or ran last."""
        return self._spools[-1]

    def spool_left(self) -> int:
        """Return how many changes the last process left on disk, of all streams."""
        spool, _ = opened(self.folder, f"bz {self.host}", self.limit)
        with closing(spool):
            return sum(map(spool.count, BY_NAME))

    def log(self) -> Log:
        """Return a log as a process that starts would make it."""
        name = f"{self.name}{len(self._spools)}"
        return Log(name, self.subscription, self.window, self.host)

    def process(self, *names: str, **manners: bool) -> Bridge:
        """Make a bridge, as a process that starts would."""
        assert isinstance(trio.lowlevel.current_clock(), MockClock), "ask for one"
        spool, _ = opened(self.folder, f"bz {self.host}", self.limit)
        self._spools.append(spool)
        urgent = ParkingLot()
        identity = Identity(
            self.name, "1.0", self.clock(), self.host, self.subscription
        )
        lines = []
        for name in names or ("ratings",):
            stream, log = BY_NAME[name], self.log()
            intake = Intake(
                stream,
                Backlog(Queue(log), disk.Disk(name, spool)),
                Holes(log, rest=self.rest),
                StreamStatus(identity),
                self.clock,
                urgent,
            )
            subscriber = Subscriber(
                intake,
                self.upstreams[name].connect,
                Manners(**manners),
                Random(2),
            )
            writer = Writer(
                stream,
                intake.backlog,
                self.store,
                intake.applied,
                intake.trouble,
                Random(1),
            )
            lines.append(Line(subscriber, writer))
        self.bridge = Bridge(self.store, spool, lines, urgent)
        return self.bridge

    @asynccontextmanager
    async def running(self, *names: str, **manners: bool) -> AsyncIterator[Bridge]:
        """Run a process; in the end stop it in good order, within 5 s."""
        bridge = self.process(*names, **manners)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bridge.run)
            yield bridge
            bridge.stop.set()
            nursery.cancel_scope.deadline = trio.current_time() + 5
        assert not nursery.cancel_scope.cancelled_caught, "did not stop within 5 s"

    @asynccontextmanager
    async def killed(self, *names: str, **manners: bool) -> AsyncIterator[Bridge]:
        """Run a process; in the end kill it, so that it can do nothing more."""
        bridge = self.process(*names, **manners)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bridge.run)
            yield bridge
            nursery.cancel_scope.cancel()
        self.spool.close()  # as the kernel would

    def close(self) -> None:
        """Close what processes left open."""
        for spool in self._spools:
            spool.close()
