"""A group shares the log, and does what a colleague left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from fcntl import F_SETPIPE_SZ, fcntl
from pathlib import Path

import pytest
import trio
from consumers.conftest import LOG, Consumer, Feed, end, news, split, until
from consumers.lines import lines
from store.servers import Peer, binary, running

ENTRIES = 10_000
SMALL = 4096  # bytes of a pipe; 25 lines or so
IDLE = "500"  # ms
PATIENCE = 240  # s; the shell starts a thousand programs for it


@pytest.mark.long
def test_three_of_which_one_is_killed(
    consume: Callable[[Peer], Consumer], kept: Peer, feed: Feed, tmp_path: Path
) -> None:
    sent = feed.append(kept.redis, ENTRIES // 4)
    consumer = consume(kept)

    # Nobody reads what it prints: it stands still with entries that it did not finish.
    read, write = os.pipe()
    fcntl(write, F_SETPIPE_SZ, SMALL)
    victim = consumer.start("work", "group", "victim", IDLE, output=write)
    os.close(write)
    until(lambda: pending(kept) > 0)
    outputs = [tmp_path / name for name in ("one", "two")]
    for output in outputs:
        with output.open("wb") as file:
            consumer.start("work", "group", output.name, IDLE, output=file)
    sent |= feed.append(kept.redis, ENTRIES // 4)
    until(lambda: any(b"entry\t" in output.read_bytes() for output in outputs))
    end(victim, signal.SIGKILL)
    trio.run(kept.server.stop)
    trio.run(kept.server.start)
    while len(sent) < ENTRIES:
        sent |= feed.append(kept.redis, ENTRIES // 20)

    until(lambda: is_done(kept), PATIENCE)
    consumer.stop(signal.SIGTERM)
    with os.fdopen(read, "rb") as file:
        from_victim = split(file.read())
    said = [from_victim, *(split(output.read_bytes()) for output in outputs)]
    done = [line for each in said for line in news(each)]
    assert len(from_victim) < ENTRIES // 4
    assert {*done} == {line for id_, of in sent.items() for line in lines(id_, of)}


def pending(peer: Peer) -> int:
    if not peer.redis.exists(LOG):
        return 0
    groups = peer.redis.xinfo_groups(LOG)
    return sum(group["pending"] for group in groups)


def is_done(peer: Peer) -> bool:
    (group,) = peer.redis.xinfo_groups(LOG)
    (last, _), *_ = peer.redis.xrevrange(LOG, count=1)
    return group["last-delivered-id"] == last and not group["pending"]


@pytest.fixture(params=["redis-6.2", "valkey"])
def any_age(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Peer]:
    name: str = request.param
    if binary(name) is None:
        pytest.skip(f"no {name} here")
    with running(name, tmp_path / "server") as peer:
        yield peer


def test_what_was_left_behind_and_is_trimmed_away(
    consume: Callable[[Peer], Consumer], any_age: Peer, feed: Feed, tmp_path: Path
) -> None:
    """Redis 6.2 gives nil in its place, again and again."""
    redis = any_age.redis
    sent = feed.append(redis, 20)
    redis.xgroup_create(LOG, "group", "0")
    redis.xreadgroup("group", "dead", {LOG: ">"}, count=10)
    for gone in (*sent,)[3:7]:
        assert redis.xdel(LOG, gone)
        del sent[gone]
    output = tmp_path / "output"
    with output.open("wb") as file:
        consume(any_age).start("work", "group", "me", "0", output=file)
    lines_sent = {line for id_, of in sent.items() for line in lines(id_, of)}
    until(lambda: lines_sent <= {*split(output.read_bytes())})
    assert {*news(split(output.read_bytes()))} == lines_sent
