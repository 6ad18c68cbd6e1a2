"""The bridge with a clock on the wall that a file sets wrong, while it runs."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from bzredis.__main__ import main

FILE = Path(os.environ["JUMPY_CLOCK"])
EVERY = 0.02  # s between looks

_right = time.time_ns
_looked, _ahead = 0.0, 0


def _wrong() -> int:
    global _looked, _ahead  # noqa: PLW0603 - there is one clock
    if time.monotonic() - _looked > EVERY:
        _looked = time.monotonic()
        with suppress(OSError, ValueError):
            _ahead = int(float(FILE.read_text(encoding="utf-8")) * 1e9)
    return _right() + _ahead


if __name__ == "__main__":
    time.time_ns = _wrong
    main()
