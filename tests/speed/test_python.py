"""What the bridge does with a frame until it waits for Redis, counted in calls.

Calls of Python's and of C's functions, which are the same on any machine. A bound is a
few per cent over the most that one of our Pythons takes: newer ones call less often.
"""

from __future__ import annotations

import gc
import sys
from types import FrameType
from typing import Final

import attrs
import pytest
from fakes import Rig
from speed.load import BATCH, frame
from trio.testing import MockClock

from bzredis.bridge.intake import Intake
from bzredis.streams import CONSENSUS, INSIGHTS, RATINGS, Stream

WARM: Final = 300  # frames until each look-up that is remembered is


@attrs.frozen
class Bounds:
    """The most that a frame may take."""

    calls: float
    blocks: float  # of memory, until Redis has it


BOUNDS: Final = {
    RATINGS: Bounds(159, 6.5),
    INSIGHTS: Bounds(143, 6.5),
    CONSENSUS: Bounds(354, 6),
}


def calls(intake: Intake, frames: list[str]) -> int:
    """Count what is called while frames are read."""
    count = 0

    def note(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        for text in frames:
            intake.frame(text, is_replay=False)
    finally:
        sys.setprofile(before)
    return count


def blocks(intake: Intake, frames: list[str]) -> int:
    """Count the blocks of memory that are there more, once frames are read."""
    gc.collect()
    before = sys.getallocatedblocks()
    for text in frames:
        intake.frame(text, is_replay=False)
    gc.collect()
    return sys.getallocatedblocks() - before


@pytest.mark.parametrize("stream", BOUNDS, ids=lambda stream: stream.name)
async def test_what_a_frame_takes(
    rig: Rig, autojump_clock: MockClock, stream: Stream
) -> None:
    rig.process(stream.name)
    frames = [frame(stream, number) for number in range(WARM + 2 * BATCH)]
    for text in frames[:WARM]:
        rig.intake.frame(text, is_replay=False)
    found = Bounds(
        calls=calls(rig.intake, frames[WARM : WARM + BATCH]) / BATCH,
        blocks=blocks(rig.intake, frames[WARM + BATCH :]) / BATCH,
    )
    bounds = BOUNDS[stream]
    assert found.calls <= bounds.calls, f"{found}: see scripts/bench"
    assert found.blocks <= bounds.blocks, f"{found}: see scripts/bench"
    assert len(rig.backlog) == len(frames)
