"""The simulator on loopback, ruder servers too; virtual time where time is the point.

Every test ends with the question whether the token shows anywhere.
"""

from __future__ import annotations

import gzip
import json
import logging
import socket
import ssl
import struct
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager, suppress
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any
from urllib.parse import quote, unquote

import httpx
import pytest
import trio
import trustme

from bzredis import __version__
from bzredis.errors import BridgeError, FeedLost, RestDown, RestRefused
from bzredis.ports import Removal
from bzredis.simulator import Refusal, Settings, Simulator
from bzredis.simulator.market.formats import compact
from bzredis.simulator.server.rest import rating_row
from bzredis.streams import CONSENSUS, INSIGHTS, RATINGS
from bzredis.streams import stream as streams
from bzredis.streams.stream import Table
from bzredis.upstream import failures, pages, rest
from bzredis.upstream import pacing as pace
from bzredis.upstream.pacing import retry_after
from bzredis.upstream.rest import Rest

SECRET = "s3cr3t"
TOKEN = f"{SECRET}+/=key"
QUICK: dict[str, Any] = {
    "token": TOKEN,
    "rate": 0.0,
    "history": 40,
    "rest_limit": 1_000,
}


def stated(table: Table | None) -> Table:
    assert table is not None
    return table


RATED, REASONED = stated(RATINGS.rows), stated(INSIGHTS.rows)
REMOVED, AGGREGATE = stated(RATINGS.removals), stated(CONSENSUS.lookup)

DATE = "Sat, 28 Nov 2026 06:00:00 GMT"

Clock = trio.testing.MockClock
Said = list[BaseException]
Rude = Callable[[trio.SocketStream], Awaitable[None]]
Answer = Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]


@pytest.fixture(autouse=True)
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Said]:
    """Collect what was raised; in the end look for the token in it, and in the log."""
    caplog.set_level(logging.DEBUG)
    raised: Said = []
    yield raised
    for record in caplog.get_records("call"):
        assert SECRET not in f"{record.getMessage()} {record.args!r} {record.exc_text}"
    for error in raised:
        assert SECRET not in "".join(shown(error))


def shown(error: BaseException | None) -> Iterator[str]:
    """Yield all that a log might tell of an exception, suppressed contexts too."""
    while error is not None:
        yield f"{error} {error!r} {error.__dict__}"
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        for line in told.stack:
            if line.filename == __file__:
                line.locals = None  # what servers here say is no leak of ours
        yield from told.format()
        error = error.__cause__ or error.__context__


Failing = Callable[..., Any]


@pytest.fixture
def failing(said: Said) -> Failing:
    """Expect REST to fail in these words."""

    @contextmanager
    def failing(
        words: str, kind: type[BridgeError] = RestDown
    ) -> Iterator[pytest.ExceptionInfo[BridgeError]]:
        with pytest.raises(kind, match=words) as caught:
            yield caught
        assert type(caught.value) is kind
        assert caught.value.__context__ is None
        assert "\n" not in str(caught.value)
        said.append(caught.value)

    return failing


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back off for no time, since virtual time cannot be had with real sockets."""
    monkeypatch.setattr(rest, "FIRST", 0.002)
    monkeypatch.setattr(rest, "LAST", 0.004)


def at(port: int, **more: Any) -> Rest:
    return Rest(f"http://127.0.0.1:{port}", partial(str, TOKEN), 1_000.0, **more)


Simulate = Callable[..., Awaitable[tuple[Simulator, Rest]]]


@pytest.fixture
async def simulate(nursery: trio.Nursery, at_once: None) -> AsyncIterator[Simulate]:
    """Give a function that starts a simulator, and someone to ask it."""
    opened = AsyncExitStack()

    async def simulated(**changes: object) -> tuple[Simulator, Rest]:
        nursery.start_soon(alarm)
        simulator = Simulator(Settings(**QUICK | changes))
        await nursery.start(simulator.serve)
        return simulator, await opened.enter_async_context(at(simulator.port))

    async with opened:
        yield simulated


async def alarm() -> None:
    """Let no test hang."""
    await trio.sleep(60)
    raise trio.TooSlowError


async def serve(
    nursery: trio.Nursery, handler: Rude, tls: ssl.SSLContext | None = None
) -> int:
    """Start a server that does what it likes with TCP."""
    nursery.start_soon(alarm)
    how = partial(trio.serve_tcp, handler, 0, host="127.0.0.1")
    if tls is not None:
        how = partial(trio.serve_ssl_over_tcp, handler, 0, tls, host="127.0.0.1")  # type: ignore[assignment,arg-type]
    [listener] = await nursery.start(how)
    inner = getattr(listener, "transport_listener", listener)
    return int(inner.socket.getsockname()[1])


async def head(stream: trio.abc.Stream) -> bytes:
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        more = await stream.receive_some()
        assert more, "the asker went in the midst of its request"
        received += more
    return received


def saying(answer: bytes, *, close: bool = True) -> Rude:
    """Give a server that says the same to everyone."""

    async def handler(stream: trio.abc.Stream) -> None:
        await head(stream)
        await stream.send_all(answer)
        if not close:
            await trio.sleep_forever()

    return handler


def response(body: bytes, status: bytes = b"200 OK", *headers: bytes) -> bytes:
    lines = [
        b"HTTP/1.1 " + status,
        b"Content-Length: %d" % len(body),
        b"Connection: close",
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def virtual(answer: Answer, **more: Any) -> Rest:
    """Ask something in memory, where time can be virtual."""
    transport = httpx.MockTransport(answer)
    return Rest(
        "http://127.0.0.1", lambda: TOKEN, transport=transport, rng=Random(1), **more
    )


def sent(status: int, body: bytes = b"", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, stream=httpx.ByteStream(body))


def opine(simulator: Simulator) -> str:
    """Have a rating published; return its record."""
    rated = simulator.market.opine(simulator.clock())
    return str(json.loads(rated[0].text)["data"]["id"])


async def listed(found: AsyncIterator[Any]) -> list[Any]:
    """List rows, whatever pages they came on, and removals."""
    pages = [each if isinstance(each, list) else [each] async for each in found]
    return [row for page in pages for row in page]


# --- the simulator ---------------------------------------------------------------


async def test_ratings_since(simulate: Simulate) -> None:
    simulator, asker = await simulate()
    now = simulator.clock() + 10
    simulator.market.opine(now, "AAPL")
    rows = await listed(asker.rows(RATED, int(now)))
    [newest] = [
        rating
        for rating in simulator.market.book.ratings.values()
        if rating.content["updated"] == int(now)
    ]
    assert rows == [compact(rating_row(newest))]
    assert await listed(asker.rows(RATED, int(now) + 1)) == []
    assert SECRET not in repr(asker)


async def test_pages_whose_size_upstream_cuts_down(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PAGE", 30)
    simulator, asker = await simulate(history=200)
    rows = await listed(asker.rows(RATED, 0))
    live = simulator.market.book.ratings
    assert len(rows) == len(live) > 150
    assert {json.loads(row)["id"] for row in rows} == set(live)
    pages = [asked.page for asked in simulator.requests]
    assert pages == list(range(-(-len(live) // 30) + 1))


async def test_insights(simulate: Simulate) -> None:
    simulator, asker = await simulate(history=300)
    rows = [json.loads(row) for row in await listed(asker.rows(REASONED, 0))]
    live = simulator.market.book.insights
    assert {row["id"] for row in rows} == set(live)
    assert len(live) > 100  # the size of a page whose size nobody told
    newest = rows[0]["updated"]
    found = await listed(asker.rows(REASONED, newest, ["aapl", "T"]))
    assert all(json.loads(row)["security"]["symbol"] in {"AAPL", "T"} for row in found)


async def test_no_more_than_50_tickers_at_once(simulate: Simulate) -> None:
    simulator, asker = await simulate(history=300)
    tickers = [f"T{n}" for n in range(100)] + ["AAPL", "T"]
    for found in (asker.rows(RATED, 0, tickers), asker.rows(REASONED, 0, tickers)):
        simulator.requests.clear()
        rows = [json.loads(row) for row in await listed(found)]
        whose = {row.get("ticker") or row["security"]["symbol"] for row in rows}
        assert whose == {"AAPL", "T"}
        asked = [(len(each.tickers), each.page) for each in simulator.requests]
        assert asked == [(50, 0), (50, 0), (2, 0), (2, 1)]


async def test_removals(simulate: Simulate) -> None:
    simulator, asker = await simulate()
    begin = int(simulator.clock()) + 10
    records = [opine(simulator) for _ in range(2)]
    for late, record in enumerate(records):
        simulator.market.retract(begin + late, record)
    newer, older = Removal(records[1], begin + 1, ""), Removal(records[0], begin, "")
    for unfiltered in (False, True):
        simulator.rest_faults["removed"].unfiltered = unfiltered
        found = await listed(asker.removals(REMOVED, begin))
        gone = [Removal(each.record, each.updated, "") for each in found]
        assert gone == [newer, older]
        assert json.loads(found[0].raw)["id"] == records[1]
        assert len(await listed(asker.removals(REMOVED, begin + 1))) == 1


async def test_removals_of_which_nobody_knows_when(simulate: Simulate) -> None:
    simulator, asker = await simulate(removed_updated=False)
    simulator.market.retract(simulator.clock(), opine(simulator))
    for gone in await listed(asker.removals(REMOVED, 0)):
        assert gone.record in simulator.market.book.deleted
        assert gone.updated is None


async def test_consensus(simulate: Simulate) -> None:
    simulator, asker = await simulate(history=0)
    [_, published] = simulator.market.opine(simulator.clock(), "AAPL")
    text = await asker.lookup(AGGREGATE, "AAPL", {})
    assert text == compact(json.loads(published.text)["data"])
    simple = await asker.lookup(
        AGGREGATE, "AAPL", {"simplify": "true", "aggregate_type": "percentage"}
    )
    assert simple is not None
    assert json.loads(simple)["aggregate_type"] == "percentage"
    assert set(json.loads(simple)["aggregate_ratings"]) <= {"buy", "hold", "sell"}
    assert await asker.lookup(AGGREGATE, "MSFT", {}) is None


@pytest.mark.parametrize("name", ["ratings", "insights", "removed", "consensus"])
async def test_spoiled_answers(simulate: Simulate, failing: Failing, name: str) -> None:
    simulator, asker = await simulate()
    simulator.market.opine(simulator.clock(), "AAPL")
    ask: dict[str, Callable[[], Awaitable[Any]]] = {
        "ratings": lambda: listed(asker.rows(RATED, 0)),
        "insights": lambda: listed(asker.rows(REASONED, 0)),
        "removed": lambda: listed(asker.removals(REMOVED, 0)),
        "consensus": lambda: asker.lookup(AGGREGATE, "AAPL", {}),
    }
    faults = simulator.rest_faults[name]
    faults.html = True
    with failing("^127.0.0.1, asked for /.*, answered with a web page or XML instead"):
        await ask[name]()
    faults.html, faults.truncated = False, True
    with failing("answered with JSON that is broken or was cut short$"):
        await ask[name]()
    assert len(simulator.requests) == 2  # such things do not pass in a moment
    faults.truncated, faults.wrong_type = False, True
    if name == "consensus":
        with failing("answered with JSON that is no object$"):
            await ask[name]()
    elif name == "removed":
        assert [gone.record for gone in await ask[name]()] == [""] * 3
    else:
        assert await ask[name]() == ['"no record"', "7", "null"]


@pytest.mark.parametrize("status", [401, 403])
async def test_refusals(simulate: Simulate, failing: Failing, status: int) -> None:
    simulator, asker = await simulate()
    body = json.dumps({"value": TOKEN}).encode()
    simulator.rest_faults["ratings"].refuse = Refusal(status, body)
    with failing(f"ratings, answered HTTP {status}$", RestRefused):
        await listed(asker.rows(RATED, 0))
    assert len(simulator.requests) == 1


async def test_a_wrong_token(simulate: Simulate, failing: Failing) -> None:
    simulator, _ = await simulate()
    async with Rest(f"http://127.0.0.1:{simulator.port}", lambda: SECRET) as asker:
        with failing("answered HTTP 401$", RestRefused):
            await asker.lookup(AGGREGATE, "AAPL", {})


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"refuse": Refusal(502, b"<h1>Bad gateway</h1>")}, "answered HTTP 502$"),
        ({"hang_up": True}, "failed: it hung up before the answer was whole, or broke"),
    ],
)
async def test_what_may_pass_is_tried_again(
    simulate: Simulate, failing: Failing, fault: dict[str, Any], words: str
) -> None:
    simulator, asker = await simulate()
    for name, value in fault.items():
        setattr(simulator.rest_faults["ratings"], name, value)
    with failing(words):
        await listed(asker.rows(RATED, 0))
    assert len(simulator.requests) == rest.ATTEMPTS


async def test_the_limit_of_the_simulator(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "FIRST", 0.05)
    monkeypatch.setattr(rest, "LAST", 0.1)
    simulator, asker = await simulate(
        rest_limit=1, rest_window=0.05, rest_retry_after=False
    )
    for _ in range(3):
        assert await asker.lookup(AGGREGATE, "NOSUCH", {}) is None
    assert 429 in {asked.status for asked in simulator.requests}


# --- other servers ---------------------------------------------------------------


async def test_what_is_asked_for(nursery: trio.Nursery) -> None:
    heads = []

    async def handler(stream: trio.SocketStream) -> None:
        heads.append((await head(stream)).decode())
        await stream.send_all(response(b"[]"))

    async with at(await serve(nursery, handler)) as asker:
        await listed(asker.rows(RATED, 7, ["BRK.B", "T"]))
        await listed(asker.rows(REASONED, 7, ["T"]))
        await listed(asker.removals(REMOVED, 7))
        await asker.lookup(
            AGGREGATE, "T", {"simplify": "true", "aggregate_type": "number"}
        )
    assert [unquote(each.split(" ")[1]).split("?") for each in heads] == [
        [
            "/api/v2.1/calendar/ratings",
            "parameters[updated]=7&pagesize=1000&parameters[tickers]=BRK.B,T&page=0",
        ],
        [
            "/api/v1/analyst/insights",
            "parameters[updated]=7&pageSize=1000&pagesize=1000&symbols=T&page=0",
        ],
        [
            "/api/v2.1/calendar-removed/",
            "updated=7&pageSize=1000&pagesize=1000&type=ratings&page=0",
        ],
        [
            "/api/v1/consensus-ratings",
            "parameters[tickers]=T&simplify=true&aggregate_type=number",
        ],
    ]
    for each in heads:
        assert f"\r\nAuthorization: token {TOKEN}\r\n" in each
        assert "\r\nAccept: application/json\r\n" in each
        assert f"\r\nUser-Agent: bzredis/{__version__}\r\n" in each


async def test_the_environment_has_no_say(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with at(await serve(nursery, saying(response(b"{}")))) as asker:
        assert await asker.lookup(AGGREGATE, "T", {}) is None


ROWS = [
    (b"[]", []),
    (b" null\n", []),
    (b'{"ratings":null}', []),
    (b'{"more":1,"ratings":[]}', []),
    (
        b'{"ratings": [ {"id" : "a", "pt": 1.50,"n":"\xc3\xa9\\u00e9"} ,7,null, [1 ]]}',
        ['{"id" : "a", "pt": 1.50,"n":"é\\u00e9"}', "7", "null", "[1 ]"],
    ),
    (b'[{"id":1}]', ['{"id":1}']),
    (b'["a\xff"]', ['"a\\xff"']),
]


@pytest.mark.parametrize(("body", "rows"), ROWS)
def test_rows_stay_as_they_were_sent(body: bytes, rows: list[str]) -> None:
    assert pages.rows(body, "ratings") == rows


NO_JSON = [
    *("NaN", '{"pt":NaN}', '{"pt":-Infinity}', '{"pt":01}', '{"pt":1.}', '{"a":tru}'),
    *('{"a":"\x01"}', '{"a":"\n"}', r'{"a":"\x"}', r'{"a":"\ud800"}', r'{"a":"\"",}'),
    *("{a:1}", "{'a':1}", '{"a":1,}', '{"a":undefined}', ""),
    *('{"a":NaN,"b":"],[\\"}"}', "[" * 5_000 + "]" * 5_000),
]


@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("bad", NO_JSON)
def test_a_row_that_is_no_json_harms_no_other(bad: str, bare: bool) -> None:  # noqa: FBT001
    one, other = '{"id" : "1","pt":195.50}', '{"id":"2","é":"NaN ,]}"}'
    if (rows := f"[{one}, {bad} ,{other},NaN]") and not bare:
        rows = f'{{"more": "[" , "ratings": {rows}}}'
    assert pages.rows(rows.encode(), "ratings") == [one, bad, other, "NaN"]
    for length in (1, 2, 5, 30):
        with pytest.raises(pages.Odd, match=BROKEN):
            pages.rows(rows.encode()[:-length], "ratings")


BROKEN = "JSON that is broken or was cut short"
SHAPE = "JSON that has no array of ratings"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", BROKEN),
        (b"[1,2", BROKEN),
        (b'{"ratings":[{"a":"b"},', BROKEN),
        (b'{"\xff":[]}', BROKEN),
        (b"[" * 100_000, BROKEN),
        (b"{}", SHAPE),
        (b"7", SHAPE),
        (b'{"ratings":{"a":1}}', SHAPE),
        (b'{"ok":false,"errors":[]}', SHAPE),
        (b"  <html>", "a web page or XML instead of JSON"),
    ],
)
def test_no_rows(body: bytes, words: str) -> None:
    with pytest.raises(pages.Odd, match=f"^{words}$"):
        pages.rows(body, "ratings")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"", BROKEN),
        (b"null", None),
        (b'{"a":NaN}', '{"a":NaN}'),  # for who reads it to reject
        (b'{"a":NaN', BROKEN),
        (b"[]", None),
        (b" {} ", None),
        (b' {"a": 1.50}\n', '{"a": 1.50}'),
        (b"[1]", "JSON that is no object"),
        (b'"x"', "JSON that is no object"),
        (b'{"a":"\xff"}', BROKEN),
        (b'{"a":', BROKEN),
    ],
)
def test_one_object(body: bytes, found: str | None) -> None:
    if found is None or found.startswith("{"):
        assert pages.one_object(body) == found
        return
    with pytest.raises(pages.Odd, match=f"^{found}$"):
        pages.one_object(body)


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ('{"id":"a","type":"ratings","updated":1728000000}', ("a", 1_728_000_000)),
        ('{"id":"a","type":"Ratings","updated":"1728000000"}', ("a", 1_728_000_000)),
        ('{"id":"a","updated":1728000000123}', ("a", 1_728_000_000)),
        ('{"id":7,"type":"","updated":0}', ("7", None)),
        ('{"id":"a","updated":""}', ("a", None)),
        ('{"id":"a","type":"earnings"}', None),
        ('{"type":"ratings"}', ("", None)),
        ('{"id":{},"type":"ratings"}', ("", None)),
        ('"a"', ("", None)),
        ("7", ("", None)),
        ('"a\\xff"', ("", None)),
    ],
)
def test_a_row_of_removals(row: str, found: tuple[str, int | None] | None) -> None:
    expected = found and Removal(*found, row)
    assert pages.removal(row, "ratings") == expected


RUDE = [
    (b"", "failed: it hung up before the answer was whole, or broke HTTP$"),
    (b"SSH-2.0-OpenSSH_9\r\n\r\n", "or broke HTTP$"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]", "or broke HTTP$"),
    (b"HTTP/1.1 200 " + TOKEN.encode() + b"\xff\r\nX\r\n\r\n", "or broke HTTP$"),
    (
        response(b"no gzip", b"200 OK", b"Content-Encoding: gzip"),
        "answered with gzip that is broken$",
    ),
    (
        response(gzip.compress(b"[]")[:-1], b"200 OK", b"Content-Encoding: gzip"),
        "answered with gzip that was cut short",
    ),
    (response(b"", b"500 No"), "answered HTTP 500$"),
    (response(b"", b"408 Late"), "answered HTTP 408$"),
]
ONCE = [
    (response(TOKEN.encode(), b"400 No"), "answered HTTP 400$"),
    (response(b"", b"404 No"), "answered HTTP 404$"),
    (response(b"", b"202 Soon"), "answered HTTP 202$"),
    (
        response(b"", b"302 Found", b"Location: http://127.0.0.1:9/" + TOKEN.encode()),
        "answered HTTP 302, a redirect, which is not followed$",
    ),
    (response(b"", b"503 No", b"Retry-After: 61"), "answered HTTP 503$"),
]


@pytest.mark.parametrize(
    ("answer", "words", "attempts"),
    [(*case, rest.ATTEMPTS) for case in RUDE] + [(*case, 1) for case in ONCE],
)
async def test_strange_answers(  # noqa: PLR0913, PLR0917  # columns
    nursery: trio.Nursery,
    at_once: None,
    failing: Failing,
    answer: bytes,
    words: str,
    attempts: int,
) -> None:
    asked = []

    async def handler(stream: trio.SocketStream) -> None:
        asked.append(await head(stream))
        await stream.send_all(answer)

    async with at(await serve(nursery, handler)) as asker:
        with failing(words):
            await listed(asker.rows(RATED, 0))
    assert len(asked) == attempts


async def test_a_reset(nursery: trio.Nursery, at_once: None, failing: Failing) -> None:
    async def handler(stream: trio.SocketStream) -> None:
        await head(stream)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with at(await serve(nursery, handler)) as asker:
        with failing("failed: Connection reset by peer$"):
            await asker.lookup(AGGREGATE, "T", {})


async def test_nobody_there(at_once: None, failing: Failing) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with at(taken.getsockname()[1]) as asker:
            with failing("failed: .*Connection refused$"):
                await asker.lookup(AGGREGATE, "T", {})


async def test_silence(
    nursery: trio.Nursery,
    at_once: None,
    failing: Failing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (rest, failures):  # which waits, and which tells
        monkeypatch.setattr(module, "SILENCE", 0.03)
    port = await serve(nursery, saying(response(b"[]")[:-1], close=False))
    async with at(port) as asker:
        with failing("failed: nothing came for 0 s$"):
            await asker.lookup(AGGREGATE, "T", {})


async def test_gzip(nursery: trio.Nursery) -> None:
    body = gzip.compress(b'{"a": 1}')
    answer = response(body, b"200 OK", b"Content-Encoding: gzip")
    async with at(await serve(nursery, saying(answer))) as asker:
        assert await asker.lookup(AGGREGATE, "T", {}) == '{"a": 1}'


@pytest.mark.parametrize("zipped", [True, False])
async def test_too_much(
    nursery: trio.Nursery,
    at_once: None,
    failing: Failing,
    monkeypatch: pytest.MonkeyPatch,
    *,
    zipped: bool,
) -> None:
    monkeypatch.setattr(rest, "LARGEST", 2**20)
    body = b'{"a":"' + b"x" * (8 * 2**20)
    answer = response(body)
    if zipped:
        answer = response(gzip.compress(body), b"200 OK", b"Content-Encoding: gzip")

    async def handler(stream: trio.SocketStream) -> None:
        await head(stream)
        with suppress(trio.BrokenResourceError):
            while True:
                await stream.send_all(answer)

    async with at(await serve(nursery, handler)) as asker:
        words = "gzip .* holds over 1 MiB$" if zipped else "more than 1 MiB$"
        with failing(f"asked for /api/v1/consensus-ratings, answered with {words}"):
            await asker.lookup(AGGREGATE, "T", {})


async def test_cancelled_in_the_middle(nursery: trio.Nursery) -> None:
    closed, impatient = trio.Event(), trio.CancelScope()

    async def handler(stream: trio.SocketStream) -> None:
        await head(stream)
        await stream.send_all(response(b"[[[")[:-1])
        impatient.cancel()
        assert await stream.receive_some() == b""
        closed.set()

    async with at(await serve(nursery, handler)) as asker:
        with impatient:
            await listed(asker.rows(RATED, 0))
        assert impatient.cancelled_caught
        await closed.wait()


async def test_left_early(simulate: Simulate) -> None:
    simulator, asker = await simulate()
    simulator.market.retract(simulator.clock(), opine(simulator))
    async with aclosing(asker.rows(RATED, 0)) as rows:
        await anext(rows)
    async with aclosing(asker.removals(REMOVED, 0)) as removals:
        await anext(removals)
    assert len(simulator.requests) == 2


async def test_tls(nursery: trio.Nursery, at_once: None, failing: Failing) -> None:
    authority = trustme.CA()
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(ours)

    async def handler(stream: Any) -> None:
        try:
            await saying(response(b'{"a":1}'))(stream)
        except trio.BrokenResourceError:
            await trio.aclose_forcefully(stream)

    origin = f"https://localhost:{await serve(nursery, handler, ours)}"
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with Rest(origin, lambda: TOKEN, tls=trusting) as asker:
        assert await asker.lookup(AGGREGATE, "T", {}) == '{"a":1}'
    async with Rest(origin, lambda: TOKEN, 1_000.0) as asker:
        with failing("localhost, .* failed: .*certificate verify failed"):
            await asker.lookup(AGGREGATE, "T", {})


# --- the token -------------------------------------------------------------------


async def test_the_token_is_asked_for_each_time(simulate: Simulate) -> None:
    simulator, _ = await simulate()
    tokens = iter([TOKEN, "other"])
    origin = f"http://127.0.0.1:{simulator.port}"
    async with Rest(origin, lambda: next(tokens)) as asker:
        assert await asker.lookup(AGGREGATE, "NOSUCH", {}) is None
        with pytest.raises(RestRefused):
            await asker.lookup(AGGREGATE, "NOSUCH", {})


async def test_no_token(failing: Failing) -> None:
    def missing() -> str:
        raise FeedLost("the file is empty")

    async with Rest("http://127.0.0.1:9", missing) as asker:
        with failing("was not asked: the file is empty$"):
            await asker.lookup(AGGREGATE, "T", {})


@pytest.mark.parametrize("token", [f"{SECRET}\n", f"{SECRET}\r\nX: y"])
async def test_an_impossible_token(
    nursery: trio.Nursery, failing: Failing, token: str
) -> None:
    port = await serve(nursery, saying(response(b"{}")))
    async with Rest(f"http://127.0.0.1:{port}", lambda: token) as asker:
        with failing("was not asked: the token fits into no HTTP header$"):
            await asker.lookup(AGGREGATE, "T", {})


async def test_a_token_beyond_ascii(simulate: Simulate, failing: Failing) -> None:
    simulator, _ = await simulate()
    async with Rest(
        f"http://127.0.0.1:{simulator.port}", lambda: f"{SECRET}é"
    ) as asker:
        with failing("HTTP 401$", RestRefused):
            await asker.lookup(AGGREGATE, "T", {})


# --- in virtual time -------------------------------------------------------------


async def test_paging_ends(autojump_clock: Clock, failing: Failing) -> None:
    pages: list[list[int]] = []
    asked: list[int] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        page = int(request.url.params["page"])
        asked.append(page)
        return sent(200, json.dumps(pages[min(page, len(pages) - 1)]).encode())

    async with virtual(answer, pace=1e6) as asker:
        for case, rows, count in (
            ([[]], 0, 1),
            ([[1, 2], []], 2, 2),
            ([[1, 2], [3]], 3, 3),
            ([[1, 2], [3, 4], [5]], 5, 4),
            ([[1], [2, 3], [4]], 4, 4),
            ([[1, 2, 3], [4, 5], [6], []], 6, 4),  # sizes of 150, 141 and 50 were seen
            ([[1, 2], [2, 3], [1, 3]], 4, 4),  # all of the last were seen, twice
            ([[1, 2]], 2, 3),  # it knows nothing of pages
            ([[1, 2], [1, 2], [3, 4], [5], []], 5, 5),  # it counts them from 1
            ([[1, 2], [1, 2], [3, 4]], 4, 4),
            ([[1, 2], [1], [2, 3]], 4, 4),  # … and the first is of another size
            ([[*range(1_000)], [*range(1_000)], [1_000]], 1_001, 4),
            # … whole to the last, which comes again for ever
            ([[*range(1_000)], [*range(1_000, 2_000)]], 2_000, 3),
        ):
            pages[:], asked[:] = case, []
            assert len(await listed(asker.rows(RATED, 0))) == rows
            assert asked == list(range(count))
        pages[:] = [list(range(1_000))]
        with failing("sends the same full page again$"):
            await listed(asker.rows(RATED, 0))
        pages[:] = [[n] for n in range(500)]
        with failing(r"has no end of pages \(200\)$"):
            await listed(asker.rows(RATED, 0))


async def test_nothing_is_no_page(autojump_clock: Clock) -> None:
    async def answer(_: httpx.Request) -> httpx.Response:
        return sent(204)

    async with virtual(answer) as asker:
        assert await listed(asker.rows(RATED, 0)) == []
        assert await listed(asker.removals(REMOVED, 0)) == []
        assert await asker.lookup(AGGREGATE, "T", {}) is None


async def test_one_pace_for_all_and_two_at_once(autojump_clock: Clock) -> None:
    began: list[float] = []
    running = 0

    async def answer(_: httpx.Request) -> httpx.Response:
        nonlocal running
        running += 1
        assert running <= 2
        began.append(trio.current_time())
        await trio.sleep(0.1)
        running -= 1
        return sent(204)

    start = trio.current_time()
    async with virtual(answer) as asker, trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(asker.lookup, AGGREGATE, "T", {})
    after = [round(at - start, 6) for at in began]
    assert after == [0, 0, 0.1, 0.1, 0.5, 1, 1.5, 2, 2.5, 3]


async def test_an_idle_pace_saves_no_more_than_the_burst(autojump_clock: Clock) -> None:
    turns = pace.Pace(2.0)
    await trio.sleep(100)
    start = trio.current_time()
    for _ in range(pace.BURST):
        await turns.turn()
    assert trio.current_time() == start
    await turns.turn()
    assert trio.current_time() == start + 0.5


async def test_back_off(autojump_clock: Clock, failing: Failing) -> None:
    began: list[float] = []

    async def answer(_: httpx.Request) -> httpx.Response:
        began.append(trio.current_time())
        return sent(503)

    async with virtual(answer) as asker:
        with failing("HTTP 503$") as caught:
            await asker.lookup(AGGREGATE, "T", {})
    assert caught.value.retry_after is None
    waits = [after - before for before, after in pairwise(began)]
    assert len(waits) == 3
    assert all(2**n / 2 <= wait <= 2**n for n, wait in enumerate(waits))


@pytest.mark.parametrize("status", [401, 403, 429, 503])
async def test_who_only_looks_asks_once(failing: Failing, status: int) -> None:
    asked: list[httpx.Request] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return sent(status, date=DATE, retry_after="60")

    kind = RestRefused if status < 429 else RestDown
    async with virtual(answer, attempts=1) as asker:
        with failing(f"HTTP {status}$", kind) as caught:
            await asker.lookup(AGGREGATE, "T", {})
        assert asker.date == DATE
    assert caught.value.status == status
    assert len(asked) == 1


async def test_it_gets_better(autojump_clock: Clock) -> None:
    statuses = iter([503, 429, 200])

    async def answer(_: httpx.Request) -> httpx.Response:
        return sent(next(statuses), b'{"a":1}')

    async with virtual(answer) as asker:
        assert await asker.lookup(AGGREGATE, "T", {}) == '{"a":1}'


@pytest.mark.parametrize("status", [429, 503])
async def test_waits_as_long_as_it_is_asked_to(
    autojump_clock: Clock, status: int
) -> None:
    began: list[float] = []

    async def answer(_: httpx.Request) -> httpx.Response:
        began.append(trio.current_time())
        if len(began) > 1:
            return sent(204)
        return sent(status, retry_after="20")

    async with virtual(answer) as asker, trio.open_nursery() as nursery:
        nursery.start_soon(asker.lookup, AGGREGATE, "T", {})
        await trio.sleep(1)
        nursery.start_soon(asker.lookup, AGGREGATE, "X", {})
    _, *others = [at - began[0] for at in began]
    if status == 503:
        assert others[0] == 1
        assert 20 <= others[1] <= 21
    else:  # everyone waits
        assert all(20 <= other <= 22 for other in others)


async def test_who_is_asked_to_wait_for_long_comes_back_later(
    autojump_clock: Clock, failing: Failing
) -> None:
    asked = 0

    async def answer(_: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        return sent(429, retry_after="90")

    async with virtual(answer) as asker:
        start = trio.current_time()
        with failing("HTTP 429$") as caught:
            await asker.lookup(AGGREGATE, "T", {})
        assert trio.current_time() == start
        assert caught.value.retry_after == 90
        assert asked == 1
        with failing("HTTP 429$"):
            await asker.lookup(AGGREGATE, "T", {})
        assert 60 <= trio.current_time() - start <= 61  # not longer: others need it


@pytest.mark.parametrize(
    ("status", "words"), [(429, "answered HTTP 429$"), (503, "answered HTTP 503$")]
)
async def test_a_call_has_an_end(
    autojump_clock: Clock, failing: Failing, status: int, words: str
) -> None:
    async def answer(_: httpx.Request) -> httpx.Response:
        return sent(status, retry_after="60")

    start = trio.current_time()
    async with virtual(answer) as asker:
        with failing(words) as caught:
            await asker.lookup(AGGREGATE, "T", {})
    assert trio.current_time() - start == rest.WHOLE
    assert caught.value.retry_after == 60


async def test_an_answer_that_drips(autojump_clock: Clock, failing: Failing) -> None:
    async def drops() -> AsyncIterator[bytes]:
        while True:
            await trio.sleep(20)
            yield b" "

    async def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=drops())

    start = trio.current_time()
    async with virtual(answer) as asker:
        with failing("was not done within 60 s$"):
            await asker.lookup(AGGREGATE, "T", {})
    assert trio.current_time() - start == rest.WHOLE


async def test_not_even_a_turn(autojump_clock: Clock, failing: Failing) -> None:
    async def answer(_: httpx.Request) -> httpx.Response:
        raise AssertionError

    async with virtual(answer, pace=0.001) as asker:
        for _ in range(pace.BURST):
            await asker._turns.turn()
        with failing("gave no answer within 180 s$"):
            await asker.lookup(AGGREGATE, "T", {})


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (httpx.ConnectTimeout("no"), "failed: no connection within 10 s$"),
        (httpx.ConnectError("no"), "failed: the connection broke$"),
    ],
)
async def test_reasons(
    autojump_clock: Clock, failing: Failing, error: Exception, words: str
) -> None:
    async def answer(_: httpx.Request) -> httpx.Response:
        raise error

    async with virtual(answer) as asker:
        with failing(words):
            await asker.lookup(AGGREGATE, "T", {})


async def test_an_answer_that_repeats_the_token(autojump_clock: Clock) -> None:
    """What cannot be used of it is kept in Redis (contract.md, 8)."""
    held = {"errors": [f"no key {TOKEN}, nor ?token={quote(TOKEN, safe='')}"]}

    async def answer(request: httpx.Request) -> httpx.Response:
        body = {"ratings": [held]} if request.url.path == RATED.path else held
        return sent(200, json.dumps(body).encode())

    async with virtual(answer) as asker:
        found = await asker.lookup(AGGREGATE, "T", {})
        async with aclosing(asker.rows(RATED, 0)) as pages:
            [row] = await anext(pages)
    assert (
        found == row == json.dumps({"errors": ["no key [token], nor ?token=[token]"]})
    )


DATE = "Fri, 04 Oct 2024 19:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("", DATE, None),
        ("0", "", 0),
        (" 120 ", "", 120),
        ("999999999", "", 3_600),
        ("9" * 5_000, "", None),
        ("-1", "", None),
        ("١٢", "", None),
        ("soon", DATE, None),
        ("Fri, 04 Oct 2024 19:00:42 GMT", DATE, 42),
        ("Fri, 04 Oct 2024 19:00:42 -0000", DATE, 42),
        ("Fri, 04 Oct 2024 18:00:42 GMT", DATE, 0),
        ("Sat, 05 Oct 2024 19:00:42 GMT", DATE, 3_600),
        ("Fri, 04 Oct 2024 19:00:42 GMT", "", None),
        ("Fri, 99 Oct 2024 19:00:42 GMT", DATE, None),
        ("Fri, 04 Oct 2024 19:00:42 +99999999", DATE, None),
    ],
)
def test_retry_after(value: str, date: str, seconds: float | None) -> None:
    assert retry_after(value, date) == seconds
