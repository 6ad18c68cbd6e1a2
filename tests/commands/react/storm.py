"""Entries through `bzredis react`, whose command fails at random, and which is killed.

    PYTHONPATH=tests python tests/commands/react/storm.py 10000

runs it at the size of the promise, and prints what came of it.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import trio
from store.servers import Peer, running

LOG: Final = "bz:ratings:events"
NAME: Final = "storm"
JOBS: Final = 4
ENTRIES: Final = 10_000
LIMIT: Final = 1_800.0  # s; only failures meet it
# What each handling leaves behind. One in eight fails; all of that is of the shell's
# own, since a further process for each would take most of the time.
COMMAND: Final = (
    'read -r u </proc/sys/kernel/random/uuid; echo "begin $BZ_EVENT" >>"$0";'
    ' case $u$BZ_SYMBOL in [0-3]*|*13) echo "by chance" >&2; exit 1;; esac;'
    ' echo "done $BZ_EVENT" >>"$0"'
)
# As the command itself, but who died is noticed sooner.
PROGRAM: Final = (
    "import bzredis.commands.react.taking.group as g; g.LEASE = {lease};"
    "g.BEAT = g.LEASE / 5;"
    "import bzredis.commands.react.running as r; r.FIRST_WAIT = {wait};"
    "from bzredis.__main__ import main; main()"
)


@attrs.frozen
class Came:
    """What came of a storm."""

    matching: int
    handled: int  # of those, to the end
    failed: int  # kept
    hopeless: int  # of those, all that fail each time
    lost: int  # neither
    foreign: int  # handled though they are not meant
    twice: int  # handled to the end more than once, each further time counts
    kills: int
    seconds: float


def storm(  # noqa: PLR0913 - what a storm is made of, all by name
    folder: Path,
    entries: int,
    *,
    each: float = LIMIT,
    every: int = sys.maxsize,
    lease: float,
    wait: float = 1.0,
    most: int = sys.maxsize,
    seed: int = 1,
) -> Came:
    """Put entries into the log, and react until all are done.

    It is killed `most` times, each time after so many s, or when so many lines were
    written meanwhile; and Redis once, when half is done.
    """
    rng, kills, began = random.Random(seed), 0, time.monotonic()
    file = folder / "handled"
    file.touch()
    with running("valkey", folder / "redis", appendonly="yes") as peer:
        wanted, hopeless = _filled(peer, entries)
        with _reacting(peer, folder, file, lease, wait) as react:
            deadline = time.monotonic() + LIMIT
            react.start()
            redis_dies_at = entries // 2
            while not _is_done(peer):
                assert time.monotonic() < deadline, file.read_text()[-500:]
                _wait(peer, each * rng.uniform(0.5, 1.5), file, every)
                if kills == most:
                    continue
                react.kill()
                kills += 1
                if _lines(file) > redis_dies_at:
                    redis_dies_at = sys.maxsize
                    trio.run(peer.server.kill)
                    react.start()
                    time.sleep(1.0)  # it waits for Redis
                    trio.run(peer.server.start)
                else:
                    react.start()
            react.kill()
        kept = {e["event"] for _, e in peer.redis.xrange(f"bz:react:{NAME}:failed")}
    done = Counter(_ids(file, "done"))
    return Came(
        matching=len(wanted),
        handled=len(wanted & done.keys()),
        failed=len(kept),
        hopeless=len(hopeless & kept),
        lost=len(wanted - done.keys() - kept),
        foreign=len(set(_ids(file, "begin")) - wanted),
        twice=sum(count - 1 for count in done.values()),
        kills=kills,
        seconds=time.monotonic() - began,
    )


def _filled(peer: Peer, entries: int) -> tuple[set[str], set[str]]:
    """Fill the log; return the ids that are meant, and of those that always fail."""
    peer.redis.xgroup_create(LOG, NAME, "0", mkstream=True)
    wanted, hopeless = set[str](), set[str]()
    for number in range(entries):
        fields = {
            "action": "created",
            "symbol": f"S{number}",
            "direction": ("up", "down", "down")[number % 3],
            "received": "2026-11-20T11:32:40.137Z",
        }
        if number % 5:
            fields["news"] = "1"
        key = peer.redis.xadd(LOG, fields)
        if fields["direction"] == "down" and "news" in fields:
            wanted.add(key)
            if fields["symbol"].endswith("13"):
                hopeless.add(key)
    return wanted, hopeless


def _is_done(peer: Peer) -> bool:
    [group] = peer.redis.xinfo_groups(LOG)
    last = peer.redis.xinfo_stream(LOG)["last-generated-id"]
    return bool(group["pending"] == 0) and group["last-delivered-id"] == last


def _wait(peer: Peer, seconds: float, file: Path, more: int) -> None:
    end, enough = time.monotonic() + seconds, _lines(file) + more
    while time.monotonic() < end and _lines(file) < enough and not _is_done(peer):
        time.sleep(0.02)


def _lines(file: Path) -> int:
    return file.read_text().count("\n")


def _ids(file: Path, word: str) -> Iterator[str]:
    for line in file.read_text().splitlines():
        told, _, key = line.partition(" ")
        if told == word:
            yield key


@attrs.define
class _React:
    command: list[str]
    environ: dict[str, str]
    log: Any
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, env=self.environ, stdin=subprocess.DEVNULL, stderr=self.log
        )

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(60)
        self.process = None


@contextmanager
def _reacting(
    peer: Peer, folder: Path, file: Path, lease: float, wait: float
) -> Iterator[_React]:
    shell = shutil.which("dash") or "sh"
    command = [
        sys.executable,
        "-c",
        PROGRAM.format(lease=lease, wait=wait),
        "react",
        NAME,
        "--jobs",
        str(JOBS),
    ]
    command += ["--stream", "ratings", "--when", 'direction == "down"']
    command += ["--", shell, "-c", COMMAND, str(file)]
    ours = {k: v for k, v in os.environ.items() if not k.startswith("BZREDIS_")}
    environ = {**ours, "BZREDIS_REDIS": peer.server.url, "HOME": str(folder)}
    with (folder / "react.log").open("ab") as log:
        react = _React(command, environ, log)
        try:
            yield react
        finally:
            react.kill()


if __name__ == "__main__":
    count = int(sys.argv[1]) if sys.argv[1:] else ENTRIES
    with tempfile.TemporaryDirectory() as place:
        print(storm(Path(place), count, each=4.0, lease=2.0))  # noqa: T201
