"""The world around coverage: upstream, REST, bridges that fail, and what must hold.

A bridge is the engine's own rules (`Holes`, `Queue`); what the engine does with trio
around them is done here step by step. Bounds are small, so that they are met.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from random import Random
from typing import Any, Final, TypeVar

import attrs
import msgspec
from law.checked import SYMBOLS, Checked, Fake, names
from law.rules import CLOCKS, on

from bzredis.backlog import queue
from bzredis.backlog.queue import Queue
from bzredis.bridge import coverage
from bzredis.bridge.coverage import Holes
from bzredis.changes import from_rest as rows
from bzredis.changes.from_frame import instead, read
from bzredis.changes.kinds import (
    Change,
    Filled,
    GaveUp,
    Heard,
    Opened,
    Packed,
    Rejected,
    Replayed,
    unpack,
)
from bzredis.errors import StoreDown
from bzredis.messages.times import rfc3339
from bzredis.ports import Behind, Hole, Item, Log
from bzredis.streams import RATINGS

T = TypeVar("T")

EPOCH: Final = 1_760_000_000_000  # ms, when a history begins
TICK: Final = 500  # ms
LATE: Final = 3 * TICK  # what was sent is read so much later at most, or never
SILENT: Final = 14 * TICK  # a connection that died unseen is noticed by then
FRESH: Final = 6 * TICK  # `alive` expires; what waits longer does not drain
REST_HAS: Final = 3 * TICK  # REST may lag behind the stream by this
PATIENCE: Final = 24 * TICK  # until a hole is given up
WINDOW: Final = 30 * TICK
REORDERED: Final = 3  # s by which a version may be older than its sending
OVERLAP: Final = 5_000  # ms before the newest known from where REST is asked
STEP: Final = 3_000  # ms by which our own clocks may be off, in some histories
EXPIRES: Final = 60 * TICK
HELD: Final = 4
CALM: Final = 400  # rounds by which all must be well again
WELL: Final = (12, 45)  # rounds that it has to stay so; where clocks are off

BOUNDS: Final = (
    (coverage, "REST_HAS", REST_HAS / 1_000),
    (coverage, "GIVE_UP", PATIENCE / 1_000),
    (coverage, "ANSWERED", FRESH / 1_000),
    (queue, "HELD", HELD),
)


def at_once(call: Coroutine[Any, Any, T]) -> T:
    """Run what does not wait for anything."""
    try:
        call.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    raise AssertionError("it waits")


class Broken(AssertionError):
    """One of the invariants does not hold."""


@attrs.frozen
class Said:
    """A message of upstream; its version is in s by upstream's clock."""

    sent: int
    symbol: str
    record: str
    version: int
    deleted: bool
    frame: str
    row: str  # the record in REST after it


@attrs.frozen
class Plan:
    """What stands for all of a history."""

    rest: bool = True
    two: bool = False
    changing: bool = False
    pings: bool = True
    stepping: bool = False  # whether our own clocks are off
    skew: int = 0  # ms by which upstream's is
    rest_good: int = 4  # of 8 answers are whole
    slow: int = 0  # rounds of calm before holes are seen to
    seed: int = 0
    whose: Mapping[str, str] = {}  # what logs subscribe to, where that is told


class Mutable(Holes):
    """The engine's rules, each of which can be taken out."""

    def failed(self) -> None:
        if on("alive-failed"):
            super().failed()

    def disconnected(self) -> None:
        if on("alive-connected"):
            super().disconnected()

    def filled(self, number: int) -> None:
        if on("ask-once"):
            super().filled(number)

    @property
    def is_connected(self) -> bool:
        if not on("alive-opened") and self.opened is not None:
            return not self._is_down
        return super().is_connected

    @property
    def counts(self) -> bool:
        return super().counts or not on("counts")

    def to_ask(self, now: float) -> tuple[Hole, ...]:
        late = 0.0 if on("rest-has") else REST_HAS / 1_000
        return super().to_ask(now + late)

    def to_give_up(self, now: float) -> tuple[str, ...]:
        return super().to_give_up(now) if on("give-up") else ()

    def _has_all(self) -> bool:
        return super()._has_all() or not on("rest-subscription")


@attrs.define
class Disk:
    """A spool, of one stream."""

    logs: dict[str, dict[int, Item]] = attrs.field(factory=dict)
    since: int | None = None
    full: bool = False

    def append(self, items: list[Item]) -> None:
        for item in items:
            self.logs.setdefault(item.log.id, {})[item.number] = item

    def oldest(self, limit: int) -> list[Item]:
        for log in self.logs.values():
            if log:
                first = min(log)
                run = (log[n] for n in range(first, first + limit) if n in log)
                return [i for nth, i in enumerate(run) if i.number == first + nth]
        return []

    def remove(self, log: str, last: int) -> None:
        kept = {n: i for n, i in self.logs.get(log, {}).items() if n > last}
        if log in self.logs:
            self.logs[log] = kept

    @property
    def count(self) -> int:
        return sum(map(len, self.logs.values()))


@attrs.define(eq=False)
class Bridge:
    """One bridge: its processes come and go, its disk stays."""

    world: World
    name: str
    linked: bool = True  # to Redis
    clock: int = 0  # ms by which it is off
    disk: Disk = attrs.field(factory=Disk)
    starts: int = 0
    queue: Queue = attrs.field(init=False)
    holes: Mutable = attrs.field(init=False)
    # ---- of a process
    connected: bool = False
    dead: bool = False  # the connection, and nobody here knows
    # When it was sent, when we took the time of a ping, or else which message.
    wire: deque[tuple[int, int | None, int]] = attrs.field(factory=deque)
    # When it was sent, and the time that we took: upstream has not answered these.
    pinged: deque[tuple[int, int]] = attrs.field(factory=deque)
    replay: list[int] | None = None
    last_frame: int = 0  # true ms
    asked: tuple[tuple[str, ...], list[Packed]] | None = None
    aside: Item | None = None
    epoch: int = -1  # of Redis, at its last answer
    writes: int = -1  # of all, at its last answer

    def __attrs_post_init__(self) -> None:
        """Start the first process."""
        self.start()

    def start(self) -> None:
        world, self.starts = self.world, self.starts + 1
        name, window = f"{self.name}{self.starts}", WINDOW if world.plan.rest else 0
        whose = "*" if not world.plan.changing else world.subscription()
        log = Log(name, world.plan.whose.get(name, whose), window, "upstream")
        self.queue, self.holes = Queue(log), Mutable(log, rest=world.plan.rest)
        self.connected, self.dead, self.replay = False, False, None
        self.asked = self.aside = None
        self.epoch = self.writes = -1
        self.wire.clear()

    @property
    def log(self) -> Log:
        return self.queue.log

    def time(self) -> int:
        """Return our own clock's time."""
        return self.world.now + self.clock

    # ---- as bridge/intake.py does it

    def put(self, change: Packed) -> int:
        if isinstance(change, Change | Rejected):
            t = self.holes.not_before(change.t)
            if t != change.t:
                change = msgspec.structs.replace(change, t=t)
        return self.queue.put(change.pack(), self.world.now / 1_000)

    def stamp(self) -> int:
        return self.holes.stamp(self.time()) if on("own-stamps") else self.time()

    def opened(self, t: int) -> None:
        self.holes.connected(self.put(Opened(t)))

    # ---- upstream: one live connection

    def connect(self, n: int) -> None:
        world = self.world
        if self.connected or world.slot or self.disk.full:
            return
        before = self.stamp()
        if n >= 4:  # the handshake takes its time
            world.say(n)
        else:
            world.wait(1)
        self.connected, self.dead, world.slot = True, False, self
        self.last_frame = world.now
        self.opened(self.stamp() if on("opened-after") else before)
        whose = names(self.log.subscription)
        mine = [i for i, m in enumerate(world.said) if m.symbol in whose]
        self.replay = mine[max(0, len(mine) - (0, 1, 3, 8)[n % 4]) :]
        world.random.shuffle(self.replay)

    def ping(self, n: int) -> None:
        if self.world.plan.pings:
            if self.connected and not self.dead:
                self.pinged.append((self.world.now, self.stamp()))
                if n % 2:
                    self.pong()
        elif self.connected:
            t = self.last_frame + self.clock - (LATE if on("late-frames") else 0)
            self.put(Heard(self.stamp(), t))

    def pong(self, before: int = 2**63) -> None:
        """Let upstream answer; what it said since the ping comes before that."""
        while self.pinged and self.pinged[0][0] < before:
            _, pinged = self.pinged.popleft()
            if not self.dead:
                self.wire.append((self.world.now, pinged, -1))

    def read(self, _n: int = 0) -> None:
        if not self.wire:
            return
        _, pinged, number = self.wire.popleft()
        self.last_frame = self.world.now
        if pinged is not None:
            now = self.stamp()
            self.put(Heard(now, pinged if on("asked") else now))
        else:
            self.take(number, "live")

    def take(self, number: int, source: Any) -> None:
        frame = self.world.said[number].frame
        change = read(RATINGS, frame, received=self.time(), source=source)
        assert isinstance(change, Change), change
        self.put(change)

    def replay_some(self, n: int) -> None:
        for _ in range(1 + n % 3):
            if self.replay and not self.dead:
                self.take(self.replay.pop(), "replay")

    def replay_end(self, _n: int) -> None:
        if self.replay == []:
            self.replay = None
            self.holes.replayed(self.put(Replayed(self.stamp())))

    def cut(self, _n: int) -> None:
        """Let upstream end it; nobody here knows yet."""
        if self.connected and not self.dead:
            self.dead, self.world.slot = True, None

    def drop(self, _n: int = 0) -> None:
        if self.world.slot is self:
            self.world.slot = None
        if self.connected:
            self.holes.disconnected()
        self.connected, self.replay = False, None
        self.wire.clear()
        self.pinged.clear()

    def flap(self, n: int) -> None:
        """Connect and lose it, again and again."""
        for _ in range(n):
            self.connect(0)
            self.drop()

    # ---- the process and its disk

    def spill(self, _n: int = 0) -> None:
        items = self.queue.unsaved()
        if items and self.disk.full:
            self.drop()  # closed on purpose: no room
        elif items:
            self.disk.append(items)
            self.queue.let_go(items)

    def fill(self, n: int) -> None:
        self.disk.full = n < 3

    def kill(self, _n: int) -> None:
        self.drop()
        self.start()

    def stop(self, _n: int) -> None:
        self.drop()
        self.spill()
        self.start()

    def partition(self, _n: int) -> None:
        self.linked = not self.linked

    def step_own(self, n: int) -> None:
        """Let our own clock step."""
        if self.world.plan.stepping:
            self.clock = (-STEP, -1_500, -1, 0, 0, 1, 1_500, STEP)[n]

    # ---- Redis, as backlog/writer.py does it

    def lose_request(self, _n: int) -> None:
        self.holes.failed()

    def lose_answer(self, n: int) -> None:
        self.world.run(self._write(1 + n % 5, lose=True))

    def poison(self, _n: int) -> None:
        """Set the oldest change aside: Redis answers, but not to it."""
        items = self._oldest(1)
        if items and isinstance(change := unpack(items[0].packed), Change):
            packed = instead(change, "poison").pack()
            self.aside = items[0]._replace(packed=packed)

    def write(self, n: int) -> None:
        self.world.run(self._write(1 + n % 5, lose=False))

    def _oldest(self, limit: int) -> list[Item]:
        queue = self.queue
        return queue.back(limit) or self.disk.oldest(limit) or queue.fresh(limit)

    async def _write(self, limit: int, *, lose: bool) -> None:
        world, aside = self.world, self.aside
        if not self.linked:
            return self.holes.failed()
        items = self._oldest(limit)
        same = aside and items and (items[0].log, items[0].number)
        if aside and same == (aside.log, aside.number):
            items[0] = aside
        batch = self.queue.batch(items, self.disk.since if on("since") else None)
        redis = world.store.redis
        was_new = redis.until is None
        try:
            answer = await world.store.apply(RATINGS, batch)
        except StoreDown:
            lose = True
            answer = Behind(-1)
        finally:
            redis.early = -1
            if was_new and redis.until is not None:
                redis.forgot = self.disk.since  # its promise begins where it did
            world.writes += bool(items)
            world.used[batch.log.id] = world.now
        if lose:
            return self.holes.failed()
        self.epoch = world.epoch
        if isinstance(answer, Behind):
            if on("go-back"):
                self.queue.go_back(batch, answer.at)
            else:
                self.queue._lacking = (batch.log.id, batch.first)
            return self.holes.failed()
        self.aside = None
        self.queue.confirmed(items)
        if items:
            self.disk.remove(items[-1].log.id, items[-1].number)
        if answer.coverage.since is not None:
            self.disk.since = answer.coverage.since
        self.writes = world.writes
        log_id = items[0].log.id if items else self.log.id
        self.holes.applied(log_id, answer.last, answer.coverage, world.now / 1_000)
        return None

    # ---- holes, as bridge/intake.py and bridge/backfill.py do it

    def tend(self, _n: int) -> None:
        is_over = self.replay is None or not on("told-again")
        if self.holes.is_connected and not self.holes.counts and is_over:
            self.opened(self.stamp())
        for each in self.holes.to_give_up(self.world.now / 1_000):
            self.put(GaveUp(self.stamp(), (each,), self.holes.rest))

    def ask(self, n: int) -> None:
        """Ask REST, or take its answer."""
        if self.asked:
            self._answered(*self.asked, is_whole=n >= 8 - self.world.rest_good)
        elif holes := self.holes.to_ask(self.world.now / 1_000):
            since = min(hole.resume for hole in holes) - (OVERLAP if on("five") else 0)
            has = self.world.now - REST_HAS * (n % 4) // 3
            found = self.world.rows(self, since // 1_000, has)
            self.asked = tuple(hole.id for hole in holes), found

    def _answered(
        self, ids: tuple[str, ...], found: list[Packed], *, is_whole: bool
    ) -> None:
        self.asked = None
        for nth, row in enumerate(found):
            if is_whole or nth % 2:
                self.put(row)
        if is_whole or not on("whole"):
            self.holes.filled(self.put(Filled(self.stamp(), ids)))

    def look_up(self, _n: int) -> None:
        """Ask REST for one, by itself."""
        if self.world.plan.rest and self.world.said:
            self.put(self.world.row(self, len(self.world.said) - 1))

    def is_alive(self) -> bool:
        """Tell what bridge/bridge.py would say."""
        oldest = self.queue.oldest_at()
        is_old = oldest is not None and self.world.now / 1_000 - oldest > FRESH / 1_000
        goes_back = self.queue.goes_back and on("alive-back")
        waits = self.disk.count or goes_back or is_old
        if waits and on("alive-drains"):
            return False
        if not on("alive-holes"):
            held = self.holes.coverage
            bare = attrs.evolve(held, holes=())
            self.holes.coverage = bare
            try:
                return self.holes.is_fresh(self.world.now / 1_000)
            finally:
                self.holes.coverage = held
        return self.holes.is_fresh(self.world.now / 1_000)


@attrs.define(eq=False)
class World:
    """Upstream, its REST, one address of Redis, and one or two bridges."""

    plan: Plan
    run: Callable[[Coroutine[Any, Any, None]], None] = at_once
    make: Callable[[World], Fake] | None = None
    now: int = EPOCH
    said: list[Said] = attrs.field(factory=list)
    number: dict[str, int] = attrs.field(factory=dict)  # of a text
    later: dict[str, list[int]] = attrs.field(factory=dict)  # of a record
    slot: Bridge | None = None
    epoch: int = 0
    writes: int = 0
    rest_good: int = 0
    random: Random = attrs.field(init=False)
    store: Fake = attrs.field(init=False)
    bridges: list[Bridge] = attrs.field(init=False)
    used: dict[str, int] = attrs.field(factory=dict)  # when a log wrote last

    def __attrs_post_init__(self) -> None:
        """Begin a history."""
        self.random, self.rest_good = Random(self.plan.seed), self.plan.rest_good
        few = Fake(lambda: self.now, lambda: Checked(most=2, number=self.number))
        self.store = self.make(self) if self.make else few
        self.bridges = [Bridge(self, name) for name in "AB"[: 1 + self.plan.two]]

    def subscription(self) -> str:
        if self.random.random() < 0.2:
            return "*"
        return ",".join(sorted(self.random.sample(SYMBOLS, self.random.randint(1, 3))))

    # ---- time and upstream

    def wait(self, ticks: int) -> None:
        for _ in range(ticks):
            self.now += TICK
            for bridge in self.bridges:
                bridge.pong(before=self.now - TICK)
                while bridge.wire and self.now - bridge.wire[0][0] >= LATE:
                    bridge.read()
                is_silent = self.now - bridge.last_frame > SILENT
                if bridge.connected and is_silent and (self.plan.pings or bridge.dead):
                    bridge.drop()

    def quiet(self, n: int) -> None:
        self.wait(1 + n)

    def say(self, n: int) -> None:
        """Let upstream say something; perhaps of a record that it has said before."""
        self.wait((1, 1, 1, 3)[n % 4])
        at = self.now + self.plan.skew
        version = at // 1_000 - self.random.randint(0, REORDERED)
        symbol = self.random.choice(SYMBOLS)
        record, deleted = f"{len(self.said):024x}", False
        if self.said and n >= 5:
            last = self.said[self.later[self.random.choice(self.said).record][-1]]
            if last.version < version and not last.deleted:
                record, symbol, deleted = last.record, last.symbol, n == 7
        self._say(symbol, record, version, deleted=deleted)

    def _say(self, symbol: str, record: str, version: int, *, deleted: bool) -> None:
        number = len(self.said)
        content = {"id": record, "ticker": symbol, "updated": version, "notes": number}
        data = {
            "id": record,
            "action": "deleted" if deleted else "updated",
            "timestamp": rfc3339(version * 1_000),
            "content": content,
        }
        row = json.dumps({**content, "removed": deleted})
        frame = json.dumps({"id": f"e{number}", "data": data})
        self.number[frame] = self.number[row] = number
        self.later.setdefault(record, []).append(number)
        self.said.append(Said(self.now, symbol, record, version, deleted, frame, row))
        slot = self.slot
        if slot and symbol in names(slot.log.subscription):
            slot.wire.append((self.now, None, number))
        if slot:
            slot.pong()

    def row(self, bridge: Bridge, number: int) -> Packed:
        """Return what REST says of a record after a message."""
        said, received = self.said[number], bridge.time()
        if not said.deleted:
            return rows.row(RATINGS, said.row, received=received)
        gone = said.record, said.version, said.row
        return rows.removal(RATINGS, *gone, received=received)

    def rows(self, bridge: Bridge, since: int, has: int) -> list[Packed]:
        """Return what REST says since a version, of what was said until `has`."""
        last = {m.record: i for i, m in enumerate(self.said) if m.sent <= has}
        whose = names(bridge.log.subscription)
        found = [self.said[i] for i in last.values()]
        wanted = [m for m in found if m.version >= since and m.symbol in whose]
        wanted.sort(key=lambda m: m.version)
        return [self.row(bridge, self.number[m.frame]) for m in wanted]

    # ---- Redis

    def keep(self, _n: int) -> None:
        self.store.keep()

    def roll_back(self, n: int) -> None:
        if self.store.roll_back():
            self.epoch += 1
            self.step(n)

    def step(self, n: int) -> None:
        self.store.step((n - 4) * 8_000)

    def empty(self, n: int) -> None:
        self.store.empty()
        self.epoch += 1
        self.step(n)

    def switch(self, _n: int) -> None:
        self.store.switch()
        self.epoch += 1

    def early(self, n: int) -> None:
        """Let it take no more in the middle of the next batch."""
        if self.store.fails:
            self.store.redis.early = 1 + n % 3

    def expire(self, _n: int) -> None:
        kept = {k for k, at in self.used.items() if self.now - at <= EXPIRES}
        self.store.forget({*self.store.redis.position} - kept)

    # ---- what must hold

    def check(self) -> None:
        """See that the law holds (I2), and that `alive` is true (I5)."""
        redis = self.store.redis
        if redis.since is None or redis.until is None:
            return
        if redis.twice:
            raise Broken("a gap was announced twice")
        off = 2 * STEP if self.plan.stepping else 0

        def spans(begin: int, end: int, message: Said) -> bool:
            return begin - off < message.sent <= end + off

        gaps, missing = redis.gaps, self.missing()
        lacking = [m for m in missing if not any(spans(*gap, m) for gap in gaps)]
        for m in lacking:
            held = any(spans(h.begin, h.end, m) for h in redis.holes)
            if m.sent <= redis.until - off and not held:
                raise Broken(f"law: {m} is missing")
        for bridge in self.bridges:
            if bridge.epoch == self.epoch and bridge.is_alive():
                self._check_alive(bridge, lacking, off)

    def _check_alive(self, bridge: Bridge, lacking: list[Said], off: int) -> None:
        redis = self.store.redis
        assert redis.until is not None
        current, whose = bridge.writes == self.writes, names(bridge.log.subscription)
        long_ago = self.now - SILENT - FRESH - LATE - off
        for m in lacking:
            known = current and m.sent <= redis.until - off
            if m.symbol in whose and (known or m.sent < long_ago):
                raise Broken(f"alive: {m} is missing")
        if not current:
            return
        for begin, end, symbols in redis.windows:
            held = symbols & names(redis.subscription)
            for i, m in enumerate(self.said):
                inside = begin + off < m.sent <= end - off and m.symbol in held
                if inside and not self.is_here(i):
                    raise Broken(f"window: {m} is missing")

    def is_here(self, number: int) -> bool:
        """Tell whether a message is here, or a later one of its record."""
        here = self.store.redis.here
        if number in here:
            return True
        later = self.later[self.said[number].record]
        return any(n in here for n in later if n > number)

    def missing(self) -> list[Said]:
        """Return what was promised and is not here."""
        redis = self.store.redis
        assert redis.since is not None
        since = redis.since if redis.forgot is None else min(redis.since, redis.forgot)
        off = 2 * STEP if self.plan.stepping else 0
        return [
            m
            for i, m in enumerate(self.said)
            if m.symbol in redis.promised
            and m.sent > max(since, redis.promised[m.symbol]) + off
            and not self.is_here(i)
        ]

    def calm(self) -> None:
        """See that `alive` comes and stays once all is well (I6)."""
        self.rest_good, well = 8, 0
        for bridge in self.bridges:
            bridge.linked, bridge.disk.full = True, False
        for nth in range(CALM):
            for bridge in self.bridges:
                bridge.connect(nth % 4)
                bridge.read()
                bridge.replay_some(2)
                bridge.replay_end(0)
                bridge.write(4)
                bridge.write(4)
                if nth >= self.plan.slow:
                    bridge.tend(0)
                    bridge.ask(nth % 8)
                if nth % 3 == 0:
                    bridge.ping(0)
            if nth % 10 == 0:
                self.say(0)
            else:
                self.wait(1)
            self.check()
            drained = not any(bridge.disk.count for bridge in self.bridges)
            alive = any(bridge.is_alive() for bridge in self.bridges)
            well = well + 1 if alive and drained else 0
            if well > WELL[self.plan.stepping]:
                return
        raise Broken("no rest")


OFTEN: Final = (
    *("say", "say", "say", "read", "read", "ping", "ping", "connect", "connect"),
    *("replay_some", "replay_some", "replay_end", "spill", "tend", "ask", "ask"),
    *("write", "write", "write", "write", "quiet"),
)
RARE: Final = (
    *("drop", "cut", "kill", "stop", "keep", "roll_back", "expire", "step", "early"),
    *("lose_request", "lose_answer", "partition", "look_up", "empty", "switch"),
    *("poison", "fill", "step_own", "flap"),
)


def do(world: World, name: str, who: int, n: int) -> None:
    """Let one thing happen: `n` from 0 to 7 says how."""
    bridge = world.bridges[who % len(world.bridges)]
    if hasattr(bridge, name):
        getattr(bridge, name)(n)
    else:
        getattr(world, name)(n)
    world.check()


def plan(random: Random) -> Plan:
    """Return a plan for a history."""
    return Plan(
        rest=random.random() < 0.5,
        two=random.random() < 0.5,
        changing=random.random() < 0.5,
        pings=random.random() < 0.75,
        stepping=random.random() < 0.25,
        skew=random.choice((0, 0, CLOCKS - 10_000, 10_000 - CLOCKS)),
        rest_good=random.choice((0, 4, 6)),
        slow=random.choice((0, 20)),
        seed=random.randrange(2**32),
    )
