"""Libraries for which rich and pygments are an option that nobody takes here.

structlog and httpx load both where they are installed, for tracebacks in colour and a
command line of their own: 4 MB of a bridge that runs for months.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

DECORATION: Final = ("rich", "pygments")


@contextmanager
def undecorated() -> Iterator[None]:
    """Let what is imported take them for not installed."""
    hidden = [name for name in DECORATION if name not in sys.modules]
    # That is how Python notes that there is no such module.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
