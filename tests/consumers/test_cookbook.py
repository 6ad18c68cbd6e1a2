"""What pages show of `redis-cli` is what it prints, over a log that is always alike.

``UPDATE=1 pytest tests/consumers/test_cookbook.py`` writes what was printed into them.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from consumers.conftest import until
from consumers.languages import is_here
from consumers.recipes import ERROR, ROOT, Block, Shell, blocks, preamble
from consumers.week import Bridge, Week, today
from store.servers import BINARIES, Peer, binary, running

COOKBOOK: Final = ROOT / "scripts" / "consumers" / "cookbook.md"
PAGES: Final = (COOKBOOK,)
UPDATE: Final = bool(os.environ.get("UPDATE"))
# A module to load, where it is: no server that is found here brings it.
SEARCH: Final = os.environ.get("REDISEARCH", "")
NEWER: Final = ("7.0 on",)  # words of a recipe that asks for a server of Redis 7.0
ABOUT: Final = re.compile(r"~(\d+)")
CASES: Final = [
    pytest.param(page, number, id=f"{page.stem}-{block.title}")
    for page in PAGES
    for number, block in enumerate(blocks(page.read_text()))
]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Peer]]:
    """Return what gives the server of a name, once it is wanted."""
    with ExitStack() as stack:

        @cache
        def server(name: str) -> Peer:
            settings = {"loadmodule": SEARCH} if name == "search" else {}
            found = "valkey" if name == "search" else name
            folder = tmp_path_factory.mktemp(name)
            return stack.enter_context(running(found, folder, **settings))

        yield server


@pytest.fixture(params=(*BINARIES, "search"))
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of a server that is here."""
    name: str = request.param
    if not is_here("shell"):
        pytest.skip("no redis-cli 7.0 here, or no jq")
    if name == "search" and not SEARCH:
        pytest.skip("no RediSearch here: REDISEARCH does not name the module")
    if name != "search" and binary(name) is None:
        pytest.skip(f"no {name} here")
    return name


@pytest.fixture
def log(servers: Callable[[str], Peer], name: str) -> Bridge:
    """Return the bridge that has written the week, and nothing else."""
    return written(servers(name))


def written(peer: Peer) -> Bridge:
    peer.redis.flushall()
    for user in peer.redis.acl_users():
        if user != "default":
            peer.redis.acl_deluser(user)
    bridge = Bridge(peer)
    bridge.write()
    leave_behind(peer)
    return bridge


def leave_behind(peer: Peer) -> None:
    """Have a group in which one has been gone for two hours, and left three entries."""
    events = "bz:ratings:events"
    peer.redis.xgroup_create(events, "team", "0")
    ((_, read),) = peer.redis.xreadgroup("team", "ann", {events: ">"}, count=3)
    ids = [entry for entry, _ in read]
    peer.redis.xclaim(events, "team", "ann", 0, ids, idle=7_200_000, justid=True)


def printed(log: Bridge, block: Block, before: str, folder: Path) -> list[str]:
    """Return what each command of a block prints, one after the other."""
    cli = shutil.which("redis-cli")
    assert cli
    port = log.peer.server.port
    shell = Shell.of(folder, cli, port, before, log.week.start)

    def meanwhile() -> None:
        until(lambda: is_waiting(log.peer))
        log.go_on()

    return [shell.run(command, meanwhile) for command in block.commands]


def is_waiting(peer: Peer) -> bool:
    waits = peer.redis.info("clients")["blocked_clients"]
    return bool(waits or peer.redis.pubsub_channels("bz:*"))


def differ(a: str, b: str) -> bool:
    """Tell whether outputs differ; numbers after ``~`` may be half or twice as much."""
    if ABOUT.sub("~", a) != ABOUT.sub("~", b):
        return True
    pairs = zip(ABOUT.findall(a), ABOUT.findall(b), strict=True)
    return any(not int(x) / 2 <= int(y) <= int(x) * 2 for x, y in pairs)


@pytest.mark.parametrize(("page", "number"), CASES)
def test_what_it_prints_is_what_is_shown(
    page: Path,
    number: int,
    name: str,
    servers: Callable[[str], Peer],
    tmp_path: Path,
) -> None:
    text = page.read_text()
    block = blocks(text)[number]
    searches = "FT." in block.text
    if searches != (name == "search"):
        pytest.skip("only where RediSearch is" if searches else "not on RediSearch")
    after = text.partition(block.text)[2].partition("\n#")[0]
    peer = servers(name)
    if peer.version < (7,) and any(words in after for words in NEWER):
        pytest.skip("its recipe asks for Redis 7.0")
    if UPDATE and name not in {"valkey", "search"}:
        pytest.skip("written from what Valkey prints")
    while True:
        log = written(peer)
        outputs = printed(log, block, preamble(text), tmp_path)
        if log.week.start == today():
            break  # else midnight came in between
    for output in outputs:
        assert not ERROR.search(output)
    if UPDATE:
        changed = [
            new if differ(command.output, new) else command.output
            for command, new in zip(block.commands, outputs, strict=True)
        ]
        new = block.with_outputs(changed)
        page.write_text(page.read_text().replace(block.text, new, 1))
        return
    shown = [command.output for command in block.commands]
    if any(map(differ, shown, outputs)):
        assert outputs == shown
