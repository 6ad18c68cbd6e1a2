"""Commands in Markdown with what they print: found, run in a shell, and put back.

A block of ``console`` has commands after ``$ ``, which go on in lines that begin with
four spaces, and under each what it prints. `redis-cli` is the one that is
here, and asks the server of the test; it writes as to a terminal, unless into a pipe.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Final

import attrs
from consumers.week import DAY

ROOT: Final = Path(__file__).parents[2]
UPDATE: Final = bool(os.environ.get("UPDATE"))  # write down what is printed
# The day that all outputs are shown as of: each time in them is moved by whole days.
SHOWN: Final = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp())
ERROR: Final = re.compile(
    r"^(?:\(error\) (?!NOPERM)|ERR |WRONGTYPE|sh: |jq: )", re.MULTILINE
)
WAITS: Final = re.compile(r"BLOCK 0|SUBSCRIBE")
BLOCK: Final = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PREAMBLE: Final = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TIMES: Final = re.compile(r"\b(?:\d{4}-\d\d-\d\d|\d{13}|\d{10})(?!\d)")
SHIM: Final = """#!/bin/sh
if [ -p /dev/stdout ]; then exec {cli} "$@"; fi
exec {cli} --no-raw "$@"
"""
GOES_ON: Final = " " * 4
PATIENCE: Final = 60  # s, on a busy machine too
STILL: Final = 2  # s without a word, where nobody knows what comes


@attrs.frozen
class Command:
    """One command, and what stands under it."""

    text: str  # as it stands, over several lines
    output: str
    after: str = ""  # an empty line

    @property
    def waits(self) -> bool:
        return bool(WAITS.search(self.text))


@attrs.frozen
class Block:
    """The commands of one block, the heading above it, and what is said below."""

    title: str
    text: str
    commands: tuple[Command, ...]
    said: str

    def with_outputs(self, outputs: list[str]) -> str:
        """Return its text with other outputs."""
        pairs = zip(self.commands, outputs, strict=True)
        return "".join(f"$ {one.text}\n{output}{one.after}" for one, output in pairs)


def blocks(markdown: str) -> list[Block]:
    return [
        Block(
            title=_title(markdown[: found.start()]),
            text=found[1],
            commands=tuple(_commands(found[1])),
            said=re.split(r"\n(?:#|```)", markdown[found.end() :])[0],
        )
        for found in BLOCK.finditer(markdown)
    ]


def preamble(markdown: str) -> str:
    """Return what has to be told to the shell before."""
    return "".join(PREAMBLE.findall(markdown))


def _title(before: str) -> str:
    titles: list[str] = re.findall(r"^#+ (.*)$", before, re.MULTILINE)
    return titles[-1] if titles else before.split("\n\n")[-2]


def _commands(block: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        command = [
            lines[0],
            *takewhile(lambda line: line.startswith(GOES_ON), lines[1:]),
        ]
        text = "".join(command).removesuffix("\n")
        rest = lines[len(command) :]
        after = rest.pop() if rest and rest[-1] == "\n" else ""
        yield Command(text, "".join(rest), after)


@attrs.frozen
class Shell:
    """A shell in which `redis-cli` asks one server, and `bzredis` is this one."""

    folder: Path
    before: str
    start: int  # s: the day of the log that is there

    @classmethod
    def of(cls, folder: Path, cli: Iterable[str], before: str, start: int) -> Shell:
        """Make one, with a `redis-cli` that stands for these words."""
        for name, text in (
            ("redis-cli", SHIM.format(cli=shlex.join(cli))),
            ("bzredis", f'#!/bin/sh\nexec {sys.executable} -m bzredis "$@"\n'),
        ):
            (folder / name).write_text(text)
            (folder / name).chmod(0o700)
        return cls(folder, before, start)

    def run(self, command: Command, meanwhile: Callable[[], None]) -> str:
        """Run a command; return what it printed, its times moved to SHOWN.

        One that waits does so until `meanwhile` was done and it has printed all.
        """
        path = self.folder / "output"
        with path.open("wb") as output:
            process = subprocess.Popen(
                ["/bin/sh", "-c", f"{self.before}\n{command.text}"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._surroundings(),
                cwd=self.folder,
                start_new_session=True,
            )
            try:
                if command.waits:
                    meanwhile()
                    self._see_it_end(process, path, command.output)
                else:
                    process.wait(PATIENCE)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return self.shown(path.read_text())

    def _see_it_end(
        self, process: subprocess.Popen[bytes], path: Path, expected: str
    ) -> None:
        """Wait until it ends, or has printed what it should, or nothing more comes."""
        last, since = b"", time.monotonic()
        limit = PATIENCE if expected and not UPDATE else STILL
        while process.poll() is None and time.monotonic() < since + limit:
            said = path.read_bytes()
            if said and self.shown(said.decode()) == expected:
                return
            if said != last:
                last, since = said, time.monotonic()
            time.sleep(0.02)

    def shown(self, text: str) -> str:
        """Move each time by so many days that the log's day becomes SHOWN."""
        days = (SHOWN - self.start) // DAY

        def moved(found: re.Match[str]) -> str:
            words = found[0]
            if "-" in words:
                with suppress(ValueError):
                    at = datetime.fromisoformat(words) + timedelta(days=days)
                    return f"{at:%Y-%m-%d}"
                return words
            unit = 1000 if len(words) > 10 else 1
            at_s = int(words) // unit
            near = abs(at_s - self.start) < 365 * DAY
            return str(int(words) + days * DAY * unit) if near else words

        return TIMES.sub(moved, text)

    def _surroundings(self) -> dict[str, str]:
        path = f"{self.folder}:{os.environ['PATH']}"
        return {"PATH": path, "HOME": "/", "LC_ALL": "C", "PYTHONPATH": str(ROOT)}
