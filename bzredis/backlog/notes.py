"""What is noted on disk beside the changes that wait, and what two files' notes make.

Pure. Each name is followed by a stream's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from bzredis.changes.replay import handed_down, joined

ENTRY: Final = "entry "  # the log's newest entry that Redis has acknowledged …
EARLIEST: Final = "earliest "  # … and how far back Redis goes, in ms
LOST: Final = "lost "  # since when (ms) Redis lost something; "" once it has all again
OPEN: Final = "open "  # what no replay has covered yet
HANDED: Final = "handed down "  # the same of a file whose changes were adopted
NAMES: Final = (ENTRY, EARLIEST, LOST, OPEN, HANDED)


def streams(notes: Iterable[str]) -> set[str]:
    """Return the streams of which something is noted."""
    return {n.removeprefix(kind) for n in notes for kind in NAMES if n.startswith(kind)}


def adopted(
    stream: str,
    own: Mapping[str, str],
    elder: Mapping[str, str],
    waiting: range,
    by: int,
) -> dict[str, str]:
    """Return a stream's notes once another file's changes go in front of its own.

    Those were numbered as `waiting`, and are renumbered `by` so much. What Redis
    acknowledged is not kept up where nothing waits; `own` is without it then.
    """

    def both(kind: str) -> list[str]:
        found = [own.get(kind + stream, "")]
        if waiting or kind == LOST:
            found.append(elder.get(kind + stream, ""))
        return [text for text in found if text]

    left_open = joined(
        own.get(HANDED + stream, ""),
        *(handed_down(elder.get(kind + stream, ""), waiting, by)
          for kind in (OPEN, HANDED)),
    )  # fmt: skip
    return {
        # Of the same Redis: where the later one is gone, it came back older.
        ENTRY + stream: max(both(ENTRY), key=_order, default=""),
        EARLIEST + stream: min(both(EARLIEST), key=int, default=""),
        LOST + stream: min(both(LOST), key=int, default=""),
        HANDED + stream: left_open,
    }


def _order(entry: str) -> tuple[int, ...]:
    return tuple(map(int, entry.split("-")))
