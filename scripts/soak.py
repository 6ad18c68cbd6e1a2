"""Hurt a real bridge, its Redis and its upstream at random, and count what is amiss.

Every few seconds something happens, also while other things still happen. Every minute
all of it ends, and once everything has settled, what upstream sent is compared with
what stands in Redis. What is missing counts as lost unless a gap announces it.

With --rest the bridge asks REST too, which has troubles of its own, and what REST gave
back may stand for what was missed.

In every other round a second bridge stands by, and takes over where it can.

With --flood so many messages come at once instead, while Redis is away.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Final, NoReturn

import attrs
import trio
from faults.checker import Tally
from faults.proxy import Proxy
from faults.rig import rigged
from faults.sampler import Sampler
from faults.troubles import TROUBLES, WITH_REST, Rows, Scene, Trouble
from faults.worker import Worker

RATE: Final = 50.0  # messages a second, over all streams
EVERY: Final = (0.5, 5.0)  # s between troubles
LOOK: Final = 60.0  # s between tallies
ROUND: Final = 10 * 60.0  # s, then everything begins anew: a tally takes ever longer
CALM: Final = 120.0  # s within which everything has to settle
PAUSE: Final = 2.0  # s before each tally
TWICE: Final = 2  # sound tallies in a row
WORKED_OFF: Final = "insights"  # whose log a reader empties
SLOWEST: Final = 500.0  # messages a second into Redis, or it counts as hanging
PULSE: Final = 0.2  # s between looks at the bridge's memory
FIGURES: Final = (
    *("sent", "logged", "fetched", "superseded", "covered", "untold", "refused"),
    *("lost", "duplicated", "disordered", "wrong"),
)


@attrs.define
class Soak:
    """One round: a scene, and what happens in it."""

    scene: Scene
    troubles: Rows = TROUBLES
    happened: Counter[str] = attrs.field(factory=Counter)
    memory: float = 0.0  # MB, at the most
    sampler: Sampler = attrs.field(init=False)
    _busy: dict[int, str] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        rest = self.scene.rig.archive is not None
        troubles = self._busy.values
        rig = self.scene.rig
        self.sampler = Sampler(rig, rest, lambda: ", ".join(troubles()), rig.taken)

    async def run(self, seconds: float) -> Tally:
        """Go on for so long; return the last tally. An unsound one is the last."""
        until = trio.current_time() + seconds
        await self.scene.rig.start()
        if self.scene.rig.standby is not None:
            await self.scene.rig.standby.start()
        tally = Tally()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.sampler.run)
            if self.scene.rig.archive is None:  # there Redis forgets, a worker does not
                rig = self.scene.rig
                worker = Worker(rig.server.url, WORKED_OFF)
                rig.taken[WORKED_OFF] = worker.taken
                nursery.start_soon(worker.run)
            while tally.is_sound and trio.current_time() < until:
                await self._hurt(min(until, trio.current_time() + LOOK))
                tally = await self._calm()
                print(f"{told(tally)}, memory {self.memory:.0f} MB", flush=True)
                print(self.sampler.told(), flush=True)
                if self.sampler.lies:
                    tally.add("wrong", "alive", [self.sampler.first])
            nursery.cancel_scope.cancel()
        return tally

    async def _hurt(self, until: float) -> None:
        """Have upstream talk, and one trouble begin after the other."""
        async with trio.open_nursery() as talking:
            talking.start_soon(self.scene.rig.talk, RATE)
            talking.start_soon(self.watch)
            async with trio.open_nursery() as troubles:
                while trio.current_time() < until:
                    await trio.sleep(self.scene.rng.uniform(*EVERY))
                    rows = range(len(self.troubles))
                    if free := [row for row in rows if row not in self._busy]:
                        row = self.scene.rng.choice(free)
                        trouble = self.scene.rng.choice(self.troubles[row])
                        troubles.start_soon(self._suffer, row, trouble)
            talking.cancel_scope.cancel()

    async def _suffer(self, row: int, trouble: Trouble) -> None:
        self._busy[row] = trouble.__name__
        self.happened[trouble.__name__] += 1
        print(f"{trio.current_time():.1f} {trouble.__name__}", flush=True)
        await trouble(self.scene)
        del self._busy[row]

    async def watch(self) -> NoReturn:
        """Keep an eye on the bridges' memory."""
        rig = self.scene.rig
        while True:
            for bridge in filter(None, (rig.bridge, rig.standby)):
                with suppress(OSError, AssertionError):  # it is not there just now
                    self.memory = max(self.memory, bridge.memory())
            await trio.sleep(PULSE)

    async def _calm(self) -> Tally:
        """Wait until two tallies in a row are sound, or for long enough."""
        tally = Tally()
        good = 0
        with trio.move_on_after(CALM):
            while good < TWICE:
                await trio.sleep(PAUSE)
                await self.scene.rig.connected(seconds=2 * CALM)
                tally = self.scene.rig.tally()
                good = good + 1 if tally.is_sound else 0
        return tally


async def flood(count: int, seed: int) -> bool:
    """Read so many messages while Redis is away; return whether all got there."""
    with tempfile.TemporaryDirectory(prefix="bzredis-soak-") as folder:
        async with rigged(Path(folder), seed) as rig, trio.open_nursery() as nursery:
            await rig.start()
            await rig.server.kill()
            soak = Soak(Scene(rig, (), rig.rng))
            nursery.start_soon(soak.watch)
            began = time.perf_counter()
            await rig.flood(count)
            read = time.perf_counter()
            print(f"read in {read - began:.0f} s, memory {soak.memory:.0f} MB")
            await rig.server.start()
            tally = await rig.drained(count, count / SLOWEST)
            took = time.perf_counter() - read
            nursery.cancel_scope.cancel()
    print(f"in Redis {took:.0f} s later, memory {soak.memory:.0f} MB; {told(tally)}")
    return tally.is_whole


def told(tally: Tally) -> str:
    """Return the figures in a line."""
    figures = ", ".join(f"{name} {getattr(tally, name)}" for name in FIGURES)
    causes = Counter(gap["cause"] for gap in tally.gaps)
    gaps = ", ".join(f"{n} {cause}" for cause, n in sorted(causes.items()))
    return f"{figures}; gaps: {gaps or 'none'}"


async def one_round(
    seed: int, seconds: float, soaked: list[Soak], *, rest: bool
) -> Tally:
    """Run one round in a folder of its own, which stays where it went wrong."""
    folder = Path(tempfile.mkdtemp(prefix="bzredis-soak-"))
    async with rigged(folder, seed, rest=rest) as rig:
        names = ("soak", "standby")[: 1 + seed % 2]
        lines = [Proxy(rig.server.port) for _ in names]
        ports = [await rig.nursery.start(line.serve) for line in lines]
        at = [f"redis://127.0.0.1:{port}" for port in ports]
        rig.bridge = rig.another(names[0], redis=at[0])
        rig.bridge.clock = folder / "clock"
        if len(names) > 1:
            rig.standby = rig.another(names[1], redis=at[1])
        scene = Scene(rig, lines, Random(seed))
        soaked.append(Soak(scene, WITH_REST if rest else TROUBLES))
        tally = await soaked[-1].run(seconds)
        for bridge in filter(None, (rig.bridge, rig.standby)):
            if not bridge.is_running:
                tally.add("wrong", "bridge", [f"{bridge.folder.name} ended by itself"])
        if not tally.is_sound:
            said = "".join(f"{text}\n" for _, text in rig.simulator.sent)
            (folder / "sent.jsonl").write_text(said, "utf-8")
    if tally.is_sound:
        shutil.rmtree(folder)
    else:
        print(f"see {folder}")
    return tally


async def main(minutes: float, seed: int, rest: bool) -> bool:  # noqa: FBT001 - trio.run
    """Run round after round; return whether all was sound."""
    end = time.monotonic() + minutes * 60
    total, soaked = Tally(), list[Soak]()
    while total.is_sound and (left := end - time.monotonic()) > 0:
        seconds = min(left, ROUND)
        tally = await one_round(seed + len(soaked), seconds, soaked, rest=rest)
        for name in FIGURES:
            setattr(total, name, getattr(total, name) + getattr(tally, name))
        total.gaps += tally.gaps
        total.faults += tally.faults
    happened = sum((each.happened for each in soaked), Counter[str]())
    print("\nwhat happened:")
    for name, count in sorted(happened.items()):
        print(f"  {count:5} {name}")
    print(f"{told(total)}; memory {max(each.memory for each in soaked):.0f} MB")
    for each in soaked:
        print(each.sampler.told())
    for fault in total.faults:
        print(f"  {fault}")
    return total.is_sound


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rest", action="store_true")
    parser.add_argument("--flood", type=int, default=0, metavar="COUNT")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    if given.flood:
        sys.exit(not trio.run(flood, given.flood, given.seed))
    sys.exit(not trio.run(main, given.minutes, given.seed, given.rest))
