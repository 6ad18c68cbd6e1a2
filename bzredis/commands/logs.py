"""Logs on standard error: for people on a terminal and in the journal, else as JSON.

Whatever anyone logs, a library's messages and tracebacks with it, becomes text here,
and here every known secret is taken out of that text: there is no other way out.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, TextIO, cast
from urllib.parse import quote, quote_plus, unquote

import attrs
import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import Processor

from bzredis.commands.outlet import Outlet
from bzredis.commands.running.people import ForPeople

HIDDEN = "***"
SHORTEST = 4  # characters; to take out each "a" would hide the log, and no secret

# sd-daemon(3): what systemd's journal takes from the head of a line.
PRIORITIES: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4),
                     (logging.INFO, 6), (logging.NOTSET, 7))  # fmt: skip

NESTED = 3  # a repr within JSON within a repr: no library goes further
ESCAPES: tuple[Callable[[str], str], ...] = (
    lambda text: json.dumps(text)[1:-1],
    lambda text: repr(text)[1:-1],
    lambda text: repr(text.encode(errors="replace"))[2:-1],
)


@attrs.define(repr=False)
class _Secrets:
    """What must not be seen, in each form in which it may come along."""

    _forms: set[str] = attrs.field(factory=set)
    _pattern: re.Pattern[str] | None = None

    def add(self, secret: str) -> None:
        """Take this out of everything that is logged from now on."""
        if len(secret.strip()) < SHORTEST or secret in self._forms:
            return
        self._forms.update(_forms(secret))
        longest_first = sorted(self._forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def redact(self, text: str) -> str:
        return self._pattern.sub(HIDDEN, text) if self._pattern else text


def _forms(secret: str) -> set[str]:
    """Return a secret as URLs, JSON and `repr` write it, one within another too."""
    plain = {secret, secret.strip(), unquote(secret)}
    # A variable may hold bytes that are no UTF-8, whatever they were meant to be.
    encoded = {
        quoted(each, safe=safe, errors="surrogateescape")
        for each in plain
        for quoted, safe in ((quote, "/"), (quote, ""), (quote_plus, ""))
    }
    lower = {re.sub(r"%..", lambda found: found[0].lower(), each) for each in encoded}
    forms = plain | encoded | lower
    for _ in range(NESTED):
        forms |= {escape(each) for each in forms for escape in ESCAPES}
    return forms


_secrets = _Secrets()
add_secret, redact = _secrets.add, _secrets.redact


class _Handler(logging.Handler):
    """Writes lines; where it cannot, it says so without what it was given to say."""

    def __init__(self, stream: TextIO | None) -> None:
        """Write to a stream that may be closed, and is not waited for."""
        super().__init__()
        self.is_journal = _is_journal(stream)
        self.outlet = Outlet(stream, self._told)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.outlet.write(self.format(record) + "\n")
        except Exception:  # noqa: BLE001 - whatever an argument's `__str__` may raise
            self.handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        return self.told(super().format(record), record.levelno)

    def told(self, text: str, level: int) -> str:
        """Return a text without secrets; for the journal with its level, each line."""
        text = redact(text)
        if not self.is_journal:
            return text
        mark = next(f"<{number}>" for least, number in PRIORITIES if level >= least)
        return mark + text.rstrip("\n").replace("\n", f"\n{mark}")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        error = "".join(traceback.format_exception_only(sys.exception()))
        words = f"a message of {record.name} could not be logged: {error}"
        self.outlet.write(self.told(words.rstrip(), logging.ERROR) + "\n")

    def _told(self, count: int) -> str:
        values = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING"}
        words = f"{count} lines are missing here: nobody took them"
        return self.format(logging.makeLogRecord({**values, "msg": words})) + "\n"


def configure_logs(
    level: str,
    secrets: Iterable[str],
    stream: TextIO | None = None,
    *,
    form: str = "auto",
) -> None:
    """Log from `level` up to `stream`, standard error by default, without `secrets`.

    `form` is `text`, `json`, or `auto`: text where people read it.
    """
    for secret in secrets:
        add_secret(secret)
    stream = stream or cast("TextIO | None", sys.stderr)  # None: closed at the start
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *before,
            ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = _Handler(stream)
    terminal = stream if stream is not None and stream.isatty() else None
    is_read = terminal is not None or handler.is_journal
    is_text = form == "text" or (form == "auto" and is_read)
    # The journal writes down itself when each line came.
    people = ForPeople(redact, terminal, has_time=not handler.is_journal)
    last: list[Processor] = [
        ProcessorFormatter.remove_processors_meta,
        structlog.processors.StackInfoRenderer(),
        # Plain: a frame around a traceback would break a secret in two.
        structlog.processors.format_exc_info,
        people if is_text else structlog.processors.JSONRenderer(),
    ]
    handler.setFormatter(ProcessorFormatter(processors=last, foreign_pre_chain=before))
    handler.setLevel(level.upper())  # for loggers that have a level of their own too
    # All of the standard library's logging, and its warnings.
    root = logging.getLogger()
    others = [each for each in root.handlers if not isinstance(each, _Handler)]
    root.handlers[:] = [*others, handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    _report_bugs(handler)


def _is_journal(stream: TextIO | None) -> bool:
    """Tell whether systemd's journal takes what is written there: sd-daemon(3)."""
    if told := os.environ.get("JOURNAL_STREAM"):
        with suppress(AttributeError, OSError, ValueError):  # in memory, or closed
            found = os.fstat(stream.fileno() if stream else -1)
            return told == f"{found.st_dev}:{found.st_ino}"
    return False


def _report_bugs(handler: _Handler) -> None:
    """Print the traceback of what nobody caught: all of it but the secrets."""

    def report(error: BaseException | None, words: str = "") -> None:
        lines = traceback.format_exception(error) if error else []
        text = handler.told(words + "".join(lines), logging.CRITICAL)
        handler.outlet.write(text.rstrip("\n") + "\n")

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if not issubclass(args.exc_type, SystemExit):
            name = args.thread.name if args.thread else "?"
            report(args.exc_value, f"Exception in thread {name}:\n")

    sys.excepthook = lambda _, error, __: report(error)
    threading.excepthook = in_thread
    sys.unraisablehook = lambda args: report(
        args.exc_value, f"{args.err_msg or 'Exception ignored in'}: {args.object!r}\n"
    )
