"""REST as it is, not as it is documented: pages and tables that go their own way.

All of it but the sockets: what asks for the rows, and what reads them, in virtual time.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from random import Random

import attrs
import httpx
import pytest
import trio
from fakes import BY_NAME, UPDATED, Rig, Said, Session, frames
from trio.testing import MockClock

from bzredis.bridge.backfill import Backfill
from bzredis.bridge.lookups import Lookups
from bzredis.bridge.retry import Retry
from bzredis.streams import CONSENSUS, RATINGS
from bzredis.streams.stream import TICKERS
from bzredis.upstream import rest as upstream
from bzredis.upstream.rest import Rest

HOUR = 3_600
PAGES = 30  # in the place of 200: time is virtual, and not for nothing
Answer = tuple[int, str]
TABLES = pytest.mark.parametrize("name", ["ratings", "insights"])


@pytest.fixture(autouse=True)
def few_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the most pages be few."""
    monkeypatch.setattr(upstream, "PAGES", PAGES)


def row(number: int, **more: object) -> str:
    """Write a row that is both a rating and an insight."""
    security = {"symbol": "A", "exchange": "NASDAQ"}
    content = {"id": f"{number:024x}", "ticker": "A", "exchange": "NASDAQ"}
    content |= {"security": security, "updated": UPDATED + number, **more}  # type: ignore[dict-item]
    return json.dumps(content)


@attrs.define(eq=False)
class Server:
    """A server of REST: what it says by path, `{}` by page where it has pages."""

    name: str = "ratings"
    pages: Callable[[int], Sequence[str] | Answer] = lambda _: ()
    removed: Callable[[int], Answer] = lambda _: (200, '{"removed":[]}')
    object: Answer = (204, "")
    asked: list[httpx.Request] = attrs.field(factory=list)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        self.asked.append(request)
        page = int(request.url.params.get("page", "0"))
        if request.url.path == RATINGS.removals.path:  # type: ignore[union-attr]
            status, text = self.removed(page)
        elif "page" not in request.url.params:
            status, text = self.object
        else:
            found = self.pages(page)
            status, text = found if isinstance(found, tuple) else self.whole(found)
        return httpx.Response(status, stream=httpx.ByteStream(text.encode()))

    def whole(self, rows: Sequence[str]) -> Answer:
        name = BY_NAME[self.name].rows.name  # type: ignore[union-attr]
        return 200, f'{{"{name}":[{",".join(rows)}]}}'

    def count(self, path: str) -> int:
        return sum(path in each.url.path for each in self.asked)

    @property
    def rest(self) -> Rest:
        transport = httpx.MockTransport(self.answer)
        return Rest("http://127.0.0.1", lambda: "t", 1e6, transport=transport)


async def nobody() -> Sequence[str]:
    await trio.lowlevel.checkpoint()
    return ()


def asking(rig: Rig, server: Server, *tickers: str) -> Callable[[], Awaitable[None]]:
    """Have the process that is made next ask a server."""
    rig.rest, stream = True, BY_NAME[server.name]
    assert stream.rows is not None

    async def ask() -> None:
        retry = Retry("rest", rig.intake.rest_trouble, Random(3))
        given = {"tickers": tickers, "symbols": nobody}
        async with server.rest as rest:
            await Backfill(rig.intake, stream.rows, rest, retry, **given).run()  # type: ignore[arg-type]

    return ask


async def lose_a_night(rig: Rig, name: str = "ratings") -> None:
    """Leave a Redis that has known better, and a replay that proves nothing."""
    rig.upstreams[name].sessions.append(Session(frames(1)))
    async with rig.running(name):
        await trio.sleep(10)
    await trio.sleep(HOUR)
    rig.upstreams[name].sessions.append(Session(replay=frames(5_000, 5_001)))


def fetched(rig: Rig, name: str = "ratings") -> list[int]:
    """Return the numbers of the rows that are in the log."""
    log = rig.store.db.of(name).log
    rows = [each for each in log if each.get("source") == "rest"]
    return [int(row["record"], 16) for row in rows if row["action"] != "deleted"]


def rejected(rig: Rig, name: str = "ratings") -> list[str]:
    return [each["raw"] for each in rig.store.rejected(name)]


# ------------------------------------------------------------------------------- pages

ALL = list(range(2, 252))  # 250 rows


def cut(*sizes: int) -> list[list[int]]:
    """Cut them into pages of these sizes."""
    rows = iter(ALL)
    return [
        [each for _, each in zip(range(size), rows, strict=False)] for size in sizes
    ]


HUNDREDS = cut(100, 100, 50)
PAGED = {
    "from 1": [HUNDREDS[0], *HUNDREDS, []],
    "from 1, the last for ever": [HUNDREDS[0], *HUNDREDS],
    "uneven": [*cut(50, 141, 9, 50), []],
    "uneven, the last for ever": cut(150, 1, 99),
    "shorter than asked": [*cut(*[10] * 25), []],
    "overlapping": [ALL[:100], ALL[50:150], ALL[140:200], ALL[199:], []],
    "without pages": [ALL],
}


@TABLES
@pytest.mark.parametrize("pages", PAGED.values(), ids=PAGED)
async def test_all_rows_come_however_they_are_paged(
    rig: Rig, autojump_clock: MockClock, name: str, pages: list[list[int]]
) -> None:
    def paged(page: int) -> Sequence[str]:
        return list(map(row, pages[min(page, len(pages) - 1)]))

    await lose_a_night(rig, name)
    server = Server(name, paged)
    ask = asking(rig, server)
    async with rig.running(name) as bridge:
        bridge.ask = ask
        await trio.sleep(40)
        assert sorted(fetched(rig, name)) == ALL
        assert rig.store.is_alive(name)
    assert not rig.store.gaps(name)
    assert not rig.store.rejected(name)
    assert server.count(BY_NAME[name].rows.path) <= len(pages) + 2  # type: ignore[union-attr]


@TABLES
async def test_all_rows_come_though_others_come_in_between_two_pages(
    rig: Rig, autojump_clock: MockClock, name: str
) -> None:
    """Where pages are small, one may be of nothing but what was on those before."""
    sizes, new = [7, 3, 50], 10_000

    def paged(page: int) -> Sequence[str]:
        more = min(8 * page, 160)  # came since the first page
        there = [*range(new + more, new, -1), *ALL]
        first = sum(sizes[n % 3] for n in range(page))
        return list(map(row, there[first : first + sizes[page % 3]]))

    await lose_a_night(rig, name)
    ask = asking(rig, Server(name, paged))
    async with rig.running(name) as bridge:
        bridge.ask = ask
        await trio.sleep(40)
        assert {*ALL} <= {*fetched(rig, name)}


@TABLES
async def test_each_fifty_tickers_have_pages_of_their_own(
    rig: Rig, autojump_clock: MockClock, name: str
) -> None:
    tickers = [f"T{n}" for n in range(2 * TICKERS + 1)]
    table = BY_NAME[name].rows
    assert table is not None

    def paged(page: int) -> Sequence[str]:
        asked = server.asked[-1].url.params[table.tickers].split(",")
        first = 2 + tickers.index(asked[0])
        rows = [row(first + n) for n in range(len(asked))]
        return rows[:20] if page <= 1 else rows[20 * (page - 1) : 20 * page]

    await lose_a_night(rig, name)
    server = Server(name, paged)
    rig.subscription = ",".join(tickers)
    ask = asking(rig, server, *tickers)
    async with rig.running(name) as bridge:
        bridge.ask = ask
        await trio.sleep(100)
        assert sorted(fetched(rig, name)) == list(range(2, 2 + len(tickers)))


@TABLES
async def test_pages_without_an_end_are_announced(
    rig: Rig, said: Said, autojump_clock: MockClock, name: str
) -> None:
    await lose_a_night(rig, name)
    server = Server(name, lambda page: [row(2 + page)])
    ask = asking(rig, server)
    async with rig.running(name) as bridge:
        bridge.ask = ask
        await trio.sleep(90)
        assert len(set(fetched(rig, name))) == PAGES, "what came is here all the same"
        assert len(rig.store.gaps(name)) == 1
        assert "no end of pages" in rig.store.status(name)["error"]
        assert rig.store.is_alive(name)
    assert len([each for each in said if "trouble with REST" in each["event"]]) == 1


# ---------------------------------------------------------------------------- removals

NEVER_ENDS = "never ends"


@pytest.mark.parametrize("how", [404, 403, 401, 500, NEVER_ENDS, "garbage", "NaN"])
async def test_rows_do_not_wait_for_removals(
    rig: Rig, said: Said, autojump_clock: MockClock, how: int | str
) -> None:
    def removed(page: int) -> Answer:
        if isinstance(how, int):
            return how, "{}"
        if how == NEVER_ENDS:
            gone = {"id": f"{9_000 + page:024x}", "type": "ratings", "updated": UPDATED}
            return 200, json.dumps({"removed": [gone]})
        return 200, '{"removed":[{"id":NaN},7]}' if how == "NaN" else "<html>"

    await lose_a_night(rig)
    server = Server(
        pages=lambda page: [] if page else [*map(row, range(2, 7))], removed=removed
    )
    ask = asking(rig, server)
    async with rig.running() as bridge:
        bridge.ask = ask
        await trio.sleep(30)
        assert fetched(rig) == [2, 3, 4, 5, 6]
        await trio.sleep(120)
        assert rig.store.is_alive()
        assert "removed" in rig.store.status()["error"]
        await trio.sleep(400)
        assert server.count("ratings") == 2, "not again"
        assert server.count("removed") < 12 * PAGES
        server.removed = lambda _: (200, '{"removed":[]}')
        await trio.sleep(1_000)
        assert not rig.store.db.of("ratings").holes
    assert len(rig.store.gaps()) == 1
    assert len([each for each in said if "trouble with REST" in each["event"]]) == 1


async def test_who_may_not_ask_for_removals_is_back_filled_each_time(
    rig: Rig, autojump_clock: MockClock
) -> None:
    held = [2]
    await lose_a_night(rig)
    server = Server(
        pages=lambda page: [] if page else [*map(row, held)],
        removed=lambda _: (403, "{}"),
    )
    ask = asking(rig, server)
    async with rig.running() as bridge:
        bridge.ask = ask
        await trio.sleep(100)
        assert len(rig.store.gaps()) == 1
        rig.upstream.sessions += [Session(replay=frames(6_000))]
        rig.upstream.say(rig.lost)
        held.append(3)
        await trio.sleep(30)
        assert fetched(rig) == [2, 3]
        rig.upstream.sessions += [Session(replay=frames(6_000))]  # that proves it
        rig.upstream.say(rig.lost)
        held.append(4)
        await trio.sleep(30)
        assert fetched(rig) == [2, 3, 4]


# ------------------------------------------------------------------------ what is none


@TABLES
@pytest.mark.parametrize(
    "bad", [row(9, pt=float("nan")), row(9, pt=float("inf")), "7", "null", "{x}", "{}"]
)
async def test_one_bad_row_costs_no_other(
    rig: Rig, autojump_clock: MockClock, name: str, bad: str
) -> None:
    rows = [row(2, pt="195.50"), row(3), bad, row(4), row(5)]
    await lose_a_night(rig, name)
    ask = asking(rig, Server(name, lambda page: [] if page else rows))
    async with rig.running(name) as bridge:
        bridge.ask = ask
        await trio.sleep(30)
        assert fetched(rig, name) == [2, 3, 4, 5]
        assert rejected(rig, name) == [bad]
        assert rig.store.is_alive(name)
    [first, *_] = [c for c in rig.store.db.of(name).log if c.get("source") == "rest"]
    assert first["raw"] == rows[0], "byte for byte"


ERRORS = '{"ok":"true","errors":[{"code":"down","id":"1"}]}'
NONE = {
    "errors": (200, ERRORS),
    "empty": (200, ""),
    "web page": (200, "<!doctype html><title>Down</title>"),
    "cut short": (200, '{"id":"1","a":[{"id":'),
    "text": (200, "upstream connect error"),
    "number": (200, "7"),
    "other": (200, '{"status":"ok"}'),
}
OF_ROWS = {
    "without ids": (200, '[{"ticker":"A"},{"ticker":"B"}]'),
    "of errors": (200, f"[{ERRORS}]"),
}


@TABLES
@pytest.mark.parametrize("page", [0, 1])
@pytest.mark.parametrize("answer", (NONE | OF_ROWS).values(), ids=NONE | OF_ROWS)
async def test_what_is_no_page_fills_nothing(
    rig: Rig, autojump_clock: MockClock, name: str, page: int, answer: Answer
) -> None:
    def paged(number: int) -> Sequence[str] | Answer:
        if number == page:
            return answer
        return [[row(2)], [row(3)], []][min(number, 2)]

    await lose_a_night(rig, name)
    server = Server(name, paged)
    ask = asking(rig, server)
    async with rig.running(name) as bridge:
        bridge.ask = ask
        await trio.sleep(45)
        assert not rig.store.is_alive(name)
        assert (2 in fetched(rig, name)) == (page == 1), "what came is applied"
        await trio.sleep(45)
        [hole] = rig.store.db.of(name).holes
        assert hole.announced
        assert rig.store.status(name)["error"]
        page = 9
        await trio.sleep(125)
        assert not rig.store.db.of(name).holes
        assert sorted(fetched(rig, name)) == [2, 3]


@pytest.mark.parametrize("answer", NONE.values(), ids=NONE)
async def test_what_is_no_consensus_is_no_answer(
    rig: Rig, said: Said, autojump_clock: MockClock, answer: Answer
) -> None:
    server = Server("consensus", object=(200, '{"consensus_rating":"BUY"}'))
    rig.rest, table = True, CONSENSUS.lookup
    assert table is not None

    async def ask() -> None:
        retry = Retry("rest", rig.intake.rest_trouble, Random(3))
        async with server.rest as rest:
            options = {"refresh": 9e9, "watched": ["A", "B"]}
            await Lookups(rig.intake, table, rest, retry, nobody, **options).run()  # type: ignore[arg-type]

    async with rig.running("consensus") as bridge:
        bridge.ask = ask
        await trio.sleep(100)
        assert not rig.store.gaps("consensus")
        server.object = answer
        server.asked.clear()
        rig.upstreams["consensus"].say(rig.lost)
        await trio.sleep(45)
        assert not rig.store.is_alive("consensus")
        await trio.sleep(300)
        assert len(rig.store.gaps("consensus")) == 1
        assert rig.store.status("consensus")["error"]
        assert 5 < len(server.asked) < 100, "with back-off"
        server.object = (200, '{"consensus_rating":"SELL"}')
        await trio.sleep(150)
        assert not rig.store.db.of("consensus").holes
    assert len([each for each in said if "trouble with REST" in each["event"]]) == 1
