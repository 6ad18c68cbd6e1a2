"""The commands that look and mend do so for streams besides the three."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest
import structlog
from click.testing import CliRunner
from store.servers import Peer, deleted, message, running
from streams.offered import GUIDANCE, MODULE, entry_points, offer, offered

from bzredis.commands import simulate
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


SAMPLE = message("s", {"ticker": "T", "period": "FY"})


@pytest.mark.parametrize(
    ("more", "made", "lines"),
    [
        ({"make": lambda rng, at: {"n": rng.randint(3, 3), "at": at}}, {"n": 3}, 0),
        ({"make": None, "samples": (SAMPLE,)}, {"ticker": "T", "period": "FY"}, 0),
        ({"make": lambda _, __: 1 / 0}, None, 1),
        ({"make": lambda _, __: {"x": object()}}, None, 1),
        ({"make": lambda _, __: 5}, None, 1),
    ],
)
def test_what_is_made_up_is_a_packages_or_varies_its_samples(
    monkeypatch: pytest.MonkeyPatch,
    more: dict[str, Any],
    made: dict[str, Any] | None,
    lines: int,
) -> None:
    """What its code cannot make is told once, and the stand-in says nothing there."""
    odd = attrs.evolve(GUIDANCE, **more)
    monkeypatch.setattr(simulate, "stream", lambda _: odd)
    [told] = simulate.further(["ratings", "guidance"])
    assert (told.name, told.path, told.array) == ("guidance", odd.path, "guidance")
    assert told.make
    with structlog.testing.capture_logs() as logs:
        found = [told.make(Random(1), 7.0) for _ in range(3)]
    assert len(logs) == lines
    for each in found:
        assert each is made if made is None else made.items() <= (each or {}).items()


def test_of_one_that_makes_nothing_up_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silent = attrs.evolve(GUIDANCE, make=None)
    monkeypatch.setattr(simulate, "stream", lambda _: silent)
    [told] = simulate.further(["guidance"])
    assert told.make is None


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
