"""Run the engine through what happens in some days, in a second; and shrink that.

A history is a seed and its events. It replays exactly: virtual time, drawn trouble, and
trio's own order of tasks come from the seed. Quiet time is leapt over: where nothing
happened for a while and nothing is about to, the clock jumps minutes ahead, as if the
process had stood still.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import inf
from pathlib import Path
from random import Random
from typing import Final
from unittest import mock

import attrs
import structlog
import trio
from simulated.checks import WELL, WELL_AFTER_REFUSAL, Checks
from simulated.storms import draw
from simulated.troubles import DAY, KINDS, Event
from simulated.world import Broken, Threads, World

from bzredis.backlog import backlog
from bzredis.bridge import backfill, bridge, subscriber

DAYS: Final = 4  # of one history
SETTLES: Final = 65.0  # s that all is watched after something happened
SETTLES_AFTER: Final = 25.0  # s likewise, after something ended
LEAP: Final = 7_200.0  # s at the most
AWAKE: Final = 11.0  # s between leaps: Redis is asked, and a ping answered
# The engine's looks, less often: most find nothing, and they are most of the work.
BOUNDS: Final = (
    (backlog, "POLL", 0.8),
    (subscriber, "POLL", 1.9),
    (subscriber, "SELDOM", 1.9),
    (backfill, "POLL", 2.3),
    (bridge, "STATUS_EVERY", 3.1),
)


@attrs.define
class Clock(trio.abc.Clock):
    """Virtual time: where all wait, it goes on to whoever waits least."""

    now: float = 0.0

    def start_clock(self) -> None:
        pass

    def current_time(self) -> float:
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        if deadline == inf:  # as trio itself waits for its own end
            return 1.0
        self.now = max(self.now, deadline)
        return 0.0


@attrs.frozen
class History:
    """A seed, and what happens."""

    seed: int
    days: float
    events: tuple[Event, ...]
    two: bool
    rest: bool

    @classmethod
    def of(cls, seed: int, days: float = DAYS, *, dense: bool = False) -> History:
        rng = Random(seed)
        two, rest = rng.random() < 0.5, rng.random() < 0.6
        return cls(seed, days, tuple(draw(rng, days, dense=dense)), two, rest)

    @classmethod
    def dense(cls, seed: int) -> History:
        """Draw a day without quiet, in which a missing rule is noticed sooner."""
        return cls.of(seed, 1.0, dense=True)

    def __str__(self) -> str:
        how = f"{1 + self.two} bridge(s), {'with' if self.rest else 'without'} REST"
        return "\n".join((f"seed {self.seed}: {how}", *map(str, self.events)))


@contextmanager
def _bounds() -> Iterator[None]:
    with ExitStack() as stack:
        for module, name, value in BOUNDS:
            stack.enter_context(mock.patch.object(module, name, value))
        yield


@contextmanager
def quietly() -> Iterator[None]:
    """Let nothing be logged."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.configure(**before)


def run(history: History) -> str:
    """Return what broke, in words, or ""."""
    clock = Clock()
    world = World(history.seed, history.two, history.rest)
    scheduler = trio._core._run
    threads = Threads(world)
    with (
        _bounds(),
        quietly(),
        mock.patch.object(scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING", new=True),
        mock.patch.object(trio.to_thread, "run_sync", threads.run_sync),
    ):
        scheduler._r.seed(history.seed)
        try:
            trio.run(_play, world, history, clock, clock=clock)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is found
            return _told(_first(error))
    return ""


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _told(error: BaseException) -> str:
    if isinstance(error, Broken):
        return str(error)
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}:{where.lineno}"
    return f"{type(error).__name__}: {error} at {place}"


async def _play(world: World, history: History, clock: Clock) -> None:
    player = _Player(world, clock, Checks(world))
    world.look_alive = player.checks.look_alive
    world.look_at_law = player.checks.law
    async with trio.open_nursery() as world.nursery:
        for machine in world.machines:
            machine.start()
        for event in history.events:
            await player.until(event.at)
            await player.happen(event)
        await player.until(history.days * DAY)
        await player.until(player.well_at + SETTLES)
        for machine in world.machines:
            await machine.stop()
        world.nursery.cancel_scope.cancel()


@attrs.define(eq=False)
class _Player:
    world: World
    clock: Clock
    checks: Checks
    well_at: float = WELL  # s, by when all must be well
    _ends: list[float] = attrs.field(factory=list)
    _awake_since: float = -AWAKE
    _unwell_since: float = inf

    async def happen(self, event: Event) -> None:
        kind = KINDS[event.what]
        self.world.stir()
        done = kind.act(self.world, Random(event.how), event.lasts)
        if done is not None:
            await done
        ends = trio.current_time() + (event.lasts if kind.longest else 0.0)
        bound = WELL_AFTER_REFUSAL if kind.refuses else WELL
        if event.what != "upstream says something":
            self.well_at = max(self.well_at, ends + bound)
        self._ends.append(ends)
        self.checks.law()

    def _is_well(self, now: float) -> bool:
        """Tell whether all is well, by when it must; a leap may have cost that time."""
        try:
            self.checks.well()
        except Broken:
            self._unwell_since = min(now, self._unwell_since)
            if now - self._unwell_since > WELL:
                raise
            return False
        self._unwell_since = inf
        return True

    async def until(self, time: float) -> None:
        """Let time go by, and see that the law holds meanwhile."""
        rng = self.world.random
        while (now := trio.current_time()) < time:
            ended = [end for end in self._ends if end <= now]
            if ended:
                self._ends = [end for end in self._ends if end > now]
                settled = now - SETTLES + SETTLES_AFTER
                self.world.stirred = max(self.world.stirred, settled)
            quiet_until = min([time, *self._ends]) - 2.0
            is_quiet = now - self.world.stirred > SETTLES
            if is_quiet and now - self._awake_since >= AWAKE:
                if now > self.well_at and not self._is_well(now):
                    await trio.sleep(AWAKE)
                    continue
                leap = min(quiet_until - now, LEAP)
                if leap > AWAKE:
                    self.clock.now += leap
                    self._awake_since = trio.current_time()
                    continue
            await trio.sleep(min(time - now, rng.uniform(3.0, 9.0)))
            self.checks.law()


# ------------------------------------------------------------------------- shrinking


def shrunk(history: History, words: str, most: int = 400) -> History:
    """Return a history with as few events as one finds that breaks the same way."""
    kind, left = words[:2], [most]

    def breaks(events: Sequence[Event]) -> bool:
        left[0] -= 1
        return run(attrs.evolve(history, events=tuple(events)))[:2] == kind

    events = list(history.events)
    size = max(1, len(events) // 2)
    while left[0] > 0:
        before = len(events)
        at = 0
        while at < len(events) and left[0] > 0:
            fewer = events[:at] + events[at + size :]
            if breaks(fewer):
                events = fewer
            else:
                at += size
        if size == 1 and len(events) == before:
            break
        size = max(1, size // 2)
    return attrs.evolve(history, events=tuple(events))
