"""What a person reads on a terminal, of 80 columns as a rule."""

from __future__ import annotations

import os
import pty
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bzredis.commands.running.people import ForPeople, line

NOW = "2026-01-02T23:30:00.123456Z"


@pytest.fixture(autouse=True)
def _zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def said(event: str, level: str = "info", **more: Any) -> dict[str, Any]:
    known = {"timestamp": NOW, "level": level, "logger": "bzredis.bridge.bridge"}
    return {"event": event, **known, **more}


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (said("stopping", waiting=0), "stopping"),
        (said("stopping", waiting=1234), "stopping (1,234 waiting)"),
        (said("it", "warning", error="why"), "warning: it: why"),
        (said("it", "error", error="", lost=None), "error: it"),
        (said("back", seconds=7_300, waited=12), "back (after 2 hours, 12 waited)"),
        (said("back", streams=["a", "b"], times=3), "back (a, b, 3 times)"),
        (said("x", stream="a", version="0.1"), "x (a, version 0.1)"),
        (
            said("x", since="2020-07-04T12:00:00.000Z"),
            "x (since 4 Jul 2020 14:00 CEST)",
        ),
    ],
)
def test_times_are_of_here_and_what_is_none_is_left_out(
    event: dict[str, Any], words: str
) -> None:
    assert line(event) == f"2026-01-03 00:30:00 CET {words}"


def test_a_long_line_is_broken_between_words_where_the_terminal_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    ours, theirs = pty.openpty()
    try:
        with os.fdopen(theirs, "w") as terminal:
            for width in (80, 50):
                termios_size(theirs, width)
                event = said("trouble " * 20, "warning", error="\x1b[31m" + "x" * 30)
                text = ForPeople(str, terminal)(None, "", event)
                lines = text.splitlines()
                assert all(len(each) <= width for each in lines)
                assert all(each.startswith("  trouble") for each in lines[1:-1])
                assert "\x1b" not in text
    finally:
        os.close(ours)


def termios_size(fd: int, columns: int) -> None:
    termios = pytest.importorskip("termios")
    termios.tcsetwinsize(fd, (24, columns))


def test_only_the_level_has_a_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    with Path(os.devnull).open("w", encoding="utf-8") as terminal:
        show = ForPeople(str, terminal)
        assert "\x1b" not in show(None, "", said("it"))
        text = show(None, "", said("it", "error", exception="Traceback"))
    assert text.endswith("\x1b[0m it\nTraceback")
