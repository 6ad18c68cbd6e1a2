"""`scripts/bench`: what its figures come to, and the whole of it with tiny numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benching import page, told
from benching.__main__ import parsed
from benching.feed import frames
from benching.found import Figures, Found

from bzredis.commands.embedded import server_binary

ROOT = Path(__file__).parents[2]


def rates(*values: float | None) -> list[Figures | None]:
    return [None if value is None else {"events_per_s": value} for value in values]


def test_a_ratio_is_of_one_round() -> None:
    found = Found({"throughput": {"bridge": rates(10, 30), "plain": rates(5, 10)}})
    ratio = found.told()["ratios"]["throughput"]["plain"]["events_per_s"]
    assert ratio == {"median": 2.5, "min": 2, "max": 3, "values": [2, 3]}


def test_a_round_in_which_a_side_failed_has_no_ratio() -> None:
    found = Found({"throughput": {"bridge": rates(10, 30), "plain": rates(None, 10)}})
    ratio = found.told()["ratios"]["throughput"]["plain"]["events_per_s"]
    assert ratio["values"] == [3]


def test_of_a_side_that_always_failed_nothing_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    loads = {1: 0, 100: 5}
    machine = {"cores": 2, "system": "x", "python": "3", "server": "y", "node": None}
    options = {"rounds": 2, "events": 10, "loads": loads, "idle": 1.0, "many": 1}
    failed = {"bridge": rates(10, 30), "equal": rates(None, None)}
    failed["writes"] = rates(None, None)
    idle: dict[str, list[Figures | None]] = {"bridge": [None], "equal": [None]}
    found = Found(
        {"throughput": failed, "latency": {**failed}, "idle": idle, "rebuild": idle},
        {"plain": "there is no node here"},
        machine,
        options,
    )
    told.put(json.loads(json.dumps(found.told())))
    said = capsys.readouterr().out
    assert "plain    is left out: there is no node here" in said
    assert max(map(len, said.splitlines())) <= told.WIDTH


@pytest.mark.parametrize("stream", frames.PATHS)
def test_each_lap_brings_other_messages_of_the_next_day(stream: frames.Stream) -> None:
    first, later = (
        frames.payload(stream, number).decode() for number in (7, 7 + 2 * frames.BASE)
    )
    assert len(first) == len(later)
    a, b = json.loads(first), json.loads(later)
    assert a["id"] != b["id"]
    assert first.count("2024-10-04") == later.count("2024-10-06") > 0
    if stream != "consensus":
        a, b = a["data"], b["data"]
        assert a["id"] != b["id"] == b["content"]["id"]
        day = 86_400 * (1_000 if stream == "insights" else 1)
        assert b["content"]["updated"] - a["content"]["updated"] == 2 * day


def test_a_server_that_is_not_there_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parsed(["--server", "no-such-server"])
    assert "there is no program no-such-server" in capsys.readouterr().err


def test_it_measures_the_bridge_on_the_server_that_is_named(tmp_path: Path) -> None:
    file, log = tmp_path / "found.json", tmp_path / "ran"
    server = tmp_path / "server"
    server.write_text(f'#!/bin/sh\necho ran >>"{log}"\nexec "{server_binary()}" "$@"\n')
    server.chmod(0o755)
    command = [sys.executable, "-P", "-m", "benching", "--quick", "--events", "300"]
    command += ["--sides", "bridge", "--only", "throughput", "--json", str(file)]
    command += ["--server", str(server)]
    path = os.pathsep.join([str(ROOT / "scripts"), str(ROOT)])
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": path},
        check=True,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert "300 ratings of 1.1 KB at full speed" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= told.WIDTH
    found = json.loads(file.read_text())
    assert {*found} == {
        *("machine", "options", "left_out"),
        *("measures", "ratios", "redis_to_writes"),
    }
    sides = found["measures"]["throughput"]
    assert {*sides} == {"bridge", "writes"}
    assert {*log.read_text().split()} == {"ran"}
    rate = sides["bridge"]["events_per_s"]
    assert {*rate} == {"median", "min", "max", "values"}
    assert rate["min"] > 0 < sides["writes"]["redis_us"]["median"]
    assert found["redis_to_writes"]["bridge"]["median"] > 0


def test_the_readme_shows_what_was_measured() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    wanted = page.table(page.measured())
    at = lines.index(wanted[0])
    assert lines[at : at + len(wanted)] == wanted
