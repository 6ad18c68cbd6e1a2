"""The commands that look and mend do so for streams besides the three."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from store.servers import Peer, deleted, message, running
from streams.offered import GUIDANCE, MODULE, entry_points, offer, offered

from bzredis.commands.cli import bzredis
from bzredis.streams.bulls_bears import BULLS_BEARS

STREAMS = ("--stream", "guidance,bulls-bears")


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with running("valkey", tmp_path_factory.mktemp("valkey")) as peer:
        yield peer


@pytest.fixture(autouse=True)
def filled(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Have both streams stand there, and the package of one be installed."""
    peer.redis.flushall()
    monkeypatch.setenv("BZREDIS_REDIS", peer.server.url)
    eps = {"eps_guidance_est": "1.50", "period": "Q4", "date": "2024-10-04"}
    whose = {"ticker": "AAPL", "exchange": "NASDAQ", "updated": 1_728_000_000}
    cases = {"ticker": "AAPL", "bull_case": "It may\nrise.", "bear_case": "\x1b[2JNo."}
    peer.apply(GUIDANCE, message("r", eps | whose), message("q", whose), "garbage")
    peer.apply(BULLS_BEARS, message("c", cases), message("b", cases), deleted("b"))
    offer(tmp_path, MODULE.stem, entry_points(), MODULE.read_text())
    with offered(tmp_path):
        yield


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(bzredis, arguments)
    assert result.exit_code == code, result.output
    return result.stdout


def test_get_shows_their_fields() -> None:
    out = run("get", "AAPL", *STREAMS)
    lines = [line.split() for line in out.splitlines()]
    assert ["eps_guidance_est", "1.50"] in lines
    assert ["Guidance"] in lines
    assert "Bulls bears\n" in out
    assert "It may" in out
    assert "\x1b" not in out
    found = json.loads(run("get", "AAPL", *STREAMS, "--json"))["AAPL"]
    assert found["guidance"]["eps_guidance_est"] == "1.50"
    assert found["fresh"] == {"guidance": False, "bulls-bears": False}
    run("get", "AAPL", code=1)


def test_status_tells_of_them() -> None:
    out = run("status", *STREAMS, code=1)
    assert "guidance" in out
    assert "bulls-bears" in out
    assert {*json.loads(run("status", *STREAMS, "--json", code=1))} == {
        *("guidance", "bulls-bears"),
    }


def test_rebuild_mends_them(peer: Peer) -> None:
    run("rebuild", "--verify", *STREAMS)
    before = peer.hash("guidance:latest:AAPL")
    peer.redis.hset("bz:guidance:latest:AAPL", "eps_guidance_est", "9")
    assert "eps_guidance_est" in run("rebuild", "--verify", *STREAMS, code=1)
    run("rebuild", *STREAMS)
    assert peer.hash("guidance:latest:AAPL") == before


def test_redrive_reads_again_what_was_set_aside(peer: Peer) -> None:
    frame = message("new", {"ticker": "MSFT", "updated": 1_728_000_001})
    peer.redis.xadd("bz:guidance:rejected", {"reason": "odd", "raw": frame})
    run("redrive", *STREAMS, code=1)  # what nobody can read stays
    assert peer.hash("guidance:latest:MSFT")["_record"] == "new"


def test_forget_takes_a_symbol_away(peer: Peer) -> None:
    run("forget", "AAPL", *STREAMS, "--yes")
    assert not peer.redis.keys("bz:guidance:latest:*")
    assert not peer.redis.keys("bz:bulls-bears:timeline:*")
    out = run("forget", "--all", "--stream", "guidance", "--yes")
    assert "bz:bulls-bears stays, since --stream does not name it" in out
    assert not peer.redis.keys("bz:guidance:*")
