"""A reader that works entries off: XREADGROUP, XACK, XDEL, as a work queue does."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final, NoReturn

import attrs
import trio
from redis import Redis
from redis.exceptions import RedisError, ResponseError

EVERY: Final = 0.05  # s
ANSWER: Final = 2.0  # s
AT_ONCE: Final = 200  # entries

Entries = dict[str, dict[str, str]]
Taken = dict[str, Entries]  # by stream: what is in the log no longer


@attrs.define
class Worker:
    """Takes all entries of one stream; `taken` keeps them for the checker."""

    url: str
    stream: str
    taken: Entries = attrs.field(factory=dict)

    async def run(self) -> NoReturn:
        while True:
            await trio.sleep(EVERY)
            with suppress(RedisError, OSError):
                await trio.to_thread.run_sync(self._work)

    def _work(self) -> None:
        name = f"bz:{self.stream}:events"
        with Redis.from_url(self.url, socket_timeout=ANSWER) as client:
            redis: Any = client
            with suppress(ResponseError):  # it is there
                redis.xgroup_create(name, "workers", "0", mkstream=True)
            # First what was read, and perhaps not removed.
            for after in ("0", ">"):
                read = redis.xreadgroup("workers", "me", {name: after}, AT_ONCE)
                for identity, fields in read[0][1] if read else ():
                    if fields:
                        self.taken[identity.decode()] = {
                            k.decode(): v.decode(errors="replace")
                            for k, v in fields.items()
                        }
                    redis.xack(name, "workers", identity)
                    redis.xdel(name, identity)
