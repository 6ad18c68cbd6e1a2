"""What was found: figures by measure, side and round, and what they come to."""

from __future__ import annotations

import math
import os
import platform
import shutil
import statistics
import subprocess
from collections.abc import Mapping
from typing import Any

import attrs

Figures = Mapping[str, float]
Spread = dict[str, Any]  # median, min, max, values


@attrs.define
class Found:
    """Figures; None where a side failed in a round."""

    figures: dict[str, dict[str, list[Figures | None]]] = attrs.field(factory=dict)
    left_out: dict[str, str] = attrs.field(factory=dict)
    machine: dict[str, Any] = attrs.field(factory=dict)
    options: dict[str, Any] = attrs.field(factory=dict)

    def add(self, measure: str, side: str, figures: Figures | None) -> None:
        self.figures.setdefault(measure, {}).setdefault(side, []).append(figures)

    def told(self) -> dict[str, Any]:
        """Return all of it as what JSON can hold."""
        return {
            "machine": self.machine,
            "options": self.options,
            "left_out": self.left_out,
            "measures": {
                measure: {side: _spreads(rounds) for side, rounds in sides.items()}
                for measure, sides in self.figures.items()
            },
            "ratios": {
                measure: {
                    side: _ratios(sides["bridge"], rounds)
                    for side, rounds in sides.items()
                    if side != "bridge"
                }
                for measure, sides in self.figures.items()
                if "bridge" in sides
            },
            "redis_to_writes": self._to_writes(),
        }

    def _to_writes(self) -> dict[str, Spread | None]:
        """Return what Redis works for each side, by what it does for the writes."""
        sides = self.figures.get("throughput", {})
        least = sides.get("writes", [])
        return {
            side: _ratios(rounds, least).get("redis_us")
            for side, rounds in sides.items()
            if side != "writes"
        }


def spread(values: list[float]) -> Spread | None:
    """Return median and bounds; None for none. JSON knows no NaN."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return None
    return {
        "median": statistics.median(known),
        "min": min(known),
        "max": max(known),
        "values": known,
    }


def _spreads(rounds: list[Figures | None]) -> dict[str, Spread | None]:
    there = [figures for figures in rounds if figures is not None]
    names = dict.fromkeys(name for figures in there for name in figures)
    return {
        name: spread([figures[name] for figures in there if name in figures])
        for name in names
    }


def _ratios(
    ours: list[Figures | None], theirs: list[Figures | None]
) -> dict[str, Spread | None]:
    """Return ours by theirs, each of the same round."""
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=False) if a and b]
    names = dict.fromkeys(name for a, b in pairs for name in a if name in b)
    return {
        name: spread([a[name] / b[name] for a, b in pairs if b.get(name)])
        for name in names
    }


def machine(client: Any) -> dict[str, Any]:
    """Return what it was measured on."""
    told = client.info("server")
    name = "valkey" if "valkey_version" in told else "redis"
    return {
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "server": f"{name} {told[f'{name}_version']}",
        "node": _node(),
    }


def _node() -> str | None:
    node = shutil.which("node")
    if not node:
        return None
    done = subprocess.run(
        [node, "--version"], capture_output=True, check=False, text=True, timeout=10
    )
    return done.stdout.strip().removeprefix("v") or None
