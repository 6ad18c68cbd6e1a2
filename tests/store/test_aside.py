"""What cannot be used is kept once, and harms nothing else: promise 9."""

from __future__ import annotations

from store.servers import RECEIVED, Peer, rating

from bzredis.messages.times import rfc3339
from bzredis.streams import RATINGS


def test_a_frame_that_cannot_be_used_is_kept_once(peer: Peer) -> None:
    assert peer.apply(RATINGS, "garbage ü", rating(), "garbage ü") == (
        "rejected",
        "latest",
        "duplicate",
    )
    (entry,) = peer.entries("ratings:rejected")
    assert list(entry) == ["reason", "received", "raw"]
    assert entry["raw"] == "garbage ü"
    assert entry["received"] == rfc3339(RECEIVED)
    assert "not JSON" in entry["reason"]
