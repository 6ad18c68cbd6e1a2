"""Parts of the board without a server: filters, pictures, prose, slow pages."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import trio
import trio.lowlevel

from bzredis.commands.web.content.pictures import WIDE, course, scale, shares
from bzredis.commands.web.content.prose import prose
from bzredis.commands.web.content.sheets import symbols_of
from bzredis.commands.web.door.serving import PATIENCE, Connections
from bzredis.commands.web.drawing import Templates, moved
from bzredis.commands.web.live.feed import Feed
from bzredis.commands.web.live.hub import BEHIND, MOST, STATE, Hub, told
from bzredis.commands.web.live.kept import SHOWN, Kept, News, Wanted
from bzredis.reader import Consensus, Entry, Gap, Rating, Status

NOON = datetime(2026, 11, 27, 17, tzinfo=UTC)
TODAY = NOON.date()


def entry(number: int = 1, **what: Any) -> Entry:
    about = {"stream": "ratings", "symbol": "AAPL", "received": NOON, "news": True}
    return Entry(id=f"{number}-0", **{**about, **what})


def hub() -> Hub:
    return Hub(("ratings",), "redis://x", "bz", [], Templates().drawing())


@pytest.mark.parametrize(
    ("upstream", "is_told"),
    [
        *(("api.benzinga.com", False), ("benzinga.com", False), ("", False)),
        *(("127.0.0.1", True), ("notbenzinga.com", True)),
        ("api.benzinga.com.example", True),
    ],
)
def test_what_is_not_from_benzinga_is_told(upstream: str, *, is_told: bool) -> None:
    board = hub()
    board.states["ratings"] = Status(stream="ratings", upstream=upstream or None)
    told = f"Not from Benzinga:</strong> this comes from {upstream}."
    assert (told in board.draw.strip(board)) is is_told
    widget = Templates().page("widget", board, symbol="AAPL", sheet=None)
    assert ("not from Benzinga" in widget) is is_told


# ---- what is kept


@pytest.mark.parametrize(
    ("asked", "is_wanted"),
    [
        ({}, True),
        ({"symbol": "$shop"}, True),
        ({"symbol": "TSX:SHOP"}, True),
        ({"symbol": "SHO"}, False),
        ({"firm": "evercore"}, True),
        ({"firm": "citi"}, False),
        ({"direction": "up"}, True),
        ({"direction": "down"}, False),
        ({"direction": "sideways"}, True),
        ({"move": "20"}, True),
        ({"move": "1e9"}, True),
        ({"move": "26"}, False),
        ({"move": "nan"}, True),
        ({"move": "much"}, True),
        ({"stream": "insights"}, False),
    ],
)
def test_filters(asked: dict[str, str], *, is_wanted: bool) -> None:
    pts: dict[str, Any] = {"pt": Decimal(125), "pt_prior": Decimal(100)}
    one = entry(symbol="TSX:SHOP", firm="Evercore ISI", direction="up", **pts)
    assert Wanted.of(asked)(one) == is_wanted
    gap = Gap(stream="ratings", id="1-0")
    assert Wanted.of(asked)(gap) == (asked.get("stream") in {None, "ratings"})


def test_who_moved_today() -> None:
    kept = Kept()
    moves = {"UP": ("up", 101, 100), "FELL": (None, 50, 100), "SAME": (None, 5, 5)}
    for symbol, (goes, pt, prior) in moves.items():
        figures: dict[str, Any] = {"pt": Decimal(pt), "pt_prior": Decimal(prior)}
        kept.add(News(entry(symbol=symbol, direction=goes, **figures), ""), TODAY)
    old = datetime(2026, 11, 26, 12, tzinfo=UTC)
    kept.add(News(entry(symbol="OLD", direction="up", published=old), ""), TODAY)
    found = kept.moved(TODAY)
    assert [one.symbol for one in found["up"]] == ["UP"]
    assert [one.symbol for one in found["down"]] == ["FELL"]
    assert kept.moved(datetime(2026, 11, 28, tzinfo=UTC).date()) == {
        "up": [],
        "down": [],
    }


def test_who_is_withdrawn_or_corrected_did_not_move() -> None:
    kept = Kept()
    figures: dict[str, Any] = {"pt": Decimal(110), "pt_prior": Decimal(100)}
    kept.add(News(entry(symbol="A", record="small", direction="up"), ""), TODAY)
    kept.add(News(entry(symbol="A", record="a", direction="up", **figures), ""), TODAY)
    kept.add(News(entry(symbol="B", record="b", direction="down"), ""), TODAY)
    assert [one.record for one in kept.moved(TODAY)["up"]] == ["a"]
    gone = entry(symbol="A", record="a", action="deleted", direction="up", **figures)
    kept.add(News(gone, ""), TODAY)
    kept.add(News(entry(symbol="B", record="b", direction="same"), ""), TODAY)
    assert [one.record for one in kept.moved(TODAY)["up"]] == ["small"]
    assert kept.moved(TODAY)["down"] == []
    assert not Wanted.of({"direction": "up"})(gone)


def test_a_page_shows_the_newest() -> None:
    kept = Kept()
    for number in range(100):
        kept.add(News(entry(number, firm=f"F{number % 2}"), str(number)), TODAY)
    found = kept.newest(Wanted.of({"firm": "f1"}))
    assert len(found) == SHOWN
    assert found[0].html == "99"


# ---- pages that are slow, or too many


async def test_a_slow_page_is_dropped_and_holds_up_nobody() -> None:
    made = hub()
    slow, quick = made.join(Wanted(), frozenset()), made.join(Wanted(), frozenset())
    assert slow
    assert quick
    heard = 0
    quick[1].receive_nowait()
    for _ in range(2 * BEHIND):
        made._all_changed()
        assert quick[1].receive_nowait() == told("changed", "")
        heard += 1
    assert heard == 2 * BEHIND
    assert made._pages == {quick[0]}
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await trio.sleep_forever()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 2:  # it has begun, and is not looked at any more
            for _ in range(2 * BEHIND):
                made._all_changed()
                quick[1].receive_nowait()

    await Feed(made, Wanted(), frozenset())({"type": "http"}, receive, send)
    assert sent[-1]["body"] == told("reload", "")
    assert not sent[-1]["more_body"]
    assert made._pages == {quick[0]}


async def test_a_browser_that_takes_nothing_does_not_hold_up_the_end() -> None:
    is_full = trio.Event()

    async def flood(_: Any, __: Any, send: Any) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": []}
        await send(start)
        body = {"type": "http.response.body", "body": b"x" * 2**22, "more_body": True}
        with trio.move_on_after(60):
            while True:
                is_full.set()
                await send(body)

    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as browser:
        listener.setblocking(False)
        browser.connect(listener.getsockname())
        browser.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Connections(flood).serve, listener)
            with trio.fail_after(60):
                await is_full.wait()
            await trio.sleep(0.2)
            began = trio.current_time()
            nursery.cancel_scope.cancel()
        assert trio.current_time() - began < PATIENCE / 2


async def test_too_many_pages_are_told_so() -> None:
    made = hub()
    for _ in range(MOST):
        assert made.join(None, frozenset())
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        raise AssertionError

    await Feed(made, None, frozenset())({"type": "http"}, receive, send)
    assert sent[0]["status"] == 503


async def test_each_page_is_told_what_it_wants(autojump_clock: Any) -> None:
    made = hub()
    every = made.join(Wanted(), frozenset())
    one = made.join(Wanted.of({"symbol": "MSFT"}), frozenset())
    sheet = made.join(None, frozenset({"AAPL"}))
    assert every
    assert one
    assert sheet
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made._tell_news)
        for page in (every, one, sheet):
            assert b"event: hello" in await page[1].receive()
        news = made._keep(entry(7, firm="<b>"))
        assert news
        made._rows.append(news)
        made._changed.add("AAPL")
        rows = await every[1].receive()
        assert b"event: rows" in rows
        assert b"&lt;b&gt;" in rows
        assert await sheet[1].receive() == told("changed", "")
        with pytest.raises(trio.WouldBlock):
            one[1].receive_nowait()
        nursery.cancel_scope.cancel()


async def test_what_turns_stale_is_told_at_once(autojump_clock: Any) -> None:
    made = hub()
    joined = made.join(None, frozenset())
    assert joined
    came = joined[1]

    class Read:
        alive: str | None = "bridge"

        async def status(self, stream: Any) -> Status:
            return Status(stream=stream, alive=self.alive, text={"state": "live"})

    reader: Any = Read()
    await made._look(reader)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made._tell_state)
        assert b"event: hello" in await came.receive()
        assert b"state fresh" in await came.receive()
        reader.alive, began = None, trio.current_time()
        await made._look(reader)
        assert b"state stale" in await came.receive()
        assert trio.current_time() == began
        assert b"state stale" in await came.receive()  # and again, as a sign of life
        assert trio.current_time() == began + STATE
        nursery.cancel_scope.cancel()


def test_an_event_of_several_lines() -> None:
    assert told("rows", "a\n\nb") == b"event: rows\ndata: a\ndata: b\n\n"
    assert told("changed", "") == b"event: changed\ndata: \n\n"


# ---- pictures


def test_the_bar_is_full_and_in_order() -> None:
    found = shares(Consensus(strong_buy=Decimal(1), hold=Decimal(2), sell=Decimal(1)))
    assert [each.kind for each in found] == ["strong-buy", "hold", "sell"]
    assert [each.x for each in found] == [0, 250, 750]
    assert sum(each.width for each in found) == WIDE
    assert shares(Consensus()) == shares(Consensus(buy=Decimal(0))) == []


def test_all_targets_stand_on_one_scale() -> None:
    opinions = [
        Rating(firm="A", pt_current=Decimal(50)),
        Rating(firm="B", pt_current=Decimal(150)),
        Rating(firm="Gone", pt_current=Decimal(999), direction="end"),
        Rating(firm="None"),
    ]
    found = scale(Consensus(consensus_price_target=Decimal(100)), opinions)
    assert found
    assert [each.words for each in found.firms] == ["A", "B"]
    assert [each.row for each in found.firms] == [1, 2]
    assert found.average
    assert found.average.x == WIDE / 2
    assert (found.low.value, found.high.value) == (Decimal(50), Decimal(150))
    assert scale(None, opinions[:1]) is None
    assert scale(None, []) is None


def test_how_it_went_is_from_left_to_right() -> None:
    history = [
        entry(version=datetime(2026, 11, day, tzinfo=UTC), target=Decimal(value))
        for day, value in ((20, 5), (10, 9), (9, 1))
    ]
    found = course(history, "target")
    assert found
    assert [point[0] for point in found.points] == sorted(x for x, _ in found.points)
    assert (found.least, found.most) == (Decimal(1), Decimal(9))
    assert found.points[0][1] > found.points[1][1]  # what is more stands higher
    assert len(found.line.split()) == 5  # steps: each holds until the next
    assert course(history[:1], "target") is None


# ---- words


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**a** _b_", "<p><strong>a</strong> <em>b</em></p>\n"),
        ("# a", "<h4>a</h4>\n"),
        ("<b>a</b>", "<p>&lt;b&gt;a&lt;/b&gt;</p>\n"),
        ("[a](javascript:x)", "<p>[a](javascript:x)</p>\n"),
        ("[a](data:text/html,x)", "<p>[a](data:text/html,x)</p>\n"),
        ("a\x1b[1m\u202eb", "<p>a[1mb</p>\n"),
    ],
)
def test_prose_is_harmless(text: str, html: str) -> None:
    assert str(prose(text)) == html


def test_numbers_and_lists() -> None:
    assert moved(Decimal("-12.345")) == "\N{MINUS SIGN}12.3 %"
    assert moved(Decimal(3)) == "+3.0 %"
    assert moved(None) == ""
    assert moved(Decimal("-1e900")) == "\N{MINUS SIGN} over 10,000 %"
    assert symbols_of(" aapl, $msft,,TSX:shop,AAPL ") == ("AAPL", "MSFT", "TSX:SHOP")
