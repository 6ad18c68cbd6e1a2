"""The real script on a real server, and beside it the rules: both must answer alike."""

from __future__ import annotations

import itertools
from collections.abc import Coroutine
from typing import Any, Final

import attrs
import msgspec
import redis
import trio
from law.checked import Checked, Fake
from law.rules import TOOK_EFFECT
from law.world import World
from store.servers import Peer

from bzredis.changes.kinds import Filled, GaveUp, unpack
from bzredis.messages.times import rfc3339
from bzredis.ports import Applied, Batch, Behind, Coverage
from bzredis.store.client import Store
from bzredis.streams import Stream

ROW: Final = "duplicate of a row"
_prefixes = itertools.count()


def in_trio(call: Coroutine[Any, Any, None]) -> None:
    """Run what waits for a server."""

    async def main() -> None:
        await call

    trio.run(main)


@attrs.define
class Real(Fake):
    """Two prefixes of one server, and beside each what the rules make of the same."""

    _peer: Peer = attrs.field(kw_only=True)
    _raw: Any = attrs.field(init=False)  # a client that does not decode
    _prefix: str = attrs.field(init=False)
    _stores: dict[str, Store] = attrs.field(init=False)
    _dump: dict[bytes, bytes] = attrs.field(factory=dict)
    _ids: dict[str, str] = attrs.field(factory=dict)  # a hole's, there and here

    def __attrs_post_init__(self) -> None:
        """Begin with nothing in either."""
        super().__attrs_post_init__()
        self.fails = False
        prefixes = [f"law{next(_prefixes)}" for _ in range(2)]
        self._prefix = prefixes[0]
        self._stores = {each: self._peer.store(each) for each in prefixes}
        self._raw = redis.Redis(port=self._peer.server.port)

    @classmethod
    def beside(cls, peer: Peer, world: World) -> Real:
        """Return one for a world."""
        return cls(lambda: world.now, lambda: Checked(number=world.number), peer=peer)

    def close(self) -> None:
        """See that the server has what it said, and let go of it."""
        try:
            self._compare_logs()
        finally:
            for prefix, store in self._stores.items():
                self._prefix = prefix
                self._delete_all()
                store.close()
            self._raw.close()

    async def apply(self, stream: Stream, batch: Batch) -> Applied | Behind:
        here = await super().apply(stream, self._renamed(batch))
        there = await self._stores[self._prefix].apply(stream, batch)
        if isinstance(there, Behind) or isinstance(here, Behind):
            assert there == here
            return there
        assert there.last == here.last
        for one, other in zip(there.results, here.results, strict=True):
            assert _alike(one, other), (one, other)
        assert _bare(there.coverage) == _bare(here.coverage)
        holes = zip(there.coverage.holes, here.coverage.holes, strict=True)
        self._ids.update((one.id, other.id) for one, other in holes)
        return there

    def _renamed(self, batch: Batch) -> Batch:
        """Let the marks of a batch name the holes as the rules do."""
        packed = []
        for each in batch.packed:
            change = unpack(each)
            if isinstance(change, Filled | GaveUp):
                ids = tuple(self._ids.get(one, one) for one in change.ids)
                packed.append(msgspec.structs.replace(change, ids=ids).pack())
            else:
                packed.append(each)
        return attrs.evolve(batch, packed=packed)

    def _compare_logs(self) -> None:
        """See that the logs hold just what the rules say is here, and announced."""
        stem = f"{self._prefix}:ratings"
        entries = [fields for _, fields in self._peer.redis.xrange(f"{stem}:events")]
        aside = [fields for _, fields in self._peer.redis.xrange(f"{stem}:rejected")]
        raws = {each.get("raw", "") for each in (*entries, *aside)} - {""}
        assert {self.redis.number[raw] for raw in raws} == self.redis.here
        gaps = [(e["from"], e["to"]) for e in entries if e["action"] == "gap"]
        assert gaps == [
            (rfc3339(begin), rfc3339(end)) for begin, end in self.redis.gaps
        ]

    # ---- what becomes of the server

    def step(self, by: int) -> None:
        """Leave TIME alone: nobody can step it."""

    def keep(self) -> None:
        super().keep()
        keys = self._keys()
        with self._raw.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.dump(key)
            self._dump = dict(zip(keys, pipe.execute(), strict=True))

    def roll_back(self) -> bool:
        if not super().roll_back():
            return False
        self._delete_all()
        with self._raw.pipeline(transaction=False) as pipe:
            for key, value in self._dump.items():
                pipe.restore(key, 0, value)
            pipe.execute()
        return True

    def empty(self) -> None:
        super().empty()
        self._delete_all()

    def switch(self) -> None:
        super().switch()
        (self._prefix,) = {*self._stores} - {self._prefix}

    def forget(self, logs: set[str]) -> None:
        super().forget(logs)
        for log in logs:
            self._raw.delete(f"{self._prefix}:ratings:internal:log:{log}")

    def _keys(self) -> list[bytes]:
        return [*self._raw.scan_iter(f"{self._prefix}:*", count=1_000)]

    def _delete_all(self) -> None:
        if keys := self._keys():
            self._raw.delete(*keys)


def _alike(there: str, here: str) -> bool:
    """Tell whether two results say the same of what is known and what is not."""
    kinds = {**dict.fromkeys(TOOK_EFFECT, "effect"), "unattributed": "effect"}
    one, other = kinds.get(there, there), kinds.get(here, here)
    # Whether a frame says more than a row of its second, the rules leave open.
    return one == other or (other == ROW and one == "effect")


def _bare(coverage: Coverage) -> object:
    holes = [  # the stamps of their ids differ
        attrs.evolve(hole, id=hole.id.partition("-")[2]) for hole in coverage.holes
    ]
    return attrs.evolve(coverage, holes=tuple(holes))
