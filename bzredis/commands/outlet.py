"""Where lines for people go, so that nobody waits for whoever reads them.

A pipe whose reader has stopped, a paused terminal, a full disk: whoever wrote there
would wait, and with it everything.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from queue import Full, Queue
from typing import Final, TextIO

import attrs

WAITING: Final = 1_000  # texts; what comes beyond them is dropped, and counted
AT_THE_END: Final = 0.3  # s that the end of the program waits until they are written
# Of lines for people, in the place of those that did not fit.
MISSING: Final = "({} lines are missing here: nobody took them)\n".format
AGAIN: Final = 0.05  # s between attempts where a stream must not be waited for


@attrs.define(eq=False)
class Outlet:
    """Writes to a stream from a thread of its own; None, a closed one, takes nothing.

    `told` makes a text of how many did not fit, or could not be written.
    """

    _stream: TextIO | None
    _told: Callable[[int], str]
    is_broken: bool = False  # nobody will ever read what is written
    _dropped: int = 0
    _texts: Queue[str] = attrs.field(factory=lambda: Queue(WAITING))
    _waits: bool = attrs.field(init=False)  # whether what is written may

    def __attrs_post_init__(self) -> None:
        fd = _descriptor(self._stream)
        self._waits = fd is not None
        if fd is not None:
            work = threading.Thread(target=self._run, args=(fd,), name="outlet")
            work.daemon = True  # it may hang for ever
            work.start()
            atexit.register(self.flush)

    @property
    def is_idle(self) -> bool:
        """Whether all is written, as far as it can be."""
        return not self._texts.unfinished_tasks

    def write(self, text: str) -> None:
        """Let a text be written, after those before it; never waits."""
        if not self._waits:
            if self._stream is not None and not self._stream.closed:
                self._stream.write(text)  # into memory
            return
        try:
            self._texts.put_nowait(text)
        except Full:
            self._dropped += 1

    def flush(self, seconds: float = AT_THE_END) -> None:
        """Wait until all is written, for so long at the most."""
        done = self._texts.all_tasks_done
        with done:
            done.wait_for(lambda: not self._texts.unfinished_tasks, seconds)

    def _run(self, fd: int) -> None:
        while True:
            text = self._texts.get()
            written = self._put(fd, text)
            if not written:
                self._dropped += 1
            elif self._dropped and self._texts.empty():
                count, self._dropped = self._dropped, 0
                self._put(fd, self._told(count))
            self._texts.task_done()

    def _put(self, fd: int, text: str) -> bool:
        """Write a text whole, past Python's own buffers: these have locks."""
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        data = text.encode(encoding, errors="backslashreplace")
        while data:
            try:
                data = data[os.write(fd, data) :]
            except BlockingIOError:
                time.sleep(AGAIN)
            except OSError as error:
                self.is_broken = isinstance(error, BrokenPipeError)
                return False
        return True


def _descriptor(stream: TextIO | None) -> int | None:
    try:
        return None if stream is None else stream.fileno()
    except (AttributeError, OSError, ValueError):  # it is in memory, or closed
        return None
