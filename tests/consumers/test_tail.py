"""The log from an entry on, in order and each once, also while Redis is away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from consumers.conftest import Consumer, Feed, news, split, until
from consumers.lines import STATES, lines
from consumers.recording import Recording
from faults.press import STREAMS
from store.servers import Peer


@pytest.mark.parametrize("stream", STREAMS)
def test_from_an_entry_on(
    consume: Callable[[Peer], Consumer], peer: Peer, recording: Recording, stream: str
) -> None:
    """All that a bridge wrote, to the letter."""
    log = recording.log[stream]
    feed = Feed(iter(log.items()), f"bz:{stream}:events")
    feed.append(peer.redis, len(log))
    last = [*log][4]
    after = [line for entry in [*log][5:] for line in lines(entry, log[entry])]
    consumer = consume(peer)
    consumer.environment["KEYS"] = f"bz:{stream}"
    assert consumer.run("tail", last, str(len(log) - 5)) == ["stale", *after]


def test_redis_is_away_for_a_while(
    consume: Callable[[Peer], Consumer], kept: Peer, feed: Feed, tmp_path: Path
) -> None:
    kept.redis.set("bz:ratings:alive", "bridge")
    sent = feed.append(kept.redis, 150)
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = consume(kept).start("tail", "0-0", "300", output=file)
    until(lambda: output.read_bytes().count(b"\nentry\t") > 130)
    trio.run(kept.server.stop)
    until(lambda: output.read_bytes().endswith(b"stale\n"))
    trio.run(kept.server.start)
    sent |= feed.append(kept.redis, 150)
    assert process.wait(60) == 0
    said = split(output.read_bytes())
    assert news(said) == [line for id_, of in sent.items() for line in lines(id_, of)]
    assert [line for line in said if line in STATES] == ["fresh", "stale", "fresh"]
