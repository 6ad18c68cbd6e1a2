"""What tests of the backlog share: an empty one, on a real file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from backlog.desk import Desk, begun
from fakes import ROOMY, Disk

from bzredis.backlog.backlog import Backlog
from bzredis.backlog.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool.open(tmp_path / "s.sqlite3", ROOMY)
    yield spool
    spool.close()


@pytest.fixture
def waiting(spool: Spool, disk: Disk) -> Backlog:
    return begun(spool)


@pytest.fixture
def desk(waiting: Backlog) -> Desk:
    return Desk(waiting)
