"""REST switched off, in trouble, or talking nonsense: the streams go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from bridge.real.nights import LIMIT, STREAMS, entries, night, running, settled
from fakes import Said

from bzredis.bridge import coverage
from bzredis.commands import embedded
from bzredis.simulator import Refusal, RestFaults, Simulator


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for long for a REST that gives nothing."""
    monkeypatch.setattr(coverage, "GIVE_UP", 8.0)


async def test_without_rest_a_gap_tells_of_it(
    upstream: Simulator, server: embedded.Server, client: Any, tmp_path: Path
) -> None:
    async with running(upstream, server, tmp_path, no_rest=True) as bridge:
        await settled(bridge)
        with trio.fail_after(LIMIT):
            while not client.hget("bz:insights:status", "covered_until"):
                await trio.sleep(0.05)
    assert "--no-rest" in client.hget("bz:ratings:status", "error")
    covered = {s: client.hget(f"bz:{s}:status", "covered_until") for s in STREAMS}
    night(upstream, 500)
    async with running(upstream, server, tmp_path, no_rest=True) as bridge:
        with trio.fail_after(LIMIT):
            while not all(
                client.hget(f"bz:{s}:status", "gaps") == "1" for s in STREAMS
            ):
                await trio.sleep(0.05)
    assert not upstream.requests
    for stream in STREAMS:
        [gap] = entries(client, stream, "gap")
        assert gap["from"] == covered[stream]
        assert gap["to"][:19] >= client.hget(f"bz:{stream}:status", "connected_at")[:19]
        assert gap["cause"] == "restart"
        assert gap["recovered"] == "100"
        held = [text for name, text in upstream.sent if name == stream][-100:]
        logged = {entry.get("raw") for entry in entries(client, stream)}
        assert set(held) <= logged


@pytest.mark.parametrize(
    "fault",
    [
        {"refuse": Refusal(503)},
        {"refuse": Refusal(403)},
        {"html": True},
        {"truncated": True},
        {"hang_up": True},
        {"delay": 3_600.0},
    ],
    ids=str,
)
async def test_with_rest_in_trouble_the_streams_go_on(  # noqa: PLR0913, PLR0917 - fixtures
    fault: dict[str, Any],
    upstream: Simulator,
    server: embedded.Server,
    client: Any,
    tmp_path: Path,
    said: Said,
) -> None:
    for name in upstream.rest_faults:
        upstream.rest_faults[name] = attrs.evolve(upstream.rest_faults[name], **fault)
    desk = upstream._http.faults
    assert all(desk[name] != RestFaults() for name in desk)
    async with running(upstream, server, tmp_path, backfill=3_600.0) as bridge:
        with trio.fail_after(LIMIT):
            began = trio.current_time()
            while trio.current_time() < began + 3:
                upstream.broadcast(*upstream.market.opine(upstream.clock()))
                await trio.sleep(0.1)
            texts = [text for name, text in upstream.sent if name == "ratings"]
            while entries(client, "ratings")[-1]["raw"] != texts[-1]:
                await trio.sleep(0.02)
            while client.exists(*(f"bz:{s}:alive" for s in STREAMS)) < 2:
                await trio.sleep(0.05)
        assert all(line.intake.status.reconnects == 0 for line in bridge.lines)
    trouble = [entry for entry in said if "trouble with REST" in entry["event"]]
    assert len(trouble) <= 3, "the same of all streams is told once"
    if fault == {"refuse": Refusal(403)}:
        assert "BENZINGA_TOKEN" in client.hget("bz:ratings:status", "error")
        assert "403" in client.hget("bz:ratings:status", "error")


async def test_rows_that_are_none_are_set_aside(
    upstream: Simulator, server: embedded.Server, client: Any, tmp_path: Path
) -> None:
    for faults in upstream.rest_faults.values():
        faults.wrong_type = True
    async with running(upstream, server, tmp_path):
        with trio.fail_after(LIMIT):
            while client.xlen("bz:ratings:rejected") < 3:
                await trio.sleep(0.02)
        published = upstream.market.opine(upstream.clock())
        upstream.broadcast(*published)
        texts = [one.text for one in published if one.stream == "ratings"]
        with trio.fail_after(LIMIT):
            while texts[-1] not in {e["raw"] for e in entries(client, "ratings")}:
                await trio.sleep(0.02)
    assert client.xlen("bz:ratings:rejected") == 3, "they are kept once"
    assert client.hget("bz:ratings:status", "state") == "stopped"
