"""Simulate days of trouble around the engine, and see that the law of coverage holds.

The engine itself runs on virtual time, among fakes of upstream, REST, Redis and disks
that fail, delay, crash and roll back as a seed says. A seed replays exactly. Where the
law breaks, what happened is shrunk to what is needed, and told.

  scripts/simulate-faults --days 10000 --seed 1
  scripts/simulate-faults --seed 17 --days 4      one history once more
  scripts/simulate-faults --mutations             without a rule, until it is noticed
"""

from __future__ import annotations

import argparse
import sys
import time

from simulated.mutations import ALL, first_broken, without
from simulated.simulation import DAYS, History, run, shrunk

DENSE = 10  # one history of so many is without quiet
TEETH = 100.0  # days within which it has to be noticed that a rule is missing


def simulate(days: float, seed: int) -> bool:
    """Run history after history; return whether the law held."""
    began, broken, happened, done, first = time.perf_counter(), 0, 0, 0.0, seed
    while done < days:
        is_dense = not seed % DENSE and days - done >= 1
        left = min(DAYS, days - done)
        history = History.dense(seed) if is_dense else History.of(seed, left)
        happened += len(history.events)
        if words := run(history):
            broken += 1
            print(f"\nseed {seed}: {words}; shrinking", flush=True)
            print(f"{shrunk(history, words)}\n", flush=True)
        done, seed = done + history.days, seed + 1
    took = time.perf_counter() - began
    print(
        f"{done:.0f} days of {seed - first} seeds ({first} to {seed - 1}), {happened}"
        f" events, {done / took:.1f} days a second: {broken or 'nothing'} broken"
    )
    return not broken


def mutate(names: list[str], seed: int) -> bool:
    """Take out one rule after the other; return whether each was missed."""
    unseen = []
    for name in names or ALL:
        with without(name):
            day, at, words = first_broken(
                lambda seed: run(History.dense(seed)), TEETH, 1.0, seed
            )
        found = f"day {day:4.0f}  seed {at}  {words}" if day else "not noticed"
        print(f"{name:20} {found}", flush=True)
        unseen += [] if day else [name]
    return not unseen


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=float, default=100.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--mutations", nargs="*", metavar="RULE")
    given = parser.parse_args()
    if given.mutations is not None:
        sys.exit(not mutate(given.mutations, given.seed))
    sys.exit(not simulate(given.days, given.seed))
