"""The script that applies a batch: the parts of `apply/`, joined for one stream."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from bzredis.streams import Stream

# In this order: each part builds on those before it.
BEFORE: Final = ("change", "refusal", "order", "seen", "entry")
OF_KIND: Final = {"record": ("record", "owed"), "symbol": ("symbol",)}
AFTER: Final = ("batch",)


def script(stream: Stream) -> str:
    """Return the script for streams of this one's kind (`Stream.keyed`)."""
    folder = files("bzredis.store") / "lua"
    names = (*BEFORE, *OF_KIND[stream.keyed], *AFTER)
    return "\n".join((folder / f"{name}.lua").read_text() for name in names)
