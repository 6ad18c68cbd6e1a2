"""What a bridge wrote while upstream and Redis came and went: recorded once a run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from fcntl import LOCK_EX, LOCK_NB, flock
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

import attrs
import trio
from consumers.odd import OddPress
from faults.checker import Keys, Tally
from faults.press import STREAMS
from faults.rig import Rig, rigged, until

Fields = dict[str, str]
Log = dict[str, Fields]  # by entry id, in order

SEED: Final = 11  # of the words; the times are the clock's
LIMIT: Final = 240.0  # s for all of it, on a busy machine too
PATIENCE: Final = LIMIT + 30  # s for who waits while another records
REPLAY: Final = 100  # messages of a stream that a replay has


@attrs.frozen
class Recording:
    """By stream what upstream sent, the log that came of it, and `latest` by symbol."""

    sent: dict[str, list[str]]
    log: dict[str, Log]
    latest: dict[str, dict[str, Fields]]

    def over_and_over(self, stream: str = "ratings") -> Iterator[tuple[str, Fields]]:
        """Yield the entries of a log without end, each round under ids of its own."""
        entries = [*self.log[stream].items()]
        span = _ms(entries[-1][0]) - _ms(entries[0][0]) + 1
        for round_ in count():
            for identity, fields in entries:
                sequence = identity.partition("-")[2]
                yield f"{_ms(identity) + round_ * span}-{sequence}", fields


def _ms(identity: str) -> int:
    return int(identity.partition("-")[0])


def recorded(folder: Path) -> Recording:
    """Return the recording in a folder; who comes first makes it, others wait.

    Ratings and insights have entries of every source, consensus has none of REST.
    """
    file = folder / "recording.json"
    with (folder / "recording.lock").open("wb") as lock:
        trio.run(_locked, lock.fileno())
        if not file.exists():
            made = trio.run(_record, Path(mkdtemp(dir=folder)))  # nothing of a failure
            file.write_text(json.dumps(attrs.asdict(made)))
    return Recording(**json.loads(file.read_text()))


async def _locked(number: int) -> None:
    with trio.fail_after(PATIENCE):
        while True:
            try:
                return flock(number, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                await trio.sleep(0.1)


async def _record(folder: Path) -> Recording:
    with trio.fail_after(LIMIT):
        async with rigged(folder, SEED, rest=True) as rig:
            rig.press = OddPress(rig.rng, apart=True)
            rig.bridge.patient = True
            try:
                await _history(rig)
            except BaseException:
                print(rig.bridge.said()[-4_000:])  # noqa: T201 - pytest shows it
                raise
            with rig.redis() as redis:
                keys = {stream: Keys(redis, f"bz:{stream}") for stream in STREAMS}
                return Recording(
                    {stream: _sent(rig, stream) for stream in STREAMS},
                    {s: dict(each.entries("events")) for s, each in keys.items()},
                    {stream: _latest(each) for stream, each in keys.items()},
                )


def _sent(rig: Rig, stream: str) -> list[str]:
    return [text for name, text in rig.simulator.sent if name == stream]


def _latest(keys: Keys) -> dict[str, Fields]:
    return {symbol: keys.hash(f"latest:{symbol}") for symbol in keys.names("latest")}


async def _history(rig: Rig) -> None:
    """Let happen what fills a log with entries of every kind."""
    await rig.start()
    await until(rig.is_fresh)  # else the replay brings them
    await _say(rig, 90)
    await _whole(rig)

    await _away(rig, 30)  # the replay has it all
    await _whole(rig)
    # REST has the rest; but not of consensus, where it knows US symbols alone.
    await _away(rig, REPLAY + 50, "ratings", "insights")
    await _whole(rig)

    await rig.server.stop()
    await _say(rig, 20)
    await rig.server.start()
    await _whole(rig)

    await rig.bridge.stop()
    rig.bridge.rest = False
    await _say(rig, REPLAY + 20)
    await rig.start()
    tally = await _whole(rig)
    assert {gap["stream"] for gap in tally.gaps} == {*STREAMS}
    await _say(rig, 20)
    await _whole(rig)
    await rig.bridge.stop()


async def _say(rig: Rig, count: int, *streams: str) -> None:
    """Have upstream say so much within a second, from its beginning on.

    Which records were touched in one second decides what is said next, and chance does
    not.
    """
    await trio.sleep(1 - time.time() % 1)
    rig.publish(count, *streams)


async def _whole(rig: Rig) -> Tally:
    """Wait until all is there that can be had, and what cannot is announced."""
    tally = await rig.settled(lambda tally: tally.is_sound)
    await until(rig.is_fresh)
    return tally


async def _away(rig: Rig, count: int, *streams: str) -> None:
    """Have upstream hang up, and say so much before it lets anybody in again."""
    for stream in STREAMS:
        rig.simulator.faults[stream].hang_up = True
        rig.simulator.drop(stream)
    await until(lambda: not any(map(rig.is_connected, STREAMS)))
    await _say(rig, count, *streams)
    for stream in STREAMS:
        rig.simulator.faults[stream].hang_up = False
    await rig.connected()
