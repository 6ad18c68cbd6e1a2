"""The servers of the tests of the store, for who reads what the store wrote there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from store import conftest
from store.servers import Peer

from bzredis.reader import Reader

peers = conftest.peers
peer = conftest.peer


@pytest.fixture
def reader(peer: Peer) -> Iterator[Reader]:
    with Reader(peer.server.url) as reader:
        yield reader
