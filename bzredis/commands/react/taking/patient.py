"""Redis, asked until it answers; that it is away, and back, is told once each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, TypeVar

import attrs
import structlog
import trio

from bzredis.backoff import delays
from bzredis.commands.logs import add_secret
from bzredis.errors import StoreDown
from bzredis.settings.config import Config
from bzredis.store.connection import Connection

log = structlog.get_logger(__name__)
T = TypeVar("T")

FIRST: Final = 0.2  # s between tries while Redis is away, at first …
LAST: Final = 5.0  # … and in the end
# What Redis says of groups, which waiting does not mend: UNBLOCKED to who waits while
# one is removed.
OF_GROUPS: Final = ("NOGROUP", "BUSYGROUP", "UNBLOCKED")
# What is said to Redis; last may stand what redis-py needs to know of the answer.
Command = tuple[Any, ...]


@attrs.define(eq=False)
class Patient:
    """One Redis under one prefix, for all reactions of a process."""

    prefix: str
    _at: Connection = attrs.field(repr=False)
    _rng: Random = attrs.field(repr=False, factory=Random)
    away_since: float | None = None  # by trio's clock

    @classmethod
    def of(cls, config: Config) -> Patient:
        """Make it of the settings; nothing is sent yet."""
        for each in config.redis:
            for secret in each.secrets:
                add_secret(secret)
        url, *others = (each.url for each in config.redis)
        return cls(config.prefix, Connection(url, others))

    def key(self, *names: str) -> str:
        return ":".join((self.prefix, *names))

    async def once(self, *commands: Command) -> list[Any]:
        """Return the answers as text, of several commands together (MULTI).

        Raises StoreDown.
        """
        return await self._at.run(lambda redis: _answers(redis, commands))

    async def ask(self, *commands: Command) -> list[Any]:
        """Return the answers, whenever they come.

        Raises StoreDown where a group is not there, or is there already. What is asked
        may have been done before, and its answer been lost.
        """
        waits = delays(FIRST, LAST, rng=self._rng)
        while True:
            try:
                answers = await self.once(*commands)
            except StoreDown as error:
                if any(each in str(error) for each in OF_GROUPS):
                    raise
                self._lost(error)
                await trio.sleep(next(waits))
            else:
                self._found()
                return answers

    async def use(self, call: Callable[[Any], T]) -> T:
        """Let something use the client itself, in a thread. Raises StoreDown."""
        return await self._at.run(call)

    def close(self) -> None:
        self._at.close()

    def _lost(self, error: StoreDown) -> None:
        if self.away_since is None:
            self.away_since = trio.current_time()
            words = "trouble with Redis, it is asked again until it answers"
            log.warning(words, error=str(error))

    def _found(self) -> None:
        if self.away_since is not None:
            seconds = round(trio.current_time() - self.away_since)
            self.away_since = None
            log.info("Redis answers again", seconds=seconds)


def _answers(redis: Any, commands: Sequence[Command]) -> list[Any]:
    if not commands:
        return []
    if len(commands) == 1:
        words, form = _apart(commands[0])
        return [plain(redis.execute_command(*words, **form))]
    with redis.pipeline(transaction=True) as together:
        for command in commands:
            words, form = _apart(command)
            together.execute_command(*words, **form)
        return [plain(each) for each in together.execute()]


def _apart(command: Command) -> tuple[Command, dict[str, Any]]:
    *words, last = command
    return (tuple(words), last) if isinstance(last, dict) else (command, {})


def plain(answer: Any) -> Any:
    """Return what Redis said as text, however deep it stands."""
    if isinstance(answer, bytes):
        return answer.decode(errors="backslashreplace")
    if isinstance(answer, dict):
        return {plain(k): plain(v) for k, v in answer.items()}
    if isinstance(answer, (list, tuple)):
        return [plain(each) for each in answer]
    return answer
