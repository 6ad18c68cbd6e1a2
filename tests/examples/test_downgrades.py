"""The example of a program: a table of downgrades, and a note on the desktop."""

from __future__ import annotations

import csv
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Final

import attrs
from commands.looks.conftest import LIMIT, Look
from commands.react.test_react import lines, reacting
from consumers.week import CALLS, Bridge, Call, nanos

from bzredis.changes.kinds import Change
from bzredis.streams import RATINGS

PROGRAM: Final = Path(__file__).parents[2] / "scripts" / "examples" / "downgrades.sh"


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def deleted(bridge: Bridge, call: Call) -> Change:
    at = bridge.week.at(0, "13:45")
    told = {"action": "deleted", "id": call.id, "timestamp": nanos(at)}
    return bridge.week.frame(RATINGS, at, **told, content={})


def test_each_downgrade_is_a_line_of_a_table(
    look: Look, bridge: Bridge, tmp_path: Path
) -> None:
    head = PROGRAM.read_text().replace("\\\n#", "")
    [told] = re.findall(r"^#   bzredis react (.*)$", head, re.MULTILINE)
    *words, program = shlex.split(told)
    assert PROGRAM.match(program)
    table = tmp_path / "table.csv"
    environ = {"DOWNGRADES": str(table)}
    words = [words[0], "--from-start", *words[1:], str(PROGRAM)]
    later = attrs.evolve(CALLS[7], day=0, clock="13:50", ticker="MSFT")
    bridge.apply(RATINGS, deleted(bridge, CALLS[7]), bridge.week.rating(later))
    with reacting(look, *words, environ=environ):
        lines(table, 4)
    assert [
        (row["symbol"], row["firm"], row["rating_prior"], row["rating"], row["pt"])
        for row in rows(table)
    ] == [
        ("XOM", "Goldman Sachs", "Buy", "Neutral", "118.00"),
        ("AAPL", "Jefferies", "Hold", "Underperform", "205.16"),
        ("MSFT", "Jefferies", "Hold", "Underperform", "205.16"),
    ]
    assert {row["action"] for row in rows(table)} == {"created"}
    events = [entry for entry, _ in bridge.peer.redis.xrange("bz:ratings:events")]
    assert {row["event"] for row in rows(table)} <= {*events}


def test_the_same_once_more_changes_nothing_and_quotes_are_kept(tmp_path: Path) -> None:
    environ = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "BZ_EVENT": "1-0",
        "BZ_SYMBOL": "AAPL",
        "BZ_FIRM": 'The "Big", One $(id)',
        "BZ_RATING": "Sell",
    }
    desktop = tmp_path / "notify-send"  # that nobody is at
    desktop.write_text(f'#!/bin/sh\nprintf "%s|" "$@" >>{tmp_path}/told\nexit 1\n')
    desktop.chmod(0o700)
    for _ in range(2):
        subprocess.run([PROGRAM], env=environ, timeout=LIMIT, check=True)
    [row] = rows(tmp_path / "downgrades.csv")
    assert (row["firm"], row["pt"]) == ('The "Big", One $(id)', "")
    told = (tmp_path / "told").read_text()
    assert told == '--|AAPL: downgraded|The "Big", One $(id) says Sell|'
