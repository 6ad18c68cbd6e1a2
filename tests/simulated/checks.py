"""What must hold at every moment (coverage.md), by what upstream knows that it sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
import trio
from law.checked import names
from simulated.world import Broken, Said, World

from bzredis.ports import Sign

# ms after which a message is here or announced where `alive` is: a dead connection is
# given up within 30 s, and a sign of life lasts 15 s.
LONG_AGO: Final = 48_000
# s by which all is well again; of who was refused, who asks every 15 min.
WELL: Final = 300.0
WELL_AFTER_REFUSAL: Final = 16 * 60.0 + WELL


@attrs.define(eq=False)
class Checks:
    """The checks, and what they remember."""

    world: World
    _looked: tuple[int, int] = (-1, -1)
    _lacking: Sequence[Said] = ()

    def lacking(self) -> Sequence[Said]:
        """Return what was promised, and is neither here nor in a gap."""
        held = self.world.redis.held
        looked = self.world.redis.changes, len(self.world.said)
        if looked != self._looked:
            self._looked, off = looked, self.world.off
            since = held.since or 0
            if held.forgot is not None:
                since = min(since, held.forgot)
            self._lacking = [
                m
                for m in self.world.said
                if m.number not in held.here
                and m.symbol in held.promised
                and m.sent > max(since, held.promised[m.symbol]) + off
                and not self.world.is_here(m)
                and not any(b - off < m.sent <= e + off for b, e in held.gaps)
            ]
        return self._lacking

    def law(self) -> None:
        """See that the law of coverage holds (I2), and that `alive` is true (I5)."""
        world, held, off = self.world, self.world.redis.held, self.world.off
        if held.since is None or held.until is None:
            return
        if held.twice:
            raise Broken("a gap was announced twice")
        lacking = self.lacking()
        for m in lacking:
            in_hole = any(h.begin - off < m.sent <= h.end + off for h in held.holes)
            if m.sent <= held.until - off and not in_hole:
                raise Broken(f"I2: message {m.number} is missing, and in no hole")
        if held.alive_until > world.now():
            self._nothing_old()

    def _nothing_old(self) -> None:
        long_ago = self.world.now() - LONG_AGO - self.world.off
        for m in self.lacking():
            if m.sent < long_ago:
                raise Broken(f"I5: `alive`, and message {m.number} is missing")

    def look_alive(self, sign: Sign, *, is_current: bool) -> None:
        """See that a sign of life is not said over a hole in which something is."""
        world, held, off = self.world, self.world.redis.held, self.world.off
        if held.since is not None:
            self._nothing_old()
        if not is_current or held.reader != sign.log:
            return
        for m in self.lacking():
            for hole in held.holes:
                if not hole.announced and hole.begin + off < m.sent <= hole.end - off:
                    raise Broken(f"I5: `alive` over a hole with message {m.number}")

        for begin, end, whose in held.windows:  # what REST was to fetch
            wanted = whose & names(held.subscription)
            for m in world.said:
                is_inside = begin + off < m.sent <= end - off and m.symbol in wanted
                if is_inside and not world.is_here(m):
                    raise Broken(f"window: `alive`, and message {m.number} is missing")

    def well(self) -> None:
        """See that all is well: fresh, drained, and nothing left to announce (I6)."""
        world, held = self.world, self.world.redis.held
        if held.alive_until <= world.now():
            raise Broken(f"I6: not `alive` at {trio.current_time():.0f} s")
        if any(not hole.announced for hole in held.holes):
            raise Broken("I6: a hole stays open")
        for machine in world.machines:
            if process := machine.process:
                waits = len(process.line.backlog)
                if waits > 2:
                    raise Broken(f"I6: {waits} changes wait on {machine.name}")
