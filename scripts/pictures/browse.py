"""Take pictures of the board in the browser, on the demo's data.

With --all they are all that one should look at after a change: each page, narrow and
wide, light and dark.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.sync_api import Browser, sync_playwright

CAME: Final = 150_000  # ms until enough has come to be looked at
SETTLED: Final = 1_500  # ms
SYMBOL: Final = "AAPL"  # of which the demo always knows something
PAGES: Final = {
    "overview": "/",
    "symbol": f"/symbol/{SYMBOL}",
    "watch": "/watch",
    "search": "/search?q=a",
    "widget": f"/widget/{SYMBOL}",
    "nothing": "/symbol/NONE",
}
SIZE: Final = 1280, 760


@contextmanager
def demo() -> Iterator[str]:
    """Run the demo; give where its board is."""
    command = [sys.executable, "-P", "-m", "bzredis", "demo", "--board"]
    environ = {**os.environ, "TZ": "America/New_York"}
    process = subprocess.Popen(
        [*command, "--seconds", "400"], stdout=subprocess.PIPE, text=True, env=environ
    )
    try:
        for line in process.stdout or ():
            if found := re.search(r"In the browser: (\S+)", line):
                yield found[1].rstrip("/")
                break
    finally:
        process.terminate()
        process.communicate(timeout=20)


def take(
    browser: Browser, url: str, what: tuple[str, str, int, int, Any], into: Path
) -> None:
    name, path, width, height, scheme = what
    size: Any = {"width": width, "height": height}
    context = browser.new_context(viewport=size, color_scheme=scheme)
    page = context.new_page()
    page.goto(url + path)
    page.wait_for_timeout(SETTLED)
    page.screenshot(path=into / f"{name}.png")
    context.close()


def most_told(url: str) -> str:
    """Return the symbol of which there is most to see."""
    with httpx.Client(base_url=url) as asked:
        html = asked.get("/watch").text
        found = {*re.findall(r'href="/symbol/([A-Z.]+)"', html)}

        def told(symbol: str) -> int:
            answer = asked.get(f"/api/history/consensus/{symbol}")
            return len(answer.json())

        best: str = max(sorted(found), key=told)
        return best


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--all", action="store_true")
    here = Path(__file__).parent
    parser.add_argument("folder", nargs="?", type=Path, default=here)
    given = parser.parse_args()
    chromium = shutil.which("chromium") or sys.exit(
        "bzredis: there is no Chromium here"
    )
    with demo() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        browser.new_page().wait_for_timeout(CAME)
        page = f"/symbol/{most_told(url)}"
        take(browser, url, ("browser-overview", "/", *SIZE, "light"), given.folder)
        take(browser, url, ("browser-symbol", page, *SIZE, "dark"), given.folder)
        for name, path in PAGES.items() if given.all else ():
            for width in (360, 800, 1600):
                for scheme in ("light", "dark"):
                    label = f"{name}-{width}-{scheme}"
                    take(browser, url, (label, path, width, 900, scheme), given.folder)
        browser.close()


if __name__ == "__main__":
    main()
