"""What upstream's REST has of the press's messages: each record as it stands."""

from __future__ import annotations

import json
from typing import Any, Final

import attrs
from faults import model
from faults.model import Message

from bzredis.simulator.faults import RestFaults
from bzredis.simulator.market.book import Deleted
from bzredis.simulator.market.catalogue import COMPANIES, FIRMS
from bzredis.simulator.market.opinions import NOTHING
from bzredis.simulator.market.records import Insight, Rating
from bzredis.simulator.server.http import Http
from bzredis.simulator.server.request import Request
from bzredis.simulator.server.rest import Answer, json_answer

# Nobody asks for what the market makes of these: the press words the rows itself.
COMPANY, FIRM = COMPANIES[0], FIRMS[0]
ALL: Final = "1000000"  # rows of a page
ODD: Final = (7, 3, 50)  # rows
OK: Final = 200
SECURITY: Final = {"ticker", "exchange"}  # no consensus over REST says whose it is


@attrs.define(eq=False)
class Archive(Http):
    """Answers from the simulator's book, which `take` keeps, and of the consensus."""

    _consensus: dict[str, dict[str, Any]] = attrs.field(factory=dict)  # by symbol
    ragged: str = (
        ""  # how pages are: counted "from 1", of "odd" sizes, the last "again"
    )
    _manner: dict[str, str] = attrs.field(factory=dict)
    _words: dict[tuple[str, str], Message] = attrs.field(factory=dict)

    def take(self, stream: str, text: str) -> None:
        """Note a message that is being sent; an older one than what is known is not."""
        word = model.message(text)
        about = (stream, word.about)
        known = self._words.get(about)
        if known is not None and known.rank > word.rank:
            return
        self._words[about] = word
        data = json.loads(text)["data"]
        content = data.get("content", data)
        at = word.rank[1] // 10**9
        if stream == "consensus":
            self._consensus.pop(word.symbol, None)
            if not word.deletes:
                figures = {k: v for k, v in content.items() if k not in SECURITY}
                self._consensus[word.symbol] = figures
        elif word.deletes:
            self._forget(stream, word.record, at)
        elif stream == "ratings":
            self.book.deleted.pop(word.record, None)
            self.book.ratings[word.record] = Rating(
                word.record, COMPANY, FIRM, at, None, NOTHING, content
            )
        else:
            self.book.insights[word.record] = Insight(
                word.record, COMPANY, FIRM, "", at, content
            )

    def _forget(self, stream: str, record: str, at: float) -> None:
        if stream == "ratings":
            self.book.ratings.pop(record, None)
            self.book.deleted[record] = Deleted(stream, record, COMPANY, at)
        else:  # of this REST says nothing
            self.book.insights.pop(record, None)

    def _healthy(self, name: str, request: Request, faults: RestFaults) -> Answer:
        if name != "consensus":
            if request.number("page", 0) == 0:
                self._manner[name] = self.ragged  # of a list to its end: no server is
            if self._manner.get(name):  # of two kinds within one
                return self._ragged(name, request, faults)
            return super()._healthy(name, request, faults)
        [ticker] = request.items("parameters[tickers]")
        known = self._consensus.get(ticker)
        return Answer(204) if known is None else json_answer(known)

    def _ragged(self, name: str, request: Request, faults: RestFaults) -> Answer:
        """Answer with a page as nobody promised that there would be none."""
        page = request.number("page", 0)
        whole = {**request.query, "page": "0", "pagesize": ALL, "pageSize": ALL}
        answer = super()._healthy(name, attrs.evolve(request, query=whole), faults)
        if answer.status != OK:
            return answer
        [(key, rows)] = json.loads(answer.body).items()
        size = int(request.query.get("pagesize") or request.query["pageSize"])
        manner = self._manner[name]
        sizes = ODD if manner == "odd" else (size,)
        pages = [list[Any]()]
        for row in rows:
            if len(pages[-1]) == sizes[(len(pages) - 1) % len(sizes)]:
                pages.append([])
            pages[-1].append(row)
        if manner == "from 1":
            page = max(0, page - 1)
        elif manner == "again":
            page = min(page, len(pages) - 1)
        return json_answer({key: pages[page] if page < len(pages) else []})
