"""All that a bridge needs, on real servers, and what a check says of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import attrs
import redis
import trio

from bzredis.commands.embedded import Server
from bzredis.commands.setup import check
from bzredis.commands.setup.checks.lines import Finding, code
from bzredis.settings.file import Found, find
from bzredis.simulator import Settings, Simulator

TOKEN = "t0ken-of-the-test"
LIMIT = 60.0  # s, for what ends in a few
HOUR = 3_600.0
NOBODY = "redis://127.0.0.1:9/0"
NOWHERE = "nosuch.invalid"


@attrs.define
class Rig:
    """All that a bridge needs, and well; a test breaks one thing."""

    folder: Path
    server: Server
    simulator: Simulator
    nursery: trio.Nursery
    flags: dict[str, Any]

    @property
    def client(self) -> Any:
        return redis.Redis(port=self.server.port, decode_responses=True)

    def found(self, **flags: Any) -> Found:
        return find(None, {**self.flags, **flags})

    async def all_of_it(self, **flags: Any) -> dict[str, Finding]:
        with trio.fail_after(LIMIT):
            sheet = await check.checked(self.found(**flags))
        return {each.name: each for each in sheet}

    async def ill(self, **flags: Any) -> list[Finding]:
        """Return what is to be mended or looked at."""
        found = await self.all_of_it(**flags)
        return [each for each in found.values() if code([each])]

    async def one(self, name: str, state: str, words: str, **flags: Any) -> Finding:
        """See that just one line tells of trouble, and which."""
        ill = await self.ill(**flags)
        assert [(each.name, each.state) for each in ill] == [(name, state)], ill
        assert words in f"{ill[0].words} {ill[0].todo}"
        return ill[0]

    async def restart(self, **settings: str) -> None:
        await self.server.stop()
        self.server.settings = {"appendonly": "yes", **settings}
        await self.server.start()

    async def simulate(self, **told: Any) -> None:
        """Put another upstream in the place of this one."""
        quick: dict[str, Any] = {
            "token": TOKEN,
            "history": 40,
            "rate": 0.0,
            "refusal_delay": 0.1,
        }
        clock = told.pop("clock", time.time)
        self.simulator = Simulator(Settings(**quick | told), clock)
        port = await self.nursery.start(self.simulator.serve)
        self.flags["upstream"] = f"ws://127.0.0.1:{port}"
