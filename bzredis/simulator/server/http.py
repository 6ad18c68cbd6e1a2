"""The HTTP side of the stand-in: one request after the other, its limit, its faults."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Sequence
from email.utils import formatdate

import attrs
import h11
import trio

from bzredis.simulator.faults import RestFaults
from bzredis.simulator.further import Sideline
from bzredis.simulator.market.book import Book
from bzredis.simulator.server import rest
from bzredis.simulator.server.request import Request, receive
from bzredis.simulator.server.rest import Answer
from bzredis.simulator.settings import Settings

HTML = b"<!doctype html><title>Maintenance</title><h1>We'll be back soon</h1>"
WRONG = ["no record", 7, None]
FOREIGN = {"id": "aaaaaaaaaaaaaaaaaaaaaaaa", "type": "earnings", "updated": 0}
FILTERS = {"updated", "parameters[updated]", "type"}
LISTS = {"ratings": "ratings", "insights": "analyst-insights", "removed": "removed"}


@attrs.frozen
class Asked:
    """A REST request as answered: ``at`` in trio's seconds, no key in it."""

    at: float
    name: str  # of the path: ratings, insights, consensus, removed, or "" for others
    tickers: tuple[str, ...]
    page: int
    status: int  # 0: hung up on


async def respond(
    http: h11.Connection,
    stream: trio.abc.SendStream,
    method: str,
    answer: Answer,
    date: str,
) -> None:
    """Send an answer; raises BrokenResourceError where nobody listens any more."""
    body = b"" if method == "HEAD" else answer.body
    headers = [("Date", date)]
    if answer.body:
        headers.append(("Content-Type", answer.content_type))
    if answer.status != 204:  # noqa: PLR2004 - which has no body by definition
        headers.append(("Content-Length", str(len(answer.body))))
    response = h11.Response(
        status_code=answer.status, headers=[*headers, *answer.headers]
    )
    events = (response, h11.Data(data=body), h11.EndOfMessage())
    await stream.send_all(b"".join(http.send(event) or b"" for event in events))


@attrs.define(eq=False)
class Http:
    """Answers REST requests from ``book``; ``asked`` says what was asked when."""

    settings: Settings
    book: Book
    clock: Callable[[], float] = time.time
    sidelines: Sequence[Sideline] = ()
    faults: dict[str, RestFaults] = attrs.field(init=False)
    asked: deque[Asked] = attrs.field(init=False)
    _rows: dict[str, Sideline] = attrs.field(init=False)  # by path
    _recent: deque[float] = attrs.field(factory=deque, init=False)

    def __attrs_post_init__(self) -> None:
        """Start with all in order and nothing asked."""
        of = [line for line in self.sidelines if line.of.rows]
        self._rows = {line.of.rows.rstrip("/"): line for line in of}
        names = (*rest.PATHS.values(), *(line.of.name for line in of))
        self.faults = {name: RestFaults() for name in names}
        self.asked = deque(maxlen=self.settings.log_size)

    def date(self) -> str:
        """Return what time it is, as HTTP tells it."""
        return formatdate(self.clock(), usegmt=True)

    async def serve(
        self, http: h11.Connection, stream: trio.abc.Stream, request: Request
    ) -> None:
        """Answer ``request`` and those that follow it on the same connection."""
        current: Request | None = request
        while current is not None:
            answer = await self._answer(current)
            if answer is None:
                return
            await respond(http, stream, current.method, answer, self.date())
            if http.our_state is not h11.DONE:
                return
            http.start_next_cycle()
            current, _ = await receive(http, stream)

    async def _answer(self, request: Request) -> Answer | None:
        """Answer, or return ``None`` to hang up."""
        at = trio.current_time()
        path = request.path.rstrip("/")
        further = self._rows.get(path)
        name = further.of.name if further else rest.PATHS.get(path, "")
        faults = self.faults.get(name, RestFaults())
        answer = self._limited(at) or self._refused(faults)
        if answer is None and name:
            answer = self._healthy(name, request, faults)
            array = further.of.array if further else LISTS.get(name, "")
            answer = spoiled(answer, name, array, faults)
        answer = answer or rest.failed(404, "not_found", "path", "no such path")
        status = 0 if faults.hang_up else answer.status
        tickers = request.items("parameters[tickers]") + request.items("symbols")
        page = request.number("page", 0)
        self.asked.append(Asked(at, name, tuple(tickers), page, status))
        await trio.sleep(faults.delay)
        return None if faults.hang_up else answer

    def _healthy(self, name: str, request: Request, faults: RestFaults) -> Answer:
        if faults.unfiltered:
            query = {k: v for k, v in request.query.items() if k not in FILTERS}
            request = attrs.evolve(request, query=query)
        return rest.answer(name, request, self.book, self.settings, self.sidelines)

    def _limited(self, now: float) -> Answer | None:
        window = self.settings.rest_window
        while self._recent and self._recent[0] <= now - window:
            self._recent.popleft()
        if len(self._recent) < self.settings.rest_limit:
            self._recent.append(now)
            return None
        wait = int(self._recent[0] + window - now) + 1 if self._recent else 1
        headers = (("Retry-After", str(wait)),)
        return Answer(429, headers=headers if self.settings.rest_retry_after else ())

    def _refused(self, faults: RestFaults) -> Answer | None:
        refusal = faults.refuse
        if refusal is None:
            return None
        return Answer(refusal.status, refusal.body, refusal.content_type)


def spoiled(answer: Answer, name: str, array: str, faults: RestFaults) -> Answer:
    """Apply the faults that an answer can have; errors stay as they are.

    ``array`` is what its rows stand under, "" where it has none.
    """
    if answer.status != 200:  # noqa: PLR2004 - OK
        return answer
    if faults.html:
        return Answer(200, HTML, "text/html")
    if faults.unfiltered and name == "removed":
        rows = json.loads(answer.body)["removed"]
        return rest.json_answer({"removed": [FOREIGN, *rows]})
    if faults.truncated:
        return attrs.evolve(answer, body=answer.body[: len(answer.body) // 2])
    if faults.wrong_type:
        return rest.json_answer({array: WRONG} if array else WRONG)
    return answer
