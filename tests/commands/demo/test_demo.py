"""`bzredis demo` on a terminal, and through a pipe."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from commands.looks.conftest import LIMIT, WIDTH, Look, Terminal
from commands.looks.test_get import COLOUR
from hurt import LOOK, Stopwatch
from redis import Redis

from bzredis.commands.demo.board import ENDS
from bzredis.commands.demo.told import MADE_UP
from bzredis.commands.running.called import CALLED

LEFT = "\x1b[?1049l"  # the screen
LIVE = re.compile(r"\n\d\d:\d\d:\d\d  [A-Z:.]+ +\w")  # a change, as it came
COMMANDS = ("scripts/bridge watch AAPL --redis", "scripts/bridge get AAPL --redis")


@pytest.fixture
def look(tmp_path: Path) -> Look:
    home = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), CALLED: "scripts/bridge"}
    return Look("redis://127.0.0.1:1", {**os.environ, **home})


@contextmanager
def demo(look: Look, *words: str, **environ: str) -> Iterator[Terminal]:
    """Run it on a terminal; afterwards nothing is left of it."""
    terminal = look.terminal("demo", *words, environ=environ)
    with closing(terminal):
        yield terminal
    folder = Path(look.environ["TMPDIR"])
    assert not list(folder.glob("bzredis-demo-*"))


def frames(text: str) -> list[str]:
    """Return what was drawn, each time."""
    drawn = COLOUR.sub("", text).split("\x1b[H")[1:]
    return [each for each in drawn if ENDS in each]  # the last is in the middle


def wide(frame: str) -> int:
    return max(map(len, frame.splitlines()))


def test_the_instructions_stand_below_the_board_all_the_time(look: Look) -> None:
    with demo(look, "--board") as terminal:
        shown = terminal.until(lambda text: text.count("● fresh") >= 9)
        assert "\x1b[?1049h" in shown
        assert re.search(r"\x1b\[[0-9;]*3[0-9]m", shown), "colours"
        terminal.resize(100, 30)
        # What was drawn before, and not read yet, is narrower.
        resized = terminal.until(
            lambda text: any(wide(f) > WIDTH for f in frames(text))
        )
        assert wide(frames(resized)[-1]) == 100
        for each in frames(shown):
            assert MADE_UP in each
            assert all(command in each for command in COMMANDS)
            assert wide(each) <= WIDTH
            assert re.search(rf"{ENDS} · [\d,]+ messages, [\d,]+ of them news", each)
        [url] = {*re.findall(r"In the browser: (http://127\.0\.0\.1:\d+/)", shown)}
        assert 'class="symbol"' in httpx.get(url, timeout=LIMIT).text
        terminal.type("q")
        assert terminal.ended() == 0
        assert termios.tcgetattr(terminal.fd) == terminal.before
    told = terminal.text.rpartition(LEFT)[2]
    assert "What came to Redis in " in told
    assert "were news" in told
    assert all(command in told.partition("What came")[2] for command in COMMANDS)
    assert "Traceback" not in told


def test_without_colours_while_its_redis_hangs(look: Look) -> None:
    """What is logged of that stands on the board, and once more after it."""
    with demo(look, NO_COLOR="1") as terminal:
        shown = terminal.until(lambda text: text.count("● fresh") >= 3)
        assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", shown)
        port = re.findall(r"redis://127\.0\.0\.1:(\d+)", shown)[0]
        with Redis(port=int(port)) as redis:
            pid = redis.info("server")["process_id"]
        os.kill(pid, signal.SIGSTOP)
        away = terminal.until(
            lambda text: "Redis is away" in text and "warning" in text
        )
        os.kill(pid, signal.SIGCONT)
        for each in frames(away):
            assert all(command in each for command in COMMANDS)
        terminal.until(lambda text: "● fresh" in text)
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.ended() == 0
    told = terminal.text.rpartition(LEFT)[2]
    logged, _, summed = told.partition("What came to Redis in ")
    assert "Redis" in logged
    assert all(command in summed for command in COMMANDS)


def test_a_terminal_that_takes_nothing_holds_up_nothing(look: Look) -> None:
    """It is paused, and yet ends in time."""
    with demo(look) as terminal:
        terminal.until(lambda text: "● fresh" in text)
        terminal.type("\x13")  # Ctrl-S
        time.sleep(3)  # it has more to draw
        watch = Stopwatch(terminal.process)
        terminal.process.send_signal(signal.SIGTERM)
        deadline = watch.began + LIMIT
        while watch.goes_on():
            assert time.monotonic() < deadline
            time.sleep(LOOK)
        assert watch.seconds() < 5
        assert terminal.ended() == 0


def test_on_a_terminal_that_cannot_be_filled_it_writes_lines(look: Look) -> None:
    terminal = look.terminal("demo", environ={"TERM": "dumb"})
    with closing(terminal):
        said = terminal.until(is_followed)
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.ended() == 0, terminal.text
    assert "\x1b" not in said + terminal.text
    lines_in_order(said + terminal.text)


def test_through_a_pipe_it_writes_lines(look: Look) -> None:
    with subprocess.Popen(
        look.command("demo"),
        env=look.surroundings(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        said = ""
        while not is_followed(said):
            line = process.stdout.readline()
            assert line, said
            said += line
        process.send_signal(signal.SIGTERM)
        rest, complaints = process.communicate(timeout=LIMIT)
    assert (process.returncode, complaints) == (0, "")
    lines_in_order(said + rest)


def test_after_the_time_that_was_told_it_ends(look: Look) -> None:
    done = look.process("demo", "--seconds", "2")
    assert done.returncode == 0, done.stderr
    assert b"\nWhat came to Redis in " in done.stdout


def is_followed(text: str) -> bool:
    """Tell whether it has written of what came since it said how to look at it."""
    return bool(LIVE.search(text.partition("Ctrl-C ends")[2]))


def lines_in_order(text: str) -> None:
    """See that all is there: who it is, what was, how to look, what came, and again."""
    parts = (
        *(MADE_UP, "It goes to redis://127.0.0.1:"),
        *(r"(ratings|insights|consensus) +news about \d+ symbols: \d+ replayed",) * 3,
        *("from another terminal:", *COMMANDS, "Ctrl-C ends"),
        LIVE.pattern,
        *(r"What came to Redis in \d+ (second|minute)s?: ", "starts it again"),
        *COMMANDS,
    )
    assert re.search(".*?".join(parts), text, re.DOTALL), text
    live = re.findall(r"^\d\d:\d\d:\d\d  .*$", text, re.MULTILINE)
    assert 0 < len(live) < 40, "as many as one can follow"
    assert [each for each in text.splitlines() if len(each) > WIDTH] == []


def test_who_has_read_enough_ends_it(look: Look) -> None:
    program = '("$@"; echo $? >&2) | head -n 1'
    done = subprocess.run(
        ["/bin/sh", "-c", program, "sh", *look.command("demo")],
        env=look.surroundings(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.stderr == b"0\n"
