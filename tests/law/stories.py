"""For each rule a story that breaks the law, or `alive`, where it is taken out.

What happens is told as `A.connect:4*2`: to whom (bridge A where that is not told), what
(world.py), how (0 where that is not told) and how often. In the end all is calm.

Where a story names two rules, either does: the first is not needed beside the second.
"""

from __future__ import annotations

import re
from typing import Final

from law.rules import CLOCKS
from law.world import Plan, World, do

LONE: Final = Plan(rest=False)
MUTE: Final = Plan(rest=False, pings=False)
PAIR: Final = Plan(rest=False, two=True)
APART: Final = Plan(rest=False, two=True, whose={"A1": "BB", "B1": "CC"})
OFF: Final = Plan(rest=False, two=True, stepping=True)
OFF_REST: Final = Plan(two=True, stepping=True)
REST: Final = Plan()
BOTH: Final = Plan(two=True)
SKEWED: Final = Plan(skew=10_000 - CLOCKS)
GROWS: Final = Plan(whose={"A1": "BB", "A2": "BB,CC"})
WIDER: Final = Plan(two=True, whose={"A1": "AA", "B1": "AA,BB"})

# What a first start has REST fetch is here.
FETCHED: Final = "connect write quiet:2 ask ask:7 write:4*2"
# A message is lost between two connections; one that comes live is not.
LOST: Final = "connect write drop say connect write"
KNOWN: Final = "connect say read write:4"
# A replay of the last message.
REPLAY: Final = "connect:1 replay_some replay_end"
# A connection stands until there is no more patience with a hole.
PATIENCE: Final = "quiet:7 ping:1 quiet:7 ping:1 quiet:7 quiet"
# By a clock that is three seconds ahead all is here until then.
AHEAD: Final = "connect write quiet:7 quiet:2 step_own:7 ping:1 quiet:2 write drop"

# fmt: off
STORIES: Final[dict[str, tuple[Plan, str]]] = {
    # ---- numbers
    "numbers": (LONE, "connect write keep say read write roll_back:4"),
    "early": (LONE, "connect say read early write:4"),
    # Sent again, a message seems known from before an Opened that it stands before.
    "skip late-unproves": (LONE, """
        connect say read write drop say connect lose_answer:4 replay_end write:4"""),
    "late-unproves": (LONE, f"""
        {KNOWN} drop say connect write replay_end quiet:7*8 expire write write:4"""),

    # ---- what is lacking: a row of REST, a part of the replay
    "lacking": (LONE, """
        connect write keep say*7 read*7 write:4*2 roll_back:4 write write:4"""),
    "new-ids": (REST, f"""
        {LOST} keep quiet:2 ask ask:7 stop write roll_back:4 write:4*2"""),
    "unprove": (LONE, f"""
        {KNOWN} drop say connect:2 write keep replay_some*2 replay_end stop write
        roll_back:4 write:4*2"""),
    # The log of A lacks something, and B is the one that listens.
    "share reader": (APART, """
        connect say read write cut B.connect B.write keep quiet replay_end stop write
        roll_back:4 write*2 say B.ping:1 quiet:2 B.write:4"""),

    # ---- a connection begins
    "opened": (LONE, "connect write drop say"),
    "opened-after": (LONE, "connect:4"),
    "late-opened": (PAIR, f"""
        {KNOWN} drop {REPLAY} drop say B.connect B.write write:4"""),
    "emptied": (LONE, f"{KNOWN} stop empty"),
    "since": (LONE, f"{KNOWN} stop empty"),
    "grown": (GROWS, f"{FETCHED} say*7 read*7 write:4*2 stop {REPLAY} write:4"),
    # A is late, and takes over from B, which replays still; then B tells it again.
    "told-again": (PAIR, "connect say*3 cut say*3 B.connect:7 say B.write say*2"),
    "own-stamps": (OFF, f"{AHEAD} step_own say connect write"),
    "counts": (OFF, f"{AHEAD} say B.connect B.write"),

    # ---- until when all is here: not what is on the wire
    "until-by-marks": (LONE, "connect say*2 read write:4 drop"),
    "asked": (LONE, "connect ping:1 say read drop write:4"),
    "late-frames": (MUTE, "connect say*2 read ping drop write:4"),
    "reader": (OFF, f"""
        {AHEAD} say B.connect B.write
        quiet:7 B.ping:1 quiet:7 B.ping:1 quiet:7 B.write:4"""),

    # ---- proof by a replay
    "known-before": (LONE, f"{LOST} say read write:4 drop {REPLAY} write:4"),
    "stamps": (LONE, f"{LOST} step say read write:4 drop {REPLAY} write:4"),
    "forget": (LONE, f"""
        {KNOWN} drop connect:1 replay_some write:4 drop say
        connect replay_end write:4"""),
    "proving": (PAIR, f"""
        {KNOWN} drop {REPLAY} drop say B.connect B.write write:4"""),
    "first-unproven": (GROWS, f"""
        {FETCHED} say*7 read*7 write:4*2 stop {REPLAY} write:4"""),

    # ---- REST
    "row-proves-nothing": (REST, f"""
        connect write drop say*2 look_up write {REPLAY} write:4"""),
    "row-newest": (REST, f"{FETCHED} drop say:3*6 look_up write connect write:4"),
    # By the other's clock B came too early, and hears live what is newer than the lost.
    "newest-reader": (OFF_REST, f"""
        {FETCHED} quiet:7 say read write:4 quiet:2 step_own:7 ping:1 quiet:2 write drop
        say B.connect B.write say:3*8 B.read*8 B.write:4*4"""),
    "resume": (SKEWED, "say"),
    "clocks": (SKEWED, "say"),
    "five": (REST, f"{FETCHED} say*2 read*2 write:4 drop say connect write"),
    "whole": (REST, f"{LOST} quiet:2 ask ask write:4"),
    "rest-has": (REST, "connect:4 write ask:3 ask:7 write:4"),
    "rest-subscription": (WIDER, """
        connect cut B.connect B.write B.drop say B.connect B.write
        write quiet:2 ask ask:7 write:4"""),
    "ask-once": (REST, "say*300"),

    # ---- ids: one Redis has an older hole than the one that is filled, one is emptied
    # and its TIME the same again
    "ids": (REST, """
        connect write switch quiet write*2 switch quiet:2 ask ask:7 write
        say*4 say:3*3 read*9 write:4*4 switch write:4*2
        switch drop connect write quiet:4 ask ask:7 switch write:4*3"""),
    "id-change": (BOTH, f"""
        {FETCHED} say:3*8 read*9 write:4*2 B.write kill connect write quiet:2
        ask ask:7 drop quiet:7 quiet:3 empty:3 B.connect B.write write:4*2"""),
    # The change that opened a hole opens a larger one.
    "id-begin": (REST, f"""
        {FETCHED} say*7 read*7 quiet:7 quiet:4 ping:1 say read*2 write:4*2 quiet:7*4
        kill connect write quiet:2 ask ask:7 write:4*2 quiet:7 quiet:4 empty:3
        write:4*4"""),

    # ---- two holes become one
    "join-id": (BOTH, """
        connect drop connect write:4 quiet:4 ask ask:7 drop say
        B.connect B.write B.flap:7*3 B.write:4*6 write:4"""),
    "join-opened": (LONE, f"""
        {LOST} say read write:4 drop flap:7*3 write:4*6 {REPLAY} write:4"""),
    "join-resume": (REST, f"""
        {FETCHED} drop say connect write say:3*6 read*6 write:4*3 drop flap:7*3
        connect write:4*6 quiet:2 ask ask:7 write:4*9"""),
    "join-announced": (REST, f"""
        connect drop connect write:4 {PATIENCE} tend write:4 drop say connect write
        say read write:4 drop flap:7*3 write:4*6 {REPLAY} write:4"""),

    # ---- giving up
    "give-up": (LONE, "connect drop connect"),
    "once": (BOTH, f"""
        connect drop connect write:4 {PATIENCE} tend drop
        B.connect B.write:4 {PATIENCE.replace("ping", "B.ping")} B.tend B.write:4
        write:4"""),

    # ---- alive
    "alive-holes": (LONE, LOST),
    "alive-opened": (LONE, "connect write drop say quiet:7*4 quiet:4 write connect"),
    "alive-connected": (LONE, "connect write drop say quiet:7*4 quiet:4 write"),
    "alive-drains": (LONE, f"""
        connect write ping:1 say {PATIENCE} ping:1 {PATIENCE} write"""),
    # What went back is old, although it came just now.
    "alive-back": (MUTE, "connect say quiet:7*5 keep write:4 roll_back:4 write*2"),
    "alive-failed alive-back": (MUTE, """
        connect write say quiet:7*5 keep write:4 roll_back:4 write"""),
}
# fmt: on

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
