"""A rig for each test, with a seed that is printed where it fails."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import SystemRandom

import pytest
from faults.rig import Rig, rigged

Start = Callable[..., Awaitable[Rig]]


@pytest.fixture
def seed() -> int:
    """Return another seed each time, or the one that FAULTS_SEED names."""
    return int(os.environ.get("FAULTS_SEED") or SystemRandom().randrange(10**6))


@pytest.fixture
async def rig(tmp_path: Path, seed: int) -> AsyncIterator[Rig]:
    """Give Redis with AOF and upstream; the bridge is not started yet."""
    async with rigged(tmp_path, seed) as rig:
        yield rig
