"""Where Redis is, by every form that the settings know."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import trio
from commands.looks.conftest import Look
from hurt import restart
from store.servers import Peer, rating, running
from store.test_acl import make, reading
from store.test_sentinel import watched

from bzredis.store import acl


def test_by_sentinels(peer: Peer, look: Look, tmp_path: Path) -> None:
    peer.one(rating(analyst="Société"))
    with watched("valkey", tmp_path, peer, "") as places:
        url = f"redis+sentinel://{places}/bz/0"
        assert "Société" in look("get", "AAPL", "--redis", url)
        assert look("board", "--text", "--redis", url)
        done = look.run("status", "--redis", f"redis+sentinel://{places}/wrong/0")
    assert done.exit_code == 2
    assert "the Sentinels know no service 'wrong'" in done.stderr


def test_by_a_socket(look: Look, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with running("valkey", tmp_path / "own", unixsocket=str(path)) as peer:
        assert stat.S_ISSOCK(os.stat(path).st_mode)  # noqa: PTH116
        peer.one(rating())
        assert look("board", "--text", "--redis", f"unix://{path}").startswith("AAPL")


def test_by_a_file_of_settings(peer: Peer, look: Look, tmp_path: Path) -> None:
    """No token is needed, and what is wrong in it is told as by all commands."""
    peer.one(rating(), store=peer.store(prefix="mine"))
    file = tmp_path / "settings.toml"
    file.write_text(f'redis = "{look.url}"\nprefix = "mine"\n')
    nothing = {"BZREDIS_REDIS": look.url}
    assert look("board", "--text", "--config", str(file), environ=nothing).startswith(
        "AAPL"
    )
    file.write_text('prefx = "mine"\n')
    done = look.run("board", "--text", "--config", str(file))
    assert done.exit_code == 2
    assert "there is no such option; is prefix meant?" in done.stderr


def test_a_user_who_may_only_read(peer: Peer, look: Look) -> None:
    peer.one(rating(analyst="One"))
    make(peer, acl.reader("bz", reading(peer)))
    look.url = peer.server.url.replace("://", "://bzreader:pw@")
    assert "One" in look("get", "AAPL")
    assert "no bridge" in look("status", code=1)
    assert look("board", "--text")
    assert look.run("get", "NONE").exit_code == 1
    peer.redis.acl_deluser("bzreader")


def test_a_redis_that_starts_anew(look: Look, tmp_path: Path) -> None:
    with running("valkey", tmp_path / "own", appendonly="yes") as peer:
        look.url = peer.server.url
        peer.one(rating())
        trio.run(restart, peer.server)
        assert look("board", "--text")
