"""Each server that is found, with nothing in it, and the commands that mend."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from store.conftest import peer, peers
from store.servers import Peer

from bzredis.commands.cli import bzredis
from bzredis.settings.config import OPTIONS

__all__ = ["peer", "peers"]


@pytest.fixture
def run(peer: Peer, tmp_path: Path) -> Callable[..., Result]:
    """Return what runs a command on the server, as a script does."""
    ours = {name for option in OPTIONS for name in (option.variable, *option.variables)}
    environ: dict[str, Any] = dict.fromkeys((*ours, "BZREDIS_CONFIG"))
    environ |= {"HOME": str(tmp_path), "BZREDIS_REDIS": peer.server.url}

    def run(*words: str, code: int = 0, **how: Any) -> Result:
        env = {**dict.fromkeys(os.environ), **environ}
        done = CliRunner().invoke(bzredis, words, prog_name="bzredis", env=env, **how)
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


@pytest.fixture
def asked(run: Callable[..., Result]) -> Callable[..., Any]:
    """Return what gives a command's answer as JSON."""

    def asked(*words: str, code: int = 0) -> Any:
        return json.loads(run(*words, "--json", code=code).stdout)

    return asked


@pytest.fixture
def heard(peer: Peer) -> Callable[[], Any]:
    """Return what gives what was said on `changed` during a block."""

    @contextmanager
    def heard() -> Iterator[list[str]]:
        told = list[str]()
        with peer.redis.pubsub() as channel:
            channel.psubscribe("bz:*:changed")
            channel.get_message(timeout=60)
            yield told
            peer.redis.publish("bz:ratings:changed", "END")
            while (message := channel.get_message(timeout=60)) is not None:
                if message["data"] == "END":
                    return
                told.append(message["data"])

    return heard
