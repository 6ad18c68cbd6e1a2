"""Three real Sentinels: the master that they name is found, and followed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from redis import Redis
from store.servers import Peer, binary, new_log, pack, rating, running

from bzredis.commands.embedded import Server
from bzredis.errors import StoreDown
from bzredis.ports import Applied, Batch
from bzredis.store.client import Store
from bzredis.streams import RATINGS

PATIENCE: Final = 60.0  # s, on a busy machine too
OURS, THEIRS = "s3cr3t", "the1r5"


@contextmanager
def watched(name: str, folder: Path, master: Peer, password: str) -> Iterator[str]:
    """Run three Sentinels that watch a master; yield their places."""
    found = binary(name)
    assert found is not None
    with ExitStack() as stack:
        servers = []
        for number in range(3):
            config = folder / f"sentinel{number}.conf"
            lines = [
                f"sentinel monitor bz 127.0.0.1 {master.server.port} 2",
                # Nor is it taken for gone where it waits for a core.
                "sentinel down-after-milliseconds bz 2000",
                "sentinel failover-timeout bz 2000",
            ]
            if password:
                lines += [f"sentinel auth-pass bz {OURS}", f"requirepass {password}"]
                lines += [f"sentinel sentinel-pass {password}"]
            config.write_text("\n".join(lines) + "\n")
            server = Sentinel(found, folder / f"s{number}", config=config)
            trio.run(server.start)
            stack.callback(trio.run, server.stop)
            servers.append(server)
        yield ",".join(f"127.0.0.1:{server.port}" for server in servers)


class Sentinel(Server):
    """A server that is started with a file of its own, as a Sentinel."""

    def __init__(self, found: Path, folder: Path, config: Path) -> None:
        super().__init__(found, folder)
        self._config = config

    def _command(self) -> list[str]:
        program, *options = super()._command()
        # Not of Sentinels: what says how data is saved.
        kept = options[: options.index("--save")]
        return [program, str(self._config), "--sentinel", *kept]


async def until_followed(replica: Any, sentinel: Any) -> None:
    """Wait until a replica has all, and a Sentinel knows of it."""
    while replica.info("replication")["master_link_status"] != "up":
        await trio.sleep(0.05)
    while not sentinel.sentinel_slaves("bz"):
        await trio.sleep(0.05)
    sentinel.close()


async def applied(store: Store, batch: Batch) -> bool:
    with suppress(StoreDown):
        return isinstance(await store.apply(RATINGS, batch), Applied)
    return False


# Each takes some seconds: the Sentinels look at each other by the second.
@pytest.mark.parametrize(
    ("name", "password"), [("valkey", ""), ("redis-6.2", THEIRS), ("redis", THEIRS)]
)
def test_the_master_that_sentinels_name_is_followed(
    name: str, password: str, tmp_path: Path
) -> None:
    if binary(name) is None:
        pytest.skip(f"no {name} here")
    login = {"requirepass": OURS, "masterauth": OURS} if password else {}
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(running(name, tmp_path / each, **login))
            for each in ("one", "other")
        )
        admin = [
            Redis(port=each.server.port, password=OURS) if password else each.redis
            for each in (one, other)
        ]
        admin[1].replicaof("127.0.0.1", one.server.port)
        places = stack.enter_context(watched(name, tmp_path, one, password))
        user = f":{OURS}@" if password else ""
        query = f"?sentinel_password={password}" if password else ""

        def store(service: str = "bz", query: str = query) -> Store:
            return Store(f"redis+sentinel://{user}{places}/{service}/0{query}")

        async def follow() -> None:
            batch = Batch(new_log(), 0, pack(RATINGS, [rating()]), None)
            ours = store()
            assert isinstance(await ours.apply(RATINGS, batch), Applied)
            with pytest.raises(StoreDown, match="know no service 'wrong'"):
                await store("wrong").ping()
            if password:
                for wrong in ("", "?sentinel_password=wr0ng"):
                    with pytest.raises(StoreDown, match="no Sentinel tells") as caught:
                        await store(query=wrong).ping()
                    assert "wr0ng" not in str(caught.value)
            with trio.fail_after(PATIENCE):
                port = int(places.rpartition(":")[2])
                await until_followed(admin[1], Redis(port=port, password=password))
                await one.server.kill()
                while not await applied(ours, batch):
                    await trio.sleep(0.1)
            ours.close()

        trio.run(follow)
        assert admin[1].hget("bz:ratings:latest:AAPL", "_record") in {"a", b"a"}
        for each in admin:
            each.close()


async def test_no_sentinel_there() -> None:
    url = f"redis+sentinel://:{OURS}@127.0.0.1:1,127.0.0.1:2/bz/0"
    with pytest.raises(StoreDown, match=r"no Sentinel tells where it is: .*127\.0"):
        await Store(url).ping()
