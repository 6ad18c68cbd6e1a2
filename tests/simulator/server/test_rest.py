"""REST on the streams' port, from the market's state."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import httpx
import pytest
import trio
from trio_websocket import WebSocketConnection

from bzredis.simulator import Refusal, Simulator
from bzredis.simulator.market.catalogue import COMPANIES

Start = Callable[..., Awaitable[Simulator]]
Connect = Callable[..., AbstractAsyncContextManager[WebSocketConnection]]
Client = Callable[[Simulator], httpx.AsyncClient]

RATINGS = "/api/v2.1/calendar/ratings"
INSIGHTS = "/api/v1/analyst/insights"
CONSENSUS = "/api/v1/consensus-ratings"
REMOVED = "/api/v2.1/calendar-removed/"


def fifty_one() -> str:
    return ",".join(f"T{n}" for n in range(51))


async def test_ratings_since(start: Start, client: Client) -> None:
    simulator = await start()
    now = simulator.clock() + 10
    rated = simulator.market.opine(now, "AAPL")
    record = json.loads(rated[0].text)["data"]["id"]
    async with client(simulator) as http:
        for since, found in ((int(now), [record]), (int(now) + 1, None)):
            answer = await http.get(RATINGS, params={"parameters[updated]": since})
            rows = answer.json()
            if found is None:
                assert rows == []  # bare
            else:
                assert [row["id"] for row in rows["ratings"]] == found
                [row] = rows["ratings"]
                content = simulator.market.book.ratings[record].content
                assert content.items() <= row.items()
                assert isinstance(row["ratings_accuracy"], dict)
    assert answer.headers["content-type"] == "application/json"


async def test_pages_of_ratings(start: Start, client: Client) -> None:
    simulator = await start(history=200)
    live = simulator.market.book.ratings
    async with client(simulator) as http:
        ids: list[str] = []
        for page in range(9):
            query = {"page": page, "pagesize": 30}
            rows = (await http.get(RATINGS, params=query)).json()
            if not rows:
                break
            ids += [row["id"] for row in rows["ratings"]]
        assert len(ids) == len(live)
        assert set(ids) == set(live)
        default = (await http.get(RATINGS)).json()
        assert len(default["ratings"]) == 50
        most = (await http.get(RATINGS, params={"pagesize": "5000"})).json()
        assert len(most["ratings"]) == len(live)
        nonsense = (await http.get(RATINGS, params={"pagesize": "many"})).json()
        assert nonsense == default


async def test_ratings_of_tickers(start: Start, client: Client) -> None:
    simulator = await start(history=300)
    async with client(simulator) as http:
        query = {"parameters[tickers]": "T,AAPL", "pagesize": "1000"}
        rows = (await http.get(RATINGS, params=query)).json()["ratings"]
        assert {row["ticker"] for row in rows} == {"T", "AAPL"}
        query = {"parameters[tickers]": fifty_one()}
        assert (await http.get(RATINGS, params=query)).status_code == 400


async def test_insights(start: Start, client: Client) -> None:
    simulator = await start(history=400)
    live = simulator.market.book.insights
    async with client(simulator) as http:
        rows = (await http.get(INSIGHTS, params={"pagesize": 1})).json()
        assert len(rows["analyst-insights"]) == 100  # a wrong spelling: the default
        query: dict[str, str | int] = {"pageSize": 1000}
        rows = (await http.get(INSIGHTS, params=query)).json()["analyst-insights"]
        assert {row["id"] for row in rows} == set(live)
        for row in rows:
            assert row["updated"] < 1e11 < row["updated"] * 1_000
        newest = rows[0]["updated"]
        query = {"parameters[updated]": newest}
        [row] = (await http.get(INSIGHTS, params=query)).json()["analyst-insights"]
        assert row == rows[0]
        query = {"symbols": row["security"]["symbol"], "pageSize": 1000}
        rows = (await http.get(INSIGHTS, params=query)).json()["analyst-insights"]
        assert {r["security"]["symbol"] for r in rows} == {row["security"]["symbol"]}
        query = {"parameters[updated]": newest + 1}
        empty = (await http.get(INSIGHTS, params=query)).json()
        assert empty == {"analyst-insights": []}
        query = {"symbols": fifty_one()}
        assert (await http.get(INSIGHTS, params=query)).status_code == 400


async def test_consensus_is_what_the_stream_said(start: Start, client: Client) -> None:
    simulator = await start()
    [_, published] = simulator.market.opine(simulator.clock(), "AAPL")
    async with client(simulator) as http:
        query = {"parameters[tickers]": "aapl"}
        answer = await http.get(CONSENSUS, params=query)
        assert answer.json() == json.loads(published.text)["data"]
        query |= {"simplify": "true", "aggregate_type": "percentage"}
        simple = (await http.get(CONSENSUS, params=query)).json()
    assert simple["aggregate_type"] == "percentage"
    assert set(simple["aggregate_ratings"]) <= {"buy", "hold", "sell"}
    assert simulator.asked("consensus", "AAPL") == simulator.asked("consensus")
    assert len(simulator.asked("consensus")) == 2
    assert simulator.asked("consensus", "MSFT") == []


async def test_a_page_size_limits_the_ratings_aggregated(
    start: Start, client: Client
) -> None:
    simulator = await start(history=0)
    now = simulator.clock()
    for firm in COMPANIES[:1] * 9:
        simulator.market.opine(now, firm.symbol)
    async with client(simulator) as http:
        query = {"parameters[tickers]": "AAPL", "pagesize": "1"}
        answer = await http.get(CONSENSUS, params=query)
    assert answer.status_code in {200, 204}
    assert not answer.content or answer.json()["unique_analyst_count"] == 1


@pytest.mark.parametrize(
    ("tickers", "status"),
    [("", 400), ("AAPL,MSFT", 400), ("NOSUCH", 204), ("RY", 204)],
)
async def test_consensus_of_one_known_ticker(
    start: Start, client: Client, tickers: str, status: int
) -> None:
    simulator = await start(history=0)
    async with client(simulator) as http:
        query = {"parameters[tickers]": tickers}
        answer = await http.get(CONSENSUS, params=query)
    assert answer.status_code == status
    assert status != 204 or answer.content == b""


async def test_removals(start: Start, client: Client) -> None:
    simulator = await start(history=0)
    market, now = simulator.market, simulator.clock()
    for second, symbol in enumerate(("AAPL", "MSFT")):
        record = json.loads(market.opine(now, symbol)[0].text)["data"]["id"]
        market.comment(now, record)
        market.retract(now + second, record)
    async with client(simulator) as http:
        query = {"type": "ratings", "updated": str(int(now) + 1)}
        rows = (await http.get(REMOVED, params=query)).json()
        assert rows == {
            "removed": [{"id": record, "type": "ratings", "updated": int(now + 1)}]
        }
        rows = (await http.get(REMOVED.rstrip("/"))).json()["removed"]
        assert len(rows) == 2
        rows = (await http.get(REMOVED, params={"type": "earnings"})).json()
        assert rows == {"removed": []}
        simulator.rest_faults["removed"].unfiltered = True
        rows = (await http.get(REMOVED, params=query)).json()["removed"]
    assert [row["type"] for row in rows] == ["earnings", "ratings", "ratings"]


async def test_removals_without_a_time(start: Start, client: Client) -> None:
    simulator = await start(history=0, removed_updated=False)
    record = json.loads(simulator.market.opine(1e9, "AAPL")[0].text)["data"]["id"]
    simulator.market.retract(1e9, record)
    async with client(simulator) as http:
        [row] = (await http.get(REMOVED)).json()["removed"]
    assert row["updated"] == 0


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"Authorization": "token s3cret"}, "", 200),
        ({"Authorization": "Bearer s3cret"}, "", 401),
        ({"Authorization": "token wrong"}, "", 401),
        ({}, "?token=s3cret", 200),
        ({}, "", 401),
    ],
)
async def test_keys(
    start: Start, headers: dict[str, str], query: str, status: int
) -> None:
    simulator = await start()
    url = f"http://127.0.0.1:{simulator.port}{RATINGS}{query}"
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(url, headers={"Accept": "application/json"} | headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.json()["ok"] is False
        [error] = answer.json()["errors"]
        assert (error["code"], error["id"]) == ("auth_failed", "unauthorized")
        assert "value" in error


async def test_xml_for_those_who_do_not_ask_for_json(
    start: Start, client: Client
) -> None:
    simulator = await start()
    async with client(simulator) as http:
        answer = await http.get(RATINGS, headers={"Accept": "*/*"})
    assert answer.content.startswith(b"<?xml")


async def test_other_paths_and_methods(start: Start, client: Client) -> None:
    simulator = await start()
    async with client(simulator) as http:
        assert (await http.get("/api/v2/news")).status_code == 404
        assert (await http.post(RATINGS, content=b"x" * 9)).status_code == 405
        assert (await http.head(RATINGS)).status_code == 405
    assert [asked.status for asked in simulator.requests] == [404, 405, 405]


async def test_a_target_that_is_no_url(start: Start) -> None:
    simulator = await start()
    async with await trio.open_tcp_stream("127.0.0.1", simulator.port) as stream:
        await stream.send_all(b"GET //[:?%zz=% HTTP/1.1\r\nHost: here\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize("says", [True, False])
async def test_the_limit(start: Start, client: Client, says: bool) -> None:  # noqa: FBT001 - a case
    simulator = await start(rest_limit=2, rest_window=1, rest_retry_after=says)
    async with client(simulator) as http:
        answers = [await http.get(RATINGS) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[2].headers.get("retry-after") == ("1" if says else None)
        await trio.sleep(1.05)
        assert (await http.get(RATINGS)).status_code == 200
    assert [asked.status for asked in simulator.requests] == [200, 200, 429, 200]


async def test_a_limit_of_nothing(start: Start, client: Client) -> None:
    simulator = await start(rest_limit=0)
    async with client(simulator) as http:
        assert (await http.get(RATINGS)).status_code == 429


async def test_streams_and_rest_share_the_port(
    start: Start, connect: Connect, client: Client
) -> None:
    simulator = await start()
    async with connect(simulator) as socket, client(simulator) as http:
        simulator.broadcast(*simulator.market.opine(simulator.clock() + 60))
        frame = json.loads(await socket.get_message())
        rows = (await http.get(RATINGS, params={"pagesize": 1})).json()["ratings"]
    assert frame["data"]["content"].items() <= rows[0].items()


async def test_refusals_and_slowness(start: Start, client: Client) -> None:
    simulator = await start()
    faults = simulator.rest_faults["ratings"]
    faults.refuse = Refusal(502, b"<h1>Bad gateway</h1>", "text/html")
    faults.delay = 0.1
    began = trio.current_time()
    async with client(simulator) as http:
        answer = await http.get(RATINGS)
        assert (await http.get(INSIGHTS)).status_code == 200
    assert trio.current_time() - began >= 0.1
    assert (answer.status_code, answer.text) == (502, "<h1>Bad gateway</h1>")


async def test_hanging_up(start: Start, client: Client) -> None:
    simulator = await start()
    simulator.rest_faults["ratings"].hang_up = True
    async with client(simulator) as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(RATINGS)
    assert simulator.requests[-1].status == 0


@pytest.mark.parametrize("path", [RATINGS, INSIGHTS, CONSENSUS])
async def test_spoiled_answers(start: Start, client: Client, path: str) -> None:
    simulator = await start(history=0)
    simulator.market.opine(simulator.clock(), "AAPL")
    query = {"parameters[tickers]": "AAPL"}
    async with client(simulator) as http:
        for name in ("html", "truncated", "wrong_type"):
            for faults in simulator.rest_faults.values():
                setattr(faults, name, True)
            answer = await http.get(path, params=query)
            assert answer.status_code == 200
            if name == "wrong_type":
                wrong = answer.json()
                wrong = wrong if isinstance(wrong, list) else next(iter(wrong.values()))
                assert wrong[0] == "no record"
            else:
                with pytest.raises(json.JSONDecodeError):
                    answer.json()
            for faults in simulator.rest_faults.values():
                setattr(faults, name, False)
        for faults in simulator.rest_faults.values():
            faults.html = True
        none = await http.get(CONSENSUS, params={"parameters[tickers]": "NOSUCH"})
        assert none.status_code == 204
