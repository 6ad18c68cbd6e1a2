"""What people are told: once for all streams, and few lines however long it lasts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest
import trio
from fakes import BY_NAME, Rig, Said, Session, frame
from trio.testing import MockClock

from bzredis import troubles
from bzredis.bridge.subscriber import TAKEN
from bzredis.errors import FeedLost, FeedRefused
from bzredis.troubles import HOUR, LINES, Kind, Troubles

NAMES = tuple(BY_NAME)
AWAY = "cannot reach Redis: nobody listens"
UNREACHED = FeedLost("upstream cannot be reached")
FEW = 10  # lines of an outage of an hour (issue of the desktop)


def told(said: Said) -> list[dict[str, Any]]:
    """Return the lines that a person sees."""
    return [each for each in said if each["log_level"] != "debug"]


# ---------------------------------------------------------------- the table by itself


@attrs.define
class Desk:
    """Looks at the table every half second, as the bridge does."""

    troubles: Troubles = attrs.field(factory=Troubles)
    now: float = 0.0

    def go_on(self, seconds: float, **wrong: dict[Kind, str]) -> Iterator[Any]:
        """Yield what is told meanwhile, with what is wrong by stream."""
        found = {name: wrong.get(name, {}) for name in NAMES}
        until = self.now + seconds
        while self.now < until:
            yield from self.troubles.look(self.now, found, 7)
            self.now += 0.5


def of_all(kind: Kind, words: str) -> dict[str, dict[Kind, str]]:
    return {name: {kind: words} for name in NAMES}


def test_the_same_of_all_streams_is_one_trouble() -> None:
    desk = Desk()
    assert not [*desk.go_on(0.5, ratings={"redis": "down"})]
    [(level, _, more)] = desk.go_on(HOUR - 10, **of_all("redis", "down"))
    assert (level, more) == ("warning", {"error": "down", "waiting": 7})
    [(level, event, more)] = desk.go_on(3.0)
    assert (level, event) == ("info", "Redis takes everything again")
    assert more == {"seconds": HOUR - 10, "waited": 7}


def test_it_is_told_each_hour_while_it_lasts() -> None:
    desk = Desk()
    lines = [*desk.go_on(3.5 * HOUR, **of_all("feed", "down"))]
    assert [more.get("seconds", 0) // 3_600 for _, _, more in lines] == [0, 1, 2, 3]
    assert all(more["streams"] == [*NAMES] for _, _, more in lines)


def test_who_else_has_it_joins_in_and_other_words_are_told() -> None:
    desk = Desk()
    one, other = {"feed": "down"}, {"feed": "refused"}
    lines = [*desk.go_on(10, ratings=one)]  # type: ignore[arg-type]
    lines += desk.go_on(10, ratings=one, insights=one)  # type: ignore[arg-type]
    lines += desk.go_on(10, ratings=one, insights=other)  # type: ignore[arg-type]
    assert [(more["error"], more["streams"]) for _, _, more in lines] == [
        ("down", ["ratings"]),
        ("refused", ["insights"]),
    ]
    assert not [*desk.go_on(10, insights=other)], "it is not over"  # type: ignore[arg-type]
    [(_, event, more)] = desk.go_on(10)
    assert (event, more["streams"]) == ("connected again", ["ratings", "insights"])


def test_what_was_wrong_for_a_moment_is_told_with_its_end() -> None:
    desk = Desk()
    assert not [*desk.go_on(0.5, **of_all("redis", "down"))]
    lines = [*desk.go_on(5)]
    assert [level for level, _, _ in lines] == ["warning", "info"]
    assert all("seconds" not in more for _, _, more in lines)


def test_what_one_had_for_a_moment_is_told_though_others_go_on() -> None:
    desk = Desk()
    one, other = {"feed": "HTTP 502"}, {"feed": "HTTP 503"}
    assert not [*desk.go_on(0.5, ratings=one, insights=other)]  # type: ignore[arg-type]
    lines = [*desk.go_on(5, insights=other)]  # type: ignore[arg-type]
    told = [(more["error"], more["streams"]) for _, _, more in lines]
    assert told == [("HTTP 502", ["ratings"]), ("HTTP 503", ["insights"])]


def test_what_comes_and_goes_all_the_time_is_told_a_few_times_and_counted() -> None:
    desk = Desk()
    lines: list[Any] = []
    for _ in range(360):
        lines += desk.go_on(5, **of_all("rest", "down"))
        lines += desk.go_on(5)
    assert len(lines) == LINES
    lines = [*desk.go_on(HOUR)]
    assert sum(more["times"] for _, _, more in lines if "times" in more) > 300
    assert lines[-1][1] == "REST answers again", "who reads knows how it stands"
    assert not [*desk.go_on(HOUR)]


def test_what_cannot_wait_is_told_at_once() -> None:
    [line] = Troubles().look(0.0, of_all("refused", "HTTP 401"), 0, settle=0.0)
    assert line[0] == "error"


# ------------------------------------------------------------------- the whole engine


@pytest.fixture
def hour(monkeypatch: pytest.MonkeyPatch) -> float:
    """Let the hour be ten minutes: whole ones of the engine's are long to compute."""
    monkeypatch.setattr(troubles, "HOUR", 600.0)
    return troubles.HOUR


async def test_a_good_start_and_stop_are_three_lines(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    async with rig.running(*NAMES):
        await trio.sleep(600)
    assert [(e["log_level"], e["event"]) for e in told(said)] == [
        ("info", "all that stands in Redis is fresh"),
        ("info", "stopping"),
        ("info", "stopped; Redis has everything that was read"),
    ]


async def test_an_hour_without_redis_is_a_few_lines(
    rig: Rig, said: Said, autojump_clock: MockClock, hour: float
) -> None:
    async with rig.running(*NAMES):
        await trio.sleep(60)
        rig.store.trouble = AWAY
        for number in range(60):
            for upstream in rig.upstreams.values():
                upstream.say(frame(number))
            await trio.sleep(hour / 60 + 0.2)
        rig.store.trouble = ""
        await trio.sleep(60)
        lines = told(said)
    assert [(e["log_level"], e.get("error", "")) for e in lines[1:]] == [
        ("warning", AWAY),
        ("warning", AWAY),
        ("info", ""),
    ]
    assert lines[-1]["waited"] >= 180
    assert len(lines) < FEW


async def test_nor_are_there_more_where_redis_fails_in_many_ways(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    """It answers late, refuses, is gone; and comes back with nothing."""
    async with rig.running(*NAMES):
        await trio.sleep(60)
        for number in range(60):
            rig.store.trouble = f"in way {number % 12}" if number % 3 else ""
            for upstream in rig.upstreams.values():
                upstream.say(frame(number))
            await trio.sleep(10)
        lines = told(said)
    assert len(lines) < FEW


@pytest.mark.long
@pytest.mark.parametrize(
    "error", [UNREACHED, FeedLost("upstream answered HTTP 429", status=TAKEN)]
)
async def test_an_hour_without_upstream_is_a_few_lines(
    rig: Rig, said: Said, autojump_clock: MockClock, error: FeedLost
) -> None:
    for upstream in rig.upstreams.values():
        upstream.sessions.extend([Session([10.0, rig.lost]), *[error] * 240])
    async with rig.running(*NAMES):
        await trio.sleep(3_700)
        lines = [e for e in told(said) if "missing" not in e["event"]]
    assert len(lines) < FEW
    assert lines[-1]["event"] == "connected again"
    assert lines[-1]["seconds"] > 2_400
    is_taken = error.status == TAKEN
    words = "another bridge, or another program, is connected with this key"
    assert (words in str(lines)) == is_taken
    assert ("HTTP 429" in str(lines)) == is_taken


async def test_an_upstream_that_drops_each_connection_is_a_few_lines(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    for upstream in rig.upstreams.values():
        upstream.sessions.extend([Session([7.0, rig.lost])] * 200)
    async with rig.running(*NAMES):
        await trio.sleep(900)
        lines = [e for e in told(said) if "missing" not in e["event"]]
    assert len(lines) < FEW


async def test_a_refused_stream_is_told_each_hour_while_the_others_are_fresh(
    rig: Rig, said: Said, autojump_clock: MockClock, hour: float
) -> None:
    rig.upstream.sessions.extend([FeedRefused("upstream answered HTTP 401")] * 100)
    async with rig.running(*NAMES):
        await trio.sleep(hour + 60)
        lines = told(said)
    fresh = next(e for e in lines if "fresh" in e["event"])
    assert fresh["streams"] == ["insights", "consensus"]
    errors = [e for e in lines if e["log_level"] == "error"]
    assert [e["streams"] for e in errors] == [["ratings"]] * 2
    assert all("BENZINGA_TOKEN" in e["error"] for e in errors)
