"""6 on a real server."""
from __future__ import annotations
from store.servers import *
from store.test_holes import Sender, T
from bzredis.changes.kinds import Heard, Opened, Replayed
import json


import pytest
@pytest.mark.xfail(reason="reported, not mended", strict=True)
def test_a_replay_proves_nothing_of_what_the_lost_key_knew(peer):
    one = Sender(peer)
    one.send(Opened(T), rating("a"), Heard(T + 1, T + 1))
    two = Sender(peer, since=one.since)
    two.send(Opened(T + 1000))          # hole: something is missing here
    two.send(rating("b"))               # live, after it
    peer.redis.delete("bz:ratings:internal:coverage")
    assert [h.cause for h in two.send(Opened(T + 5000)).coverage.holes] == ["redis-rollback"]
    found = two.send(Opened(T + 9000), rating("b"), Replayed(T + 9001)).coverage.holes
    assert found, "closed by a replay that came back to b only"
