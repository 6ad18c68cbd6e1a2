"""`bzredis get`, as a process and on a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from commands.looks.conftest import WIDTH, Look
from consumers.week import Bridge
from jsonschema import Draft202012Validator
from rich.cells import cell_len
from store.servers import Peer, consensus, deleted, message, rating

from bzredis.contract.schemas import schemas
from bzredis.streams import CONSENSUS, INSIGHTS

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PROSE = "".join(
    f"## Part {n}\n- **Margins** hold: 利益率 📈, and more is to come of that.\n"
    f"- A line of some length that has to be broken where the terminal ends, {n}.\n"
    for n in range(30)
)


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in COLOUR.sub("", text).splitlines()]


def insight(text: str, **more: Any) -> str:
    content = {
        "id": "i1",
        "analyst_insights": text,
        "firm": "Example Securities",
        "security": {"symbol": "AAPL"},
        "date": "2024-10-04",
        **more,
    }
    return message("i1", content, action="created", at=5)


def test_all_that_is_known_of_a_symbol(bridge: Bridge, look: Look) -> None:
    text = look("get", "aapl")
    assert text.startswith("AAPL  Apple · NASDAQ · USD  fresh\n")
    for words in (
        "up Evercore ISI Group Upgrades · In-Line → Outperform",
        "target 217.00 → 267.00 (+23.04 %)",
        "Amit Daryanani · importance 4",
        "up BUY 3.68 (was 3.55)",
        "target 274.25 → 278.4 · 180 to 350",
        "10 strong buy, 15 buy, 8 hold, 1 sell",
        "28 analysts",
        "Insight  Evercore ISI Group",
        "- The next cycle is not in the price.",
    ):
        assert words in text
    firms = re.findall(r"^(up|down|same) +(\S.*?)  ", text, re.MULTILINE)
    assert firms == [
        ("up", "Evercore ISI Group"),
        ("down", "Jefferies"),
        ("same", "Barclays"),
    ]
    assert " CET" in text
    assert "\x1b" not in text
    assert not re.search(r" $", text, re.MULTILINE)


def test_on_a_terminal_it_has_colours_and_signs(bridge: Bridge, look: Look) -> None:
    text = look.shown("get", "AAPL")
    assert "\x1b[32m▲" in text
    assert "\x1b[31m▼" in text
    shown = lines(text)
    assert shown[0].endswith("● fresh")
    assert max(map(cell_len, shown)) <= WIDTH
    assert any(line.startswith("▲  Evercore ISI Group  In-Line") for line in shown)
    assert '  · Services grow — "margins" hold: resilient.' in shown


@pytest.mark.parametrize("name", ["NO_COLOR", "TERM"])
def test_no_colour_where_none_is_wanted(bridge: Bridge, look: Look, name: str) -> None:
    text = look.shown("get", "AAPL", environ={name: "dumb"})
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", text)
    assert "▲" in text


def test_json_is_what_stands_in_redis(bridge: Bridge, peer: Peer, look: Look) -> None:
    found = json.loads(look("get", "AAPL", "msft", "--json"))
    assert [*found] == ["AAPL", "MSFT"]
    apple = found["AAPL"]
    assert apple["fresh"] == {"ratings": True, "insights": True, "consensus": True}
    assert apple["rating"] == peer.hash("ratings:latest:AAPL")
    assert apple["insight"] == peer.hash("insights:latest:AAPL")
    assert apple["consensus"] == peer.hash("consensus:latest:AAPL")
    assert apple["rating"]["pt_current"] == "267.00"
    assert [one["_firm"] for one in apple["opinions"]] == [
        "Evercore ISI Group",
        "Jefferies",
        "Barclays",
    ]
    assert "insight" not in found["MSFT"]
    for part in ("rating", "insight", "consensus"):
        name = {"consensus": part}.get(part, f"{part}s")
        schema = {**schemas(), "$ref": f"#/$defs/{name}-latest"}
        Draft202012Validator(schema).validate(apple[part])


@pytest.mark.parametrize(
    ("symbol", "near"),
    [("SHOP", "TSX:SHOP"), ("APPL", "AAPL"), ("NASDAQ:AAPL", "AAPL"), ("MS", "MSFT")],
)
def test_a_symbol_that_is_not_there(
    bridge: Bridge, look: Look, symbol: str, near: str
) -> None:
    done = look.run("get", symbol)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"bzredis: there is nothing about {symbol}; ")
    assert done.stderr.count("\n") == 1
    assert near in done.stderr


def test_one_of_several_that_is_not_there(bridge: Bridge, look: Look) -> None:
    done = look.run("get", "XOM", "NONE", "--json")
    assert done.exit_code == 1
    assert [*json.loads(done.stdout)] == ["XOM"]
    assert done.stderr == "bzredis: there is nothing about NONE; nor anything near\n"


def test_where_nothing_is_at_all(peer: Peer, look: Look) -> None:
    done = look.run("get", "AAPL")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no symbol is here yet, under bz in redis://" in done.stderr
    assert look.run("get", "AAPL", "--json").stdout == "{}\n"


def test_what_is_absent_leaves_no_trace(peer: Peer, look: Look) -> None:
    peer.one(rating(symbol="BARE"))
    text = look("get", "BARE")
    assert "None" not in text
    assert text.count("(no firm named)") == 2
    peer.one(deleted())
    assert look.run("get", "BARE").exit_code == 1


def test_a_consensus_alone(peer: Peer, look: Look) -> None:
    peer.one(consensus(), CONSENSUS)
    text = look("get", "AAPL")
    assert "Consensus  BUY 3.5\n           target 200.50\n" in text


def test_a_computed_target_has_two_decimals(peer: Peer, look: Look) -> None:
    peer.one(consensus(consensus_price_target=293.69192307692305), CONSENSUS)
    assert "target 293.69\n" in look("get", "AAPL")


def test_a_long_text_is_cut_for_who_looks(peer: Peer, look: Look) -> None:
    assert len(PROSE.encode()) > 3_000
    peer.one(insight(PROSE), INSIGHTS)
    assert PROSE.strip() in look("get", "AAPL")
    shown = lines(look.shown("get", "AAPL"))
    assert len(shown) < 24
    assert shown[-1].endswith(" more lines with --whole")
    whole = lines(look.shown("get", "AAPL", "--whole"))
    assert max(map(cell_len, whole)) <= WIDTH
    assert "  Part 29" in whole
    assert "2024-10-04" in " ".join(whole), "of the time of day nothing is known"


def test_wide_letters_and_long_names(peer: Peer, look: Look) -> None:
    wide: dict[str, Any] = {
        "analyst": "野村證券 Nomura Securities International Incorporated"
    }
    wide |= {"rating_prior": "買い " * 9, "rating_current": "売り " * 9}
    peer.one(rating(symbol="TSE:7203", name="トヨタ自動車", pt_current="3100", **wide))
    for width in (40, 80, 140):
        shown = lines(look.shown("get", "TSE:7203", width=width))
        assert max(map(cell_len, shown)) <= width
    assert "トヨタ自動車" in shown[0]


def test_what_a_terminal_would_obey_is_taken_out(peer: Peer, look: Look) -> None:
    evil = "Evil\x1b]0;title\x07\x1b[2J\u202eFirm [bold red]x[/]"
    peer.one(rating(analyst=evil, notes=evil))
    peer.one(insight(evil), INSIGHTS)
    for text in (look.shown("get", "AAPL"), look("get", "AAPL")):
        assert "[bold red]x[/]" in text
        assert "Evil]0;title[2JFirm" in text
        for bad in ("\x1b]", "\x1b[2J", "\x07", "\u202e"):
            assert bad not in text


def test_since_when_it_is_not_fresh_and_why(
    bridge: Bridge, say: Callable[..., None], look: Look
) -> None:
    bridge.say("connected", "disconnected")
    say("apart", state="retrying", since="2026-01-02T03:04:05Z", error="no route")
    head, told = look("get", "AAPL").splitlines()[:2]
    assert head.endswith("  not fresh")
    assert (
        "ratings: the bridge said last: no connection to upstream since 2 Jan" in told
    )
    assert "04:04 CET" in told
    assert "no route" in told


def test_a_locale_without_our_letters(bridge: Bridge, look: Look) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    text = look.shown("get", "AAPL", environ=plain)
    assert "\\u" not in text.replace("\\u2014", "")
    assert "In-Line -> Outperform" in text
    found = look.process("get", "AAPL", "--json", environ=plain).stdout
    assert json.loads(found) == json.loads(look("get", "AAPL", "--json"))


def test_a_redis_that_is_not_there(look: Look) -> None:
    for command in (["get", "X"], ["status"], ["board", "--text"], ["board", "--csv"]):
        done = look.run(
            *command, environ={"BZREDIS_REDIS": "redis://:s3cr3t@127.0.0.1:1/0"}
        )
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.startswith("bzredis: cannot reach Redis: ")
        assert "redis://***@127.0.0.1:1/0" in done.stderr
        assert "s3cr3t" not in done.stderr
        assert done.stderr.count("\n") == 1


def test_nodes_of_a_cluster_of_which_one_is_gone(bridge: Bridge, look: Look) -> None:
    both = f"redis://127.0.0.1:1,{look.url}"
    assert look("board", "--text", environ={"BZREDIS_REDIS": both})


def test_an_error_is_broken_between_words_where_the_terminal_ends(look: Look) -> None:
    asked = ("get", "--config", f"/{'nowhere/' * 6}x.toml", "AAPL")
    said = look.shown(*asked, code=2)
    assert len(said.splitlines()) > 1
    assert max(map(len, said.splitlines())) <= WIDTH
    assert said.split() == look.run(*asked).stderr.split()
