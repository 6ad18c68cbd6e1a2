"""The one module that knows httpx: its errors stop here, ours go on.

REST gives back what the streams lost: rows newer than a time, removals, and the
consensus of one security. Rows come as the text that was sent; what is in them is the
pure core's business (change.py).
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from random import Random
from types import TracebackType
from typing import Any, Final, Self

import httpx
import trio
from attrs import define, field, frozen

from bzredis import __version__
from bzredis.answers import Odd, one_object, removal, retry_after, rows
from bzredis.answers import Removal as Removal  # what `removed` yields
from bzredis.backoff import delays
from bzredis.errors import FeedLost, RestDown, RestRefused

CONNECT: Final = 10.0  # s for name, TCP and TLS: a healthy network needs 1 s
SILENCE: Final = 30.0  # s without a byte; upstream counts a while before the first
ANSWER: Final = 60.0  # s for one answer whole; a full page of insights has some 3 MB
WHOLE: Final = 180.0  # s for one request with all its attempts and waits
GOODBYE: Final = 2.0  # s; a stop has 5 s in all
LARGEST: Final = 64 * 2**20  # bytes unpacked: twenty such pages, and no harm to memory

AT_ONCE: Final = 2  # requests: a look-up need not wait for the end of a long back-fill
BURST: Final = 4  # requests before the pace counts: the look-ups of one rating at once

ATTEMPTS: Final = 4
FIRST, LAST = 1.0, 15.0  # s; back-off within a call
PATIENCE: Final = 60.0  # s; who is asked to wait longer comes back later

TICKERS: Final = 50  # of one request (upstream.md, 4)
PAGE: Final = 1_000  # rows; the most that upstream gives at once
# A server that ignores `page` in some way that we do not notice would send rows for
# ever. A day has some 500 rows, so that even pages cut down to 50 rows reach back weeks.
PAGES: Final = 200

OK, NO_CONTENT = 200, 204
REDIRECTS: Final = range(300, 400)
REFUSALS: Final = {401, 403}  # a person has to mend these
SLOW_DOWN: Final = 429
PASSING: Final = {408, SLOW_DOWN, *range(500, 600)}  # these may be gone in a moment


@frozen
class _Table:
    """A path that answers with an array of rows, page by page."""

    path: str
    name: str  # of the array
    since: str
    sizes: tuple[str, ...]  # a wrong spelling goes unnoticed, and pages are small then
    tickers: str = ""

    def queries(self, since: int, tickers: Sequence[str]) -> Iterator[dict[str, str]]:
        """Yield the requests that it takes: one for each so many tickers."""
        asked = {self.since: str(since), **dict.fromkeys(self.sizes, str(PAGE))}
        if not tickers:
            yield asked
        for first in range(0, len(tickers), TICKERS):
            chunk = ",".join(tickers[first : first + TICKERS])
            yield {**asked, self.tickers: chunk}


_SINCE = "parameters[updated]"
_TICKERS = "parameters[tickers]"
RATINGS = _Table(
    "/api/v2.1/calendar/ratings", "ratings", _SINCE, ("pagesize",), _TICKERS
)
INSIGHTS = _Table(
    "/api/v1/analyst/insights",
    "analyst-insights",
    _SINCE,
    ("pageSize", "pagesize"),
    "symbols",
)
REMOVED = _Table(
    "/api/v2.1/calendar-removed/", "removed", "updated", ("pageSize", "pagesize")
)
CONSENSUS = "/api/v1/consensus-ratings"


@frozen
class _Failure:
    """Why an attempt came to nothing, in words that go on after the host's name."""

    words: str
    status: int = 0
    passing: bool = False  # whether the same request may do better in a moment
    asked: float | None = None  # s that upstream asked us to wait


@define(eq=False)
class _Pace:
    """Lets requests go one by one, `rate` a second on average, whoever makes them."""

    _rate: float
    _due: float = field(default=0.0, init=False)  # when the last one let go was due
    _line: trio.Lock = field(factory=trio.Lock, init=False)

    async def turn(self) -> None:
        """Wait for a turn, first come, first served."""
        async with self._line:
            # Again after each sleep: someone may have been told to slow down meanwhile.
            while (early := self._due - BURST / self._rate - trio.current_time()) > 0:
                await trio.sleep(early)
            self._due = max(self._due, trio.current_time()) + 1 / self._rate

    def hold(self, seconds: float) -> None:
        """Let nobody go for a while, and no burst after that."""
        until = trio.current_time() + seconds
        self._due = max(self._due, until + BURST / self._rate)


@define(eq=False)
class Rest:
    """Asks upstream's REST, at one pace for all who use it.

    An async context manager; or call `aclose`. The rows' iterators want `aclosing`
    around them where they may be left early. Every call raises `RestDown`, once its own
    few attempts are spent, and `RestRefused`.
    """

    origin: str  # "https://api.benzinga.com", "http://127.0.0.1:8000"
    # Asked at each request; a FeedLost from it becomes RestDown.
    token: Callable[[], str] = field(repr=False)
    pace: float = 2.0  # requests a second: upstream's limit is not known, and far above
    tls: ssl.SSLContext | None = field(default=None, repr=False)  # None: the default
    rng: Random = field(factory=Random, repr=False)
    transport: httpx.AsyncBaseTransport | None = field(default=None, repr=False)
    _client: httpx.AsyncClient = field(init=False, repr=False)
    _pace: _Pace = field(init=False, repr=False)
    _slots: trio.CapacityLimiter = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Prepare the client; nothing is sent yet."""
        self._pace = _Pace(self.pace)
        self._slots = trio.CapacityLimiter(AT_ONCE)
        self._client = httpx.AsyncClient(
            base_url=self.origin,
            headers={
                "Accept": "application/json",  # else XML comes
                "Accept-Encoding": "gzip",
                "User-Agent": f"bzredis/{__version__}",
            },
            # Proxies of the environment are not for us. The streams go directly too, so
            # where one is needed the bridge could not work anyway; and one that is set
            # without an exception for loopback would get to read the token.
            trust_env=False,
            follow_redirects=False,  # the token is for this host
            timeout=httpx.Timeout(SILENCE, connect=CONNECT, pool=None),
            verify=self.tls or ssl.create_default_context(),
            transport=self.transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        with trio.move_on_after(GOODBYE, shield=True):
            await self._client.aclose()

    @property
    def host(self) -> str:
        """The name or address alone, fit to be shown."""
        return httpx.URL(self.origin).host

    def ratings(
        self, since: int, tickers: Sequence[str] = ()
    ) -> AsyncGenerator[str, None]:
        """Yield the rows updated at `since` (unix s) or later, as JSON, byte for byte.

        Newest first as a rule, some of them twice where rows came in between pages.
        """
        return self._rows(RATINGS, since, tickers)

    def insights(
        self, since: int, tickers: Sequence[str] = ()
    ) -> AsyncGenerator[str, None]:
        """Yield rows as `ratings` does."""
        return self._rows(INSIGHTS, since, tickers)

    async def removed(self, since: int) -> AsyncGenerator[Removal, None]:
        """Yield the ratings removed at `since` (unix s) or later, or nobody knows when.

        Upstream's own filters are not to be relied on.
        """
        async with aclosing(self._rows(REMOVED, since, type="ratings")) as found:
            async for row in found:
                gone = removal(row, "ratings")
                if gone and (gone.updated is None or gone.updated >= since):
                    yield gone

    async def consensus(
        self, ticker: str, *, simplify: bool = False, aggregate_type: str | None = None
    ) -> str | None:
        """Return a ticker's consensus, as JSON, byte for byte; None where there is none.

        Nothing in it says whose it is; that only US tickers may be asked for is the
        caller's concern.
        """
        query = {
            _TICKERS: ticker,
            "simplify": "true" if simplify else "",
            "aggregate_type": aggregate_type or "",
        }
        given = {name: value for name, value in query.items() if value}
        body = await self._fetch(CONSENSUS, given)
        try:
            return one_object(body)
        except Odd as odd:
            words = self._words(CONSENSUS, f"answered with {odd}")
        raise RestDown(words)

    async def _rows(
        self, table: _Table, since: int, tickers: Sequence[str] = (), **more: str
    ) -> AsyncGenerator[str, None]:
        for query in table.queries(since, tickers):
            before: list[str] = []
            for page in range(PAGES):
                found = await self._page(table, {**query, **more, "page": str(page)})
                if found == before:
                    break
                for row in found:
                    yield row
                # The last page is shorter than those before it. Shorter than was asked
                # for says nothing: upstream may have its own idea of a page's size.
                if len(found) < len(before):
                    break
                before = found
            else:
                words = f"has no end of pages ({PAGES})"
                raise RestDown(self._words(table.path, words))

    async def _page(self, table: _Table, query: dict[str, str]) -> list[str]:
        body = await self._fetch(table.path, query)
        if body is None:
            return []
        try:
            return rows(body, table.name)
        except Odd as odd:
            words = self._words(table.path, f"answered with {odd}")
        raise RestDown(words)

    async def _fetch(self, path: str, query: dict[str, str]) -> bytes | None:
        """Return an answer's body, None for one that has none by definition."""
        failure = _Failure(f"gave no answer within {WHOLE:.0f} s")
        pauses = delays(FIRST, LAST, rng=self.rng)
        with trio.move_on_after(WHOLE):
            for left, pause in zip(reversed(range(ATTEMPTS)), pauses, strict=False):
                answer = await self._attempt(path, query)
                if not isinstance(answer, _Failure):
                    return answer
                failure = answer
                asked = failure.asked or 0.0
                wait = min(asked, PATIENCE) + pause
                if failure.status == SLOW_DOWN:
                    self._pace.hold(wait)  # that was meant for all of us
                if not (left and failure.passing and asked <= PATIENCE):
                    break
                if failure.status != SLOW_DOWN:
                    await trio.sleep(wait)
        words = self._words(path, failure.words)
        if failure.status in REFUSALS:
            raise RestRefused(words)
        raise RestDown(words, retry_after=failure.asked)

    async def _attempt(
        self, path: str, query: dict[str, str]
    ) -> bytes | _Failure | None:
        async with self._slots:
            await self._pace.turn()
            with trio.move_on_after(ANSWER) as late:
                try:
                    return await self._ask(path, query, late)
                except FeedLost as error:
                    return _Failure(f"was not asked: {error}")
                except httpx.LocalProtocolError:
                    return _Failure(
                        "was not asked: the token has characters that no header carries"
                    )
                except httpx.RequestError as error:
                    return _Failure(_reason(error), passing=True)
            return _Failure(f"took over {ANSWER:.0f} s to answer", passing=True)

    async def _ask(
        self, path: str, query: dict[str, str], late: trio.CancelScope
    ) -> bytes | _Failure | None:
        async with self._client.stream(
            "GET", path, params=query, headers=self._authorization()
        ) as response:
            status = response.status_code
            if status == OK:
                return await _body(response, late)
            if status == NO_CONTENT:
                return None
            return _Failure(
                f"answered HTTP {status}{_advice(status)}",
                status=status,
                passing=status in PASSING,
                asked=retry_after(
                    response.headers.get("Retry-After", ""),
                    response.headers.get("Date", ""),
                ),
            )

    def _authorization(self) -> dict[str, Any]:
        # As bytes: httpx's complaint about text that is not ASCII would quote it.
        return {"Authorization": f"token {self.token()}".encode()}

    def _words(self, path: str, words: str) -> str:
        return f"{self.host}, asked for {path}, {words}"
