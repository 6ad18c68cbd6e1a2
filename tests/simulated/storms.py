"""When what happens: storms of trouble and quiet between, drawn from a seed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import log
from random import Random
from typing import Final

import attrs
from simulated.troubles import DAY, HOUR, KINDS, Event

# What seldom happens by chance in this order, and then is hard to get right, with the
# rule of coverage.md that it is about: what (how often), so many seconds at the most
# after the one before, and for how long, where that matters.
RECIPES: Final = {
    "late-opened": "apart, cut 4, say 1, other 6, say*2 1",
    "proving": """
        short replays, apart, cut 6, say 2, other 6, say 2, cut 6""",
    "stamps": """
        short replays, slow replays 0 60, say 2, cut 2, upstream fails 0 2,
        say 1, TIME 4, say 1, cut 4""",
    "unprove": """
        short replays 0 60, slow replays 0 90, say*2, cut 1, upstream fails 0 4,
        say*3 1, no replay 9 300, shut down 0.5 2""",
    "new-ids": """
        no replay 0 900, REST slow 0 300, say, cut 2, say*4 1, say 9, shut down 4 9""",
    "late-unproves": """
        say, killed 2 0.1, no replay 25 60, cut 2, upstream fails 0 3, say*2 1,
        TIME leaps 6""",
    "share": """
        no replay 0 900, whose, whose 2, say*2 2, cut 2, shut down 9 3, say 9, say 3,
        other 6""",
    "first-unproven": """
        short replays 0 600, whose 2, say*5 9, REST hangs 9 200, whose 5""",
    "asked in time": """
        part, much*5 15, slow replays 1 60, cut 0.3, no replay 4 300, close 0.3,
        anew 1.5, say 1, apart 1 40""",
    "once": """
        REST fails 0 300, no replay 0 600, cut 1, say 1, half-open 58, say 1""",
    "join-resume": """
        REST fails 0 25, no replay 0 200, cut 1, upstream fails 0 3, say 1, say*2 8,
        cut*3 4, say 9""",
    "join-announced": """
        REST hangs 0 400, no replay 0 600, cut 1, say 1, cut 90, say 1, cut*2 6,
        say 3""",
    "join-id": """
        REST slow 0 60, no replay 0 300, cut 1, upstream fails 0 4, say*5 1,
        apart 14 20, other 0.5, say 0.5, cut 4, say""",
    "row-proves-nothing": """
        REST slow 0 200, short replays 0 200, REST ragged 0 200, cut 2, say 1, cut 14,
        upstream fails 0 3, say 0.5, say 1""",
    "row-newest": """
        say, cut 1, REST slow 3 60, REST ragged 0 60, cut 18, no replay 0 200,
        upstream fails 0 40, say 2, say*3 6""",
    "ids": "cut, say 1, move 6, cut 6, say 1, move 9",
    "id-change": """
        no replay 0 600, TIME still 0 300, part, empty 15, say*4 9, REST fails 1 150,
        other 0.2, say*3 0.1, empty 0.1, anew 0.1""",
    "id-begin": """
        no replay 0 900, say*3, killed 6 0.01, TIME still 0 300, empty 30,
        REST fails 0 150, say 9""",
    "reader": """
        no replay 0 400, cut, standby apart 9 120, ahead 6, say 36, other 0.3,
        say*2 0.2, anew 0.3""",
    "alive: counts": "wall clock, say 40, other 9, say*2 1",
    "alive: drains": """
        Redis slow 0 120, say*3, say 5, say*3, save 1, say*3, roll back 60""",
}
SHORT: Final = {
    "say": "upstream says something",
    "much": "upstream says much at once",
    "cut": "the connection is cut",
    "close": "upstream closes the connection",
    "other": "upstream lets only the other in",
    "half-open": "the connection dies unseen",
    "upstream fails": "upstream answers 503",
    "apart": "who is connected cannot reach Redis",
    "standby apart": "who stands by cannot reach Redis",
    "anew": "who stands by is started anew",
    "part": "who is connected gets a part only",
    "ahead": "the clock of who is connected is ahead",
    "short replays": "replays hold little",
    "slow replays": "replays are slow",
    "no replay": "there is no replay",
    "killed": "a bridge is killed",
    "shut down": "the machines are shut down",
    "whose": "a bridge gets another subscription",
    "empty": "Redis is emptied",
    "save": "Redis saves",
    "roll back": "Redis comes back older",
    "Redis slow": "Redis is slow",
    "move": "the address leads to another Redis",
    "TIME leaps": "TIME of Redis leaps by months",
    "TIME": "TIME of Redis steps",
    "TIME still": "TIME of Redis stands still",
    "wall clock": "a wall clock steps",
    "REST slow": "REST is slow",
    "REST hangs": "REST does not answer",
    "REST fails": "REST answers 503",
    "REST ragged": "REST cuts pages short",
}
Step = tuple[str, float, float]  # what, how long after the one before, how long
STEP_IN_WORDS: Final = re.compile(r"(.*?)(?:\*(\d+))?(?: ([\d.]+))?(?: ([\d.]+))?")


def _recipe(told: str) -> list[Step]:
    found: list[Step] = []
    for words in " ".join(told.split()).split(", "):
        match = STEP_IN_WORDS.fullmatch(words)
        assert match, words
        name, times, after, lasts = match.groups()
        step = SHORT[name], float(after or 0.3), float(lasts or 0)
        found += [step] * int(times or 1)
    return found


COOKED: Final = [_recipe(told) for told in RECIPES.values()]


def _cook(rng: Random, at: float, recipe: list[Step]) -> Iterator[Event]:
    for what, after, lasts in recipe:
        at += rng.uniform(after / 3, after) if rng.random() < 0.8 else 0.0
        event = _event(rng, at, what)
        yield attrs.evolve(event, lasts=lasts) if lasts else event


def draw(rng: Random, days: float, *, dense: bool = False) -> list[Event]:
    """Return what happens: storms of trouble, quiet between, and what upstream says.

    Where it is dense there is no quiet, and what is hard to get right happens often.
    """
    found: list[Event] = []
    # Of some kinds there is much in one history, of others nothing.
    weights = [kind.weight * rng.choice((0, 0, 1, 2, 6)) for kind in KINDS.values()]
    recipes = COOKED if dense else rng.sample(COOKED, 3)
    at, end = 60.0, days * DAY
    while at < end:
        storm = rng.uniform(15.0, 150.0)
        if rng.random() < (0.9 if dense else 0.4):
            events = [*_cook(rng, at, rng.choice(recipes))]
            storm = max(storm, events[-1].at - at)
        else:
            names = rng.choices([*KINDS], weights, k=rng.randint(2, 9))
            events = [_event(rng, at + rng.uniform(0.0, storm), what) for what in names]
        found += events
        for _ in range(rng.randint(1, 4 if dense else 12)):
            said = at + rng.uniform(-90.0, storm + 60.0)
            found.append(_event(rng, max(0.0, said), SHORT["say"]))
        # Some 5 a day; now and then one follows on the other, and nights are quiet.
        soon, later = rng.uniform(60, 600), rng.uniform(2 * HOUR, 10 * HOUR)
        pause = soon if dense or rng.random() < 0.3 else later
        at += storm + pause
    return sorted(found, key=lambda event: event.at)


def _event(rng: Random, at: float, what: str) -> Event:
    kind, lasts = KINDS[what], 0.0
    if kind.longest:
        low, high = log(kind.shortest + 1), log(kind.longest + 1)
        lasts = round(2.718281828 ** rng.uniform(low, high) - 1, 1)
    return Event(round(at, 3), what, lasts, rng.randrange(2**32))
