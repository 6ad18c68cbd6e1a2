from __future__ import annotations

import gc
import io
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

import pytest
import structlog

from bzredis.commands import logs
from bzredis.commands.demo.board import log_kept
from bzredis.commands.logs import add_secret, configure_logs, redact
from bzredis.commands.running import people
from bzredis.settings.config import Config
from bzredis.upstream import rest, websocket  # noqa: F401 - they quieten their libraries

TOKEN = "t0ken-0123456789"
TALKATIVE = ("trio-websocket", "httpx", "httpcore")
PASSWORD = 'pa/ss"wörd @\\1'


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put back everything that `configure_logs` changes for the whole process."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    with warnings.catch_warnings():
        yield
        logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    root.setLevel(level)
    root.handlers[:] = handlers
    vars(logs._Secrets)["__init__"](logs._secrets)


@pytest.fixture
def stream() -> io.StringIO:
    found = io.StringIO()
    configure_logs("debug", [TOKEN, PASSWORD], found)
    return found


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_an_object_with_utc_time_level_and_name(stream: io.StringIO) -> None:
    structlog.get_logger("bzredis.upstream.websocket").info(
        "connected", stream="ratings"
    )
    [line] = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "connected",
        "stream": "ratings",
        "level": "info",
        "logger": "bzredis.upstream.websocket",
    }


def test_on_a_terminal_people_read_it() -> None:
    terminal = Terminal()
    configure_logs("info", [TOKEN], terminal)
    structlog.get_logger("x").warning("feed lost", url=f"wss://h?token={TOKEN}")
    structlog.get_logger("x").error("failed", exc_info=ValueError(TOKEN))
    shown = terminal.getvalue()
    assert "feed lost" in shown
    assert "ValueError: ***" in shown
    assert TOKEN not in shown
    assert not shown.startswith("{")


def test_a_secret_is_not_broken_in_two_where_a_line_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(people, "columns", lambda _: 40)
    terminal = Terminal()
    secret = "correct horse battery staple"
    configure_logs("info", [secret], terminal)
    structlog.get_logger("x").warning("no way in", error=f"it is not {secret} any more")
    for part in secret.split():
        assert part not in terminal.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        PASSWORD,
        quote(PASSWORD),
        quote(PASSWORD, safe=""),
        quote(PASSWORD, safe="").lower(),
        repr(PASSWORD),
        repr(PASSWORD.encode()),
        json.dumps(PASSWORD),
        f"wss://host/path?token={TOKEN}&tickers=A",
        json.dumps({"a": [TOKEN]}),
    ],
)
def test_no_form_of_a_secret_gets_through(stream: io.StringIO, text: str) -> None:
    log = structlog.get_logger("x")
    log.info("text %s", text)
    log.info(text, key={"nested": [text, text.encode()]})
    logging.getLogger("library").warning("%s and %r", text, text)
    said = stream.getvalue()
    assert len(lines(stream)) == 3
    assert TOKEN not in said
    for part in ("pa/ss", "pa%2Fss", "pa%2fss", "rd @"):
        assert part not in said


def test_a_secret_may_come_already_encoded() -> None:
    add_secret("p%2Fass%40")
    assert redact("p/ass@ p%2Fass%40 p%2fass%40") == "*** *** ***"


def test_a_secret_may_be_bytes_that_are_no_utf8() -> None:
    secret = os.fsdecode(b"caf\xe9")
    add_secret(secret)
    assert redact(f"{secret} caf%E9") == "*** ***"


def test_a_secret_that_came_later_is_hidden_too(stream: io.StringIO) -> None:
    add_secret("rotated")
    structlog.get_logger("x").info("now rotated")
    assert lines(stream)[0]["event"] == "now ***"


def test_what_is_too_short_for_a_secret_does_not_hide_the_log() -> None:
    add_secret("a")
    add_secret("   ")
    assert redact("a banana   ") == "a banana   "


def test_tracebacks_are_redacted(stream: io.StringIO) -> None:
    group = ExceptionGroup(TOKEN, [ValueError(f"bad {TOKEN}"), OSError(PASSWORD)])
    logging.getLogger("library").error("failed with %s", TOKEN, exc_info=group)
    structlog.get_logger("x").error("failed", exc_info=group)
    for line in lines(stream):
        assert "ValueError: bad ***" in line["exception"]
        assert TOKEN not in str(line)
        assert "rd @" not in str(line)


def test_the_level_holds_for_all() -> None:
    stream = io.StringIO()
    configure_logs("warning", [], stream)
    structlog.get_logger("x").info("quiet")
    logging.getLogger("library").info("quiet")
    structlog.get_logger("x").warning("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


@pytest.mark.parametrize("name", TALKATIVE)
def test_libraries_that_log_urls_are_quiet_below_warning(
    stream: io.StringIO, name: str
) -> None:
    log = logging.getLogger(name)
    log.debug("GET /?token=...")
    log.info("GET /?token=...")
    log.warning("trouble")
    assert [line["event"] for line in lines(stream)] == ["trouble"]


def test_warnings_are_logged(stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn(f"old {TOKEN}", stacklevel=1)
    [line] = lines(stream)
    assert line["logger"] == "py.warnings"
    assert "old ***" in line["event"]


def test_configuring_again_replaces(stream: io.StringIO) -> None:
    second = io.StringIO()
    configure_logs("info", [], second)
    structlog.get_logger("x").info("once")
    assert not stream.getvalue()
    assert len(lines(second)) == 1


def test_a_message_that_cannot_be_formatted_is_not_repeated(
    stream: io.StringIO,
) -> None:
    root = logging.getLogger()  # without pytest's own handlers, which raise
    root.handlers[:] = [
        each for each in root.handlers if isinstance(each, logs._Handler)
    ]
    logging.getLogger("library").warning("%d", TOKEN)
    assert "of library could not be logged: TypeError" in stream.getvalue()
    assert TOKEN not in stream.getvalue()


def test_a_reader_who_left_stops_nothing() -> None:
    stream = io.StringIO()
    configure_logs("info", [], stream)
    stream.close()
    structlog.get_logger("x").info("unheard")
    sys.excepthook(ValueError, ValueError(), None)


def test_an_uncaught_bug_is_printed_in_full_but_its_secrets(
    stream: io.StringIO,
) -> None:
    bug = ExceptionGroup("nursery", [ValueError(f"at wss://h?token={TOKEN}")])
    sys.excepthook(ExceptionGroup, bug, None)
    assert "ValueError: at wss://h?token=***" in stream.getvalue()


def test_so_it_is_in_a_thread(stream: io.StringIO) -> None:
    def fail(error: BaseException) -> None:
        raise error

    for error in (ValueError(TOKEN), SystemExit(3)):
        thread = threading.Thread(target=fail, args=(error,), name="worker")
        thread.start()
        thread.join()
    assert stream.getvalue().count("Exception in thread worker") == 1
    assert "ValueError: ***" in stream.getvalue()


def test_so_it_is_where_it_cannot_be_raised(stream: io.StringIO) -> None:
    class Closing:
        def __del__(self) -> None:
            raise ValueError(TOKEN)

    Closing()
    gc.collect()
    assert "ValueError: ***" in stream.getvalue()


def test_a_whole_process_keeps_it() -> None:
    program = (
        "from bzredis.commands.logs import configure_logs\n"
        "import sys\n"
        "configure_logs('debug', [sys.argv[1]])\n"
        "raise RuntimeError('token ' + sys.argv[1])\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, TOKEN],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "RuntimeError: token ***" in ended.stderr
    assert TOKEN not in ended.stderr


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TextIO]:
    """Give a stream of which systemd would say that it leads to the journal."""
    with (tmp_path / "journal").open("w+") as stream:
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        yield stream


def written(stream: TextIO) -> list[str]:
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logs._Handler):
            handler.outlet.flush(60)
    return Path(stream.name).read_text().splitlines()


LEVELS = [("debug", 7), ("info", 6), ("warning", 4), ("error", 3), ("critical", 2)]


@pytest.mark.parametrize(("level", "number"), LEVELS)
def test_the_journal_is_told_the_level_and_not_the_time(
    journal: TextIO, level: str, number: int
) -> None:
    configure_logs("debug", [TOKEN], journal)
    getattr(structlog.get_logger("x"), level)("said", url=f"wss://h?token={TOKEN}")
    [line] = written(journal)
    word = f"{level}: " if number < 6 else ""
    assert line.startswith(f"<{number}>{word}said"), "it has a time"
    assert "***" in line
    assert TOKEN not in line
    assert "\x1b" not in line


def test_each_line_of_a_traceback_tells_the_journal_its_level(journal: TextIO) -> None:
    configure_logs("info", [TOKEN], journal)
    structlog.get_logger("x").error("failed", exc_info=ValueError(TOKEN))
    sys.excepthook(ValueError, ValueError(TOKEN), None)
    told = written(journal)
    assert [line[:3] for line in told] == ["<3>", "<3>", "<2>"]
    assert told[1:] == ["<3>ValueError: ***", "<2>ValueError: ***"]


def test_another_stream_than_the_journals_is_as_ever(
    journal: TextIO, stream: io.StringIO, tmp_path: Path
) -> None:
    """It stands in the environment of all that the service starts."""
    with (tmp_path / "other").open("w+") as other:
        configure_logs("info", [], other)
        structlog.get_logger("x").info("said")
        [line] = written(other)
    assert json.loads(line)["event"] == "said"


@pytest.mark.parametrize("kind", ["journal", "terminal", "else"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_what_was_asked_for_goes_before_what_would_be_guessed(
    journal: TextIO, kind: str, form: str
) -> None:
    stream = {"journal": journal, "terminal": Terminal(), "else": io.StringIO()}[kind]
    configure_logs("info", [], stream, form=form)
    structlog.get_logger("x").warning("said")
    [line] = (
        stream.getvalue().splitlines()
        if isinstance(stream, io.StringIO)
        else written(stream)
    )
    assert line.startswith("<4>") == (kind == "journal")
    assert ("\x1b" in line) == (kind == "terminal" and form == "text")
    assert line.removeprefix("<4>").startswith("{") == (form == "json")
    is_told = str(datetime.now(UTC).year) in line
    assert is_told == (form == "json" or kind != "journal"), "when"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_demos_log_waits_only_where_it_would_spoil_the_board(
    monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool
) -> None:
    found = io.StringIO()
    monkeypatch.setattr(found, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "stderr", found)
    configure_logs("warning", ())
    with log_kept(Config(log_level="warning")) as kept:
        structlog.get_logger("here").warning("a trouble")
        assert ("a trouble" in kept.newest) == is_terminal
        assert ("a trouble" in found.getvalue()) != is_terminal
    assert found.getvalue().count("a trouble") == 1
