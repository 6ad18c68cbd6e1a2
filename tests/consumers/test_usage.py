"""What is typed wrong is told in one line, and an end of the reader is no fault."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from consumers.conftest import Consumer, Feed, until
from store.servers import Peer

USAGE = "usage: consumer latest SYMBOL | tail [ID [COUNT]] | work GROUP NAME [IDLE]"
WRONG = (
    *((), ("tial",), ("latest",), ("work", "group"), ("tail", "0", "1", "x")),
    *(("work", "group", "me", "1", "x"), ("latest", "A", "B"), ("",), ("say", "x")),
)


def test_what_is_typed_wrong(consume: Callable[[Peer], Consumer], peer: Peer) -> None:
    consumer = consume(peer)
    for words in WRONG:
        done = subprocess.run(
            [*consumer.command, *words],
            env=consumer.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stdout) == (2, ""), (words, done.stderr)
        assert done.stderr == f"{USAGE}\n", words


def test_who_reads_has_enough(
    consume: Callable[[Peer], Consumer], peer: Peer, feed: Feed, tmp_path: Path
) -> None:
    """As `head` has: it ends, and says nothing about it."""
    feed.append(peer.redis, 2_000)
    read, write = os.pipe()
    process = consume(peer).start("tail", output=write)
    os.close(write)
    assert os.read(read, 10)
    os.close(read)
    process.wait(60)
    said = (tmp_path / "errors").read_text()
    assert said.count("\n") <= 1, said
    assert "raceback" not in said


def test_a_group_that_cannot_be_made_is_told_as_it_is(
    consume: Callable[[Peer], Consumer], peer: Peer, tmp_path: Path
) -> None:
    words = ("ACL", "SETUSER", "mute", "on", ">s3cret", "~*", "+@all", "-xgroup")
    peer.redis.execute_command(*words)
    consumer = consume(peer)
    url = f"redis://mute:s3cret@127.0.0.1:{peer.server.port}"
    consumer.environment["REDIS_URL"] = url
    if Path(consumer.command[-1]).suffix not in {".py", ".js", ".rb", ".pl", ".lua"}:
        pytest.skip("this one only tells what comes of it: there is no group")
    with (tmp_path / "out").open("wb") as output:
        consumer.start("work", "group", "me", output=output)
        until(lambda: "permission" in (tmp_path / "errors").read_text())
