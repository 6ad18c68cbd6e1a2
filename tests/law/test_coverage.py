"""The law of coverage, over whatever may happen (world.py); against fake and script.

COVERAGE_EXAMPLES=20 has each run so many times as many examples.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from law.real import Real, in_trio
from law.rules import CLOCKS
from law.world import BOUNDS, OFTEN, RARE, Plan, World, do
from store.servers import running

TIMES = int(os.environ.get("COVERAGE_EXAMPLES", "1"))
FAKE, REAL = 300 * TIMES, 40 * TIMES  # examples
STEPS = 60

PLANS = st.builds(
    Plan,
    rest=st.booleans(),
    two=st.booleans(),
    changing=st.booleans(),
    pings=st.sampled_from((True, True, False)),
    stepping=st.sampled_from((False, False, True)),
    skew=st.sampled_from((0, CLOCKS - 10_000, 10_000 - CLOCKS)),
    rest_good=st.sampled_from((0, 4, 6)),
    slow=st.sampled_from((0, 20)),
    seed=st.integers(0, 2**32 - 1),
)


class Histories(RuleBasedStateMachine):
    """Whatever may happen, against the fake; in the end all is calm."""

    world: World | None = None  # None: the law was broken

    @initialize(plan=PLANS)
    def begin(self, plan: Plan) -> None:
        self.world = self.new_world(plan)

    def new_world(self, plan: Plan) -> World:
        return World(plan)

    def happen(self, name: str, who: int, n: int) -> None:
        world, self.world = self.world, None
        assert world is not None
        do(world, name, who, n)
        self.world = world

    def teardown(self) -> None:
        if self.world is not None:
            self.world.calm()


def _happens(name: str) -> Callable[..., None]:
    def happens(self: Histories, how: int) -> None:
        self.happen(name, how % 2, how // 2)

    happens.__name__ = name
    return rule(how=st.integers(0, 15))(happens)


for _nth, _name in enumerate((*OFTEN, *RARE)):
    setattr(Histories, f"{_name}_{_nth}", _happens(_name))


@pytest.fixture(autouse=True)
def _bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the engine's bounds small, so that they are met."""
    for module, name, value in BOUNDS:
        monkeypatch.setattr(module, name, value)


def hold(machine: type[Histories], examples: int) -> None:
    """Run so many histories; one that breaks the law is printed as a program."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            print_blob=True,
            suppress_health_check=[*HealthCheck],
        ),
    )


def test_the_law_holds_by_the_rules() -> None:
    hold(Histories, FAKE)


def test_the_law_holds_by_the_script_which_follows_the_rules(tmp_path: Path) -> None:
    with running("valkey", tmp_path) as peer:

        class OnServer(Histories):
            def new_world(self, plan: Plan) -> World:
                return World(plan, in_trio, partial(Real.beside, peer))

            def teardown(self) -> None:
                store = self.world and self.world.store
                super().teardown()
                if isinstance(store, Real):
                    store.close()

        hold(OnServer, REAL)
