"""What a process and Redis have worked, and what they hold."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import attrs
import redis


@attrs.frozen
class Worked:
    """Seconds of CPU so far."""

    side: float
    redis: float

    def since(self, before: Worked, events: int) -> dict[str, float]:
        """Return the µs for each event since then."""
        return {
            "side_us": (self.side - before.side) / events * 1e6,
            "redis_us": (self.redis - before.redis) / events * 1e6,
        }


def worked(client: Any, pid: int) -> Worked:
    return Worked(of_process(pid), of_redis(client))


def of_redis(client: Any) -> float:
    told = client.info("cpu")
    return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])


def of_process(pid: int) -> float:
    """Return what all threads of a process have worked."""
    clock = ~pid << 3 | 2  # how Linux numbers the clock of another process' work
    return time.clock_gettime(clock) if sys.platform == "linux" else float("nan")


def resident(pid: int) -> float:
    """Return a process' MB in memory."""
    asked = ["ps", "-o", "rss=", "-p", str(pid)]
    told = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    return int(told) / 1024


def proportional(pid: int) -> float:
    """Return the same, with its share alone of what it shares with others."""
    rollup = Path(f"/proc/{pid}/smaps_rollup")
    for line in rollup.read_text().splitlines() if rollup.exists() else ():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def used_memory(client: Any) -> float:
    """Return Redis' MB."""
    return float(client.info("memory")["used_memory"]) / 2**20


def logged(client: Any, key: str) -> int:
    """Return how many entries a log has had; most of them are trimmed by now."""
    try:
        return int(client.xinfo_stream(key)["entries-added"])
    except redis.ResponseError:  # there is none yet
        return 0
