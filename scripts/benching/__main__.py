"""Measure the bridge beside what people write by hand, and say what the ratios are.

All sides get the same frames, in turns, each on a Redis of its own; in every other
round the order is the other way round. Nothing leaves this machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Final

import trio

from benching import told
from benching.feed.feeder import Feeder
from benching.rounds import Options, Rounds
from benching.sides import SIDES
from benching.turn import SERVER
from bzredis.commands.embedded import server_binary
from bzredis.errors import ConfigError

USUAL: Final = ("throughput", "streams", "latency", "backfill", "rebuild", "idle")
QUICK: Final = ("throughput", "latency", "backfill", "idle")
MEASURES: Final = (*USUAL, "flat")
SINGLES: Final = 10  # events, at one a second
SECONDS: Final = 3.0  # of the faster ones
MANY: Final = 1_000_000  # events over 6,000 symbols
LEAST: Final = 40_000  # … for early and late not to be the same
INTERRUPTED: Final = 130


def options(given: argparse.Namespace) -> Options:
    quick = given.quick
    only = {*(given.only or (QUICK if quick else USUAL))}
    if given.long:
        only.add("flat")
    singles = given.singles or (2 if quick else SINGLES)
    seconds = given.seconds or (0.5 if quick else SECONDS)
    return Options(
        sides=list(given.sides),
        only=[name for name in MEASURES if name in only],
        rounds=given.rounds or (1 if quick else 2),
        events=given.events or (4_000 if quick else 40_000),
        writes=2_000 if quick else 10_000,
        loads={1: singles, 100: round(100 * seconds), 1_000: round(1_000 * seconds)},
        idle=given.idle or (2.0 if quick else 20.0),
        rows=2_000 if quick else 10_000,
        entries=2_000 if quick else 20_000,
        many=max(given.many, LEAST),
    )


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, help="how often all of it (2)")
    add("--events", type=int, help="at full speed (40,000)")
    add("--singles", type=int, help="events at one a second (10)")
    add("--seconds", type=float, help="of 100 and of 1,000 events a second (3)")
    add("--idle", type=float, help="seconds in which nothing happens (20)")
    add("--many", type=int, default=MANY, help="events of --long (1,000,000)")
    add("--sides", nargs="+", choices=SIDES, default=list(SIDES), help="only these")
    add("--only", nargs="+", choices=MEASURES, help="only these measures")
    add("--long", action="store_true", help="also what symbols and 10⁶ events cost")
    add("--quick", action="store_true", help="within a minute, and so less exact")
    add("--server", type=_program, metavar="FILE", help="redis-server to measure on")
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    given = parser.parse_args(arguments)
    if given.json and not given.json.absolute().parent.is_dir():
        parser.error(f"--json: there is no folder {given.json.parent}")
    return given


def _program(name: str) -> Path:
    if found := shutil.which(name):
        return Path(found)
    raise argparse.ArgumentTypeError(f"there is no program {name}")


async def main(rounds: Rounds) -> bool:
    """Measure; return whether it came to its end, and was not told to stop."""
    done = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_told, nursery.cancel_scope)
        await rounds.run()
        done = True
        nursery.cancel_scope.cancel()
    return done


async def _until_told(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            scope.cancel()


def run(given: argparse.Namespace) -> int:
    """Run it all, and return the exit code."""
    with Feeder() as feeder:
        rounds = Rounds(feeder, options(given))
        try:
            SERVER.set(given.server or server_binary())
        except ConfigError as error:
            print(f"bzredis: {error}", file=sys.stderr)
            return 2
        done = trio.run(main, rounds)
    if not done:
        return INTERRUPTED
    found = rounds.found.told()
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    told.put(found)
    return 0


if __name__ == "__main__":
    sys.exit(run(parsed()))
