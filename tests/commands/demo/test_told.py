"""What the demo tells in words."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from store.servers import consensus, pack, rating

from bzredis.changes.kinds import Heard
from bzredis.commands.demo import lines
from bzredis.commands.demo.told import Place, Tally, filled, folded
from bzredis.commands.looks.drawn.pen import Pen
from bzredis.commands.running.called import CALLED, program
from bzredis.reader import Entry, Gap
from bzredis.settings.addresses import redis_urls
from bzredis.settings.config import Config
from bzredis.streams import CONSENSUS, RATINGS

OWN = "redis://127.0.0.1:6399/0"
Has = Callable[..., None]


@pytest.fixture
def has(monkeypatch: pytest.MonkeyPatch) -> Has:
    """Have only these programs on the path."""

    def only(*names: str) -> None:
        found = {name: f"/bin/{name}" for name in names}
        monkeypatch.setattr(shutil, "which", found.get)

    return only


@pytest.fixture(autouse=True)
def called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CALLED, "scripts/bridge")


def place(url: str = OWN, port: int = 6399, prefix: str = "bz") -> Place:
    return Place(Config(redis=redis_urls(url), prefix=prefix), port)


# ---- what can be copied


def test_on_its_own_server(has: Has) -> None:
    has("redis-cli", "valkey-cli")
    assert place().commands() == [
        "redis-cli -p 6399 HGETALL bz:ratings:latest:AAPL",
        f"scripts/bridge watch AAPL --redis {OWN}",
        f"scripts/bridge get AAPL --redis {OWN}",
    ]


def test_of_streams_that_are_named(has: Has) -> None:
    has("redis-cli")
    found = attrs.evolve(place(), config=attrs.evolve(place().config, streams=("a",)))
    assert found.commands() == [
        "redis-cli -p 6399 HGETALL bz:a:latest:AAPL",
        f"scripts/bridge watch AAPL --stream a --redis {OWN}",
        f"scripts/bridge get AAPL --stream a --redis {OWN}",
    ]


@pytest.mark.parametrize(
    ("url", "command"),
    [
        (OWN, f"valkey-cli -u {OWN} HGETALL demo:ratings:latest:AAPL"),
        ("unix:///run/r.sock", "valkey-cli -s /run/r.sock HGETALL demo:ratings:"),
        ("redis+sentinel://h:1/m/0", ""),
        ("redis://u:s3cr3t@h/0", ""),
    ],
)
def test_in_somebodys_redis(has: Has, url: str, command: str) -> None:
    has("valkey-cli")
    found = place(url, 0, "demo").commands()
    assert "s3cr3t" not in " ".join(found)
    if command:
        assert found.pop(0).startswith(command)
    to = "" if "s3cr3t" in url else f"--redis {url} "
    assert found == [
        f"scripts/bridge {word} AAPL {to}--prefix demo" for word in ("watch", "get")
    ]


def test_without_a_client_of_redis_there_is_ours(has: Has) -> None:
    has()
    assert [each.split()[1] for each in place().commands()] == ["watch", "get"]


@pytest.mark.parametrize(
    ("found", "meant"),
    [
        (("./bridge", "/x/bzredis/__main__.py", ["bzredis"]), ["./bridge"]),
        (("", "/x/bin/bzredis", ["bzredis"]), ["bzredis"]),
        (("", "/x/bin/bzredis", []), ["/x/bin/bzredis"]),
        (("", "/x/bzredis/__main__.py", []), [sys.executable, "-m", "bzredis"]),
        (("", "/x/pytest", []), ["bzredis"]),
    ],
)
def test_what_is_typed_works_from_here(
    has: Has,
    monkeypatch: pytest.MonkeyPatch,
    found: tuple[str, str, list[str]],
    meant: list[str],
) -> None:
    environ, typed, on_path = found
    has(*on_path)
    monkeypatch.setenv(CALLED, environ)
    monkeypatch.setattr(sys, "argv", [typed])
    assert program() == meant


def test_the_script_says_how_it_was_called() -> None:
    script = Path(__file__).parents[3] / "scripts" / "bridge"
    assert f'export {CALLED}="$0"' in script.read_text()


def test_what_does_not_fit_is_folded_as_a_shell_takes_it() -> None:
    command = "/opt/bzredis/bin/bzredis get AAPL --redis redis://127.0.0.1:6399/0"
    assert folded(command, 80) == [f"  {command}"]
    lines = folded(command, 60)
    assert lines == [
        "  /opt/bzredis/bin/bzredis get AAPL --redis \\",
        "    redis://127.0.0.1:6399/0",
    ]
    as_shells_do = "\n".join(lines).replace("\\\n", "")
    assert shlex.split(as_shells_do) == shlex.split(command)
    assert folded("'a b' get AAPL", 10) == ["  'a b' get AAPL"]


# ---- what came


@pytest.fixture
def tally() -> Tally:
    """Return one that was told of five ratings, three of them news."""
    found = Tally()
    for result in ("latest", "record", "none", "duplicate envelope", "refused: no"):
        [packed] = pack(RATINGS, [rating()], "replay")
        found.came(RATINGS, packed, result)
    found.came(RATINGS, Heard(1, 1).pack(), "heard")
    [packed] = pack(CONSENSUS, [consensus()], "replay")
    found.came(CONSENSUS, packed, "unattributed")
    found.told(
        [entry(symbol="AAPL"), entry(symbol="X"), Gap(stream="ratings", id="1-0")]
    )
    return found


def entry(**more: Any) -> Entry:
    told = {"stream": "ratings", "id": "1-0", "news": True, "symbol": "CAT"}
    return Entry(**{**told, **more})


def test_a_summary_in_words(tally: Tally) -> None:
    rest = "1 could not be used, 1 said nothing new"
    names = ["ratings", "insights", "consensus"]
    assert "\n".join(tally.summary(names, "9 seconds")) == (
        "What came to Redis in 9 seconds:"
        " 2 were news, 1 came twice, 1 without a symbol,\n"
        f"  {rest}.\n"
        f"  ratings    2 were news, 1 came twice, {rest}\n"
        "  insights   nothing came\n"
        "  consensus  1 without a symbol"
    )


def test_a_few_words_below_the_board(tally: Tally) -> None:
    came = sum(map(Counter.total, tally.results.values()))
    said = tally.short(["ratings", "insights", "consensus"])
    assert said == f"{came} messages, 2 of them news"


def test_what_was_there_in_a_line(tally: Tally) -> None:
    assert tally.caught_up("ratings") == "ratings    news about 2 symbols: 5 replayed"
    assert tally.caught_up("insights") == "insights   no news: nothing came"
    assert tally.caught_up("consensus").endswith(": 1 replayed (1 without a symbol)")


CALL: Final = {
    "firm": "Mizuho",
    "direction": "up",
    "rating": "Outperform",
    "rating_prior": "Neutral",
    "pt": Decimal(455),
    "pt_prior": Decimal(417),
}


@pytest.mark.parametrize(
    ("told", "written"),
    [
        (CALL, "CAT       Mizuho               ▲ Neutral → Outperform    417 → 455"),
        ({"action": "deleted"}, "CAT                              deleted"),
        (
            {"stream": "consensus", "shift": "down", "rating": "HOLD"},
            "CAT       all firms            ▼ HOLD",
        ),
    ],
)
def test_a_change_in_columns(told: dict[str, Any], written: str) -> None:
    time, _, line = lines.line(Pen(letters=True), entry(**told)).partition("  ")
    assert re.fullmatch(r"\d\d:\d\d:\d\d", time)
    assert line == written


def test_a_change_in_ascii() -> None:
    told = lines.line(Pen(letters=False), entry(**CALL))
    assert told.endswith("  + Neutral -> Outperform   417 -> 455")


def test_what_does_not_fit_in_columns_stands_close() -> None:
    long = {"firm": "HC Wainwright & Co.", "pt": Decimal("1417.00")}
    told = lines.line(
        Pen(letters=True), entry(**CALL | long | {"pt_prior": Decimal(1_000)})
    )
    assert len(told) <= 80
    assert "Co.  ▲ Neutral → Outperform  1000" in told


def test_words_that_do_not_fit_go_on_further_in() -> None:
    first, *others = filled(f"  ratings  {'1,000 of a kind, ' * 20}").splitlines()
    assert first.startswith("  ratings  1,000")
    assert all(each.startswith("    ") for each in others)
    assert max(map(len, [first, *others])) <= 80


def test_a_gap_is_told() -> None:
    gap = Gap(stream="ratings", id="1-0", cause="reconnect")
    assert "ratings: messages may be missing (reconnect)" in lines.line(Pen(), gap)
