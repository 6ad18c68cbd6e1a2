"""`bzredis board`: a line for each symbol."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess

from commands.looks.conftest import WIDTH, Look
from commands.looks.test_get import lines
from consumers.week import Bridge
from rich.cells import cell_len
from store.servers import Peer, rating

from bzredis.streams import RATINGS


def test_newest_change_first(bridge: Bridge, look: Look) -> None:
    found = look("board", "--text").splitlines()
    symbols = [line.split()[0] for line in found]
    assert symbols[:3] == ["NVDA", "MSFT", "AAPL"]
    assert {*symbols} == {"NVDA", "MSFT", "AAPL", "XOM", "TSX:SHOP"}
    [line] = [line for line in found if line.startswith("AAPL")]
    assert " ".join(line.split()) == (
        "AAPL up Evercore ISI Group In-Line → Outperform 217.00 → 267.00 12:32"
    )
    bridge.go_on()
    assert look("board", "--text", "-n", "1").startswith("XOM  up  Barclays")


def test_on_a_terminal_every_line_fits(bridge: Bridge, peer: Peer, look: Look) -> None:
    for width in (40, WIDTH, 140):
        shown = lines(look.shown("board", "--text", width=width))
        assert len(shown) == 6
        assert max(map(cell_len, shown)) <= width
        assert shown[0].startswith("symbol")
    assert shown[0].endswith(" CET")
    [msft] = [line for line in shown if line.startswith("MSFT")]
    assert msft.split()[1] == "▲"


def test_csv(bridge: Bridge, peer: Peer, look: Look) -> None:
    done = look.process("board", "--csv")
    assert not done.returncode
    text = done.stdout.decode()
    assert text.count("\r\n") == text.count("\n") == 6
    rows = [*csv.DictReader(io.StringIO(text, newline=""))]
    [apple] = [row for row in rows if row["symbol"] == "AAPL"]
    assert apple["pt"] == "267.00"
    assert apple["direction"] == "up"
    assert apple["published_utc"].endswith(" 11:32:00")
    [exxon] = [row for row in rows if row["symbol"] == "XOM"]
    assert exxon["pt_change_pct"] == "-12.59"
    [nvidia] = [row for row in rows if row["symbol"] == "NVDA"]
    assert nvidia["analyst"] == "Atif Malik"


def test_csv_of_odd_text(peer: Peer, look: Look) -> None:
    odd = 'a "quoted", firm\nof two lines'
    peer.one(rating(analyst=odd, rating_current="=1+1", pt_current="n/a"))
    done = look("board", "--csv")
    [row] = csv.DictReader(io.StringIO(done, newline=""))
    assert (row["firm"], row["rating"], row["pt"]) == (odd, "'=1+1", "n/a")
    assert row["rating_prior"] == ""


def test_json(bridge: Bridge, peer: Peer, look: Look) -> None:
    found = json.loads(look("board", "--json", "--count", "2"))
    assert found == [
        peer.hash("ratings:latest:NVDA"),
        peer.hash("ratings:latest:MSFT"),
    ]


def test_nothing_yet(peer: Peer, look: Look) -> None:
    done = look.run("board", "--text")
    assert (done.exit_code, done.stdout) == (0, "")
    at = peer.server.url
    assert done.stderr == f"bzredis: no symbol is here yet, under bz in {at}\n"
    assert look("board", "--csv").startswith("symbol,published_utc,firm,")
    assert look("board", "--json") == "[]\n"


def test_another_prefix(peer: Peer, look: Look) -> None:
    peer.one(rating(), store=peer.store(prefix="demo"))
    assert look("board", "--text", "--prefix", "demo").startswith("AAPL")


def test_both_forms_at_once(look: Look) -> None:
    done = look.run("board", "--csv", "--json")
    assert done.exit_code == 2
    assert done.stderr == "bzredis: --csv and --json: only one can be meant\n"


def test_who_has_read_enough_is_no_trouble(peer: Peer, look: Look) -> None:
    peer.apply(RATINGS, *(rating(f"r{n}", symbol=f"S{n}") for n in range(1_500)))
    program = '("$@"; echo $? >&2) | head -n 1'
    done = subprocess.run(
        ["/bin/sh", "-c", program, "sh", *look.command("board", "--text")],
        env=look.surroundings(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == "0\n"
    assert done.stdout.startswith("S")


def test_a_disk_that_is_full(bridge: Bridge, look: Look) -> None:
    if not os.path.exists("/dev/full"):  # noqa: PTH110
        return
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = look.process("board", "--text", stdout=full.fileno())
    assert done.returncode == 2
    assert done.stderr == (
        b"bzredis: cannot write to standard output: No space left on device\n"
    )
