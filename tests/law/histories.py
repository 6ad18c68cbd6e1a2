"""Run random histories, as many as one likes, and take rules out of them.

python tests/law/histories.py 2000               2,000 histories
python tests/law/histories.py 2000 --without skip   … with one rule taken out
python tests/law/histories.py 2000 --each        … with each, until it is noticed
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from random import Random

from law import rules
from law.world import BOUNDS, OFTEN, RARE, Broken, World, do, plan


def history(seed: int, *, trace: bool = False) -> str:
    """Return what went wrong in a history, or ""."""
    random = Random(seed)
    world = World(plan(random))
    weights: list[float] = [random.choice((0, 1, 1, 4)) for _ in OFTEN]
    weights += [0.25 * random.choice((0, 1, 1, 4)) for _ in RARE]
    steps = random.choice((40, 80, 160))
    try:
        for name in random.choices((*OFTEN, *RARE), weights, k=steps):
            who, n = random.randrange(2), random.randrange(8)
            do(world, name, who, n)
            if trace:
                show(world, name, who, n)
        world.calm()
    except Broken as broken:
        if trace:
            show(world, "broken", 0, 0)
        return str(broken)
    return ""


def show(world: World, name: str, who: int, n: int) -> None:
    """Print where things stand."""
    redis = world.store.redis
    holes = [(h.id, h.begin, h.end, h.cause, h.announced) for h in redis.holes]
    say(world.now, f"{name}({who}, {n})", redis.reader, redis.until, holes)
    for b in world.bridges:
        waits = len(b.queue), b.disk.count
        say("   ", b.log, b.connected, b.queue.next, waits, b.holes.confirmed)


def say(*words: object) -> None:
    """Print at once: it may take long."""
    print(*words, flush=True)  # noqa: T201 - this is a program


def first_broken(count: int, seed: int) -> tuple[int, int, str]:
    """Return at which history something went wrong (0: none), its seed, and what."""
    for nth in range(count):
        if words := history(seed + nth):
            return nth + 1, seed + nth, words
    return 0, 0, ""


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int, nargs="?", default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without", default="")
    parser.add_argument("--each", action="store_true")
    parser.add_argument("--trace", action="store_true")
    asked = parser.parse_args()
    for module, name, value in BOUNDS:
        setattr(module, name, value)
    rules.WITHOUT.update(filter(None, asked.without.split(",")))
    if asked.trace:
        say(history(asked.seed, trace=True))
        return
    here = Path(__file__).parent
    texts = [(here / name).read_text() for name in ("rules.py", "world.py")]
    every = sorted({*re.findall(r'\bon\("([a-z-]+)"\)', "".join(texts))})
    for rule in every if asked.each else [""]:
        if rule:
            rules.WITHOUT.clear()
            rules.WITHOUT.add(rule)
        began = time.monotonic()
        nth, seed, words = first_broken(asked.count, asked.seed)
        took = time.monotonic() - began
        out = rule or asked.without or "(all)"
        say(f"{out:20} {nth:6} {took:6.1f} s  seed {seed} {words[:90]}")


if __name__ == "__main__":
    main()
