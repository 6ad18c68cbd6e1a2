"""What a check comes to: its lines in order, its last line and its exit code."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bzredis.commands.looks.drawn.pen import Pen
from bzredis.commands.setup.checks.lines import (
    Finding,
    Sheet,
    State,
    code,
    merged,
    summary,
)
from bzredis.commands.setup.checks.shown import draw

OK = Finding("redis", "ok", "answers")
WARNING = Finding("disk", "warning", "little room", "make room")
ERROR = Finding("token", "error", "there is none", "write one")
SKIPPED = Finding("clock", "skipped", "not compared")


def sheet(*findings: Finding) -> Sheet:
    found = Sheet()
    for each in findings:
        found.add(each)
    return found


@pytest.mark.parametrize(
    ("findings", "expected", "words"),
    [
        ([OK, SKIPPED], 0, "All is well: start it with `run`."),
        ([OK, WARNING], 1, "1 thing to look at before `run`."),
        ([ERROR, SKIPPED], 2, "1 thing to mend before `run`."),
        ([ERROR, ERROR], 2, "2 things to mend before `run`."),
        ([OK, WARNING, ERROR], 2, "1 thing to mend before `run`, and 1 thing to look"),
    ],
)
def test_the_worst_counts(findings: list[Finding], expected: int, words: str) -> None:
    assert code(findings) == expected
    assert summary(findings, "run").startswith(words)


def test_options_that_were_given_are_given_again() -> None:
    words = summary([OK], "run", options=True)
    assert words == "All is well: start it with `run` and the same options."


def test_of_two_under_one_name_the_worse_one_stays() -> None:
    worse = Finding("redis", "error", "hangs")
    assert [*sheet(OK, worse, OK)] == [worse]
    assert [*sheet(worse, OK)] == [worse]


def test_they_stand_by_sections_whoever_came_first() -> None:
    odd = Finding("stream ratings", "ok", "lets us in")
    found = sheet(SKIPPED, odd, OK, WARNING, ERROR)
    assert [*found] == [ERROR, WARNING, OK, SKIPPED, odd]
    names = {name: len(findings) for name, findings in found.sections()}
    assert names == {"Here": 2, "Redis": 1, "Upstream": 2}


def test_what_is_skipped_for_one_reason_takes_one_line() -> None:
    a, b = (Finding(name, "skipped", "no Redis") for name in "ab")
    together = Finding("", "skipped", "a, b: no Redis")
    assert [*merged([a, OK, b, SKIPPED])] == [together, OK, SKIPPED]


def drawn(*findings: Finding, terminal: bool, letters: bool = True) -> str:
    to = io.StringIO()
    console = Console(
        file=to,
        width=60 if terminal else 10_000,
        force_terminal=terminal,
        color_system="standard",
    )
    state: State = "error"
    pen = Pen(console=console, letters=letters)
    console.print(*draw(pen, sheet(*findings), "1 thing.", state), sep="\n", end="")
    return to.getvalue()


def test_on_a_terminal_there_are_sections_signs_and_colours() -> None:
    long = Finding("token", "error", "word " * 20, "write one")
    shown = drawn(OK, WARNING, long, SKIPPED, terminal=True)
    for sign in ("\x1b[32m✓", "\x1b[33m!", "\x1b[31m✗", "\x1b[2m·"):
        assert sign in shown
    for section in ("Here", "Redis", "Upstream"):
        assert section in shown
    assert "→ make room" in shown
    plain = drawn(OK, WARNING, long, SKIPPED, terminal=True, letters=False)
    assert plain.isascii()
    lines = drawn(long, terminal=False, letters=True).splitlines()
    assert lines == [f"error   token: {('word ' * 20).strip()} → write one", "1 thing."]


def test_long_words_are_broken_beneath_themselves() -> None:
    long = Finding("token", "error", "word " * 20)
    lines = [line.rstrip() for line in drawn(long, terminal=True).splitlines()]
    words = [line for line in lines if line.endswith("word")]
    assert len(words) > 1
    assert len({line.index("word") for line in words[1:]}) == 1
    assert all(len(line) <= 60 for line in lines[1:3])
