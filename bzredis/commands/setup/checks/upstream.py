"""What is asked of upstream: to be let in to each stream, and each table of REST."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import Final

import attrs
import trio

from bzredis.commands.run import proxies
from bzredis.commands.running.start import TOLD_NO_REST
from bzredis.commands.setup.checks.answers import Answer, What, judged
from bzredis.commands.setup.checks.lines import Finding
from bzredis.commands.setup.checks.presence import Presence
from bzredis.errors import ConfigError, FeedLost, FeedRefused, RestDown, RestRefused
from bzredis.settings.addresses import Origin
from bzredis.settings.config import Config
from bzredis.streams import Stream
from bzredis.streams.installed import stream as named
from bzredis.streams.stream import Table
from bzredis.upstream.rest import Rest
from bzredis.upstream.websocket import Upstream

EACH: Final = 10.0  # s; upstream holds a 429 for 5 s before it sends it
ANYONE: Final = "AAPL"  # whose consensus is asked for where nobody is named

Token = Callable[[], str]
Ask = Callable[[], Awaitable[str]]  # returns what time it was there; raises its errors


async def upstream(
    config: Config, token: Token, presence: Presence
) -> AsyncGenerator[Finding, None]:
    """Ask for all that the bridge would ask for, once."""
    try:
        of_streams, of_rest = proxies(config)
    except ConfigError as error:
        yield Finding("host", "error", str(error))
        return
    at = config.rest_origin
    feed = Upstream(str(config.upstream), token, proxy=of_streams)
    rest = Rest(str(at), token, proxy=of_rest, attempts=1) if at else None
    answers = await _Asking(config, presence, feed, rest).all_answers()
    through = f", through the proxy {of_streams.shown}" if of_streams else ""
    where = config.token
    stands = str(where.path or where.source) if where else ""
    for finding in judged(answers, through, stands):
        yield finding
    if rest is None:
        yield Finding("rest", "skipped", TOLD_NO_REST)


@attrs.frozen
class _Asking:
    config: Config
    presence: Presence
    feed: Upstream
    rest: Rest | None

    async def all_answers(self) -> list[Answer]:
        """Ask for everything at the same time; return the answers in one order."""
        asked = [*self._questions()]
        found = dict[int, Answer]()

        async def keep(number: int, answer: Answer, ask: Ask) -> None:
            found[number] = await self._answered(answer, ask)

        async with self.rest or nullcontext(), trio.open_nursery() as nursery:
            for number, (answer, ask) in enumerate(asked):
                nursery.start_soon(keep, number, answer, ask)
        return [found[number] for number in range(len(asked))]

    def _questions(self) -> Iterator[tuple[Answer, Ask]]:
        """Yield what is asked, each as the answer in which all is well."""
        streams = [*map(named, self.config.streams)]
        place = _place(self.config.upstream)
        for stream in streams:
            answer = Answer(f"stream {stream.name}", "stream", place)
            yield answer, partial(self._let_in, stream)
        if self.rest is None or (at := self.config.rest_origin) is None:
            return
        for stream in streams:
            for what, table in _tables(stream):
                kind = "removed" if what == "removals" else "rest"
                answer = Answer(f"{kind} {stream.name}", what, _place(at))
                yield answer, partial(self._given, self.rest, stream, what, table)

    async def _answered(self, answer: Answer, ask: Ask) -> Answer:
        if answer.what == "stream":
            # Without taking the place of a bridge that runs, nor coming before it.
            await self.presence.known()
            if held := self._held(answer.name):
                return attrs.evolve(answer, words=held, is_skipped=True)
        try:
            with trio.fail_after(EACH):
                date = await ask()
        except (FeedRefused, FeedLost, RestDown, RestRefused) as error:
            words = getattr(error, "gist", "") or str(error)
            date = self.rest.date if self.rest and answer.what != "stream" else ""
            status = error.status or 0
            told = attrs.evolve(answer, words=words, status=status)
        except trio.TooSlowError:
            words = f"{answer.place} did not answer within {EACH:.0f} s"
            return attrs.evolve(answer, words=words, is_late=True)
        else:
            told = answer
        return attrs.evolve(told, date=date, at=datetime.now(UTC))

    def _held(self, name: str) -> str:
        """Say why a stream is left alone, "" where nothing speaks against asking."""
        if by := self.presence.in_folder:
            return f"the state folder is in use by {by}, which may be connected"
        if self.presence.is_silent:
            return "Redis does not tell whether a bridge runs, which may be connected"
        return self.presence.on_streams.get(name.removeprefix("stream "), "")

    async def _let_in(self, stream: Stream) -> str:
        query = self.config.query(stream.parameters)
        async with self.feed.connect(stream.path, query) as link:
            return link.date

    async def _given(self, rest: Rest, stream: Stream, what: What, table: Table) -> str:
        now = int(time.time())
        if what == "lookup":
            others = [p for p in stream.parameters if p not in {"tickers", "isins"}]
            await rest.lookup(table, self._somebody(), self.config.query(others))
        else:  # one page, whatever stands on it
            async with aclosing(rest.rows(table, now)) as pages:
                await anext(pages, None)
        return rest.date

    def _somebody(self) -> str:
        return next((each for each in self.config.tickers if ":" not in each), ANYONE)


def _tables(stream: Stream) -> Iterator[tuple[What, Table]]:
    tables: dict[What, Table | None] = {
        "rows": stream.rows,
        "removals": stream.removals,
        "lookup": stream.lookup,
    }
    yield from ((what, table) for what, table in tables.items() if table)


def _place(at: Origin) -> str:
    return str(at).partition("//")[2]
