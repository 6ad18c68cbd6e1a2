"""Frames as upstream sends them, and what is read in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from bzredis.changes.from_frame import read
from bzredis.changes.kinds import Change, Source
from bzredis.streams import RATINGS, Stream
from bzredis.streams.installed import stream as named

FRAMES = Path(__file__).parent.parent / "frames"
RECEIVED = 1728069670123
RECEIVED_AT = "2024-10-04T19:21:10.123Z"

# Of each frame: action, record, symbol, version, publication, whether it has a date.
SUMMARIES = {
    "ratings-documented": (
        *("created", "67003f2e5d1c8a0001b0f5d1", "AAPL", 1728069666000),
        *("2024-10-04T19:20:47.000Z", True),
    ),
    "ratings-capitalised-nine-digits": (
        *("updated", "67003f2e5d1c8a0001b0f5d1", "AAPL", 1728069666000),
        *("2024-10-04T19:20:47.000Z", True),
    ),
    "ratings-without-envelope-id": (
        *("created", "67003f2e5d1c8a0001b0f5d1", "AAPL", 1728069666000),
        *("2024-10-04T19:20:47.000Z", True),
    ),
    "ratings-removed-with-content": (
        *("deleted", "67003f2e5d1c8a0001b0f5d1", "AAPL", 1728069666000),
        *("2024-10-04T19:20:47.000Z", True),
    ),
    "ratings-deleted-without-content": (
        *("deleted", "67003f2e5d1c8a0001b0f5d1", "", 1728070200000),
        *("2024-10-04T19:30:00.000Z", False),
    ),
    "ratings-deleted-with-empty-content": (
        *("deleted", "67003f2e5d1c8a0001b0f5d1", "", 1728070200000),
        *("2024-10-04T19:30:00.000Z", False),
    ),
    "ratings-empty-for-null": (
        *("created", "5cf12f1b0c1f5d0001a1b2d5", "BRK.B", 1559311131000),
        *("2019-05-31T04:00:00.000Z", True),
    ),
    "ratings-mixed-precision": (
        *("updated", "67003f2e5d1c8a0001b0f5d9", "TSLA", 1728069666000),
        *("2024-10-04T13:31:12.000Z", True),
    ),
    "ratings-neighbouring-types": (
        *("created", "9007199254740993", "IBM", 1728069666000),
        *("2024-10-04T13:31:12.000Z", True),
    ),
    "ratings-unknown-fields": (
        *("created", "67003f2e5d1c8a0001b0f5da", "MSFT", 1728069667000),
        *("2024-10-04T04:00:00.000Z", True),
    ),
    "ratings-canada": (
        *("created", "67003f2e5d1c8a0001b0f5db", "TSX:SHOP", 1730615400000),
        *("2024-11-03T05:30:00.000Z", True),
    ),
    "insights-documented": (
        *("created", "67003f705d1c8a0001b0f5e0", "AAPL", 1728069728017),
        *("2024-10-04T04:00:00.000Z", True),
    ),
    "insights-in-seconds": (
        *("created", "0d2f4a0e-64b3-4a0c-9f6e-1d2c3b4a5968", "AAPL", 1728069728000),
        *("2024-10-04T04:00:00.000Z", True),
    ),
    "insights-without-security": (
        *("updated", "67003f705d1c8a0001b0f5e1", "", 1728069728017),
        *("2024-10-04T19:22:08.017Z", False),
    ),
    "insights-deleted-without-content": (
        *("deleted", "67003f705d1c8a0001b0f5e0", "", 1728072000000),
        *("2024-10-04T20:00:00.000Z", False),
    ),
    "consensus-documented": (
        *("updated", "", "", 1728069666880),
        *("2024-10-04T19:21:06.880Z", False),
    ),
    "consensus-enveloped": (
        *("updated", "67003f2e5d1c8a0001b0f5f0", "AAPL", 1728069666880),
        *("2024-10-04T19:21:07.100Z", False),
    ),
    "consensus-simplified": (
        *("updated", "", "TSXV:XYZ", 1728069666000),
        *("2024-10-04T19:21:06.000Z", False),
    ),
    "consensus-deleted-without-content": (
        *("deleted", "67003f2e5d1c8a0001b0f5f0", "", 1728075600000),
        *("2024-10-04T21:00:00.000Z", False),
    ),
}


def stream_of(name: str) -> Stream:
    return named(name.partition("-")[0])


def text_of(name: str) -> str:
    return (FRAMES / f"{name}.json").read_text()


def changed(
    frame: str | bytes | dict[str, Any],
    stream: Stream = RATINGS,
    source: Source = "live",
    received: int = RECEIVED,
) -> Change:
    if isinstance(frame, dict):
        frame = json.dumps(frame)
    found = read(stream, frame, received=received, source=source)
    assert isinstance(found, Change), found
    return found


def message(content: object = None, **data: object) -> dict[str, Any]:
    """Return a frame; with no content, one that deletes."""
    if content is None:
        return {"data": {"action": "deleted", "id": "r1"} | data}
    return {"data": {"action": "updated", "id": "r1", "content": content} | data}


def fields(change: Change) -> dict[str, str]:
    names = change.fields[::2]
    assert len(set(names)) == len(names)
    return dict(zip(names, change.fields[1::2], strict=True))


SCALARS = (
    st.none()
    | st.booleans()
    | st.text(max_size=4)
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([195.5, 293.69192307692305, 1e22, 1e-7])
)
NAMES = st.text("ab_é", min_size=1, max_size=3)
CONTENTS = st.dictionaries(
    NAMES,
    st.recursive(
        SCALARS, lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=5
    ),
    min_size=1,
    max_size=6,
)
