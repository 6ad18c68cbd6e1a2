"""The program: `bzredis`, or `python -m bzredis`."""

from __future__ import annotations

import os
import signal
from typing import NoReturn

STOPPED = 0  # the exit code (contract.md, 4)


def main() -> None:
    """Run the command line; every way out ends the process with its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    from bzredis.commands.cli import bzredis  # noqa: PLC0415 - most of the start is this import

    bzredis.main(prog_name="bzredis")


def _stop(*_: object) -> NoReturn:
    """End at once: nothing runs yet that would have to end well, or nothing any more.

    What has to, listens itself as long as it runs. Without an exception, which could
    come up in the middle of an import, or inside of trio.
    """
    os._exit(STOPPED)


if __name__ == "__main__":
    main()
