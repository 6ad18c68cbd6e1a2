"""The board in a browser: what people see, and what is never seen."""

from __future__ import annotations

import signal
from importlib.metadata import files
from pathlib import Path
from typing import Any

import pytest
import trio
from commands.web.conftest import LIMIT, Board, Seen, Wrote, board_at, week_into
from playwright.sync_api import Browser, Page, expect
from store.servers import running

from bzredis.streams import CONSENSUS, INSIGHTS, RATINGS

PAGES = ("/", "/symbol/AAPL", "/watch", "/search?q=micro", "/widget/AAPL", "/symbol/X")
SERIOUS = {"serious", "critical"}
MARKED = "() => { window.marked = true }"
STICKS_OUT = """() => [...document.querySelectorAll("html, section, [data-part]")]
    .filter(each => each.scrollWidth > each.clientWidth + 1)
    .map(each => [each.tagName, each.id, each.scrollWidth, each.clientWidth])"""
IS_MARKED = "() => window.marked === true"


def axe() -> str:
    [file] = (
        each
        for each in files("axe-playwright-python") or ()
        if each.name == "axe.min.js"
    )
    return Path(str(file.locate())).read_text()


AXE = axe()
expect.set_options(timeout=1000 * LIMIT)


def test_the_overview(seen: Seen) -> None:
    page = seen.page
    page.goto("/")
    strip = page.locator("#strip")
    expect(strip.locator(".state.fresh")).to_have_count(3)
    rows = page.locator("#rows tr")
    expect(rows.filter(has_text="AAPL").first).to_be_visible()
    apple = rows.filter(has_text="Evercore ISI Group").filter(has_text="In-Line")
    expect(apple.first).to_contain_text("217.00")
    expect(apple.first.locator(".move")).to_have_text("+23.0 %")
    assert "may be missing" in rows.filter(has_text="may be missing").first.inner_text()
    card = page.locator(".card").filter(has_text="ratings")
    expect(card).to_contain_text("Rejected")
    page.get_by_label("Firm").fill("evercore")
    page.get_by_label("Direction").select_option("up")
    page.locator(".filters button").click()
    expect(page.locator("#rows tr:not(.gap)").first).to_contain_text("Evercore")
    expect(page.locator("#rows tr.down")).to_have_count(0)
    expect(page.get_by_label("Firm")).to_have_value("evercore")


def test_a_symbol(seen: Seen) -> None:
    page = seen.page
    page.goto("/")
    page.get_by_label("Ticker, name or ISIN").fill("US0378331005")
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url("/symbol/AAPL")
    expect(page.get_by_role("heading", level=1)).to_have_text("AAPL Apple")
    firms = page.locator(".firms tbody tr")
    expect(firms).to_have_count(3)
    expect(firms.first).to_contain_text("Evercore ISI Group")
    expect(page.get_by_role("img", name="29 % strong buy, 44 % buy")).to_be_visible()
    expect(page.locator("figure.range")).to_contain_text("278.4")
    expect(page.locator(".prose li").first).to_have_text(
        'Services grow — "margins" hold: resilient.'
    )
    expect(page.locator(".calls li").first).to_contain_text("In-Line")
    mark = page.get_by_role("link", name="Jefferies: 205.16")
    mark.focus()
    page.keyboard.press("Enter")
    expect(page.locator("tr:target")).to_contain_text("Jefferies")


def test_the_watch_list(seen: Seen) -> None:
    page = seen.page
    page.goto("/watch?symbols=msft,xom,nope")
    lines = page.locator(".watch tbody tr")
    expect(lines).to_have_count(3)
    expect(lines.nth(2)).to_contain_text("nothing yet")
    page.get_by_role("link", name="Target").click()
    expect(lines.first).to_contain_text("MSFT")
    page.get_by_role("link", name="Target").click()
    expect(lines.nth(1)).to_contain_text("XOM")
    expect(page.locator("[aria-sort=ascending]")).to_contain_text("Target")


def test_what_comes_is_there_at_once_and_what_is_stale_says_so(
    seen: Seen, wrote: Wrote
) -> None:
    page = seen.page
    other = page.context.new_page()
    other.goto("/symbol/XOM")
    other.evaluate(MARKED)
    page.goto("/")
    page.evaluate(MARKED)
    expect(page.locator("#rows tr").filter(has_text="Barclays")).to_have_count(1)
    wrote.rate()
    new = page.locator("#rows tr").filter(has_text="Barclays").first
    expect(new).to_contain_text("Equal-Weight")
    other.bring_to_front()
    expect(other.locator(".firms tbody tr").first).to_contain_text("Barclays")
    wrote.die()
    for each in (page, other):
        each.bring_to_front()
        expect(each.locator("#strip .state.stale")).to_have_count(3)
        expect(each.locator("#strip .why")).to_contain_text("No sign of the bridge")
        expect(each.locator(".state.fresh")).to_have_count(0)
        assert each.evaluate(IS_MARKED)
    wrote.live()
    expect(page.locator("#strip .state.fresh")).to_have_count(3)


def test_a_page_of_which_nothing_is_heard_is_stale_by_itself(
    seen: Seen, board: Board
) -> None:
    page = seen.page
    page.clock.install()
    page.goto("/")
    expect(page.locator("#strip .state.fresh")).to_have_count(3)
    board.process.send_signal(signal.SIGSTOP)
    try:
        page.clock.fast_forward(10_000)
        expect(page.locator("#silent")).to_contain_text("No sign of the board since")
        expect(page.locator(".state.fresh")).to_have_count(0)
        expect(page.locator("#strip .state.unknown")).to_have_count(3)
    finally:
        board.process.send_signal(signal.SIGCONT)
    page.clock.resume()
    expect(page.locator("#strip .state.fresh")).to_have_count(3)
    expect(page.locator("#silent")).to_be_hidden()


def test_what_is_held_still_goes_on_with_all_that_came(
    seen: Seen, wrote: Wrote
) -> None:
    page = seen.page
    page.goto("/")
    page.get_by_role("button", name="Pause").click()
    wrote.rate(firm="Held & Co", ticker="NVDA")
    go_on = page.get_by_role("button", name="Go on (1 new)")
    expect(go_on).to_be_visible()
    expect(page.locator("#rows")).not_to_contain_text("Held & Co")
    go_on.click()
    expect(page.locator("#rows tr").first).to_contain_text("Held & Co")


def test_hostile_text_is_text(seen: Seen, wrote: Wrote) -> None:
    """Markup, terminal codes, letters that turn the line around, and 3 KB names."""
    script = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    turned, red = "\u202eGNP", "\x1b[31mred\x1b[0m"
    long = "N" * 3000
    prose = (
        f"# {script}\n\n[here](javascript:alert(3)) [out](https://example.com/a)\n\n"
        f"![p](https://example.com/p.png)\n\n{script} <svg onload=alert(4)>\n\n"
        '<a href="https://example.com" onclick="alert(5)">x</a> שלום'
    )
    called = {"analyst": script, "name": long, "analyst_name": turned + red}
    says = {
        "rating_current": "Buy",
        "pt_current": "12.00",
        "action_company": "Upgrades",
    }
    wrote.send(RATINGS, id="evil", ticker="EVIL", **called, **says)
    security = {"symbol": "EVIL", "name": long}
    told = {"security": security, "firm": turned, "analyst_insights": prose}
    wrote.send(INSIGHTS, id="evil", **told)
    figures = wrote.bridge.week.figures(0, script, 3.5, 12)
    wrote.send(CONSENSUS, ticker="EVIL", **figures)
    page = seen.page
    for path in ("/", "/symbol/EVIL", "/watch?symbols=EVIL", "/widget/EVIL"):
        page.goto(path)
        expect(page.locator("main")).to_contain_text("EVIL")
        assert page.locator("main script, main img, main [onclick]").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        assert "\u202e" not in page.content()
        assert "\x1b" not in page.content()
    page.goto("/symbol/EVIL")
    expect(page.locator(".firms")).to_contain_text("<script>alert(1)</script>")
    links = page.locator(".prose a").evaluate_all("found => found.map(a => a.href)")
    # The picture is a link: nobody hears of who reads until it is followed.
    assert links == ["https://example.com/a", "https://example.com/p.png"]
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_nothing_sticks_out_at_any_width(seen: Seen, wrote: Wrote) -> None:
    far = {"rating_prior": "Sector Perform", "rating_current": "Sector Outperform"}
    moved = {"pt_prior": "1065.00", "pt_current": "1154.50", **far}
    firm = {"analyst": "Canaccord Genuity", "action_company": "Upgrades"}
    wrote.send(RATINGS, id="wide", ticker="WIDEN", exchange="TSXV", **firm, **moved)
    page = seen.page
    for path in ("/", "/symbol/TSXV:WIDEN", "/watch?symbols=TSXV:WIDEN,AAPL"):
        page.goto(path)
        expect(page.locator("main")).to_contain_text("TSXV:WIDEN")
        for width in (360, 500, 641, 760, 999, 1000, 1100, 1200, 1280, 1600):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate(STICKS_OUT) == [], (path, width)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(
    browser: Browser, board: Board, wrote: Wrote, scheme: Any
) -> None:
    """Ask axe, with the rules of WCAG 2.2 AA and its best practices."""
    context = browser.new_context(
        base_url=board.url,
        color_scheme=scheme,
        bypass_csp=True,
        reduced_motion="reduce",
    )
    context.set_default_timeout(1000 * LIMIT)
    page = context.new_page()
    for path in PAGES if scheme == "light" else PAGES[1:2]:
        page.goto(path)
        assert found(page) == {}, path
    context.close()


def found(page: Page) -> dict[str, list[str]]:
    """Return what axe finds serious, and where."""
    page.evaluate(AXE)
    told = page.evaluate("() => axe.run({preload: false, resultTypes: ['violations']})")
    return {
        each["id"]: [node["html"][:200] for node in each["nodes"]]
        for each in told["violations"]
        if each["impact"] in SERIOUS
    }


def test_redis_goes_and_comes_and_there_is_a_start_of_all(
    browser: Browser, tmp_path: Path
) -> None:
    """No bridge, no data, no Redis, and back, without a page being loaded again."""
    with running("valkey", tmp_path / "redis") as peer:
        (tmp_path / "home").mkdir()
        with board_at(peer.server.url, tmp_path / "home") as board:
            context = browser.new_context(base_url=board.url)
            context.set_default_timeout(1000 * LIMIT)
            page = context.new_page()
            page.goto("/")
            expect(page.locator("#strip .why")).to_contain_text("No bridge has written")
            expect(page.locator("#empty")).to_contain_text("Nothing has come yet")
            page.evaluate(MARKED)
            trio.run(peer.server.stop)
            expect(page.locator("#strip .why")).to_contain_text("Redis is away")
            other = context.new_page()
            other.goto("/symbol/AAPL")
            expect(other.locator("h1")).to_have_text("Redis is away")
            other.evaluate(MARKED)
            trio.run(peer.server.start)
            # What it follows is no longer the page that said that Redis is away.
            expect(other.locator("h1")).to_have_text("AAPL")
            wrote = week_into(peer)
            expect(other.locator(".firms tbody tr").first).to_contain_text("Evercore")
            wrote.rate(firm="Later & Co", ticker="AAPL")
            expect(other.locator(".firms tbody")).to_contain_text("Later & Co")
            page.bring_to_front()
            expect(
                page.locator("#rows tr").filter(has_text="AAPL").first
            ).to_be_visible()
            expect(page.locator("#strip .state.fresh")).to_have_count(3)
            assert page.evaluate(IS_MARKED)
            assert other.evaluate(IS_MARKED)
            context.close()
