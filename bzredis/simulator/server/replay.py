"""What ``replay`` brings back: the last messages of each stream."""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Iterator

import attrs

from bzredis.simulator.market import formats
from bzredis.simulator.market.consensus import View
from bzredis.simulator.market.records import Published


def envelope_of(text: str) -> str:
    """Return a frame's envelope id; empty for a frame that has none."""
    try:
        frame = json.loads(text)
    except ValueError:
        return ""
    envelope = frame.get("id") if isinstance(frame, dict) else None
    return envelope if isinstance(envelope, str) else ""


def renewed(rng: random.Random, published: Published) -> Published:
    """Return the same message under a new envelope id, if it had one."""
    old, new = published.envelope, formats.envelope_id(rng)
    if not old:
        return published

    def render(view: View) -> str:
        return published.seen(view).replace(f'"{old}"', f'"{new}"', 1)

    return attrs.evolve(published, text=render(View()), envelope=new, render=render)


@attrs.define(eq=False)
class Replay:
    """The newest ``size`` messages of one stream, under new ids if ``rng`` is given."""

    size: int
    rng: random.Random | None = None
    _cache: deque[Published] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make room for ``size`` messages."""
        self._cache = deque(maxlen=self.size)

    def add(self, published: Published) -> None:
        self._cache.append(published)

    def __iter__(self) -> Iterator[Published]:
        """Yield the messages as they stand now, oldest first."""
        for published in tuple(self._cache):
            yield renewed(self.rng, published) if self.rng else published
