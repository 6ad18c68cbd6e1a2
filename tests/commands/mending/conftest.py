"""Each server that is found, with nothing in it, for what mends."""

from __future__ import annotations

from store.conftest import peer, peers

__all__ = ["peer", "peers"]
