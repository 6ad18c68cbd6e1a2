"""The turns: each side alone on a fresh Redis, the order turned round by round."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from functools import partial

import attrs

from benching.feed.feeder import Feeder, Gone
from benching.feed.frames import Stream
from benching.found import Figures, Found, machine
from benching.measures import flat, refill
from benching.measures.idle import idle
from benching.measures.latency import floor, latency
from benching.measures.throughput import load
from benching.measures.writes import Sample, sample, written
from benching.sides import SIDES, Side
from benching.turn import Turn, server, turn

Measure = Callable[[Turn], Awaitable[Figures]]


@attrs.frozen
class Options:
    """How much of what."""

    sides: list[str]
    only: list[str]
    rounds: int = 2
    events: int = 40_000
    writes: int = 10_000  # events, as plain writes
    loads: dict[int, int] = attrs.field(factory=dict)  # events a second -> how many
    idle: float = 20.0  # s
    rows: int = 10_000
    entries: int = 20_000  # of the log that is gone by
    many: int = 0  # events over 6,000 symbols; 0: not


@attrs.define
class Rounds:
    """A run of the whole."""

    feeder: Feeder
    options: Options
    found: Found = attrs.field(factory=Found)
    _sides: list[Side] = attrs.field(factory=list)
    _sample: Sample | None = None
    _round: int = 0

    async def run(self) -> None:
        async with server() as (_, client, _):
            self.found.machine = machine(client)
        self.found.options = attrs.asdict(self.options)
        for name in self.options.sides:
            if why := SIDES[name].lacks():
                self.found.left_out[name] = why
                say(f"{name} is left out: {why}")
            else:
                self._sides.append(SIDES[name])
        for number in range(1, self.options.rounds + 1):
            self._round = number
            for measure in self.options.only:
                if measure != "idle":
                    await getattr(self, f"_{measure}")()
            self._sides.reverse()
        if self.options.rounds % 2:
            self._sides.reverse()
        if "idle" in self.options.only:
            await self._idle()
        order = {name: place for place, name in enumerate([*SIDES, "writes", "floor"])}
        for measure, sides in self.found.figures.items():
            kept = sorted(sides.items(), key=lambda item: order[item[0]])
            self.found.figures[measure] = dict(kept)

    async def _throughput(self) -> None:
        for side in self._sides:
            await self._turn("throughput", side, self._loaded)
            if side.name == "bridge":
                await self._try("throughput", "writes", self._written())

    async def _streams(self) -> None:
        half = self.options.events // 2
        for stream in ("insights", "consensus"):
            await self._alone(stream, lambda it: load(it, 0, half), stream)

    async def _loaded(self, it: Turn) -> Figures:
        figures = await load(it, 0, self.options.events)
        if it.side.name == "bridge":
            self._sample = sample(it.client)
        return figures

    async def _written(self) -> Figures:
        if self._sample is None:
            raise Gone("the bridge left nothing to go by")
        async with server() as (_, client, _):
            return written(client, self._sample, self.options.writes)

    async def _latency(self) -> None:
        await self._try("latency", "floor", self._floor())
        for side in self._sides:
            await self._turn(
                "latency", side, lambda it: latency(it, self.options.loads)
            )

    async def _floor(self) -> Figures:
        async with server() as (_, client, _):
            return await floor(self.feeder, client, self.options.loads)

    async def _backfill(self) -> None:
        if self._bridge:
            rows = refill.backfill(self.feeder, self.options.rows)
            await self._try("backfill", "bridge", rows)

    async def _rebuild(self) -> None:
        entries = self.options.entries
        await self._alone("rebuild", lambda it: refill.rebuild(it, entries))

    async def _flat(self) -> None:
        """Look at the bridge, and at who promises as much: what both have is Redis'."""
        for side in (side for side in self._sides if side.name in {"bridge", "equal"}):
            for symbols in (flat.FEW, flat.MANY)[:: 1 if self._round % 2 else -1]:
                of = partial(flat.of_symbols, symbols=symbols)
                await self._turn(f"{symbols:,} symbols", side, of)
            if self._round == self.options.rounds:  # it takes some minutes
                of = partial(flat.of_events, events=self.options.many)
                await self._turn("many events", side, of)

    async def _idle(self) -> None:
        """Look at the bridge first, by itself: peers share pages with it."""
        for sides in ([*filter(None, [self._bridge])], self._peers):
            try:
                found = (
                    await idle(self.feeder, sides, self.options.idle) if sides else {}
                )
            except Gone as gone:
                say(f"idle: {gone}")
                continue
            for name, figures in found.items():
                self._add("idle", name, figures)

    @property
    def _bridge(self) -> Side | None:
        return next((side for side in self._sides if side.name == "bridge"), None)

    @property
    def _peers(self) -> list[Side]:
        return [side for side in self._sides if side.name != "bridge"]

    async def _alone(self, name: str, of: Measure, stream: Stream = "ratings") -> None:
        """Measure what no peer is measured by."""
        if self._bridge:
            await self._turn(name, self._bridge, of, stream)

    async def _turn(
        self, name: str, side: Side, of: Measure, stream: Stream = "ratings"
    ) -> None:
        async def whole() -> Figures:
            async with turn(self.feeder, side, stream) as it:
                return await of(it)

        await self._try(name, side.name, whole())

    async def _try(self, measure: str, side: str, figures: Awaitable[Figures]) -> None:
        """Take figures; where a side fails the others go on."""
        try:
            self._add(measure, side, await figures)
        except Gone as gone:
            say(f"{measure}, {side}: {gone}")
            self.found.add(measure, side, None)

    def _add(self, measure: str, side: str, figures: Figures) -> None:
        told = ", ".join(f"{name} {value:,.2f}" for name, value in figures.items())
        say(f"round {self._round}/{self.options.rounds}, {measure}, {side}: {told}")
        self.found.add(measure, side, figures)


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
