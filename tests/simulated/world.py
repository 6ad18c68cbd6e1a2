"""All that a bridge meets, on virtual time and drawn from a seed; and the truth of it.

Upstream, its REST, a Redis that keeps the script's rules, and machines with a disk and
a bridge: the engine itself. What is wrong with them just now stands in `ails`: a name
and until when. Nothing here decides what happens; troubles.py does.
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
from contextlib import asynccontextmanager, suppress
from functools import partial
from math import inf
from random import Random
from typing import Final, TypeVar

import attrs
import trio
from law.checked import SYMBOLS, Checked, names
from law.rules import CLOCKS, on
from trio.lowlevel import ParkingLot

from bzredis.backlog.backlog import Backlog
from bzredis.backlog.disk import Disk
from bzredis.backlog.queue import Queue
from bzredis.backlog.writer import BATCH, Writer
from bzredis.bridge.backfill import Backfill
from bzredis.bridge.bridge import AllRefused, Bridge, Line
from bzredis.bridge.coverage import Holes
from bzredis.bridge.intake import Intake
from bzredis.bridge.manners import Manners
from bzredis.bridge.retry import Retry
from bzredis.bridge.status import Identity, StreamStatus
from bzredis.bridge.subscriber import Subscriber
from bzredis.changes.kinds import Change, Rejected
from bzredis.errors import (
    FeedLost,
    FeedRefused,
    RestDown,
    RestRefused,
    SpoolFull,
    SpoolLocked,
    StoreDown,
    StoreSlow,
    StoreUnready,
)
from bzredis.messages.times import rfc3339
from bzredis.ports import Applied, Batch, Behind, Item, Log, Removal, Sign
from bzredis.streams import RATINGS, Stream
from bzredis.streams.stream import Table

T = TypeVar("T")

EPOCH: Final = 1_760_000_000_000  # ms since 1970, when it all begins
PING: Final = 10.0  # s
ALIVE: Final = 15_000  # ms that a sign of life lasts
UNSEEN: Final = 30.0  # s by which a connection that is dead is given up
WINDOW: Final = 3_600_000  # ms that REST is asked back for what is new
SLOW: Final = 5.0  # s until Redis' client does not wait any longer
LAG: Final = 4_500  # ms by which REST may be behind the stream
REORDERED: Final = 3  # s by which a version may be older than its sending
STOPS: Final = 5.5  # s that an orderly stop may take, and a little
STEP: Final = 12_000  # ms by which a clock may be off
HEALTHY: Final = 60.0  # s that a connection stood: what failed before is forgotten, …
SOON: Final = 2.1  # … and the next attempt comes so many s later, or earlier
SHORT: Final = 4  # attempts that failed in a row …
PATIENT: Final = 3.5  # … and s that the next has to wait at the least


class Broken(AssertionError):
    """What must hold does not."""


@attrs.frozen
class Said:
    """A message of upstream: when it was sent (ms), and what it said."""

    sent: int
    number: int
    symbol: str
    record: str
    version: int  # s
    frame: str
    row: str


def batched(rows: list[str], size: int) -> Iterator[list[str]]:
    for at in range(0, len(rows), size):
        yield rows[at : at + size]


async def pause(rng: Random, most: float) -> None:
    """Take some time, or as often as not none that counts."""
    if rng.random() < 0.5:
        await trio.sleep(rng.uniform(0.0, most))
    else:
        await trio.lowlevel.checkpoint()


@attrs.define
class Ails:
    """What is wrong with something, and until when (s)."""

    _until: dict[str, float] = attrs.field(factory=dict)

    def begin(self, what: str, seconds: float) -> None:
        until = trio.current_time() + seconds
        self._until[what] = max(until, self._until.get(what, 0.0))

    def __contains__(self, what: str) -> bool:
        return trio.current_time() < self._until.get(what, 0.0)

    def left(self, what: str) -> float:
        return max(0.0, self._until.get(what, 0.0) - trio.current_time())


# ------------------------------------------------------------------------- upstream


@attrs.define(eq=False)
class Link:
    """One connection, seen from both sides: what is on the wire comes in its order."""

    upstream: Upstream
    machine: Machine
    rng: Random
    subscription: str = attrs.field(init=False)
    is_open: bool = True  # as upstream sees it
    opened: float = attrs.field(factory=trio.current_time)
    died: float = inf  # s: upstream's PINGs come until then, …
    dead_at: float = inf  # … and when that is noticed, where it was unseen
    _wire: deque[tuple[float, str | bytes | Exception]] = attrs.field(factory=deque)
    _last: float = 0.0  # s, when the last of it comes
    _heard: float = 0.0  # s, when something was read last
    _news: trio.Event = attrs.field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self.subscription = self.machine.subscription

    def put(self, item: str | bytes | Exception, late: float = 0.0) -> None:
        """Put something on the wire; it comes so many seconds late."""
        if self.is_open and self.dead_at == inf:
            at = trio.current_time() + self.rng.uniform(0.001, 0.05) + late
            self._last = max(self._last, at)
            self._wire.append((self._last, item))
            self._news.set()

    def cut(self) -> None:
        """Let upstream end it; of what is on the wire the last is lost."""
        for _ in range(self.rng.randint(0, len(self._wire))):
            self._wire.pop()
        # What was lost is not waited for.
        self._last = self._wire[-1][0] if self._wire else 0.0
        self.close()

    def close(self) -> None:
        """Let upstream end it in good order: what is on the wire still comes."""
        self.put(FeedLost("cut"))
        self.is_open, self.died = False, trio.current_time()

    def die(self) -> None:
        """Let nothing come any more, and nobody notice."""
        self._wire.clear()
        self.died = trio.current_time()
        self.dead_at = self.died + self.rng.uniform(5.0, UNSEEN)
        self._news.set()

    @property
    def heard_at(self) -> float:
        """Say when the last byte came: a PING of upstream's comes every 10 s."""
        lived = min(trio.current_time(), self.died) - self.opened
        return max(self._heard, self.opened + lived // PING * PING)

    async def send(self, text: str, /) -> None:
        await trio.lowlevel.checkpoint()
        if text == "ping" and "mute" not in self.upstream.ails:
            self.put("pong", self.upstream.late())
        elif text == "replay":
            for pause, frame in self.upstream.replay(self):
                behind = max(0.0, self._last - trio.current_time())
                self.put(frame, behind + pause)

    async def receive(self) -> str | bytes:
        await trio.lowlevel.checkpoint()
        while True:
            now = trio.current_time()
            if now >= self.dead_at:
                raise FeedLost("nothing came, and no answer")
            if self._wire and self._wire[0][0] <= now:
                _, item = self._wire.popleft()
                if isinstance(item, Exception):
                    raise item
                self._heard = now
                return item
            self._news = trio.Event()
            first = self._wire[0][0] if self._wire else inf
            with trio.move_on_at(min(first, self.dead_at)):
                await self._news.wait()

    def arrived(self) -> Iterator[str | bytes]:
        now = trio.current_time()
        while self._wire and self._wire[0][0] <= now:
            item = self._wire[0][1]
            if isinstance(item, Exception):
                return
            self._wire.popleft()
            self._heard = now
            yield item


@attrs.define(eq=False)
class Upstream:
    """The server of one stream, which lets one connect at a time."""

    world: World
    rng: Random
    ails: Ails = attrs.field(factory=Ails)
    slot: Link | None = None
    _held: float = 0.0  # s until the slot of one that is gone is free again
    kept: int = 50  # messages of a replay

    def late(self) -> float:
        return self.rng.uniform(0.5, 12.0) if "late" in self.ails else 0.0

    @asynccontextmanager
    async def connect(self, machine: Machine, _: Stream) -> AsyncIterator[Link]:
        machine.attempts()
        rng = self.rng
        await trio.sleep(rng.uniform(0.01, 0.3))
        if "refuses" in self.ails:
            raise FeedRefused("HTTP 401")
        if "fails" in self.ails:
            raise FeedLost("HTTP 503", status=503)
        if "hangs" in self.ails:
            await trio.sleep(10.0)
            raise FeedLost("no handshake")
        is_held = self.slot is not None or trio.current_time() < self._held
        if is_held or "kept out" in machine.ails:
            raise FeedLost("HTTP 429", status=429)
        link = self.slot = Link(self, machine, Random(rng.random()))
        self.world.stir()
        began = trio.current_time()
        try:
            await trio.sleep(rng.uniform(0.0, 0.2))  # it may send meanwhile
            yield link
        finally:
            machine.ended(trio.current_time() - began)
            self.let_go(link)

    def let_go(self, link: Link) -> None:
        """Free the slot of a connection, perhaps only after a while."""
        link.is_open = False
        if self.slot is link:
            self.slot = None
            slow = self.rng.random() < 0.3
            self._held = trio.current_time() + self.rng.uniform(0, 6.0 if slow else 0.5)
        self.world.stir()

    def replay(self, link: Link) -> list[tuple[float, str]]:
        """Return the last messages, each with how long it waits after the one before.

        In an order of its own, in parts, and over in time (coverage.md).
        """
        if "no replay" in self.ails:
            return []
        whose = names(link.subscription)
        kept = self.rng.choice((1, 3, 8)) if "short" in self.ails else self.kept
        held = [m.frame for m in self.world.said if m.symbol in whose][-kept:]
        if self.rng.random() < 0.5:
            self.rng.shuffle(held)
        if "slow" in self.ails:
            longest = min(3.0, 20.0 / max(1, len(held)))
            return [(self.rng.uniform(0.2, longest), frame) for frame in held]
        return [(0.0, frame) for frame in held]

    def say(self, message: Said) -> None:
        link = self.slot
        if link is not None and message.symbol in names(link.subscription):
            link.put(message.frame, self.late())
            if "stutters" in self.ails:
                link.put(message.frame)


@attrs.define(eq=False)
class Rest:
    """REST as one machine sees it."""

    world: World
    rng: Random
    ails: Ails = attrs.field(factory=Ails)

    async def rows(
        self, _: Table, since: int, tickers: Sequence[str] = (), /
    ) -> AsyncGenerator[list[str], None]:
        found = await self._answer(since, tickers)
        is_ragged = "ragged" in self.ails
        rows = [message.row for message in found]
        if is_ragged:
            rows = rows[: len(rows) // 2]
        is_slow = "slow" in self.ails
        for page in batched(rows, 3 if is_slow else 1_000):
            yield page
            await trio.sleep(self.rng.uniform(0.0, 8.0) if is_slow else 0.0)
        if is_ragged:
            raise RestDown("a page was cut short")

    async def removals(self, _: Table, __: int, /) -> AsyncGenerator[Removal, None]:
        await trio.sleep(self.rng.uniform(0.05, 0.5))
        none: tuple[Removal, ...] = ()
        for each in none:
            yield each

    async def lookup(self, _: Table, __: str, ___: Mapping[str, str], /) -> str | None:
        raise AssertionError("ratings are not looked up")

    async def _answer(self, since: int, tickers: Sequence[str]) -> list[Said]:
        is_slow = "slow" in self.ails and self.rng.random() < 0.5
        await trio.sleep(self.rng.uniform(0.05, 20.0 if is_slow else 1.0))
        if "hangs" in self.ails:
            await trio.sleep(60.0)
            raise RestDown("no answer")
        if "fails" in self.ails:
            raise RestDown("HTTP 503")
        if "slow down" in self.ails:
            raise RestDown("HTTP 429", retry_after=self.rng.uniform(5.0, 60.0))
        if "refuses" in self.ails:
            raise RestRefused("HTTP 401")
        until = self.world.now() - self.rng.randint(0, LAG)
        whose = tickers or SYMBOLS
        has = [m for m in self.world.said if m.sent <= until]
        last = {m.record: m for m in has}
        found = [m for m in last.values() if m.version >= since and m.symbol in whose]
        return sorted(found, key=lambda m: -m.version)


# ---------------------------------------------------------------------------- Redis


@attrs.define
class Held(Checked):
    """What one Redis holds, sign of life included."""

    logged: dict[int, str] = attrs.field(factory=dict)  # message -> by which log
    order: dict[str, int] = attrs.field(factory=dict)  # log -> last change logged
    alive_until: int = 0
    holder: tuple[str, int] = ("", 0)

    def _position(self, log: Log, now: int) -> int:
        at = super()._position(log, now)
        if at < 0:  # expired: what is sent again is known
            self.order.pop(log.id, None)
        return at

    def take(self, change: Change | Rejected, known: str) -> str:
        result = super().take(change, known)
        if isinstance(change, Change) and not known:
            number, is_row = self.number[change.raw], change.source == "rest"
            if not is_row and self.logged.get(number) == "message":
                raise Broken(f"promise 1: message {number} was logged twice")
            self.logged[number] = "row" if is_row else "message"
        log, _, nth = self._at_work.rpartition("-")
        if self.order.get(log, -1) >= int(nth):
            raise Broken(f"order: change {nth} of {log} after {self.order[log]}")
        self.order[log] = int(nth)
        return result


@attrs.define(eq=False)
class Redis:
    """One server at one address."""

    world: World
    rng: Random
    ails: Ails = attrs.field(factory=Ails)
    held: Held = attrs.field(init=False)
    other: Held = attrs.field(init=False)  # another server's, not at our address
    kept: Held | None = None  # what is on its disk
    clock: int = 0  # ms by which its TIME is off
    _stopped: int = 0  # ms: where its TIME stands still
    changes: int = 0  # of what it holds

    def __attrs_post_init__(self) -> None:
        self.held, self.other = self._new(), self._new()

    def _new(self) -> Held:
        return Held(most=self.world.most, number=self.world.number)

    def come_back(self, held: Held) -> None:
        self.held = held
        self.changes += 1

    def empty(self) -> None:
        self.come_back(self._new())

    def stop_clock(self, seconds: float) -> None:
        self._stopped = self.time()
        self.ails.begin("stopped", seconds)

    def time(self) -> int:
        if "stopped" in self.ails:
            return self._stopped
        return self.world.now() + self.clock


@attrs.define(eq=False)
class Client:
    """What one process has of Redis; nothing once it was killed."""

    redis: Redis
    machine: Machine
    is_killed: bool = False
    answered: int = 0  # when its last status was
    _ahead: tuple[Batch, Applied | Behind] | None = None  # sent behind the last batch

    async def _reach(self) -> None:
        ails, rng = self.redis.ails, self.redis.rng
        await pause(rng, 2.0 if "slow" in ails else 0.01)
        if "frozen" in ails:
            await trio.sleep(SLOW)
            raise StoreSlow("no answer")
        if "down" in ails or "partitioned" in self.machine.ails:
            raise StoreDown("connection refused")
        if self.is_killed:
            await trio.sleep_forever()

    async def apply(
        self, _: Stream, batch: Batch, following: Batch | None = None, /
    ) -> Applied | Behind:
        ahead, self._ahead = self._ahead, None
        await self._reach()
        rng, ails = self.redis.rng, self.redis.ails
        if ahead and ahead[0].packed == batch.packed:
            answer = ahead[1]  # it lay there: by now Redis may be another
        else:
            answer = self._applied(batch)
        if "forgets" in ails and rng.random() < 0.5:
            raise StoreSlow("no answer")
        if following and rng.random() < 0.8:  # else the connection is lost behind this
            with suppress(StoreDown):
                self._ahead = following, self._applied(following)
        await pause(rng, 0.01)
        return answer

    def _applied(self, batch: Batch) -> Applied | Behind:
        redis = self.redis
        if "refuses" in redis.ails and batch.packed:
            raise StoreUnready("OOM command not allowed")
        held = redis.held
        was_new, holes = held.until is None, len(held.holes)
        redis.changes += 1
        try:
            answer = held.apply(batch, redis.time())
        finally:
            held.early = -1
        if was_new and held.until is not None:
            held.forgot = batch.since
        if len(held.holes) < holes:
            redis.world.look_at_law()
        return answer

    async def ping(self) -> None:
        await self._reach()

    async def symbols(self, _: Stream, /) -> list[str]:
        await self._reach()
        return [*SYMBOLS]

    async def write_status(
        self, _: Stream, __: Mapping[str, str], sign: Sign, /
    ) -> bool:
        await self._reach()
        self.redis.world.status_comes()
        held, now = self.redis.held, self.redis.world.now()
        holder, until = held.holder
        is_held = holder not in {"", sign.bridge} and now < until
        if is_held and sign.presence in {"apart", "gone"}:
            return False
        held.holder = sign.bridge, now + ALIVE
        at, _used = held.position.get(sign.log, (-1, 0))
        has_all = at >= sign.confirmed or not on("sign-confirmed")
        is_whole = held.is_whole_for(sign.log) or not on("sign-whole")
        answered, self.answered = self.answered, now
        is_young = now - (answered or now) <= ALIVE or not on("sign-young")
        alive = sign.presence == "fresh" and has_all and is_whole and is_young
        held.alive_until = now + ALIVE if alive else 0
        if alive:
            self.redis.world.look_alive(sign, is_current=at == sign.confirmed)
        return alive or sign.presence != "fresh"


# ---------------------------------------------------------------- machines with a disk


@attrs.define(eq=False)
class Spool:
    """What is on a machine's disk."""

    ails: Ails
    limit: int = 2**30
    logs: dict[str, dict[int, Item]] = attrs.field(factory=dict)
    refused_at: float = -inf  # s, the last time
    _since: int | None = None

    @property
    def room(self) -> int:
        return 0 if "full" in self.ails else self.limit

    def _reach(self, *, writes: bool = False) -> None:
        if "locked" in self.ails:
            self.refused_at = trio.current_time()
            raise SpoolLocked("locked")
        if writes and "full" in self.ails:
            self.refused_at = trio.current_time()
            raise SpoolFull("no room")

    def append(self, _: str, items: Sequence[Item], /) -> None:
        self._reach(writes=True)
        for item in items:
            self.logs.setdefault(item.log.id, {})[item.number] = item

    def oldest(self, _: str, limit: int, /) -> list[Item]:
        self._reach()
        for log in self.logs.values():
            if log:
                first = min(log)
                run = (log[n] for n in range(first, first + limit) if n in log)
                return [i for nth, i in enumerate(run) if i.number == first + nth]
        return []

    def remove(self, _: str, log: str, last: int, /) -> int:
        self._reach()
        held = self.logs.get(log, {})
        gone = [number for number in held if number <= last]
        for number in gone:
            del held[number]
        if not held:
            self.logs.pop(log, None)
        return len(gone)

    def count(self, _: str, /) -> int:
        return sum(map(len, self.logs.values()))

    def since(self, _: str, at: int | None = None, /) -> int | None:
        if at is not None:
            self._reach(writes=True)
            self._since = at
        return self._since

    def close(self) -> None:
        """Do nothing: all is on disk."""


@attrs.define(eq=False)
class Process:
    """One run of a bridge."""

    bridge: Bridge
    client: Client
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    over: trio.Event = attrs.field(factory=trio.Event)

    @property
    def line(self) -> Line:
        return self.bridge.lines[0]


@attrs.define(eq=False)
class Machine:
    """Where one bridge runs: its processes come and go, its disk stays."""

    world: World
    name: str
    rng: Random
    subscription: str = "*"
    has_rest: bool = True
    ails: Ails = attrs.field(factory=Ails)
    clock: int = 0  # ms by which it is off
    spool: Spool = attrs.field(init=False)
    process: Process | None = None
    _starts: int = 0
    _ended: tuple[float | None, float] | None = (
        None  # when a connection ended; it stood (s)
    )
    _short: int = 0  # attempts in a row without a connection that stood

    def __attrs_post_init__(self) -> None:
        self.spool = Spool(self.ails)

    def now(self) -> int:
        return self.world.now() + self.clock

    # ---- processes

    def start(self) -> None:
        """Start a process, which reads what an earlier one left; never two at once."""
        if self.process is not None:
            return
        world, self._starts = self.world, self._starts + 1
        rng = Random(self.rng.random())
        window = WINDOW if self.has_rest else 0
        log = Log(f"{self.name}{self._starts}", self.subscription, window, "upstream")
        who = Identity(log.id, "1", self.now(), "upstream", self.subscription)
        client = Client(world.redis, self)
        urgent = ParkingLot()
        intake = Intake(
            RATINGS,
            Backlog(Queue(log), Disk("ratings", self.spool)),
            Holes(log, rest=self.has_rest),
            StreamStatus(who),
            self.now,
            urgent,
        )
        connect = partial(world.upstream.connect, self)
        subscriber = Subscriber(intake, connect, Manners(), rng)
        tell = intake.applied, intake.trouble
        writer = Writer(RATINGS, intake.backlog, client, *tell, rng, most=world.batch)
        ask = None
        if self.has_rest:
            assert RATINGS.rows is not None
            whose = () if self.subscription == "*" else self.subscription.split(",")
            retry = Retry("rest", intake.rest_trouble, rng)
            known = partial(client.symbols, RATINGS)
            ask = Backfill(intake, RATINGS.rows, world.rest, retry, known, whose).run
        line = Line(subscriber, writer)
        bridge = Bridge(client, self.spool, [line], urgent, ask)
        self._ended, self._short = None, 0
        self.process = Process(bridge, client)
        world.nursery.start_soon(self._run, self.process)
        world.stir()

    async def _run(self, process: Process) -> None:
        try:
            with process.scope:
                await process.bridge.run()
        except AllRefused:
            self.process = None
            process.over.set()
            await trio.sleep(self.rng.uniform(5.0, 60.0))
            if self.process is None:
                self.start()  # as whoever watches over it would
            return
        process.over.set()

    async def kill(self) -> None:
        if process := self.process:
            process.client.is_killed = True
            process.scope.cancel()
            await process.over.wait()
            self.process = None

    async def stop(self) -> None:
        if process := self.process:
            began = trio.current_time()
            process.bridge.stop.set()
            await process.over.wait()
            self.process = None
            if trio.current_time() - began > STOPS:
                raise Broken("it did not stop within 5 s")

    # ---- manners

    def ended(self, stood: float) -> None:
        self._ended = trio.current_time(), stood

    def attempts(self) -> None:
        """See that who was connected for long comes soon, and others are patient."""
        now, (ended, stood) = trio.current_time(), self._ended or (None, 0.0)
        self._ended = now, 0.0
        if ended is None:
            return
        waited, self._short = now - ended, 0 if stood > HEALTHY else self._short + 1
        # Without room on its disk it waits for that.
        hinders = self.spool.refused_at > ended - HEALTHY
        if stood > HEALTHY + 1 and not hinders and waited > SOON:
            raise Broken(f"back-off: {waited:.1f} s after a session that was healthy")
        if self._short > SHORT and waited < PATIENT:
            raise Broken(f"back-off: {waited:.1f} s after {self._short} that failed")


@attrs.define
class Threads:
    """In the place of worker threads, during which virtual time would jump."""

    world: World

    async def run_sync(
        self, call: Callable[..., T], *args: object, abandon_on_cancel: bool = False
    ) -> T:
        await trio.lowlevel.checkpoint_if_cancelled()
        with trio.CancelScope(shield=not abandon_on_cancel):
            await self._work()
        found = call(*args)
        with trio.CancelScope(shield=not abandon_on_cancel):
            await self._work()
        return found

    async def _work(self) -> None:
        slow = any("slow" in machine.ails for machine in self.world.machines)
        await pause(self.world.random, 1.5 if slow else 0.005)


# ------------------------------------------------------------------------ altogether


@attrs.define(eq=False)
class World:
    """All of it, and the truth."""

    seed: int
    two: bool = False
    rest_is_asked: bool = True
    random: Random = attrs.field(init=False)
    said: list[Said] = attrs.field(factory=list)
    number: dict[str, int] = attrs.field(factory=dict)  # of a text
    later: dict[str, list[int]] = attrs.field(factory=dict)  # of a record
    slept: int = 0  # ms that only clocks on walls went on
    off: int = 2  # ms by which times may differ
    stirred: float = 0.0  # s, when something happened last
    upstream: Upstream = attrs.field(init=False)
    rest: Rest = attrs.field(init=False)
    redis: Redis = attrs.field(init=False)
    machines: list[Machine] = attrs.field(init=False)
    nursery: trio.Nursery = attrs.field(init=False)
    as_a_status_comes: Callable[[], None] | None = None  # once
    look_alive: Callable[..., None] = lambda *_, **__: None
    look_at_law: Callable[[], None] = lambda: None
    most: int = attrs.field(init=False)  # holes
    batch: int = attrs.field(init=False)  # changes, at the most
    skew: int = attrs.field(init=False)  # ms by which upstream's clock is off

    def __attrs_post_init__(self) -> None:
        self.random = Random(self.seed)
        self.most = self.random.choice((2, 16))
        self.batch = self.random.choice((3, BATCH))
        self.skew = self.random.choice((0, 0, 10_000 - CLOCKS, CLOCKS - 10_000))
        self.upstream = Upstream(self, self._rng())
        self.rest, self.redis = Rest(self, self._rng()), Redis(self, self._rng())
        self.machines = [
            Machine(self, name, self._rng(), has_rest=self.rest_is_asked)
            for name in "AB"[: 1 + self.two]
        ]

    def _rng(self) -> Random:
        return Random(self.random.random())

    def now(self) -> int:
        return EPOCH + round(trio.current_time() * 1_000) + self.slept

    def stir(self) -> None:
        self.stirred = trio.current_time()

    def status_comes(self) -> None:
        """Let happen what waits for that: the status was made before it."""
        happens, self.as_a_status_comes = self.as_a_status_comes, None
        if happens:
            happens()

    def say(self, rng: Random) -> None:
        """Let upstream say something; perhaps of a record that it has said before."""
        now, number = self.now(), len(self.said)
        version = (now + self.skew) // 1_000 - rng.randint(0, REORDERED)
        symbol, record = rng.choice(SYMBOLS), f"{number:024x}"
        if self.said and rng.random() < 0.3:
            last = self.said[self.later[rng.choice(self.said[-30:]).record][-1]]
            if last.version < version:
                record, symbol = last.record, last.symbol
        content = {"id": record, "ticker": symbol, "updated": version, "notes": number}
        data = {
            "id": record,
            "action": "updated",
            "timestamp": rfc3339(version * 1_000),
            "content": content,
        }
        row = json.dumps(content)
        frame = json.dumps({"id": f"e{number}", "data": data})
        self.number[frame] = self.number[row] = number
        self.later.setdefault(record, []).append(number)
        said = Said(now, number, symbol, record, version, frame, row)
        self.said.append(said)
        self.upstream.say(said)

    def is_here(self, message: Said) -> bool:
        """Tell whether a message is here, or a later one of its record."""
        here = self.redis.held.here
        if message.number in here:
            return True
        return any(n in here for n in self.later[message.record] if n > message.number)
