"""What may happen, and for how long, told in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import deepcopy
from random import Random
from typing import Final

import attrs
import trio
from law.checked import SYMBOLS
from simulated.world import STEP, Ails, Machine, World

DAY: Final = 86_400.0
HOUR: Final = 3_600.0
MONTHS: Final = 40 * 86_400_000  # ms: nothing that expires lives so long


@attrs.frozen
class Event:
    """Something that happens: when (s), what, for how long (s), and its own seed."""

    at: float
    what: str
    lasts: float
    how: int

    def __str__(self) -> str:
        day, rest = divmod(self.at, DAY)
        hours, rest = divmod(rest, HOUR)
        minutes, seconds = divmod(rest, 60)
        when = f"day {day + 1:.0f} {hours:02.0f}:{minutes:02.0f}:{seconds:06.3f}"
        lasts = f", for {self.lasts:.1f} s" if self.lasts else ""
        return f"{when}  {self.what}{lasts}"


@attrs.frozen
class Kind:
    """A kind of trouble."""

    act: Callable[[World, Random, float], Awaitable[None] | None]
    shortest: float = 0.0  # s
    longest: float = 0.0
    weight: float = 1.0
    refuses: bool = False  # whoever it hits asks again after 15 min only


def some(world: World, how: Random) -> Machine:
    return how.choice(world.machines)


def standby(world: World) -> Machine | None:
    """Return who is not connected; rather one that would be let in."""
    link = world.upstream.slot
    others = [m for m in world.machines if link is None or m is not link.machine]

    def waits(machine: Machine) -> tuple[bool, bool]:
        process = machine.process
        has_link = process is not None and process.line.intake.holes.opened is not None
        return has_link, "kept out" in machine.ails

    return min(others, key=waits, default=None)


def _ails(of: Callable[[World, Random], Ails], what: str) -> Callable[..., None]:
    def begin(world: World, how: Random, lasts: float) -> None:
        of(world, how).begin(what, lasts)

    return begin


def upstream(what: str) -> Callable[..., None]:
    return _ails(lambda world, _: world.upstream.ails, what)


def rest(what: str) -> Callable[..., None]:
    return _ails(lambda world, _: world.rest.ails, what)


def redis(what: str) -> Callable[..., None]:
    return _ails(lambda world, _: world.redis.ails, what)


def disk(what: str) -> Callable[..., None]:
    return _ails(lambda world, how: some(world, how).ails, what)


# ---- upstream


def say(world: World, how: Random, _: float) -> None:
    world.say(how)


async def burst(world: World, how: Random, _: float) -> None:
    for _nth in range(how.randint(2, 8)):
        world.say(how)
        await trio.sleep(how.choice((0.0, how.uniform(0, 0.3))))


def cut(world: World, _: Random, __: float) -> None:
    if link := world.upstream.slot:
        link.cut()
        world.upstream.let_go(link)


def close(world: World, _: Random, __: float) -> None:
    if link := world.upstream.slot:
        link.close()
        world.upstream.let_go(link)


def hand_over(world: World, _: Random, lasts: float) -> None:
    """Let who is connected be sent away, and somebody else in."""
    if link := world.upstream.slot:
        link.machine.ails.begin("kept out", lasts)
        cut(world, _, 0.0)


def cut_off(world: World, how: Random, lasts: float) -> None:
    """Let who is connected not reach Redis."""
    link = world.upstream.slot
    machine = link.machine if link else some(world, how)
    machine.ails.begin("partitioned", lasts)


def cut_off_standby(world: World, _: Random, lasts: float) -> None:
    if machine := standby(world):
        machine.ails.begin("partitioned", lasts)


def half_open(world: World, how: Random, _: float) -> None:
    if link := world.upstream.slot:
        link.die()
        if how.random() < 0.5:
            world.upstream.let_go(link)


def bad_frame(world: World, how: Random, _: float) -> None:
    bad = ("{", "null", '{"id": 1, "data": {}}', '{"data": {"action": "x"}}', b"\xff")
    if link := world.upstream.slot:
        link.put(how.choice(bad))


# ---- Redis


def save(world: World, _: Random, __: float) -> None:
    world.redis.kept = deepcopy(world.redis.held)


def roll_back(world: World, how: Random, _: float) -> None:
    if kept := world.redis.kept:
        world.redis.come_back(deepcopy(kept))
        step_time(world, how, 0.0)


def lose_moments(world: World, how: Random, lasts: float) -> None:
    """Let Redis come back as it is now, after a while."""
    held = deepcopy(world.redis.held)

    async def later() -> None:
        await trio.sleep(lasts)
        world.redis.come_back(held)
        world.redis.ails.begin("down", how.choice((0.0, how.uniform(0.0, 3.0))))

    world.nursery.start_soon(later)


async def shut_down(world: World, how: Random, lasts: float) -> None:
    """Let Redis end first, and forget its last moments; then the bridges; all start."""
    held = deepcopy(world.redis.held)
    await trio.sleep(lasts)
    world.redis.come_back(held)
    between = how.uniform(0.0, how.choice((2.0, 30.0)))
    world.redis.ails.begin("down", between + how.uniform(1.0, 10.0))
    await trio.sleep(between)
    are_killed = how.random() < 0.3
    for machine in world.machines:
        await (machine.kill() if are_killed else machine.stop())
    await trio.sleep(how.uniform(0.0, 10.0))
    for machine in world.machines:
        machine.start()


def empty(world: World, how: Random, _: float) -> None:
    world.redis.empty()
    step_time(world, how, 0.0)


def move(world: World, how: Random, _: float) -> None:
    """Let the address lead to another server; or back."""
    here = world.redis.held
    world.redis.come_back(world.redis.other)
    world.redis.other = here
    step_time(world, how, 0.0)


def step_time(world: World, how: Random, _: float) -> None:
    by = how.choice((0, -30_000, 30_000, how.randint(-5_000, 5_000)))
    world.redis.clock = by + world.redis.clock // MONTHS * MONTHS


def leap_time(world: World, _: Random, __: float) -> None:
    """Let it be set, as on a small computer that boots without a clock."""
    world.redis.clock += MONTHS


def stop_time(world: World, _: Random, lasts: float) -> None:
    world.redis.stop_clock(lasts)


def early(world: World, how: Random, _: float) -> None:
    world.redis.held.early = how.randint(0, 3)


# ---- machines


async def kill(world: World, how: Random, lasts: float) -> None:
    machine = some(world, how)
    if machine.process:
        await machine.kill()
        await trio.sleep(min(lasts, 60.0))
        machine.start()


async def start_anew(world: World, _: Random, __: float) -> None:
    """Let whoever stands by be ended and started: it does not wait to connect."""
    machine = standby(world)
    if machine and machine.process:
        await machine.kill()
        machine.start()


async def stop(world: World, how: Random, lasts: float) -> None:
    machine = some(world, how)
    if machine.process:
        await machine.stop()
        await trio.sleep(min(lasts, 60.0))
        machine.start()


async def resubscribe(world: World, how: Random, _: float) -> None:
    machine = some(world, how)
    if machine.process:
        await machine.stop()
        whose = sorted(how.sample(SYMBOLS, how.randint(1, 3)))
        machine.subscription = how.choice(("*", ",".join(whose)))
        machine.start()


async def subscribe_to_less(world: World, how: Random, _: float) -> None:
    """Let who is connected have a part only, and then the other all."""
    link = world.upstream.slot
    first = link.machine if link else some(world, how)
    for machine in world.machines:
        await machine.stop()
        machine.subscription = "*"
    first.subscription = ",".join(sorted(how.sample(SYMBOLS, how.randint(1, 2))))
    first.start()
    with trio.move_on_after(20.0):
        while world.upstream.slot is None:
            await trio.sleep(0.1)
    for machine in world.machines:
        machine.start()


def asleep(world: World, how: Random, lasts: float) -> None:
    """Let all machines sleep: meanwhile upstream goes on, and nobody reads."""
    link = world.upstream.slot
    if link and how.random() < 0.7:
        half_open(world, how, 0.0)

    def sleep() -> None:
        for _nth in range(how.randint(0, 3)):
            world.slept += round(lasts * 200)
            world.say(how)
        world.slept += round(lasts * 400)

    if how.random() < 0.3:
        world.as_a_status_comes = sleep
    else:
        sleep()


def step_wall(world: World, how: Random, _: float) -> None:
    by = how.choice((STEP // 4, STEP))
    world.off = max(world.off, 2 * by + 2)
    link = world.upstream.slot
    whose = link.machine if link and how.random() < 0.5 else some(world, how)
    whose.clock = how.choice((-by, by, how.randint(-by, by)))


def step_ahead(world: World, how: Random, _: float) -> None:
    """Let the clock of who is connected step forward."""
    by = how.choice((STEP // 2, STEP))
    world.off = max(world.off, 2 * by + 2)
    if link := world.upstream.slot:
        link.machine.clock = by


KINDS: Final[dict[str, Kind]] = {
    "upstream says something": Kind(say, weight=0.0),
    "upstream says much at once": Kind(burst, weight=4.0),
    "the connection is cut": Kind(cut, weight=4.0),
    "upstream closes the connection": Kind(close, weight=0.7),
    "upstream lets only the other in": Kind(hand_over, 20, 120, 2.0),
    "the connection dies unseen": Kind(half_open, weight=2.0),
    "upstream refuses (401)": Kind(upstream("refuses"), 1, 600, 0.3, refuses=True),
    "upstream answers 503": Kind(upstream("fails"), 1, 900),
    "upstream does not answer": Kind(upstream("hangs"), 1, 300),
    "upstream answers no ping": Kind(upstream("mute"), 30, 900),
    "messages are late": Kind(upstream("late"), 5, 300),
    "messages come twice": Kind(upstream("stutters"), 5, 300),
    "replays hold little": Kind(upstream("short"), 30, 900, 2.0),
    "replays are slow": Kind(upstream("slow"), 30, 900),
    "there is no replay": Kind(upstream("no replay"), 30, 900),
    "a bad frame": Kind(bad_frame),
    "Redis is down": Kind(redis("down"), 0.5, 2 * HOUR, 3.0),
    "Redis is frozen": Kind(redis("frozen"), 0.5, 600, 2.0),
    "Redis refuses to write": Kind(redis("refuses"), 0.5, 600),
    "Redis takes a part of a batch": Kind(early),
    "answers of Redis get lost": Kind(redis("forgets"), 1, 60, 2.0),
    "Redis saves": Kind(save, weight=3.0),
    "Redis comes back older": Kind(roll_back, weight=2.0),
    "Redis loses the next moments": Kind(lose_moments, 0.1, 40, 3.0),
    "Redis is slow": Kind(redis("slow"), 5, 300),
    "Redis is emptied": Kind(empty, weight=0.7),
    "the address leads to another Redis": Kind(move, weight=0.7),
    "TIME of Redis steps": Kind(step_time),
    "TIME of Redis leaps by months": Kind(leap_time, weight=0.3),
    "TIME of Redis stands still": Kind(stop_time, 5, 300),
    "REST answers 503": Kind(rest("fails"), 1, 900),
    "REST answers 429": Kind(rest("slow down"), 1, 300),
    "REST refuses (401)": Kind(rest("refuses"), 1, 300, 0.3, refuses=True),
    "REST does not answer": Kind(rest("hangs"), 1, 300),
    "REST is slow": Kind(rest("slow"), 5, 300),
    "REST cuts pages short": Kind(rest("ragged"), 1, 600),
    "a disk is full": Kind(disk("full"), 1, 900),
    "a disk is locked": Kind(disk("locked"), 0.5, 60),
    "a disk is slow": Kind(disk("slow"), 1, 120),
    "a bridge cannot reach Redis": Kind(disk("partitioned"), 1, 900),
    "who is connected cannot reach Redis": Kind(cut_off, 5, 300, 2.0),
    "who stands by cannot reach Redis": Kind(cut_off_standby, 5, 300, 0.7),
    "who stands by is started anew": Kind(start_anew, weight=0.7),
    "a bridge is killed": Kind(kill, 0, 30, 3.0),
    "a bridge is stopped": Kind(stop, 0, 30, 2.0),
    "the machines are shut down": Kind(shut_down, 0.1, 20, 2.0),
    "a bridge gets another subscription": Kind(resubscribe, weight=0.7),
    "who is connected gets a part only": Kind(subscribe_to_less, weight=0.3),
    "the machines sleep": Kind(asleep, 15, HOUR, 0.7),
    "a wall clock steps": Kind(step_wall, weight=0.7),
    "the clock of who is connected is ahead": Kind(step_ahead, weight=0.3),
}
