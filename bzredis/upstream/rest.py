"""REST, by httpx: its errors stop here and in failures.py, ours go on.

REST gives back what the streams lost: rows newer than a time, removals, and the one
object of a security. Which tables it is asked for is a stream's to say; what is in
their rows, which come as the text that was sent, is for the pure core to tell.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from random import Random
from typing import Any, Final, Self, TypeVar

import httpx
import trio
from attrs import define, field

from bzredis import __version__
from bzredis.backoff import delays
from bzredis.errors import FeedLost, RestDown, RestRefused
from bzredis.ports import Removal
from bzredis.streams.stream import PAGE, Table
from bzredis.upstream import pages
from bzredis.upstream.failures import (
    CONNECT,
    SILENCE,
    SLOW_DOWN,
    Failure,
    cause,
    refusal,
)
from bzredis.upstream.pacing import PACE, REFUSALS, Pace
from bzredis.upstream.pages import Odd
from bzredis.upstream.proxy import Proxy
from bzredis.upstream.secret import cleaned
from bzredis.upstream.transport import trusted

ANSWER: Final = 60.0  # s for one answer whole; a full page of insights has some 3 MB
WHOLE: Final = 180.0  # s for one request with all its attempts and waits
GOODBYE: Final = 2.0  # s; a stop has 5 s in all
LARGEST: Final = 64 * 2**20  # bytes unpacked: twenty such pages, and no harm to memory

AT_ONCE: Final = 2  # requests: a look-up need not wait for the end of a long back-fill

ATTEMPTS: Final = 4
FIRST, LAST = 1.0, 15.0  # s; back-off within a call
LONGEST_RETRY_AFTER: Final = 60.0  # s; who is asked to wait longer comes back later

# A server that ignores `page` in some way that we do not notice would send rows for
# ever. A day has some 500 rows: even cut down to 50, these pages reach back weeks.
IDLE: Final = 9  # pages in a row without anything new; then there is no more
PAGES: Final = 200


ANSWERED: Final = {200: b"", 204: b"null"}  # and the JSON for an empty body

T = TypeVar("T")

# At DEBUG they tell of headers, and complain of those that they cannot send. Their own
# level counts, whatever the level of the root logger.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


@define(eq=False)
class Rest:
    """Asks upstream's REST, at one pace for all who use it.

    An async context manager. The rows' iterators want `aclosing` around them where they
    may be left early. Every call raises `RestDown`, once its own few attempts are
    spent, and `RestRefused`.
    """

    origin: str  # "https://api.benzinga.com", "http://127.0.0.1:8000"
    # Asked at each request; a FeedLost from it becomes RestDown.
    token: Callable[[], str] = field(repr=False)
    pace: float = PACE  # requests a second
    tls: ssl.SSLContext | None = field(default=None, repr=False)  # None: the default
    rng: Random = field(factory=Random, repr=False)
    transport: httpx.AsyncBaseTransport | None = field(default=None, repr=False)
    proxy: Proxy | None = None
    attempts: int = ATTEMPTS  # at a request, before it has failed
    date: str = field(init=False, default="", repr=False)  # of the last answer
    _client: httpx.AsyncClient = field(init=False, repr=False)
    _turns: Pace = field(init=False, repr=False)
    _slots: trio.CapacityLimiter = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Prepare the client; nothing is sent yet."""
        self._turns = Pace(self.pace)
        self._slots = trio.CapacityLimiter(AT_ONCE)
        self._client = httpx.AsyncClient(
            base_url=self.origin,
            headers={
                "Accept": "application/json",  # else XML comes
                "Accept-Encoding": "gzip",
                "User-Agent": f"bzredis/{__version__}",
            },
            # The environment's proxies, in `proxy`, are read once for the streams too:
            # one without an exception for loopback would get to read the token there.
            trust_env=False,
            proxy=_proxy(self.proxy),
            follow_redirects=False,  # the token is for this host
            timeout=httpx.Timeout(SILENCE, connect=CONNECT, pool=None),
            verify=self.tls or trusted(),
            transport=self.transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        with trio.move_on_after(GOODBYE, shield=True):
            await self._client.aclose()

    async def rows(
        self, table: Table, since: int, tickers: Sequence[str] = ()
    ) -> AsyncGenerator[list[str], None]:
        """Yield pages of the rows updated at `since` (unix s) or later, as JSON.

        Byte for byte; newest first, and some twice where others came in between two
        pages. The end is an empty page, or the last one again: how many a page has says
        nothing (upstream.md, 7). The second may be the first again, where pages count
        from 1; and where pages are small and others came in between, one of nothing but
        rows that were seen is no end yet.
        """
        split = partial(pages.rows, name=table.name)
        for query in table.queries(since, tickers):
            seen, before, idle = set[str](), list[str](), 0
            for page in range(PAGES):
                asked = {**query, "page": str(page)}
                found = await self._read(table.path, asked, split)
                if not found:
                    break
                if not seen.issuperset(found):
                    yield found
                    seen.update(found)
                    idle = 0
                elif page > 1 and (found == before or idle >= IDLE):
                    if len(found) == len(seen) == PAGE:  # it may ignore `page`
                        raise self._down(table.path, "sends the same full page again")
                    break
                else:
                    idle += 1
                before = found
            else:
                raise self._down(table.path, f"has no end of pages ({PAGES})")

    async def removals(self, table: Table, since: int) -> AsyncGenerator[Removal, None]:
        """Yield what was removed at `since` (unix s) or later, or nobody knows when.

        Upstream's own filters are not to be relied on.
        """
        async with aclosing(self.rows(table, since)) as found:
            async for page in found:
                for row in page:
                    gone = pages.removal(row, table.type)
                    if gone and (gone.updated is None or gone.updated >= since):
                        yield gone

    async def lookup(
        self, table: Table, ticker: str, query: Mapping[str, str]
    ) -> str | None:
        """Return the one object of a ticker as JSON, byte for byte; None for none.

        Nothing in it says whose it is; that only US tickers may be asked for is the
        caller's concern.
        """
        query = {table.tickers: ticker, **query}
        return await self._read(table.path, query, pages.one_object)

    async def _read(
        self, path: str, query: dict[str, str], read: Callable[[bytes], T]
    ) -> T:
        body = await self._fetch(path, query)
        try:
            return read(body)
        except Odd as odd:
            down = self._down(path, f"answered with {odd}")
        raise down

    async def _fetch(self, path: str, query: dict[str, str]) -> bytes:
        """Ask until there is an answer, or no more sense in asking now."""
        failure = Failure(f"gave no answer within {WHOLE:.0f} s")
        pauses = delays(FIRST, LAST, rng=self.rng)
        with trio.move_on_after(WHOLE):
            for left in reversed(range(self.attempts)):
                answer = await self._attempt(path, query)
                if not isinstance(answer, Failure):
                    return answer
                failure = answer
                asked = failure.asked or 0.0
                wait = min(asked, LONGEST_RETRY_AFTER) + next(pauses)
                if failure.status == SLOW_DOWN:
                    self._turns.hold(wait)  # that was meant for all of us
                if not (left and failure.passing and asked <= LONGEST_RETRY_AFTER):
                    break
                if failure.status != SLOW_DOWN:
                    await trio.sleep(wait)
        status = failure.status
        down = self._down(path, failure.words, failure.asked, status)
        if status in REFUSALS:
            raise RestRefused(str(down), gist=down.gist, status=status)
        raise down

    async def _attempt(self, path: str, query: dict[str, str]) -> bytes | Failure:
        async with self._slots:
            await self._turns.turn()
            with trio.move_on_after(ANSWER) as limit:
                try:
                    return await self._ask(path, query, limit)
                except FeedLost as error:
                    return Failure(f"was not asked: {error}")
                except httpx.LocalProtocolError:
                    return Failure("was not asked: the token fits into no HTTP header")
                except Odd as odd:
                    return Failure(f"answered with {odd}", passing=True)
                except httpx.RequestError as error:
                    return Failure(
                        f"failed: {cause(error, self.proxy, self._host)}", passing=True
                    )
            is_late = trio.current_time() >= limit.deadline
            late, large = f"was not done within {ANSWER:.0f} s", LARGEST // 2**20
            words = late if is_late else f"answered with more than {large} MiB"
            return Failure(words, passing=is_late)

    async def _ask(
        self, path: str, query: dict[str, str], limit: trio.CancelScope
    ) -> bytes | Failure:
        # As bytes: httpx's complaint about text that is not ASCII would quote it.
        token = self.token()
        header: dict[str, Any] = {"Authorization": f"token {token}".encode()}
        ask = partial(self._client.stream, params=query, headers=header)
        body = bytearray()
        async with ask("GET", path) as response:
            self.date = response.headers.get("Date", "")
            if response.status_code not in ANSWERED:
                return refusal(response)
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > LARGEST:
                    # To raise here would leave httpx's own iterators behind,
                    # unfinished; what httpx raises while it unpacks would do so too.
                    limit.cancel()
            await trio.lowlevel.checkpoint_if_cancelled()
            said = bytes(body)
            if response.headers.get("Content-Encoding", "").lower() == "gzip":
                said = pages.unpacked(said, LARGEST)
            # An error under status 200 may repeat it, and what is unusable is kept.
            return cleaned(said, token) or ANSWERED[response.status_code]

    @property
    def _host(self) -> str:
        return httpx.URL(self.origin).host

    def _down(
        self, path: str, words: str, asked: float | None = None, status: int = 0
    ) -> RestDown:
        host = self._host
        told, gist = f"{host}, asked for {path}, {words}", f"{host} {words}"
        return RestDown(told, gist=gist, retry_after=asked, status=status)


def _proxy(proxy: Proxy | None) -> httpx.Proxy | None:
    if proxy is None:
        return None
    user, _, password = proxy.login.partition(":")
    auth = (user, password) if proxy.login else None
    return httpx.Proxy(f"http://{proxy.shown}", auth=auth)
