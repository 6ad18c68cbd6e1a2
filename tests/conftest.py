"""What tests of the engine share: a rig in virtual time, and what was logged."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import structlog
import trio
from fakes import Disk, Rig, Said
from hypothesis import HealthCheck, settings

from bzredis.commands.running.called import CALLED
from bzredis.errors import FeedLost

# How long a machine takes that does other work beside is no fault of a test's.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
# Who changes one thing is not to be stopped by what chance finds in another: the same
# examples each time, other ones with `--hypothesis-seed=N`.
settings.register_profile(
    "the same", settings.get_profile("any machine"), derandomize=True
)


def pytest_configure(config: pytest.Config) -> None:
    is_seeded = config.getoption("hypothesis_seed", None) is not None
    settings.load_profile("any machine" if is_seeded else "the same")


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have hints say `bzredis`, as if it were installed, whoever runs this."""
    monkeypatch.setenv(CALLED, "bzredis")


@pytest.fixture(autouse=True)
def _turns(request: pytest.FixtureRequest) -> None:
    """Shuffle the tasks that may go on, as trio does, the same way each time.

    `--hypothesis-seed=N` shuffles them otherwise.
    """
    told = request.config.getoption("hypothesis_seed", None) or ""
    trio._core._run._r.seed(f"{request.node.nodeid}{told}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Let each worker begin with its part of the longest: the last to end are short.

    At first each is given a part of the list; who is done takes from another's end.
    """
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    long = [item for item in items if item.get_closest_marker("long")]
    rest = [item for item in items if not item.get_closest_marker("long")]
    ends = [len(rest) * number // workers for number in range(workers + 1)]
    items[:] = [
        item
        for number, (begin, end) in enumerate(pairwise(ends))
        for item in (*long[number::workers], *rest[begin:end])
    ]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Put what works in virtual time in the place of worker threads."""
    disk = Disk()
    monkeypatch.setattr(trio.to_thread, "run_sync", disk.run_sync)
    return disk


@pytest.fixture
def rig(tmp_path: Path, disk: Disk) -> Iterator[Rig]:
    """Give a bridge's surroundings, all well; the test sees to virtual time."""
    rig = Rig(tmp_path / "spool", FeedLost("upstream ended the connection"))
    yield rig
    rig.close()


@pytest.fixture
def said() -> Iterator[Said]:
    """Collect what is logged."""
    with structlog.testing.capture_logs() as entries:
        yield entries  # type: ignore[misc]
