"""Upstream's REST answers, from the market's book: pure, as upstream words them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import attrs

from bzredis.simulator.further import Sideline
from bzredis.simulator.market import consensus
from bzredis.simulator.market.book import Book
from bzredis.simulator.market.catalogue import COMPANIES, Company
from bzredis.simulator.market.formats import compact
from bzredis.simulator.market.records import Content, Rating, updated
from bzredis.simulator.server.request import Request
from bzredis.simulator.server.subscription import names, view
from bzredis.simulator.settings import Settings

PATHS = {  # a slash at the end makes no difference
    "/api/v2.1/calendar/ratings": "ratings",
    "/api/v1/analyst/insights": "insights",
    "/api/v1/consensus-ratings": "consensus",
    "/api/v2.1/calendar-removed": "removed",
}
MOST_TICKERS = 50
LARGEST_PAGE = 1_000
RATINGS_PAGE = 50  # rows where no page size was asked for
INSIGHTS_PAGE = 100
XML = b'<?xml version="1.0" encoding="utf-8"?><result><item>use JSON</item></result>'

Row = dict[str, object]
T = TypeVar("T")


@attrs.frozen
class Answer:
    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def json_answer(value: object, status: int = 200) -> Answer:
    return Answer(status, compact(value).encode())


def failed(status: int, code: str, identity: str, value: str) -> Answer:
    error = {"code": code, "id": identity, "value": value}
    return json_answer({"ok": False, "errors": [error]}, status)


def offered_key(request: Request) -> str | None:
    """Return the key, from the header or, failing that, the query."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key if scheme.lower() == "token" and key else request.query.get("token")


def unauthorized(request: Request) -> Answer:
    """Refuse a key; the answer quotes it, so that whoever logs bodies is caught."""
    return failed(401, "auth_failed", "unauthorized", offered_key(request) or "")


def bad_request(value: str) -> Answer:
    return failed(400, "bad_request", "invalid_parameters", value)


def answer(
    name: str,
    request: Request,
    book: Book,
    settings: Settings,
    sidelines: Sequence[Sideline] = (),
) -> Answer:
    """Answer a request for one of PATHS' names, as upstream does in good health.

    Or for that of a further stream.
    """
    if offered_key(request) != settings.token:
        return unauthorized(request)
    if request.method != "GET":
        return failed(405, "method_not_allowed", "method", request.method)
    if "application/json" not in request.headers.get("accept", ""):
        return Answer(200, XML, "application/xml")
    for line in sidelines:
        if line.of.name == name:
            return further(request, line)
        if name == "removed" and request.query.get("type") == line.of.removed:
            return removed_of(request, line)
    return ANSWERS[name](request, book, settings)


def ratings(request: Request, book: Book, _: Settings) -> Answer:
    tickers = request.items("parameters[tickers]")
    if len(tickers) > MOST_TICKERS:
        return bad_request(f"more than {MOST_TICKERS} tickers")
    rows = [
        rating_row(rating)
        for rating in newest(book.ratings.values(), updated)
        if wanted(rating.company, tickers)
        and updated(rating) >= request.number("parameters[updated]", 0)
    ]
    size = request.number("pagesize", RATINGS_PAGE)
    found = paged(rows, request.number("page", 0), size)
    return json_answer({"ratings": found} if found else [])


def rating_row(rating: Rating) -> Row:
    """Return what REST knows of a rating, a little more than the stream says."""
    accuracy = {
        "overall_success_rate": f"{50 + len(rating.firm.name)}.00",
        "overall_avg_return": f"{len(rating.company.name)}.37",
        "total_ratings": str(100 + len(rating.firm.name)),
    }
    return {**rating.content, "ratings_accuracy": accuracy, "ptpo": ""}


def insights(request: Request, book: Book, _: Settings) -> Answer:
    symbols = request.items("symbols")
    if len(symbols) > MOST_TICKERS:
        return bad_request(f"more than {MOST_TICKERS} symbols")
    rows = [
        # In seconds, though the stream says milliseconds.
        {**insight.content, "updated": updated(insight)}
        for insight in newest(book.insights.values(), updated)
        if wanted(insight.company, symbols)
        and updated(insight) >= request.number("parameters[updated]", 0)
    ]
    size = request.number("pageSize", INSIGHTS_PAGE)  # "pagesize" goes unnoticed
    found = paged(rows, request.number("page", 0), size)
    return json_answer({"analyst-insights": found})


def consensus_of(request: Request, book: Book, _: Settings) -> Answer:
    tickers = request.items("parameters[tickers]")
    if len(tickers) != 1:
        return bad_request("exactly one ticker is needed")
    company = next((c for c in COMPANIES if wanted(c, tickers)), None)
    known = book.consensus.get(company.symbol) if company else None
    if company is None or known is None:
        return Answer(204)
    most = request.number("pagesize", 0)
    if most:
        current = sorted(book.current(company.symbol), key=lambda r: r.at)[-most:]
        sums = consensus.figures((r.opinion for r in current), len(current))
        if sums is None:
            return Answer(204)
        known = attrs.evolve(known, figures=sums)
    return json_answer(consensus.fields(known, view(request)))


def removed(request: Request, book: Book, settings: Settings) -> Answer:
    if request.query.get("type", "ratings") != "ratings":
        return json_answer({"removed": []})
    rows: list[Row] = [
        {
            "id": gone.id,
            "type": "ratings",
            "updated": int(gone.at) if settings.removed_updated else 0,
        }
        for gone in newest(book.deleted.values(), lambda gone: gone.at)
        if gone.stream == "ratings" and int(gone.at) >= request.number("updated", 0)
    ]
    size = request.number("pageSize", INSIGHTS_PAGE)
    return json_answer({"removed": paged(rows, request.number("page", 0), size)})


def further(request: Request, line: Sideline) -> Answer:
    named = ("parameters[tickers]", "tickers", "symbols")  # as one or the other has it
    tickers = next(filter(None, map(request.items, named)), [])
    since = request.number("parameters[updated]", request.number("updated", 0))
    rows = line.rows(tickers, since)
    size = request.number("pagesize", RATINGS_PAGE)
    found = paged(rows, request.number("page", 0), size)
    return json_answer({line.of.array: found} if found else [])


def removed_of(request: Request, line: Sideline) -> Answer:
    rows: list[Row] = [
        {"id": record, "type": line.of.removed, "updated": int(at)}
        for record, at in newest(line.gone.items(), lambda each: each[1])
        if int(at) >= request.number("updated", 0)
    ]
    size = request.number("pageSize", INSIGHTS_PAGE)
    return json_answer({"removed": paged(rows, request.number("page", 0), size)})


ANSWERS: Mapping[str, Callable[[Request, Book, Settings], Answer]] = {
    "ratings": ratings,
    "insights": insights,
    "consensus": consensus_of,
    "removed": removed,
}


def newest(records: Iterable[T], when: Callable[[T], float]) -> list[T]:
    """Sort the newest first, as upstream's calendar does."""
    return sorted(records, key=when, reverse=True)


def wanted(company: Company, tickers: Sequence[str]) -> bool:
    return not tickers or not names(company).isdisjoint(tickers)


def paged(rows: Sequence[Content], page: int, size: int) -> list[Content]:
    size = min(max(size, 1), LARGEST_PAGE)
    return list(rows[page * size : (page + 1) * size])
