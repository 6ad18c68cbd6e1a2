"""A reaction that is a program: run for each thing that happened.

It gets one line of JSON on standard input, and the same in variables (`BZ_…`) as far as
these can hold it. Exit code 0 means done; else the last line on its standard error says
why not, and what it wrote there before goes along with that.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import attrs
import msgspec
import trio

from bzredis.commands.looks.words import clean, one_line
from bzredis.commands.outlet import MISSING, Outlet
from bzredis.commands.react.reaction import Happening, NotDone, React
from bzredis.errors import ConfigError

PREFIX: Final = "BZ_"
# Bytes of one variable, and of all. Linux takes 128 KiB of one and, with the arguments,
# 2 MiB in all, others less: what is longer stands on standard input whole.
LONGEST, MOST = 8_192, 131_072
MERCY: Final = 1.0  # s between SIGTERM and SIGKILL
# s after its end in which what it wrote is read: something that it left running may
# hold the pipe open for ever.
LATE: Final = 0.2
TAIL: Final = 4_096  # bytes of what it writes that are kept until one knows its end
LONGEST_REASON: Final = 300  # characters
NOT_A_NAME: Final = re.compile(r"[^A-Z0-9_]")

_json = msgspec.json.Encoder(decimal_format="number").encode


def line(happened: Happening) -> bytes:
    """Return what happened as one line of JSON: numbers with the digits sent."""
    return _json({**_head(happened), **happened.fields, **_head(happened)}) + b"\n"


def _head(happened: Happening) -> dict[str, str]:
    head = {"kind": happened.kind, "stream": happened.stream, "event": happened.event}
    return {name: text for name, text in head.items() if text}


def variables(happened: Happening) -> dict[str, str]:
    """Return what happened as variables; what no variable can hold is left out.

    `direction` is in BZ_DIRECTION, `_pt_change_pct` in BZ_PT_CHANGE_PCT.
    """
    # The log's own word goes before one of the content with the same name.
    fields = sorted(happened.fields.items(), key=lambda each: each[0][:1] == "_")
    found: dict[str, str] = {}
    left = MOST
    for name, value in (*_head(happened).items(), *fields):
        key = PREFIX + NOT_A_NAME.sub("_", name.lstrip("_").upper())
        text = _text(value)
        size = len(key) + len(text.encode(errors="replace")) + len("=\0")
        if key in found or not text or size > LONGEST or size > left:
            continue
        found[key] = text
        left -= size
    return found


def _text(value: object) -> str:
    if value is True:
        return "1"
    plain = "" if value is False else f"{value}"
    return plain.replace("\0", "\N{REPLACEMENT CHARACTER}")


@asynccontextmanager
async def program(command: Sequence[str], seconds: float) -> AsyncIterator[React]:
    """Give a reaction that runs a command, each time for so long at the most.

    Raises ConfigError where there is no such command.
    """
    path = shutil.which(command[0])
    if path is None:
        hint = _why_not(command[0])
        raise ConfigError(f"{command[0]}: there is no such command{hint}")
    errors = Outlet(sys.stderr, MISSING)
    yield _Program((path, *command[1:]), seconds, errors.write)


def _why_not(name: str) -> str:
    if os.path.isfile(name):  # noqa: PTH113 - of a folder we may not look into
        return " that may be run; chmod +x makes it one"
    if " " in name:
        return "; without quotes around it all, its parts are told apart"
    return ""


@attrs.frozen
class _Program:
    command: Sequence[str]
    seconds: float
    say: Callable[[str], None]

    async def __call__(self, happened: Happening) -> None:
        # Absent is absent, even where a reaction runs within another.
        ours = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
        env = {**ours, **variables(happened)}
        try:
            # A session of its own: Ctrl-C is for us, who let it come to its end.
            process = await trio.lowlevel.open_process(
                list(self.command),
                stdin=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                start_new_session=True,
            )
        except OSError as error:
            raise NotDone(f"it cannot be run: {error.strerror}") from None
        tail = bytearray()
        try:
            with trio.move_on_after(self.seconds):
                await self._through(process, line(happened), tail)
            code = process.returncode
        except trio.Cancelled:
            self._pass_on(tail)
            raise
        finally:
            await _ended(process)
        if code is None:
            words = f"it took longer than {self.seconds:g} s, and was ended"
            raise NotDone(words, "\n".join(_lines(tail)))
        if code:
            raise NotDone(_reason(code, tail), "\n".join(_lines(tail)[:-1]))
        self._pass_on(tail)

    async def _through(
        self, process: trio.Process, given: bytes, tail: bytearray
    ) -> None:
        """Give it what happened, and read what it complains, until it ends."""
        assert process.stdin is not None  # noqa: S101 - they are pipes
        assert process.stderr is not None  # noqa: S101 - likewise
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_give, process.stdin, given)
            nursery.start_soon(self._hear, process.stderr, tail)
            await process.wait()
            nursery.cancel_scope.deadline = trio.current_time() + LATE

    async def _hear(self, pipe: trio.abc.ReceiveStream, tail: bytearray) -> None:
        async for some in pipe:
            tail += some
            self._pass_on(tail[:-TAIL])
            del tail[:-TAIL]

    def _pass_on(self, written: bytearray) -> None:
        if written:
            self.say(written.decode(errors="replace"))


async def _give(pipe: trio.abc.SendStream, given: bytes) -> None:
    """Write to its standard input; it need not read that."""
    with suppress(trio.BrokenResourceError):
        async with pipe:
            await pipe.send_all(given)


async def _ended(process: trio.Process) -> None:
    """End a program that still runs, and all that it started."""
    with trio.CancelScope(shield=True):
        if process.returncode is None:
            _signal(process, signal.SIGTERM)
            with trio.move_on_after(MERCY):
                await process.wait()
        if process.returncode is None:
            _signal(process, signal.SIGKILL)
            await process.wait()
        for pipe in (process.stdin, process.stderr):
            if pipe is not None:
                await trio.aclose_forcefully(pipe)


def _signal(process: trio.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _lines(tail: bytearray) -> list[str]:
    """Return what was written, without what a terminal would obey."""
    text = clean(tail.decode(errors="replace")).rstrip()
    return text.splitlines()


def _reason(code: int, tail: bytearray) -> str:
    last = one_line(next(reversed(_lines(tail)), ""))
    if code < 0:
        with suppress(ValueError):
            words = f"it was ended by {signal.Signals(-code).name}"
            return f"{words}: {last}"[:LONGEST_REASON] if last else words
    return (last or f"its exit code was {code}")[:LONGEST_REASON]
