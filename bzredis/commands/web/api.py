"""The same as JSON: what stands in Redis, as the contract's schemas have it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import attrs
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bzredis.commands.looks.words import health
from bzredis.commands.web.content.sheets import raw_history, raw_latest
from bzredis.commands.web.live.hub import Hub
from bzredis.contract.schemas import schemas
from bzredis.reader import Reader, ReaderError

COUNT: Final = 50  # entries of a history, unless more are asked for
MOST: Final = 1_000
DIGITS: Final = re.compile("[0-9]{1,4}")
FRESH: Final = "Bzredis-Fresh"  # 1 or 0: whether what was asked for is


@attrs.frozen
class Answers:
    """What answers with JSON, and never with a page."""

    hub: Hub

    async def latest(self, request: Request) -> Response:
        stream, symbol = _asked(request)
        return await self._read(stream, raw_latest(stream, symbol), symbol)

    async def history(self, request: Request) -> Response:
        stream, symbol = _asked(request)
        count = request.query_params.get("count", str(COUNT))
        if not (DIGITS.fullmatch(count) and 1 <= int(count) <= MOST):
            words = f"count has to be a number from 1 to {MOST}"
            return _told(words, HTTPStatus.BAD_REQUEST)
        return await self._read(stream, raw_history(stream, symbol, int(count)), symbol)

    async def _read(
        self, stream: str, read: Callable[[Reader], object], symbol: str
    ) -> Response:
        if stream not in self.hub.streams:
            words = f"there are the streams {', '.join(self.hub.streams)}"
            return _told(words, HTTPStatus.NOT_FOUND)
        try:
            found = await self.hub.read(read)
        except ReaderError as error:
            return _told(str(error), HTTPStatus.SERVICE_UNAVAILABLE)
        headers = {FRESH: "1" if self.hub.is_fresh(stream) else "0"}
        if found is None:
            words = f"{stream} has nothing about {symbol}"
            return _told(words, HTTPStatus.NOT_FOUND, headers)
        return JSONResponse(found, headers=headers)

    async def status(self, _: Request) -> Response:
        if not self.hub.is_known:
            words = self.hub.trouble or "Redis does not answer"
            return _told(words, HTTPStatus.SERVICE_UNAVAILABLE)
        now = datetime.now(UTC)
        found: dict[str, Any] = {}
        for name, each in self.hub.states.items():
            told = health(each, now)
            says = {"says": told.why} if told.why else {}
            found[name] = {"fresh": told.fresh, **says, **each.text}
        return JSONResponse(found)

    async def schemas(self, _: Request) -> Response:
        return JSONResponse(schemas())

    async def nothing(self, _: Request) -> Response:
        words = "there are /api/latest/STREAM/SYM, /api/history/STREAM/SYM, "
        return _told(f"{words}/api/status and /api/schemas", HTTPStatus.NOT_FOUND)


def routes(hub: Hub) -> list[Route]:
    answers = Answers(hub)
    return [
        Route("/latest/{stream}/{symbol:path}", answers.latest),
        Route("/history/{stream}/{symbol:path}", answers.history),
        Route("/status", answers.status),
        Route("/schemas", answers.schemas),
        Route("/{rest:path}", answers.nothing),
    ]


def _asked(request: Request) -> tuple[str, str]:
    return request.path_params["stream"], request.path_params["symbol"]


def _told(
    words: str, status: HTTPStatus, headers: dict[str, str] | None = None
) -> Response:
    return JSONResponse({"error": words}, status, headers)
