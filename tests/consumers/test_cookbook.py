"""What pages show of `redis-cli` is what it prints, over a log that is always alike.

``UPDATE=1 pytest tests/consumers/test_cookbook.py`` writes what was printed into them.
``REDISEARCH`` names a `redisearch.so`, which is loaded into Valkey for its recipe.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from consumers.conftest import until
from consumers.languages import is_here
from consumers.recipes import ERROR, ROOT, UPDATE, Block, Shell, blocks, preamble
from consumers.week import Bridge, today
from redis import Redis
from redis.exceptions import NoPermissionError
from store.servers import BINARIES, Peer, binary, running

from bzredis.contract.pages import markdown
from bzredis.store.acl import reader

COOKBOOK: Final = ROOT / "scripts" / "consumers" / "cookbook.md"
REFERENCE: Final = ROOT / "bzredis" / "contract" / "reference.md"
EXAMPLES: Final = REFERENCE.with_name("examples.py")
PAGES: Final = (COOKBOOK, EXAMPLES, ROOT / "README.md")
# A module to load into Valkey: no server that is found here brings it.
MODULE: Final = os.environ.get("REDISEARCH", "")
SEARCH: Final = "valkey with RediSearch"
LEAST: Final = 20  # recipes
ABOUT: Final = re.compile(r"~(\d+)")
Servers = Callable[[str], Peer]


def cases() -> Iterator[tuple[str, Path, int]]:
    """Yield each block that shows an output, with each server that it is for."""
    for page in PAGES:
        for number, block in enumerate(blocks(page.read_text())):
            if not any(command.output for command in block.commands):
                continue
            if "FT." in block.text:
                yield SEARCH, page, number
                continue
            wants_newer = "Redis 7.0 on" in block.said
            for name in BINARIES:
                if not (wants_newer and name == "redis-6.2"):
                    yield name, page, number


def named(case: tuple[str, Path, int]) -> str:
    name, page, number = case
    return f"{page.stem}-{blocks(page.read_text())[number].title}-{name}"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Return what gives the server of a name, where it is here."""
    if not is_here("shell"):
        pytest.skip("no redis-cli 7.0 here, or no jq")
    with ExitStack() as stack:

        @cache
        def server(name: str) -> Peer:
            folder = tmp_path_factory.mktemp("server")
            if name != SEARCH:
                return stack.enter_context(running(name, folder))
            return stack.enter_context(running("valkey", folder, loadmodule=MODULE))

        def found(name: str) -> Peer:
            if name == SEARCH and not MODULE:
                pytest.skip("no RediSearch here: REDISEARCH names no module")
            if name != SEARCH and binary(name) is None:
                pytest.skip(f"no {name} here")
            return server(name)

        yield found


def written(peer: Peer) -> Bridge:
    """Return the bridge that has written the week into a server, and nothing else."""
    peer.redis.flushall()
    for user in {*peer.redis.acl_users()} - {"default"}:
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


def shell(log: Bridge, before: str, folder: Path, *words: str) -> Shell:
    """Return a shell whose `redis-cli` asks the log's server, in more words."""
    cli = shutil.which("redis-cli")
    assert cli
    port = str(log.peer.server.port)
    return Shell.of(folder, (cli, "-p", port, *words), before, log.week.start)


def printed(log: Bridge, block: Block, before: str, folder: Path) -> list[str]:
    """Return what each command of a block prints, one after the other."""

    def meanwhile() -> None:
        until(lambda: is_waiting(log.peer))
        log.go_on()

    run = shell(log, before, folder).run
    return [run(command, meanwhile) for command in block.commands]


def is_waiting(peer: Peer) -> bool:
    waits = peer.redis.info("clients")["blocked_clients"]
    return bool(waits or peer.redis.pubsub_channels("bz:*"))


def differ(a: str, b: str) -> bool:
    """Tell whether outputs differ; numbers after ``~`` may be half or twice as much."""
    if ABOUT.sub("~", a) != ABOUT.sub("~", b):
        return True
    pairs = zip(ABOUT.findall(a), ABOUT.findall(b), strict=True)
    return any(not int(x) / 2 <= int(y) <= int(x) * 2 for x, y in pairs)


@pytest.mark.parametrize("case", [*cases()], ids=named)
def test_what_it_prints_is_what_is_shown(
    case: tuple[str, Path, int], servers: Servers, tmp_path: Path
) -> None:
    name, page, number = case
    text = page.read_text()
    block = blocks(text)[number]
    if UPDATE and name not in {"valkey", SEARCH}:
        pytest.skip("what is written is what Valkey prints")
    for _ in range(2):
        log = written(servers(name))
        outputs = printed(log, block, preamble(text), tmp_path)
        if log.week.start == today():
            break  # else midnight came in between
    assert not any(map(ERROR.search, outputs)), outputs
    shown = [command.output for command in block.commands]
    # Elsewhere than in the cookbook, not each command has to show what it prints.
    kept = [
        new if differ(old, new) and (old or page == COOKBOOK) else old
        for old, new in zip(shown, outputs, strict=True)
    ]
    if UPDATE:
        page.write_text(text.replace(block.text, block.with_outputs(kept), 1))
        return
    assert kept == shown


def test_the_reference_is_what_keys_prints() -> None:
    command = [sys.executable, "-m", "bzredis", "keys", "--format", "markdown"]
    printed = subprocess.check_output(command, cwd=ROOT, text=True)
    if UPDATE:
        REFERENCE.write_text(printed)
    assert REFERENCE.read_text() == printed
    assert " bz:" not in "".join(markdown("{x}"))


def test_only_sizes_may_differ() -> None:
    assert not differ("ratings ~100\n", "ratings ~199\n")
    assert differ("ratings ~100\n", "ratings ~201\n")
    assert differ("ratings ~100\n", "insights ~100\n")
    assert differ("", "\n")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_written_back_is_what_was_found(page: Path) -> None:
    for block in blocks(page.read_text()):
        outputs = [command.output for command in block.commands]
        assert block.with_outputs(outputs) == block.text
        assert block.with_outputs(["other\n"] * len(outputs)) != block.text


def test_there_are_enough() -> None:
    text = COOKBOOK.read_text()
    assert len({block.title for block in blocks(text)}) >= LEAST
    headings = re.findall(r"^### (.*)$", text, re.MULTILINE)
    assert headings == [block.title for block in blocks(text)]
    assert all(command.output for block in blocks(text) for command in block.commands)


# ------------------------------------------------- what it says beside the outputs


def test_who_only_reads_may_see_the_board_but_not_sort(
    servers: Servers, tmp_path: Path
) -> None:
    log = written(servers("valkey"))
    peer = log.peer
    peer.redis.execute_command(*reader("bz", "%R~").split(" "))
    port = peer.server.port
    with (
        Redis(port=port, username="bzreader", password="PASSWORD") as redis,
        pytest.raises(NoPermissionError),
    ):
        redis.sort("bz:ratings:symbols", by="nosort", get="bz:ratings:latest:*->x")
    text = COOKBOOK.read_text()
    (board,) = [one for one in blocks(text) if "the board" in one.title]
    command = board.commands[1]
    user = ("--user", "bzreader", "--pass", "PASSWORD", "--no-auth-warning")
    asks = shell(log, "", tmp_path, *user)
    assert asks.run(command, lambda: None) == command.output


def test_the_form_of_what_needs_the_module(servers: Servers, tmp_path: Path) -> None:
    """Where the module is not: the commands arrive, and name fields that there are."""
    log = written(servers("valkey"))
    (block,) = [one for one in blocks(COOKBOOK.read_text()) if "FT." in one.text]
    create, search = (command.text for command in block.commands)
    for command, output in zip(
        block.commands, printed(log, block, "", tmp_path), strict=True
    ):
        asked = command.text.split()[1]
        assert re.match(rf"\(error\) ERR unknown command '{asked}'", output)
    prefix = re.search(r"ON HASH PREFIX 1 (\S+) SCHEMA", create)
    assert prefix
    schema = create.partition(" SCHEMA ")[2].replace("\\\n", "").split()
    kinds = {"TAG", "TEXT", "NUMERIC", "SORTABLE"}
    fields = {word for word in schema if word not in kinds}
    held = log.peer.redis.hgetall(f"{prefix[1]}AAPL")
    assert fields <= {*held}
    assert {*re.findall(r"@(\w+):", search)} <= fields


def test_the_index_stays_current(servers: Servers) -> None:
    log = written(servers(SEARCH))
    with Redis(port=log.peer.server.port, protocol=2) as redis:
        create = (
            "FT.CREATE latest ON HASH PREFIX 1 bz:ratings:latest: SCHEMA _firm TEXT"
        )
        redis.execute_command(*create.split())

        def found(firm: str) -> bytes:
            count, *rest = redis.execute_command("FT.SEARCH", "latest", firm)
            return bytes(rest[0]) if count else b""

        until(lambda: found("Goldman") == b"bz:ratings:latest:XOM")
        log.go_on()
        until(lambda: not found("Goldman"))
        assert found("Barclays") == b"bz:ratings:latest:XOM"
