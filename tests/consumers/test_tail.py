"""The log from an entry on, in order and each once, also while Redis is away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import trio
from consumers.conftest import Consumer, Write, news, split, until
from consumers.lines import STATES, lines
from store.servers import Peer


def test_from_an_entry_on(
    consume: Callable[[Peer], Consumer], peer: Peer, log: Write
) -> None:
    sent = log(peer.redis, 120)
    last = list(sent)[4]
    after = [line for entry in list(sent)[5:] for line in lines(entry, sent[entry])]
    said = consume(peer).run("tail", last, str(len(sent) - 5))
    assert said == ["stale", *after]


def test_redis_is_away_for_a_while(
    consume: Callable[[Peer], Consumer], kept: Peer, log: Write, tmp_path: Path
) -> None:
    kept.redis.set("bz:ratings:alive", "bridge")
    sent = log(kept.redis, 150)
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = consume(kept).start("tail", "0-0", "300", output=file)
    until(lambda: output.read_bytes().count(b"\nentry\t") > 130)
    trio.run(kept.server.stop)
    until(lambda: output.read_bytes().endswith(b"stale\n"))
    trio.run(kept.server.start)
    sent |= log(kept.redis, 150, 150)
    assert process.wait(30) == 0
    said = split(output.read_bytes())
    assert news(said) == [line for id_, of in sent.items() for line in lines(id_, of)]
    assert [line for line in said if line in STATES] == ["fresh", "stale", "fresh"]
