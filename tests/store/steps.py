"""Ways through the whole script, and users who may not go them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from store.servers import Peer, consensus, deleted, message, rating

from bzredis.errors import StoreDown
from bzredis.streams import CONSENSUS, RATINGS

MAXIMUM = "18446744073709551615-18446744073709551615"


# Messages that together go every way through the script.
STEPS = {
    RATINGS.name: (
        rating("a", minute=1),
        rating("b", minute=2),
        rating("c", minute=None),
        rating("c", 2, minute=None),
        rating("d", minute=9, symbol=""),
        rating("b", 2, minute=2, symbol="X"),
        deleted("a"),
        "garbage",
    ),
    CONSENSUS.name: (
        consensus(1, id="c1"),
        consensus(2, "4", id="c1"),
        consensus(3, "4", id="c1"),
        consensus(4, "5", id="c1", symbol=None),
        consensus(5, "5", id="c2"),
        consensus(6, "5", id="c2", symbol="X"),
        message("c2", None, action="deleted", at=40),
        message("c1", None, action="deleted", at=50),
    ),
}


BOTH = pytest.mark.parametrize("stream", [RATINGS, CONSENSUS], ids=lambda s: s.name)


@contextmanager
def refused_whole(peer: Peer, words: str) -> Iterator[None]:
    """Expect StoreDown in these words, and that no key of any kind has changed."""
    before = peer.dump()
    with pytest.raises(StoreDown, match=words) as caught:
        yield
    assert "\n" not in str(caught.value)
    assert peer.dump() == before


def user(peer: Peer, *rules: str) -> str:
    peer.redis.execute_command("ACL", "SETUSER", "bridge", "reset", "on", ">pw", *rules)
    return "bridge:pw"
