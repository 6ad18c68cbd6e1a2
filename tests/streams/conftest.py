"""A folder whose packages are found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streams.offered import offered


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "site"
    folder.mkdir()
    with offered(folder):
        yield folder
