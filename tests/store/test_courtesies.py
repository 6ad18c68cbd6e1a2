"""What a server, a proxy or a user does without: a name, SCRIPT, or the whole work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trio
from store.servers import BINARIES, Peer, binary, rating, running
from store.steps import BOTH, STEPS, refused_whole, user

from bzredis.errors import StoreDown
from bzredis.store.client import Store
from bzredis.store.script import Limits, script, status_script
from bzredis.streams import STREAMS, Stream

COURTESIES = ("CLIENT", "HELLO", "CONFIG", "INFO", "SCRIPT", "CLUSTER", "COMMAND")


@BOTH
def test_a_user_without_courtesies(peer: Peer, stream: Stream) -> None:
    denied = [f"-{name.lower()}" for name in COURTESIES]
    login = user(peer, "~*", "&*", "+@all", *denied)
    results = peer.apply(stream, *STEPS[stream.name], store=peer.store(user=login))
    assert set(results) <= {"latest", "record", "rejected"}


async def test_where_it_may_it_has_a_name(peer: Peer) -> None:
    store = peer.store()
    await store.ping()
    assert "bzredis" in {each["name"] for each in peer.redis.client_list()}
    store.close()


@pytest.fixture(params=BINARIES)
def name(request: pytest.FixtureRequest) -> str:
    if binary(request.param) is None:
        pytest.skip(f"no {request.param} here")
    return str(request.param)


def renamed(folder: Path, *commands: str) -> dict[str, str]:
    """Return the setting that takes commands away."""
    file = folder / "renamed.conf"
    file.write_text("".join(f'rename-command {name} ""\n' for name in commands))
    return {"include": str(file)}


def test_a_server_without_courtesies(name: str, tmp_path: Path) -> None:
    gone = [command for command in COURTESIES if command != "INFO"]  # `running` asks
    with running(name, tmp_path, **renamed(tmp_path, *gone)) as peer:
        assert peer.one(rating()) == "latest"
        assert peer.one(rating("b")) == "latest"  # by its hash now


@pytest.mark.parametrize("command", ["COPY", "ZMSCORE", "PUBLISH", "TIME", "XADD"])
def test_a_command_that_is_missing_is_named(
    name: str, command: str, tmp_path: Path
) -> None:
    with running(name, tmp_path, **renamed(tmp_path, command)) as peer:
        with pytest.raises(StoreDown, match=f"has no command {command}, ") as caught:
            peer.one(rating())
        assert "script" not in str(caught.value)
        assert peer.redis.dbsize() == 0


@pytest.mark.parametrize(("command", "login"), [("EVALSHA", ""), ("AUTH", "u:s3cr3t")])
def test_a_command_outside_a_script_is_named_without_its_arguments(
    name: str, command: str, login: str, tmp_path: Path
) -> None:
    with running(name, tmp_path, **renamed(tmp_path, command)) as peer:
        with pytest.raises(StoreDown, match=f"[Uu]nknown command .{command}") as caught:
            peer.one(rating(), store=peer.store(user=login))
        assert "args" not in str(caught.value)
        assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        b"+OK",
        b"*1\r\n:1",
        b"*1\r\n*-1",
        b"*1\r\n$3\r\nabc",
        b"*1\r\n*1\r\n:0",
        b"*1\r\n*3\r\n:0\r\n:1\r\n*0",
        b"*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n:5\r\n:6",
        b"*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n*0\r\n:6",
        b"*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\n\xff\r\n:6",
        b"*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n$1\r\nb",
    ],
)
async def test_a_proxy_with_an_idea_of_its_own_of_a_cluster(answer: bytes) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        async for data in stream:
            for command in re.split(rb"\*\d+\r\n", data)[1:]:
                await stream.send_all(
                    (answer if b"CLUSTER" in command else b"+OK") + b"\r\n"
                )

    async with trio.open_nursery() as nursery:
        [listener, *_] = await nursery.start(trio.serve_tcp, serve, 0)
        store = Store(f"redis://127.0.0.1:{listener.socket.getsockname()[1]}/0")
        await store.ping()
        store.close()
        nursery.cancel_scope.cancel()


def test_undeclared_keys_are_announced_first() -> None:
    texts = [*(script(stream, Limits()) for stream in STREAMS), status_script()]
    for text in texts:
        assert text.startswith("--!df flags=allow-undeclared-keys\n")


def test_the_clock_is_looked_for_each_time(peer: Peer) -> None:
    store = peer.store(user=user(peer, "~*", "&*", "+@all"))
    assert peer.one(rating(), store=store) == "latest"
    peer.redis.execute_command("ACL", "SETUSER", "bridge", "-time")
    with refused_whole(peer, "may not run TIME"):
        peer.one(rating("b"), store=store)
