"""Each rule of coverage is needed: without it, its story breaks what must hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from law import rules
from law.real import Real, in_trio
from law.stories import STORIES, tell
from law.world import BOUNDS, Broken, World
from store.servers import Peer, running

# Without these more gaps have nothing missing, and more goes missing; both announced.
NOT_NEEDED = {"proof", "go-back"}


@pytest.fixture(autouse=True)
def _bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the engine's bounds small, so that they are met."""
    for module, name, value in BOUNDS:
        monkeypatch.setattr(module, name, value)


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with running("valkey", tmp_path_factory.mktemp("law")) as peer:
        yield peer


def test_every_rule_has_a_story() -> None:
    here = Path(__file__).parent
    texts = [(here / name).read_text() for name in ("rules.py", "world.py")]
    named = {*re.findall(r'\bon\("([a-z-]+)"\)', "".join(texts))}

    assert named - NOT_NEEDED == {*" ".join(STORIES).split()}


@pytest.mark.parametrize("out", STORIES)
def test_a_story_holds_and_breaks_without_its_rule(
    out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, story = STORIES[out]
    tell(World(plan), story)

    monkeypatch.setattr(rules, "WITHOUT", {*out.split()})

    with pytest.raises(Broken):
        tell(World(plan), story)


@pytest.mark.parametrize("rule", STORIES)
def test_a_story_holds_by_the_script_which_follows_the_rules(
    rule: str, peer: Peer
) -> None:
    plan, story = STORIES[rule]
    world = World(plan, in_trio, partial(Real.beside, peer))
    assert isinstance(world.store, Real)
    try:
        tell(world, story)
    finally:
        world.store.close()
