"""A rig for each test; where one fails, its seed and its bridge's last words show."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import SystemRandom
from typing import Final

import pytest
from faults.rig import Rig, rigged

LAST_WORDS: Final = 4_000  # characters


@pytest.fixture
def seed() -> int:
    """Return another seed each time, or the one that FAULTS_SEED names."""
    return int(os.environ.get("FAULTS_SEED") or SystemRandom().randrange(10**6))


@pytest.fixture
def told(tmp_path: Path, seed: int) -> Iterator[None]:
    """Print what pytest shows where a test fails."""
    print(f"FAULTS_SEED={seed}")  # noqa: T201
    yield
    for log in tmp_path.glob("*/bridge.log"):
        print(log.read_text(errors="replace")[-LAST_WORDS:])  # noqa: T201


@pytest.fixture
async def rig(tmp_path: Path, seed: int, told: None) -> AsyncIterator[Rig]:
    """Give upstream and a Redis with AOF; the bridge is not started yet."""
    async with rigged(tmp_path, seed) as rig:
        yield rig


@pytest.fixture
async def forgetful(tmp_path: Path, seed: int, told: None) -> AsyncIterator[Rig]:
    """Give the same, but a Redis that comes back empty."""
    async with rigged(tmp_path, seed, aof=False) as rig:
        yield rig
