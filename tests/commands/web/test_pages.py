"""The board by HTTP alone: JSON, who may look, and what browsers are told."""

from __future__ import annotations

import os
import shlex
import socket
import stat
import struct
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from click.testing import CliRunner
from commands.web.conftest import LIMIT, Board, Wrote, board_at
from store.servers import Peer

from bzredis.commands.cli import bzredis
from bzredis.commands.looks import board as looks
from bzredis.commands.running.called import installer
from bzredis.commands.web import started
from bzredis.commands.web.door.guard import POLICY, is_this_machine
from bzredis.contract.schemas import of
from bzredis.errors import ConfigError
from bzredis.settings.config import Config
from bzredis.streams.installed import stream


def test_json_is_as_the_contract_has_it(board: Board, wrote: Wrote) -> None:
    for name in ("ratings", "insights", "consensus"):
        schemas = of(stream(name))
        answer = board.get(f"/api/latest/{name}/AAPL")
        assert answer.headers["bzredis-fresh"] == "1"
        jsonschema.validate(answer.json(), schemas["latest"])
        found = board.get(f"/api/history/{name}/aapl?count=2").json()
        assert 1 <= len(found) <= 2
        for each in found:
            jsonschema.validate(each, schemas["history"])
    told = board.get("/api/status").json()
    assert [*told] == ["ratings", "insights", "consensus"]
    for name, each in told.items():
        assert each.pop("fresh") is True
        jsonschema.validate(each, of(stream(name))["status"])
    assert "ratings-latest" in board.get("/api/schemas").json()["$defs"]


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/api/latest/ratings/NOPE", 404, "ratings has nothing about NOPE"),
        ("/api/latest/rating/AAPL", 404, "there are the streams ratings, insights"),
        ("/api/history/ratings/AAPL?count=0", 400, "from 1 to 1000"),
        ("/api/history/ratings/AAPL?count=%D9%A1", 400, "from 1 to 1000"),
        ("/api/x", 404, "there are /api/latest/STREAM/SYM"),
    ],
)
def test_json_of_what_is_not_there(
    board: Board, path: str, code: int, words: str
) -> None:
    answer = board.get(path)
    assert answer.status_code == code
    assert words in answer.json()["error"]


def test_what_browsers_are_told(board: Board) -> None:
    for path in ("/", "/symbol/AAPL", "/static/board.js", "/api/status", "/nope"):
        headers = board.get(path, origin="https://example.com").headers
        assert headers["content-security-policy"] == POLICY.format("'none'")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers
    policy = board.get("/widget/AAPL").headers["content-security-policy"]
    assert policy == POLICY.format("*")
    assert "unsafe" not in POLICY
    html = board.get("/symbol/AAPL").text
    assert " style=" not in html
    assert "<script>" not in html
    assert '<noscript><meta http-equiv="refresh"' in html


def test_other_names_of_this_machine_are_turned_away(board: Board) -> None:
    for host in ("example.com", f"evil.localhost.example:{board.port}", "", "10.0.0.1"):
        assert board.get("/", host=host).status_code == 421
    for host in (f"localhost:{board.port}", "127.0.0.1", "[::1]:8399"):
        assert board.get("/", host=host).status_code == 200
        assert is_this_machine(host)
    assert httpx.post(board.url, timeout=LIMIT).status_code == 405


def test_what_is_no_http_harms_only_itself(board: Board, wrote: Wrote) -> None:
    asks = b"GET %s HTTP/1.1\r\nHost: localhost\r\n"
    h2c = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    odd = (
        asks % b"/" + b"\r\n" + asks % b"/events" + b"\r\n",
        asks % b"/" + h2c + b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"GET / HTTP/1.1\r\n\r\n",
        asks % (b"/" + b"A" * 20_000),
        asks % b"/\xff" + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\0" * 1_000,
    )
    for number, text in enumerate(odd * 4):
        with socket.create_connection(("127.0.0.1", board.port), LIMIT) as made:
            made.sendall(text)
            if number % 2:
                made.recv(100)
            if number % 3:  # it is gone without a goodbye
                linger = struct.pack("ii", 1, 0)
                made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    assert board.get("/").status_code == 200


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        *(("/AAPL", "/symbol/AAPL"), ("/aapl/", "/symbol/AAPL")),
        *(("/$F", "/symbol/F"), ("/BRK.B", "/symbol/BRK.B")),
        *(("/bf-b", "/symbol/BF-B"), ("/TSX:RCI.B", "/symbol/TSX:RCI.B")),
        *(("/TSE:7203", "/symbol/TSE:7203"), ("//AAPL", "/symbol/AAPL")),
        *(("/favicon.ico", ""), ("/robots.txt", ""), ("/apple-touch-icon.png", "")),
        *(("/a.js", ""), ("/index.php", ""), ("/.env", ""), ("/wp-login", "")),
        *(("/sitemap", ""), ("/AAPL/x", ""), ("/static/AAPL", ""), ("/api/AAPL", "")),
        *(("/7203", ""), ("/http:", ""), ("/%0dAAPL", ""), ("/AAPL%0a", "")),
    ],
)
def test_a_symbol_that_is_typed_leads_to_its_page(
    board: Board, path: str, leads_to: str
) -> None:
    answer = board.get(path)
    assert answer.headers.get("location", "") == leads_to
    assert answer.status_code == (303 if leads_to else 404)


def test_pages_that_are_none_and_odd_symbols(board: Board) -> None:
    assert board.get("/no-such-page").status_code == 404
    assert "There is no such page" in board.get("/no-such-page").text
    answer = board.get("/symbol/AAP")
    assert answer.status_code == 404
    assert 'href="/symbol/AAPL"' in answer.text
    for path in (
        "/symbol/%00%1b",
        "/symbol/%2e%2e/x",
        "/symbol/a%2Fb",
        "/search?q=%00",
    ):
        assert board.get(path).status_code in {200, 404}
    assert board.get("/static/%2e%2e/app.py").status_code == 404
    assert board.get("/?move=1e999999999&firm=%F0%9F&direction=x").status_code == 200
    shop = board.get("/symbol/TSX:SHOP").text
    assert "Shopify" in shop
    assert 'href="/widget/TSX:SHOP"' in shop
    assert "Microsoft" in board.get("/search?q=micro").text


def test_beyond_this_machine_a_token_is_asked_for(
    server: Peer, wrote: Wrote, tmp_path: Path
) -> None:
    words = ("--allow-origin", "https://example.com")
    with board_at(server.server.url, tmp_path, *words, host="0.0.0.0") as board:
        file = tmp_path / ".local" / "state" / "bzredis" / "board-token"
        token = file.read_text().strip()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert str(file) in board.said.read_text()
        for path in (
            "/",
            "/api/status",
            "/static/board.css",
            "/widget/AAPL",
            "/?token=x",
        ):
            assert board.get(path).status_code == 401
        assert board.get("/", cookie="bzredis-board=x").status_code == 401
        given = {"authorization": f"Bearer {token}"}
        assert board.get("/api/status", **given).status_code == 200
        for origin, allowed in (
            ("https://example.com", True),
            ("https://x.org", False),
        ):
            headers = board.get("/api/status", origin=origin, **given).headers
            assert ("access-control-allow-origin" in headers) == allowed
        headers = board.get("/", origin="https://example.com", **given).headers
        assert "access-control-allow-origin" not in headers
        with closing(httpx.Client(base_url=board.url, timeout=LIMIT)) as client:
            answer = client.get(f"/watch?symbols=AAPL&token={token}")
            assert answer.status_code == 303
            assert answer.headers["location"] == "/watch?symbols=AAPL"
            cookie = answer.headers["set-cookie"].lower()
            assert "httponly" in cookie
            assert "samesite=strict" in cookie
            assert client.get("/watch?symbols=AAPL").status_code == 200
            away = client.get(f"//example.com?token={token}").headers["location"]
            assert away.startswith("/")
            assert not away.startswith("//")
        assert board.stopped() == 0
        assert token not in board.said.read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--listen", "example.com:80"], "--listen has to be a port"),
        (["--allow-origin", "*"], "--allow-origin has to be as https://example.com"),
        (["--count", "3"], "so many of what? Say --text, --csv or --json"),
        (["--listen", "1", "--csv"], "--listen and --csv: only one can be meant"),
    ],
)
def test_what_cannot_be_meant(words: list[str], told: str) -> None:
    done = CliRunner().invoke(bzredis, ["board", *words], prog_name="bzredis")
    assert done.exit_code == 2
    assert told in done.stderr


def test_a_place_that_is_taken_and_what_is_not_installed(
    board: Board, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    run: Any = CliRunner()
    done = run.invoke(bzredis, ["board", "--listen", str(board.port)])
    assert done.exit_code == 2
    assert f"nobody can listen at 127.0.0.1:{board.port}" in done.stderr
    there = "bzredis.commands.web.started.find_spec"
    monkeypatch.setattr(there, lambda name: None if name == "nh3" else name)
    done = run.invoke(bzredis, ["board"])
    assert done.exit_code == 2
    installs = shlex.join([*installer(), "nh3"])
    assert f"with `{installs}`" in done.stderr


def test_the_demo_takes_the_next_place_that_is_free(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert started.PORT == looks.PORT
    monkeypatch.setattr(started, "PORT", board.port)
    beside = board.port + 1
    with socket.socket() as held:
        # Nobody listens there, and yet it is taken, as by who is connected from it.
        with suppress(OSError):
            held.bind(("127.0.0.1", beside))
        with started.opened_near(Config()) as made:
            assert made.at.port > beside
    monkeypatch.setattr(started, "PORTS", 1)
    with (
        pytest.raises(ConfigError, match="nobody can listen"),
        started.opened_near(Config()),
    ):
        pass


@pytest.mark.parametrize("text", ["", "short", "not ascii: ä" + 20 * "x"])
def test_a_token_file_that_holds_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "board-token").write_text(text)
    words = ["board", "--listen", "0.0.0.0:1", "--state-dir", str(tmp_path)]
    done = CliRunner(env=dict.fromkeys(os.environ)).invoke(bzredis, words)
    assert done.exit_code == 2
    assert "holds no token: remove it" in done.stderr
