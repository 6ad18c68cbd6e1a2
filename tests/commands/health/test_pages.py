"""What is served of a bridge, asked over real sockets."""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import ports
import pytest
import trio
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as of_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as of_text

from bzredis import __version__
from bzredis.bridge.bridge import Bridge
from bzredis.bridge.status import CONTRACT
from bzredis.commands.health import http
from bzredis.commands.health.around import TOLD_NOT_INSTALLED, looked_after, server
from bzredis.commands.logs import add_secret
from bzredis.commands.run import assemble
from bzredis.errors import ConfigError
from bzredis.settings.addresses import Listener, listener
from bzredis.settings.settle import configure

LIMIT = 60.0  # s for an answer, on a busy machine too
NOW = 1_728_069_666_880  # ms


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    """Make a bridge that does nothing."""
    bridge = assemble(configure({}, {}, {}), lambda: "t0ken", tmp_path)
    bridge.spool.close()
    return bridge


@pytest.fixture
def at() -> Listener:
    """Return an address where nobody listens yet."""
    return Listener("127.0.0.1", ports.free())


@pytest.fixture
async def served(bridge: Bridge, at: Listener) -> AsyncIterator[Bridge]:
    async with looked_after(bridge, server(at)):
        yield bridge


async def ask(
    at: Listener, path: str, method: str = "GET", **headers: str
) -> tuple[int, str, str]:
    """Return status, type and text of an answer."""
    async with httpx.AsyncClient(timeout=LIMIT, trust_env=False) as client:
        answer = await client.request(method, f"http://{at}{path}", headers=headers)
    return answer.status_code, answer.headers["Content-Type"], answer.text


def values(families: list[Metric]) -> dict[tuple[str, ...], float]:
    """Return each sample by its name and the values of its labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


async def test_each_number_of_a_stream_is_told(served: Bridge, at: Listener) -> None:
    ratings, insights = served.lines[0], served.lines[1]
    name, other = ratings.intake.stream.name, insights.intake.stream.name
    status = ratings.intake.status
    status.count(["latest"] * 5 + ["duplicate"] * 4 + ["rejected"] * 3 + ["gap"] * 2)
    status.unattributed, status.reconnects, status.fetched = 7, 8, 9
    status.last_event_at = status.covered_until = NOW
    status.is_fresh, status.missing = True, "a/b c/d"
    status.enter("live", NOW)
    ratings.backlog.put(b"one")
    ratings.backlog.put(b"two")
    ratings.backlog.disk.count = 1
    code, kind, text = await ask(at, "/metrics")
    assert code == 200
    assert kind.startswith("text/plain")
    found = values(list(of_text(text)))
    expected = {
        "events_total": 5,
        "duplicates_total": 4,
        "rejected_total": 3,
        "gaps_total": 2,
        "unattributed_total": 7,
        "reconnects_total": 8,
        "fetched_total": 9,
        "backlog": 3,
        "spooled": 1,
        "missing_spans": 2,
        "stream_fresh": 1,
        "last_event_timestamp_seconds": NOW / 1_000,
        "covered_until_timestamp_seconds": NOW / 1_000,
    }
    for each, value in expected.items():
        assert found[f"bzredis_{each}", name] == value
        if "timestamp" in each:  # what is not known has none
            assert (f"bzredis_{each}", other) not in found
        else:
            assert found[f"bzredis_{each}", other] == 0
    states = {
        key[1]: value
        for key, value in found.items()
        if key[0] == "bzredis_stream_state" and key[2] == name
    }
    assert {state for state, value in states.items() if value} == {"live"}
    assert set(states.values()) == {0, 1}
    assert found["bzredis_build_info", CONTRACT, __version__] == 1
    if sys.platform == "linux":
        assert found["process_resident_memory_bytes",] > 0


async def test_all_is_told_again_as_it_is_then(served: Bridge, at: Listener) -> None:
    name = served.lines[0].intake.stream.name
    for count in (0, 3):
        served.lines[0].intake.status.events = count
        _, _, text = await ask(at, "/metrics")
        assert values(list(of_text(text)))["bzredis_events_total", name] == count


async def test_who_wants_openmetrics_gets_them(served: Bridge, at: Listener) -> None:
    accepted = {"Accept": "application/openmetrics-text; version=1.0.0"}
    _, kind, text = await ask(at, "/metrics", **accepted)
    assert kind.startswith("application/openmetrics-text")
    families = of_openmetrics(text)  # type: ignore[no-untyped-call]
    assert {each.name for each in families} >= {"bzredis_events"}


async def test_names_are_as_prometheus_wants_them(served: Bridge, at: Listener) -> None:
    _, _, text = await ask(at, "/metrics")
    for family in of_text(text):
        assert family.name.startswith(("bzredis_", "process_"))
        assert family.documentation.endswith(".")
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples)


async def test_a_bridge_that_works_is_well_though_nothing_is_fresh(
    served: Bridge, at: Listener
) -> None:
    assert await ask(at, "/healthz") == (200, http.TEXT, "ok\n")
    add_secret("hunter22")
    for line in served.lines:
        line.intake.status.enter("retrying", NOW, "no route to hunter22")
    code, _, text = await ask(at, "/fresh")
    assert code == 503
    words = "not fresh: no connection to upstream (no route to ***)"
    assert f"ratings: {words}\n" in text
    for line in served.lines:
        line.intake.status.is_fresh = True
    code, _, text = await ask(at, "/fresh")
    assert (code, text.splitlines()[0].partition(": ")[2]) == (200, "fresh")


async def test_a_bridge_that_hangs_is_not_well(
    served: Bridge, at: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bzredis.commands.health.health.HUNG", -1.0)
    code, _, text = await ask(at, "/healthz")
    assert code == 503
    assert "ratings: a change was not written for a minute" in text


@pytest.mark.parametrize(
    ("path", "method", "code"),
    [
        ("/", "GET", 404),
        ("/metrics/", "GET", 404),
        ("/metrics", "POST", 405),
        ("/healthz?x=1", "GET", 200),
        ("/healthz", "HEAD", 200),
        ("/nothing", "HEAD", 404),
    ],
)
async def test_what_else_is_asked_for_is_answered_too(
    served: Bridge, at: Listener, path: str, method: str, code: int
) -> None:
    found, _, text = await ask(at, path, method=method)
    assert found == code
    assert bool(text) == (method != "HEAD")
    if found == 404 and text:
        assert text == "there are /metrics, /healthz, /fresh\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01 hello\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # no Host
        b"GET /" + 100_000 * b"x",
    ],
)
async def test_what_is_no_http_is_told_so(
    served: Bridge, at: Listener, sent: bytes
) -> None:
    with trio.fail_after(LIMIT):
        stream = await trio.open_tcp_stream(at.host, at.port)
        async with stream:
            try:
                await stream.send_all(sent)
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 4")
            except trio.BrokenResourceError:  # it did not read to the end of it
                assert len(sent) > 1_000
    assert (await ask(at, "/healthz"))[0] == 200


async def test_who_says_nothing_is_left_and_takes_nobodys_place_for_long(
    served: Bridge, at: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The most that there may be at once; who comes then is turned away."""
    monkeypatch.setattr(http, "PATIENCE", 3.0)
    with trio.fail_after(LIMIT):
        silent = [
            await trio.open_tcp_stream(at.host, at.port) for _ in range(http.MOST)
        ]
        late = await trio.open_tcp_stream(at.host, at.port)
        ended = []

        async def end(stream: trio.SocketStream) -> None:
            async with stream:
                assert await stream.receive_some() == b""
                ended.append(stream)

        async with trio.open_nursery() as nursery:
            for each in (*silent, late):
                nursery.start_soon(end, each)
        assert ended[0] is late
    assert (await ask(at, "/healthz"))[0] == 200


async def test_one_who_leaves_ends_nothing(served: Bridge, at: Listener) -> None:
    for sent in (b"", b"GET /metrics HTTP/1.1\r\nHost: x\r\n", b"GET /metrics HTT"):
        stream = await trio.open_tcp_stream(at.host, at.port)
        await stream.send_all(sent)
        await stream.aclose()
    assert (await ask(at, "/healthz"))[0] == 200


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("{taken}", "nobody can listen at 127.0.0.1:{port}: Address already in use"),
        ("203.0.113.1:9464", "at 203.0.113.1:9464: "),
    ],
)
def test_where_nobody_can_listen_is_told_in_one_line(address: str, words: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        place = listener(address.format(taken=f"127.0.0.1:{port}"))
        with pytest.raises(ConfigError) as error:
            server(place)
    assert words.format(port=port) in str(error.value)
    assert "--metrics" in str(error.value)


def test_without_the_library_it_is_said_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, at: Listener
) -> None:
    monkeypatch.delitem(sys.modules, "bzredis.commands.health.metrics", raising=False)
    monkeypatch.delattr("bzredis.commands.health.metrics", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigError, match="pip install prometheus-client") as error:
        server(at)
    assert str(error.value) == TOLD_NOT_INSTALLED


def test_where_nobody_asked_for_it_nothing_is_loaded() -> None:
    assert server(None) is None
