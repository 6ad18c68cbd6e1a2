"""A reaction that keeps a broker's topics as `latest` stands, for watched symbols.

Whatever was missed while the broker was away is in what is said anew when it is back:
nothing that happened meanwhile waits for it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Final, NoReturn

import attrs
import structlog
import trio

from bzredis.backoff import delays
from bzredis.commands.react.mqtt.address import Broker
from bzredis.commands.react.mqtt.board import Board
from bzredis.commands.react.mqtt.link import Link, Lost, Refused, connect
from bzredis.commands.react.mqtt.payloads import OFFLINE
from bzredis.commands.react.mqtt.topics import BIRTH, Topics
from bzredis.commands.react.reaction import React
from bzredis.commands.react.taking.patient import Patient
from bzredis.commands.running.beside import beside
from bzredis.errors import ConfigError
from bzredis.streams import Stream

log = structlog.get_logger(__name__)

FIRST, LAST = 0.2, 60.0  # s between attempts to connect
LOOK: Final = 30.0  # s between looks at what no entry tells of, as `forget`
NAME_THEM: Final = "name those that are to stand there with --watch AAPL,MSFT"
ISIN: Final = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")
HEALTHY: Final = 60.0  # s of a connection after which the next attempt comes soon


@asynccontextmanager
async def mqtt(
    broker: Broker, watched: Sequence[str], streams: Sequence[Stream], redis: Patient
) -> AsyncIterator[React]:
    """Keep what stands in a broker as `latest` is, for as long as one likes.

    `watched` are symbols; of none, those that the bridge follows. Raises ConfigError
    where these are all that there are, or the broker does not let us in at the start;
    one that is away is waited for.
    """
    watched = watched or await _followed(streams, redis)
    board = Board(Topics(broker.base), watched, streams, redis)
    keeper = _Keeper(broker, board)
    first: Link | None = None
    try:
        first = await keeper.connect()
    except Refused as error:
        raise ConfigError(str(error)) from None
    except Lost as error:
        keeper.say_lost(error)
    async with beside(lambda: keeper.run(first)):
        yield board.react


async def _followed(streams: Sequence[Stream], redis: Patient) -> Sequence[str]:
    """Return the symbols that the bridge follows. Raises ConfigError."""
    keys = [redis.key(each.name, "status") for each in streams]
    told = await redis.ask(*(("HGET", key, "subscription") for key in keys))
    followed = {each for each in told if each}
    if not followed:
        raise ConfigError(
            f"no bridge has said yet which symbols it follows: {NAME_THEM}"
        )
    if "*" in followed:
        raise ConfigError(f"the bridge follows all symbols, some 6,000: {NAME_THEM}")
    found = sorted({each for one in followed for each in one.split(",")})
    if any(map(ISIN.fullmatch, found)):
        raise ConfigError(
            f"the bridge follows ISINs, which are no symbols: {NAME_THEM}"
        )
    return found


@attrs.define(eq=False)
class _Keeper:
    """Keeps a connection up, and has all told at its beginning."""

    _broker: Broker
    _board: Board
    _rng: Random = attrs.field(factory=Random, repr=False)
    _is_away: bool = attrs.field(init=False, default=False)

    async def connect(self) -> Link:
        """Connect, the broker being told what to say at our end. Raises Lost."""
        will = (self._board.topics.availability, OFFLINE)
        return await connect(self._broker, will, self._board.hear)

    async def run(self, first: Link | None) -> NoReturn:
        link, waits = first, delays(FIRST, LAST, rng=self._rng)
        while True:
            begun = trio.current_time()
            try:
                link = link or await self.connect()
                await self._serve(link)
            except Lost as error:
                self.say_lost(error)
            link = None
            if trio.current_time() - begun > HEALTHY:
                waits = delays(FIRST, LAST, rng=self._rng)
            await trio.sleep(next(waits))

    async def _serve(self, link: Link) -> NoReturn:
        """Say all, then what changes of it. Raises Lost."""
        board = self._board
        try:
            with link.scope:
                await link.subscribe([BIRTH, board.topics.config("+")])
                await board.tell_all(link)
                self._say_found()
                while True:
                    with trio.move_on_after(LOOK):
                        await board.heard.wait()
                    await board.answer(link)
                    await board.look_again(link)
        finally:
            board.link = None
            await link.close([(board.topics.availability, OFFLINE)])
        raise Lost(link.why)

    def say_lost(self, error: Lost) -> None:
        if not self._is_away:
            self._is_away = True
            words = "the MQTT broker is away, and is tried again until it is back"
            log.warning(words, error=str(error))

    def _say_found(self) -> None:
        if self._is_away:
            self._is_away = False
            log.info("the MQTT broker is back", broker=self._broker.shown)
