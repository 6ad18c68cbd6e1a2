"""Take out what the law needs, to see that the simulation notices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from math import inf
from typing import Any, Final
from unittest import mock

import attrs
import trio
from law import rules

from bzredis.bridge import subscriber
from bzredis.bridge.bridge import Line
from bzredis.bridge.coverage import Holes
from bzredis.bridge.intake import Intake
from bzredis.ports import Presence


def _without_holes(self: Holes, now: float, was: Any = Holes.is_fresh) -> bool:
    held = self.coverage
    self.coverage = attrs.evolve(held, holes=())
    try:
        return bool(was(self, now))
    finally:
        self.coverage = held


def _always_fresh(self: Line) -> tuple[Presence, str]:
    holes = self.intake.holes
    if holes.opened is None or not holes.was_answered:
        return "apart", ""
    return "fresh", ""


def _without_drains(self: Line) -> tuple[Presence, str]:
    holes = self.intake.holes
    if holes.opened is None or not holes.was_answered:
        return "apart", ""
    is_heard = self.intake.is_heard()
    is_fresh = is_heard and holes.is_fresh(trio.current_time())
    return ("fresh" if is_fresh else "connected"), ""


ENGINE: Final[dict[str, tuple[Any, str, Any]]] = {
    "back-off is reset": (subscriber, "STEADY", inf),
    "back-off grows": (subscriber, "STEADY", -1.0),
    "alive: no hole": (Holes, "is_fresh", _without_holes),
    "alive: connected": (Holes, "disconnected", lambda _: None),
    "alive: confirmed": (Holes, "is_connected", property(lambda h: not h._is_down)),
    "alive: counts": (Holes, "counts", property(lambda _: True)),
    "alive: heard": (Intake, "is_heard", lambda _: True),
    "alive: drains": (Line, "presence", _without_drains),
    "alive: all of it": (Line, "presence", _always_fresh),
    "holes are given up": (Holes, "to_give_up", lambda *_: ()),
    "told again": (Holes, "is_overlooked", property(lambda _: False)),
    "asked in time": (Holes, "_has_all", lambda _: True),
}
# Of coverage.md's table, as tests/law names them, and the sign of life's comparison.
RULES: Final = (
    *("numbers", "early", "skip", "lacking", "new-ids", "unprove", "reader"),
    *("share reader", "opened", "late-opened", "emptied", "until-by-marks"),
    *("late-unproves", "skip late-unproves"),
    *("known-before", "stamps", "forget", "proving", "first-unproven", "grown"),
    *("row-proves-nothing", "row-newest", "resume", "clocks", "ids", "id-change"),
    "id-begin",
    *("join-id", "join-opened", "join-resume", "join-announced", "once"),
    "newest-reader",
    *("sign-confirmed", "sign-whole", "sign-young"),
)
# What the bridge knows, and the step that sets `alive` looks for itself.
TWICE: Final = {"alive: no hole", "alive: counts", "alive: all of it"}
ALL: Final = (*ENGINE, *RULES)


@contextmanager
def without(name: str) -> Iterator[None]:
    """Take something out."""
    with ExitStack() as stack:
        if name in TWICE:
            stack.enter_context(mock.patch.object(rules, "WITHOUT", {"sign-whole"}))
        if name in ENGINE:
            stack.enter_context(mock.patch.object(*ENGINE[name]))
        else:
            stack.enter_context(mock.patch.object(rules, "WITHOUT", {*name.split()}))
        yield


def first_broken(
    run: Callable[[int], str], days: float, of: float, seed: int
) -> tuple[float, int, str]:
    """Return after how many days something breaks (0: never), with which seed."""
    passed = 0.0
    while passed < days:
        passed += of
        if words := run(seed):
            return passed, seed, words
        seed += 1
    return 0.0, seed, ""
