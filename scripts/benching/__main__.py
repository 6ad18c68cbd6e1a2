"""Measure the bridge beside its peers."""

from __future__ import annotations

import argparse
import sys

import trio

from benching.feeder import Feeder, Gone
from benching.sides import SIDES
from benching.throughput import throughput
from benching.turn import turn


async def main(rounds: int, count: int, names: list[str]) -> None:
    with Feeder() as feeder:
        for n in range(rounds):
            for name in names[:: -1 if n % 2 else 1]:
                if why := SIDES[name].lacks():
                    print(f"{name} is left out: {why}", file=sys.stderr)
                    continue
                try:
                    async with turn(feeder, SIDES[name]) as it:
                        print(name, await throughput(it, count), flush=True)
                except Gone as error:
                    print(f"{name}: {error}", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--sides", nargs="+", default=list(SIDES))
    given = parser.parse_args()
    trio.run(main, given.rounds, given.events, given.sides)
