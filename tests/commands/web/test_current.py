"""What a page shows is what stands in Redis, also where no entry says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

import trio
from commands.web.conftest import LIMIT, Board, Seen, Wrote
from faults.proxy import Proxy
from playwright.sync_api import Browser, Route, expect
from store.servers import Peer

from bzredis.streams import RATINGS

SET_BACK = "() => { const now = Date.now; Date.now = () => now() - 3_600_000 }"
expect.set_options(timeout=1000 * LIMIT)


def say(
    wrote: Wrote, symbol: str, firm: str, updated: int = 1, record: str = ""
) -> None:
    """Have a rating of a symbol come that no other test looks at."""
    about = {"id": record or f"{symbol} {firm}", "ticker": symbol, "updated": updated}
    wrote.send(RATINGS, **about, analyst=firm, rating_current="Buy")


def test_a_record_that_left_a_symbol_leaves_its_page(seen: Seen, wrote: Wrote) -> None:
    say(wrote, "LEFT", "Mover & Co", record="mover")
    say(wrote, "LEFT", "Stayer & Co")
    page = seen.page
    page.goto("/symbol/LEFT")
    expect(page.locator(".firms tbody tr")).to_have_count(2)
    say(wrote, "ENTERED", "Mover & Co", updated=2, record="mover")
    expect(page.locator(".firms tbody tr")).to_have_count(1)


def test_what_goes_without_an_entry_goes(
    seen: Seen, wrote: Wrote, server: Peer
) -> None:
    say(wrote, "GOES", "Goer & Co", record="goer")
    page = seen.page
    page.goto("/symbol/GOES")
    expect(page.locator(".firms tbody tr")).to_have_count(1)
    for key in ("record:goer", "timeline:GOES", "latest:GOES", "history:GOES"):
        server.redis.delete(f"bz:ratings:{key}")
    expect(page.locator(".firms tbody tr")).to_have_count(0)


def test_what_changed_last_is_on_the_list_of_that(seen: Seen, wrote: Wrote) -> None:
    """Nobody named its symbols, so a new one is none of those that it waits for."""
    page = seen.page
    page.goto("/watch")
    expect(page.locator("#lines")).to_contain_text("AAPL")
    say(wrote, "NEWCOMER", "First & Co")
    expect(page.locator("#lines")).to_contain_text("NEWCOMER")


def test_a_page_that_could_not_be_read_once_is_read_again(
    seen: Seen, wrote: Wrote
) -> None:
    say(wrote, "MISSED", "First & Co")
    page = seen.page
    page.goto("/symbol/MISSED")
    failed = list[str]()

    def fail(route: Route) -> None:
        failed.append(route.request.url)
        route.abort()

    page.route("**/symbol/MISSED", fail, times=1)
    say(wrote, "MISSED", "Second & Co")
    expect(page.locator(".firms tbody")).to_contain_text("Second & Co")
    assert failed


def test_a_clock_that_is_set_back_keeps_no_page_old(seen: Seen, wrote: Wrote) -> None:
    say(wrote, "CLOCK", "First & Co")
    page = seen.page
    page.goto("/symbol/CLOCK")
    say(wrote, "CLOCK", "Second & Co")
    expect(page.locator(".firms tbody")).to_contain_text("Second & Co")
    page.evaluate(SET_BACK)
    say(wrote, "CLOCK", "Third & Co")
    expect(page.locator(".firms tbody")).to_contain_text("Third & Co")


def test_one_failure_of_redis_is_no_absence_for_ever(
    seen: Seen, wrote: Wrote, server: Peer
) -> None:
    """A page is told that Redis is away while the board itself reads on."""
    say(wrote, "FAILS", "First & Co")
    key = "bz:ratings:timeline:FAILS"
    server.redis.rename(key, "kept")
    server.redis.set(key, "of a wrong type")
    page = seen.page
    page.goto("/symbol/FAILS")
    expect(page.locator("h1")).to_have_text("Redis is away")
    server.redis.delete(key)
    server.redis.rename("kept", key)
    expect(page.locator("h1")).to_contain_text("FAILS")


def test_a_connection_that_is_half_open_is_made_anew(
    browser: Browser, board: Board, wrote: Wrote
) -> None:
    """As where the board's machine lost its power, or a router forgot it."""
    say(wrote, "HALF", "First & Co")
    with between(board.port) as proxy:
        page = browser.new_page(base_url=f"http://127.0.0.1:{proxy.port}")
        page.set_default_timeout(1000 * LIMIT)
        page.goto("/symbol/HALF")
        expect(page.locator("#strip .state.fresh")).to_have_count(3)
        proxy.swallow = True
        expect(page.locator("#silent")).to_contain_text("No sign of the board since")
        say(wrote, "HALF", "Second & Co")
        proxy.swallow = False
        expect(page.locator("#strip .state.fresh")).to_have_count(3)
        expect(page.locator("#silent")).to_be_hidden()
        expect(page.locator(".firms tbody")).to_contain_text("Second & Co")
        page.close()


@contextmanager
def between(port: int) -> Iterator[Proxy]:
    """Run a proxy before a port, beside what else runs here."""
    proxy, began = Proxy(port), SimpleQueue[trio.lowlevel.TrioToken]()

    async def serve() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(proxy.serve)
            began.put(trio.lowlevel.current_trio_token())

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    token = began.get(timeout=LIMIT)
    try:
        yield proxy
    finally:
        token.run_sync_soon(proxy.shut)
        thread.join(LIMIT)
