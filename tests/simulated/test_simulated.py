"""Some days of trouble in which the law holds, and some rules that are missed.

SIMULATED_DAYS=10000 runs so many, SIMULATED_SEED=N others; `scripts/simulate-faults`
tells more. Who changes one thing is not to be stopped by what chance finds in another.
"""

from __future__ import annotations

import os

import attrs
import pytest
from simulated.mutations import without
from simulated.simulation import DAYS, History, run, shrunk

DAYS_IN_ALL = int(os.environ.get("SIMULATED_DAYS", "80"))
OTHERS = int(os.environ.get("SIMULATED_SEED", "10001"))
EACH = DAYS_IN_ALL // 2 // DAYS  # seeds from the first on, and of the others
SEEDS = [first + number for first in (1, OTHERS) for number in range(EACH)]
# Those that are noticed soonest, and with which seed.
MISSED = {
    **dict.fromkeys(("back-off is reset", "back-off grows", "alive: no hole"), 1),
    **dict.fromkeys(("numbers", "opened", "emptied"), 1),
    **dict.fromkeys(("known-before", "forget", "alive: confirmed"), 2),
    "alive: connected": 3,
    "alive: heard": 4,
    **dict.fromkeys(("late-opened", "late-unproves"), 5),
    "proving": 15,
}


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
def test_the_law_holds(seed: int) -> None:
    history = History.of(seed)
    if words := run(history):
        pytest.fail(f"{words}\n{shrunk(history, words, most=60)}")


@pytest.mark.parametrize(("name", "seed"), MISSED.items())
def test_what_is_taken_out_is_missed(name: str, seed: int) -> None:
    with without(name):
        assert run(History.dense(seed))


def test_a_history_that_breaks_the_law_is_shrunk_and_told() -> None:
    history = History.of(1000)
    with without("alive: connected"):
        words = run(history)
        short = shrunk(history, words, most=100)
        assert run(short)[:2] == words[:2]
    assert len(short.events) <= 5
    assert str(short).startswith("seed 1000: ")
    assert not run(short), "it was that alone"


def test_a_seed_replays_exactly() -> None:
    with without("numbers"):
        history = attrs.evolve(History.of(1000), days=1)
        assert run(history) == run(history)
