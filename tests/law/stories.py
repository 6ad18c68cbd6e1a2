"""For each rule a story in which the law breaks, or `alive`, where it is taken out.

What happens is told as `A.connect:4*2`: bridge A (the one where none is told), what
(world.py), how (0 where it is not told), and how often. In the end all is calm.
"""

from __future__ import annotations

import re
from typing import Final

from law.world import Plan, World, do

LONE: Final = Plan(rest=False)
PAIR: Final = Plan(rest=False, two=True)
REST: Final = Plan()
BOTH: Final = Plan(two=True)

STORIES: Final[dict[str, tuple[Plan, str]]] = {
    # Two replays: the one that A read before the hole of B proves nothing about it.
    "proving": (
        PAIR,
        "connect say read write write drop connect:1 replay_some replay_end drop "
        "say B.connect B.write write:4",
    ),
    # A hole that is announced is given up by who saw it first, and later by another.
    "once": (
        BOTH,
        "connect drop connect write:4 quiet:7 ping:1 quiet:7 ping:1 quiet:7 quiet tend "
        "drop B.connect B.write:4 quiet:7 B.ping:1 quiet:7 B.ping:1 quiet:7 quiet B.tend "
        "B.write:4 write:4",
    ),
    "join-id": (
        BOTH,
        "connect drop connect write:4 quiet:4 ask ask:7 drop say "
        "B.connect B.write B.flap:7*3 B.write:4*6 write:4",
    ),
    "ids": (
        REST,
        "connect write switch write*2 switch quiet:2 ask ask:7 write "
        "say*4 say:3*3 read*9 write:4*4 switch write:4*2 switch "
        "drop connect write quiet:4 ask ask:7 switch write:4*3",
    ),
    "new-ids": (
        REST,
        "connect write drop say connect write:4 keep quiet:4 ask ask:7 stop "
        "write roll_back:4 write:4*2",
    ),
    "id-change": (
        BOTH,
        "connect write quiet:2 ask ask:7 write say:3*8 read*9 write:4*2 B.write kill "
        "connect write quiet:2 ask ask:7 drop quiet:7 quiet:3 empty:3 B.connect B.write "
        "write:4*2",
    ),
    "stamps": (
        LONE,
        "connect write drop say connect write step say read write:4 drop "
        "connect:1 replay_some replay_end write:4",
    ),
    "row-newest": (
        REST,
        "connect write quiet:2 ask ask:7 write drop say:3*6 look_up write "
        "connect write:4",
    ),
    "ask-once": (REST, "say*300"),
    "late-unproves": (
        LONE,
        "connect say read write:4 drop say connect write replay_end quiet:7*8 expire "
        "write write:4",
    ),
    "counts": (
        Plan(rest=False, two=True, stepping=True),
        "B.connect B.write quiet:7 quiet:2 B.step_own:7 B.ping:1 quiet:2 B.write B.drop "
        "say connect write",
    ),
    "reader": (
        Plan(rest=False, two=True, stepping=True),
        "B.connect B.write quiet:7 quiet:2 B.step_own:7 B.ping:1 quiet:2 B.write B.drop "
        "say connect write quiet:7 ping:1 quiet:7 ping:1 quiet:7 write:4",
    ),
    "own-stamps": (
        Plan(rest=False, stepping=True),
        "connect write quiet:7 quiet:2 step_own:7 ping:1 quiet:2 write drop "
        "step_own say connect write",
    ),
    "told-again": (
        PAIR,
        "connect say*3 cut say*3 B.connect:7 say B.write say*2",
    ),
    "rest-subscription": (
        Plan(two=True, whose={"A1": "AA", "B1": "AA,BB"}),
        "connect cut B.connect B.write B.drop say B.connect B.write write quiet:2 "
        "ask ask:7 write:4*2",
    ),
    "join-announced": (
        BOTH,
        "connect drop connect write:4",
    ),
    "first-unproven": (
        Plan(whose={"A1": "BB", "A2": "BB,CC"}),
        "connect write quiet:2 ask ask:7 write say*7 read*7 write:4*2 stop "
        "connect:1 replay_some replay_end write:4*2",
    ),
}

HAPPENS: Final = re.compile(r"(?:([AB])\.)?([a-z_]+)(?::(\d))?(?:\*(\d+))?")


def tell(world: World, story: str) -> None:
    """Let a story happen, and then be calm."""
    for words in story.split():
        found = HAPPENS.fullmatch(words)
        assert found, words
        who, name, how, times = found.groups()
        for _ in range(int(times or 1)):
            do(world, name, int(who == "B"), int(how or 0))
    world.calm()
