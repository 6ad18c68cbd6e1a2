"""A server that is no longer the one is left: its name or its proxy is asked anew."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
import trio
from faults.proxy import Proxy
from store.servers import BINARIES, binary, new_log, pack, rating, running

from bzredis.errors import StoreDown
from bzredis.ports import Applied, Batch, Sign
from bzredis.store.client import Store
from bzredis.streams import RATINGS

SIGN = Sign("me", "connected", "x", -1)


@pytest.mark.parametrize("name", BINARIES)
@pytest.mark.parametrize("stale", ["yes", "no"])  # READONLY, MASTERDOWN
def test_a_demoted_master_behind_one_address_is_left(
    name: str, stale: str, tmp_path: Path
) -> None:
    if binary(name) is None:
        pytest.skip(f"no {name} here")
    with ExitStack() as stack:
        old, new = (
            stack.enter_context(
                running(name, tmp_path / one, replica_serve_stale_data=stale)
            )
            for one in ("old", "new")
        )

        async def fail_over() -> None:
            proxy = Proxy(old.server.port)
            async with trio.open_nursery() as nursery:
                await nursery.start(proxy.serve)
                store = Store(f"redis://127.0.0.1:{proxy.port}/0")
                batch = Batch(new_log(), 0, pack(RATINGS, [rating()]), None)
                await store.apply(RATINGS, batch)
                old.redis.replicaof("127.0.0.1", 1)  # where nobody is
                proxy.target = new.server.port
                with pytest.raises(StoreDown, match="refused: "):
                    await store.apply(RATINGS, batch)
                assert isinstance(await store.apply(RATINGS, batch), Applied)
                assert new.hash("ratings:latest:AAPL")
                # And so for what is no batch.
                new.redis.replicaof("127.0.0.1", 1)
                old.redis.replicaof("NO", "ONE")
                proxy.target = old.server.port
                with pytest.raises(StoreDown, match="refused: "):
                    await store.write_status(RATINGS, {"a": "b"}, SIGN)
                await store.write_status(RATINGS, {"a": "b"}, SIGN)
                store.close()
                nursery.cancel_scope.cancel()

        trio.run(fail_over)
        assert old.hash("ratings:status") == {"a": "b"}
