"""Nothing is lost, whoever is killed: at a size that takes some seconds.

At the size of the promise (issue 13: 10,000 entries) it is run by storm.py itself.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from commands.react.storm import JOBS, storm


@pytest.mark.long
def test_each_entry_is_handled_or_kept_whoever_is_killed(tmp_path: Path) -> None:
    came = storm(tmp_path, 300, every=60, lease=0.5, wait=0.05, most=3)
    assert came.matching == 160
    assert came.lost == 0
    assert came.foreign == 0
    assert came.hopeless == 2
    # What was in hand at a kill, and no more.
    assert came.twice <= came.kills * JOBS
    assert came.kills == 3
