"""What Redis has to do for an event, in counts that no machine's mood changes.

A bound is a few per cent over what it takes today. Who needs more raises it on purpose,
and looks at `scripts/bench` first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs
import pytest
import redis
import trio
from speed.load import BATCH, batch, frame
from speed.lua import Counter
from store.servers import Peer, binary, running

from bzredis.contract.keys import key
from bzredis.ports import Applied
from bzredis.store.client import Store, _header
from bzredis.store.script import Limits, script
from bzredis.streams import CONSENSUS, INSIGHTS, RATINGS, Stream

BEFORE: Final = 40  # batches until timelines are full
ASKED: Final = {"evalsha", "config|resetstat", "info", "hello", "client|setname"}


@attrs.frozen
class Bounds:
    """The most that an event may take in a batch, and alone."""

    commands: float  # that the script runs for each of a batch
    commands_alone: int
    lua: float  # instructions for each of a batch …
    lua_alone: int
    lua_empty: int  # … and for a batch of nothing
    overhead: float  # bytes sent for each besides twice its frame


BOUNDS: Final = {
    RATINGS: Bounds(10.8, 23, 1_130, 2_070, 530, 190),
    INSIGHTS: Bounds(10.8, 23, 1_290, 2_230, 530, 190),
    CONSENSUS: Bounds(14.8, 23, 1_550, 2_290, 530, 280),
}
STREAMS = pytest.mark.parametrize("stream", BOUNDS, ids=lambda stream: stream.name)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    if binary("valkey") is None:
        pytest.skip("no valkey here")
    with running("valkey", tmp_path_factory.mktemp("speed")) as peer:
        yield peer


class Filled:
    """A stream whose timelines are full, and what the next batches take."""

    def __init__(self, peer: Peer, stream: Stream, symbols: int = 0) -> None:
        peer.redis.flushall()
        self.peer, self.stream, self.symbols, self.next = peer, stream, symbols, 0
        self.store = Store(peer.server.url)
        for _ in range(BEFORE):
            self.apply(BATCH)

    def apply(self, count: int) -> None:
        given = batch(self.stream, self.next, count, self.symbols)
        answer = trio.run(self.store.apply, self.stream, given)
        assert isinstance(answer, Applied)
        assert not {r for r in answer.results if r.startswith(("refused", "rejected"))}
        self.next += count

    def commands(self, count: int) -> dict[str, float]:
        """Return how often the next batch's script runs each command."""
        self.peer.redis.config_resetstat()
        self.apply(count)
        told: dict[str, Any] = self.peer.redis.info("commandstats")
        assert told["cmdstat_evalsha"]["calls"] == 1
        names = {
            name.removeprefix("cmdstat_"): of["calls"] for name, of in told.items()
        }
        return {name: calls for name, calls in names.items() if name not in ASKED}

    def instructions(self, count: int) -> int:
        text = script(self.stream, Limits())
        given = batch(self.stream, self.next, count, self.symbols)
        with redis.Redis.from_url(self.peer.server.url, protocol=2) as client:
            client.response_callbacks.clear()
            name = key("bz", self.stream, "events")
            args = (_header(given), b"".join(given.packed))
            found = Counter(client).count(text, [name], args)
        self.next += count
        return found


@STREAMS
def test_what_an_event_takes(server: Peer, stream: Stream) -> None:
    filled, bounds = Filled(server, stream), BOUNDS[stream]
    commands = filled.commands(BATCH)
    alone = filled.commands(1)
    found = Bounds(
        commands=sum(commands.values()) / BATCH,
        commands_alone=round(sum(alone.values())),
        lua=filled.instructions(BATCH) / BATCH,
        lua_alone=filled.instructions(1),
        lua_empty=filled.instructions(0),
        overhead=_overhead(stream, filled.next),
    )
    worse = {
        name: f"{now:,.1f}, and {bound:,.1f} are enough"
        for name, now in attrs.asdict(found).items()
        if now > (bound := getattr(bounds, name))
    }
    assert not worse, f"{worse}; by command in a batch: {commands}; alone: {alone}"
    slack = {
        n for n, now in attrs.asdict(found).items() if now < 0.9 * getattr(bounds, n)
    }
    assert not slack, f"better by over a tenth: lower the bounds of {slack}: {found}"


def _overhead(stream: Stream, first: int) -> float:
    given = batch(stream, first, BATCH)
    sent = len(_header(given)) + len(b"".join(given.packed))
    frames = sum(len(frame(stream, n).encode()) for n in range(first, first + BATCH))
    return sent / BATCH - 2 * frames / BATCH


def test_an_event_takes_the_same_with_forty_times_the_symbols(server: Peer) -> None:
    # In either each event of a batch is another symbol's: what comes together of one
    # symbol makes its `latest` once.
    few = Filled(server, RATINGS, symbols=BATCH)
    before = few.instructions(BATCH), sum(few.commands(BATCH).values())
    many = Filled(server, RATINGS, symbols=6_000)
    after = many.instructions(BATCH), sum(many.commands(BATCH).values())
    for was, now in zip(before, after, strict=True):
        assert now < 1.1 * was, (before, after)


def test_an_event_takes_the_same_after_four_times_as_many(server: Peer) -> None:
    filled = Filled(server, RATINGS)
    before = filled.instructions(BATCH), sum(filled.commands(BATCH).values())
    for _ in range(3 * BEFORE):
        filled.apply(BATCH)
    after = filled.instructions(BATCH), sum(filled.commands(BATCH).values())
    for was, now in zip(before, after, strict=True):
        assert now < 1.1 * was, (before, after)


def test_no_thread_is_started_for_a_batch(
    server: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread would be handed the batch, and have to hand back the answer."""
    filled = Filled(server, RATINGS)

    async def never(*_: object, **__: object) -> None:
        raise AssertionError("a thread")

    monkeypatch.setattr(trio.to_thread, "run_sync", never)
    filled.apply(BATCH)
    filled.apply(1)
