"""Whether streams are fresh: `alive` is looked at, since a killed bridge says nothing.

What `fresh` says is listened to for the reason, and to hear of it at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import attrs
import trio

from bzredis.commands.react.reaction import Happening
from bzredis.commands.react.taking.patient import Patient, plain
from bzredis.errors import StoreDown
from bzredis.streams import Stream

WAIT: Final = 1.0  # s that one look waits for a word
SOON: Final = 0.05  # s that a word may come after what it is about
AGAIN: Final = 1.0  # s until Redis is asked again
# s without Redis after which nothing is fresh: as long as `alive` stands there.
GONE: Final = 15.0
EXPIRED: Final = "expired"  # nobody said why: the bridge was killed, or never ran
NO_REDIS: Final = "redis"  # … or nobody could


@attrs.define(eq=False)
class Freshness:
    """Tells of each change once; of what is stale at the start as well."""

    redis: Patient
    streams: Sequence[Stream]
    _told: dict[str, bool] = attrs.field(init=False)  # what was said last
    _reasons: dict[str, str] = attrs.field(init=False, factory=dict)
    _ear: Any = attrs.field(init=False, default=None)
    _answered: float = attrs.field(init=False, factory=trio.current_time)

    @_told.default
    def _well(self) -> dict[str, bool]:
        return {each.name: True for each in self.streams}

    async def look(self) -> list[Happening]:
        """Return what changed since the last time; waits a little."""
        try:
            alive, said = await self.redis.use(partial(self._asked))
        except StoreDown:
            self._ear = None
            await trio.sleep(AGAIN)
            if trio.current_time() - self._answered < GONE:
                return []
            return self._changes(dict.fromkeys(self._told, False), NO_REDIS)
        self._answered = trio.current_time()
        for channel, words in said:
            self._reasons[channel] = words.partition(" ")[2]
        return self._changes(alive)

    def _asked(self, redis: Any) -> tuple[dict[str, bool], list[tuple[str, str]]]:
        """Wait for a word; then look who is alive. Runs in a thread."""
        if self._ear is None:
            self._ear = redis.pubsub()
            self._ear.subscribe(*self._channels())
        said = self._heard_within(WAIT)
        keys = [self.redis.key(each.name, "alive") for each in self.streams]
        found = [bool(redis.exists(key)) for key in keys]
        if not all(found):  # why, may have been said just now
            said += self._heard_within(SOON)
        return dict(zip(self._told, found, strict=True)), said

    def _channels(self) -> dict[str, str]:
        return {self.redis.key(name, "fresh"): name for name in self._told}

    def _heard_within(self, seconds: float) -> list[tuple[str, str]]:
        """Return what was said of which stream, having waited for it."""
        said, channels = list[tuple[str, str]](), self._channels()
        while word := self._ear.get_message(timeout=0.0 if said else seconds):
            if word["type"] == "message":
                said.append((channels[plain(word["channel"])], plain(word["data"])))
        return said

    def _changes(self, alive: dict[str, bool], reason: str = "") -> list[Happening]:
        found = list[Happening]()
        for name, is_fresh in alive.items():
            if self._told[name] == is_fresh:
                continue
            self._told[name] = is_fresh
            if is_fresh:
                self._reasons.pop(name, None)
                found.append(Happening("fresh", name))
            else:
                why = reason or self._reasons.pop(name, "") or EXPIRED
                found.append(Happening("stale", name, fields={"reason": why}))
        return found
