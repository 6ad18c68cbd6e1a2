"""The pages that there are, and where."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import attrs
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bzredis.commands.web.api import routes as api
from bzredis.commands.web.content.known import Register
from bzredis.commands.web.content.sheets import Line, sheet, symbols_of, watched
from bzredis.commands.web.door.guard import Guard
from bzredis.commands.web.drawing import HERE, Templates, address
from bzredis.commands.web.live.feed import Feed
from bzredis.commands.web.live.hub import Hub
from bzredis.commands.web.live.kept import FIELDS, Wanted
from bzredis.reader import ReaderError

LONGEST: Final = 64  # characters of a symbol or of what is searched
# What may be a symbol where no page is: letters that a ticker can have, of a class one
# behind a dot, where files have more; of another market what stands behind its name.
TYPED: Final = re.compile(
    r"/+\$?([A-Z]{1,5}([.-][A-Z])?|[A-Z-]+:[A-Z0-9.-]+)/?", re.ASCII | re.IGNORECASE
)
LAST: Final = Decimal("-Infinity")  # what is not known comes last
# By what a watch-list may be sorted, and how one sees it.
SORTS: Final = {
    "symbol": lambda line: line.symbol,
    "name": lambda line: line.name.casefold(),
    "rating": lambda line: (line.rating and line.rating.rating_current) or "",
    "target": lambda line: (line.rating and line.rating.pt_current) or LAST,
    "move": lambda line: _or_last(line.rating and line.rating.pt_change_pct),
    "consensus": lambda line: _or_last(
        line.consensus and line.consensus.consensus_rating_val
    ),
    "average": lambda line: _or_last(
        line.consensus and line.consensus.consensus_price_target
    ),
    "when": lambda line: (
        line.rating.published.timestamp()
        if line.rating and line.rating.published
        else 0.0
    ),
}


def _or_last(number: Decimal | None) -> Decimal:
    return LAST if number is None else number


def symbol_in(request: Request) -> str:
    text: str = request.path_params["symbol"]
    return text.strip().removeprefix("$").upper()[:LONGEST]


@attrs.frozen
class Board:
    """The pages for people."""

    hub: Hub
    templates: Templates
    register: Register

    def _page(
        self, name: str, status: int = 200, events: str = "", **values: Any
    ) -> Response:
        about = {"asked_for": "", "serial": self.hub.serial, **values}
        html = self.templates.page(name, self.hub, events=events, **about)
        return HTMLResponse(html, status)

    async def overview(self, request: Request) -> Response:
        wanted = Wanted.of(request.query_params)
        given = {
            name: text for name in FIELDS if (text := request.query_params.get(name))
        }
        asked = urlencode({"page": "overview", **given})
        found = self.hub.kept.newest(wanted)
        return self._page(
            *("overview", HTTPStatus.OK, f"/events?{asked}"),
            rows=found,
            given={name: given.get(name, "")[:LONGEST] for name in FIELDS},
            wanted=wanted,
        )

    async def symbol(self, request: Request) -> Response:
        symbol = symbol_in(request)
        asked = urlencode({"page": "symbol", "symbols": symbol})
        serial = self.hub.serial  # what comes while it is read may not be in it
        found = await self.hub.read(sheet(symbol))
        if not found.is_there:
            await self.register.search(symbol)
            return self._page(
                *("nothing", HTTPStatus.NOT_FOUND, f"/events?{asked}"),
                symbol=symbol,
                near=self.register.near(symbol),
                serial=serial,
            )
        return self._page(
            *("symbol", HTTPStatus.OK, f"/events?{asked}"), sheet=found, serial=serial
        )

    async def widget(self, request: Request) -> Response:
        symbol = symbol_in(request)
        try:
            found = await self.hub.read(sheet(symbol))
        except ReaderError:
            found = None
        status = HTTPStatus.OK if found else HTTPStatus.SERVICE_UNAVAILABLE
        return self._page("widget", status, symbol=symbol, sheet=found)

    async def watch(self, request: Request) -> Response:
        named = symbols_of(request.query_params.get("symbols", ""))
        by = request.query_params.get("sort", "")
        serial = self.hub.serial
        found = await self.hub.read(watched(named))
        falls = request.query_params.get("order") == "down"
        lines: Sequence[Line] = found.lines
        if by in SORTS:
            lines = sorted(lines, key=SORTS[by], reverse=falls)
        symbols = ",".join(line.symbol for line in lines)
        asked = urlencode({"page": "watch", "symbols": symbols})
        return self._page(
            *("watch", HTTPStatus.OK, f"/events?{asked}"),
            lines=lines,
            whose=found.whose,
            serial=serial,
            named=",".join(named),
            sorted_by=by if by in SORTS else "",
            falls=falls,
        )

    async def search(self, request: Request) -> Response:
        words = request.query_params.get("q", "").strip()[:LONGEST]
        found = await self.register.search(words)
        upper = words.removeprefix("$").upper()
        exact = [each for each in found if upper in {each.symbol, each.isin}]
        if len(exact) == 1:
            return RedirectResponse(f"/symbol/{address(exact[0].symbol)}", 303)
        near = [] if found else self.register.near(upper)
        return self._page(
            *("search", HTTPStatus.OK, "/events?page=search"),
            found=found,
            near=near,
            asked_for=words,
        )

    async def events(self, request: Request) -> Response:
        is_overview = request.query_params.get("page") == "overview"
        wanted = Wanted.of(request.query_params) if is_overview else None
        symbols = frozenset(symbols_of(request.query_params.get("symbols", "")))
        feed: Any = Feed(self.hub, wanted, frozenset() if is_overview else symbols)
        return feed  # type: ignore[no-any-return] # Starlette calls it

    async def away(self, _: Request, error: Exception) -> Response:
        """Say that Redis is away; the page comes by itself when it is back."""
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return self._page("away", status, "/events?page=away", words=str(error))

    async def wrong(self, request: Request, error: Exception) -> Response:
        """Lead to the page of a symbol that was typed behind the address."""
        if found := TYPED.fullmatch(request.scope["path"]):
            return RedirectResponse(f"/symbol/{address(found[1].upper())}", 303)
        code = error.status_code if isinstance(error, HTTPException) else 404
        return self._page("wrong", code, "/events?page=wrong")

    def routes(self) -> list[Route]:
        return [
            Route("/", self.overview),
            Route("/symbol/{symbol:path}", self.symbol),
            Route("/widget/{symbol:path}", self.widget),
            Route("/watch", self.watch),
            Route("/search", self.search),
            Route("/events", self.events),
        ]


def application(
    hub: Hub, templates: Templates, token: str, origins: Sequence[str] = ()
) -> Guard:
    """Return all of it, behind its guard."""
    board = Board(hub, templates, Register(hub))
    shared = [CORS(origins)] if origins else []
    app = Starlette(
        routes=[
            *board.routes(),
            Mount("/api", routes=api(hub), middleware=shared),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        exception_handlers={ReaderError: board.away, 404: board.wrong},
    )
    return Guard(app, token)


def CORS(origins: Sequence[str]) -> Middleware:  # noqa: N802 - what it is called
    return Middleware(CORSMiddleware, allow_origins=origins, allow_methods=["GET"])
