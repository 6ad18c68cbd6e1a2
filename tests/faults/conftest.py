"""A rig for each test; where one fails, its seed and its bridge's last words show."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final
from zlib import crc32

import pytest
from faults.rig import Rig, rigged

LAST_WORDS: Final = 4_000  # characters


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Return a seed of the test's own, the same each time, or what FAULTS_SEED names.

    Soaks draw others: who changes one thing is not to be stopped by what chance finds
    in another.
    """
    told = os.environ.get("FAULTS_SEED")
    return int(told) if told else crc32(request.node.name.encode()) % 10**6


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
