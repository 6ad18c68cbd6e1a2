"""The program: `bzredis`, or `python -m bzredis`."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

STOPPED = 0  # the exit code (contract.md, 4) of what runs until it is stopped
UNTIL_STOPPED = frozenset({"run", "demo", "simulate", "watch", "react"})
ENDED_BY = 128  # and the signal's number, as in shells: of what did not get to its end
STANDARD_ERROR = 2  # the last of the three standard streams


def main() -> None:
    """Run the command line; every way out ends the process with its exit code."""
    _occupy_standard_streams()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)
    # Most of the start are these imports.
    from bzredis.commands.cli import bzredis  # noqa: PLC0415
    from bzredis.commands.running.called import shown  # noqa: PLC0415

    bzredis.main(prog_name=shown())


def _occupy_standard_streams() -> None:
    """Put the null device where a standard stream is closed.

    The next file, a database say, would be opened under its number, and then what is
    written for people would go there.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= STANDARD_ERROR:
        os.set_inheritable(fd, True)
    os.close(fd)


def _stop(number: int, _: object) -> NoReturn:
    """End at once: nothing runs yet that would have to end well, or nothing any more.

    What has to, listens itself as long as it runs. Without an exception, which could
    come up in the middle of an import, or inside of trio.
    """
    lasts = UNTIL_STOPPED.intersection(sys.argv[1:2])
    os._exit(STOPPED if lasts else ENDED_BY + number)


if __name__ == "__main__":
    main()
