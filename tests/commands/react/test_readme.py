"""The reactions of the README run as they stand there, with services of loopback."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from commands.looks.conftest import LIMIT, Look
from commands.react.mqtt.conftest import Mosquitto, Watcher, broker, watch
from commands.react.notify.test_services import Post, post
from commands.react.test_react import lines, until
from consumers.recipes import Command, blocks
from consumers.week import LAST, Bridge, Call

from bzredis.streams import INSIGHTS, RATINGS

__all__ = ["broker", "post", "watch"]

ROOT: Final = Path(__file__).parents[3]
TOLD: Final = (ROOT / "README.md").read_text().partition("\n## React to it\n")[2]
SECTION: Final = TOLD.partition("\n## ")[0]
MOST: Final = 6  # lines of a reaction
LOG: Final = "bz:ratings:events"
# Later than all of the week, one after the other.
GOLDMAN: Final = attrs.evolve(
    LAST,
    clock="13:50",
    firm="Goldman Sachs",
    action="Downgrades",
    rating="Sell",
    prior="Neutral",
    pt="99.00",
    pt_prior="118.00",
)
OTHER: Final = attrs.evolve(GOLDMAN, clock="13:40", ticker="MSFT")
RAISED: Final = attrs.evolve(LAST, clock="13:55")


def reactions() -> dict[str, list[Command]]:
    """Return the commands of each reaction, by its name."""
    [block] = blocks(SECTION)
    found = dict[str, list[Command]]()
    mine = list[Command]()
    for command in block.commands:
        mine.append(command)
        if named := re.search(r"^bzredis react (\w+)", command.text):
            found[named[1]], mine = mine, []
    assert not mine
    return found


@attrs.define
class Shell:
    """A home of one's own, in which `bzredis` is this one."""

    home: Path
    environ: dict[str, str]

    @classmethod
    def of(cls, look: Look, home: Path) -> Shell:
        programs = home / "bin"
        programs.mkdir()
        program = programs / "bzredis"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m bzredis "$@"\n')
        program.chmod(0o700)
        path = f"{programs}:{os.environ['PATH']}"
        there = look.surroundings({"PATH": path, "HOME": str(home)})
        return cls(home, {**there, "PYTHONPATH": str(ROOT)})

    def begin(self, command: Command, **how: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command.text}"]
            if command.text.startswith("bzredis")
            else ["/bin/sh", "-c", command.text],
            env=self.environ,
            cwd=self.home,
            **how,
        )

    def run(self, command: Command, typed: str) -> None:
        """Run a command to its end, and type into it."""
        with self.begin(command, stdin=subprocess.PIPE) as process:
            process.communicate(typed.encode(), LIMIT)
        assert process.returncode == 0

    @contextmanager
    def reacting(self, name: str, typed: str = "") -> Iterator[None]:
        """Do what the README says of a reaction; it runs to the end of the block."""
        *first, last = reactions()[name]
        for command in first:
            self.run(command, typed)
        with self.begin(last, stdin=subprocess.DEVNULL) as process:
            try:
                yield
                process.send_signal(signal.SIGTERM)
                assert process.wait(LIMIT) == 0
            finally:
                process.kill()


@pytest.fixture
def shell(look: Look, tmp_path: Path) -> Shell:
    return Shell.of(look, tmp_path)


def begun(bridge: Bridge, name: str) -> bool:
    """Tell whether a reaction has its group, so that it gets what comes now."""
    groups = bridge.peer.redis.xinfo_groups(LOG)
    return any(name in str(group["name"]) for group in groups)


def comes(bridge: Bridge, *calls: Call) -> None:
    for call in calls:
        bridge.apply(RATINGS, bridge.week.rating(call))


def test_there_are_three_of_a_few_lines_each() -> None:
    found = reactions()
    assert [*found] == ["phone", "home", "raised"]
    for commands in found.values():
        assert sum(len(each.text.splitlines()) for each in commands) <= MOST
    [block] = blocks(SECTION)
    assert all(len(line) <= 80 for line in block.text.splitlines())


def test_a_phone_tells_of_a_downgrade_of_ones_stocks(
    shell: Shell, bridge: Bridge, post: Post
) -> None:
    with shell.reacting("phone", f"json://{post.address}/phone\n"):
        until(lambda: begun(bridge, "phone"))
        comes(bridge, OTHER, LAST, GOLDMAN)
        # Why it is so, in prose, is told on another stream.
        bridge.apply(INSIGHTS, bridge.week.insight(GOLDMAN, 0, "13:52"))
        until(lambda: post.got)
    [got] = post.got
    assert (got["path"], got["title"]) == ("/phone", "XOM: downgraded")
    told = "XOM: Goldman Sachs downgrades to Sell from Neutral, target 118.00 → 99.00"
    assert got["message"] == told
    assert (shell.home / "phone").stat().st_mode & 0o777 == 0o600


def test_home_assistant_has_sensors_of_ones_stocks(
    shell: Shell, bridge: Bridge, broker: Mosquitto, watch: Callable[..., Watcher]
) -> None:
    broker.stop()
    broker.need("me", "s3cretword")
    broker.start()
    seen = watch(broker.url, ("me", "s3cretword"))
    url = broker.url.replace("://", "://me:s3cretword@")
    with shell.reacting("home", f"{url}\n"):
        until(lambda: seen.last("bzredis/availability") == b"online")
        comes(bridge, LAST)
        until(lambda: b"130.00" in (seen.last("bzredis/ratings/XOM") or b""))
    assert json.loads(seen.stands["bzredis/consensus/AAPL"])["consensus_rating"] == (
        "BUY"
    )
    config = json.loads(seen.stands["homeassistant/device/bzredis/XOM/config"])
    assert [*config["components"]] == ["rating", "target", "consensus"]


def test_a_program_gets_targets_that_went_up_by_a_tenth(
    shell: Shell, bridge: Bridge
) -> None:
    with shell.reacting("raised"):
        until(lambda: begun(bridge, "raised"))
        comes(bridge, OTHER, GOLDMAN, RAISED)
        found = lines(shell.home / "raised", 1)
    assert found == ["XOM: Barclays 112.00, now 130.00"]
