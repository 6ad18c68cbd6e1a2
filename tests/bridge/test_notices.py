"""What upstream says to people is told once: it may say it with each frame."""

from __future__ import annotations

import attrs
import pytest
import trio
from fakes import FakeStore, Rig, Said, frames
from trio.testing import MockClock

from bzredis import troubles
from bzredis.ports import Applied, Batch, Behind
from bzredis.streams import Stream
from bzredis.troubles import NOTICES, OTHERS, Notices


def told(said: Said) -> list[tuple[str, int]]:
    """Return the notices that were told, and how often they came again."""
    notices = [each for each in said if each["event"].startswith("upstream sa")]
    return [(each["notice"], each.get("times", 0)) for each in notices]


@pytest.fixture
def hour(monkeypatch: pytest.MonkeyPatch) -> float:
    """Let the hour be ten minutes: whole ones of the engine's are long to compute."""
    monkeypatch.setattr(troubles, "HOUR", 600.0)
    return troubles.HOUR


async def test_the_same_notice_is_told_once_and_then_counted(
    rig: Rig, said: Said, autojump_clock: MockClock, hour: float
) -> None:
    notice = '{"status":"ok"}'
    async with rig.running():
        await trio.sleep(1)
        rig.upstream.say(*([notice] * 1_000), *frames(1, 2))
        await trio.sleep(10)
        assert told(said) == [(notice, 0)]
        assert rig.store.numbers() == [1, 2]
        await trio.sleep(hour)
        assert told(said) == [(notice, 0), (notice, 999)]
        rig.upstream.say(notice)
        await trio.sleep(hour + 100)
        assert told(said)[2:] == [(notice, 1)]
        await trio.sleep(hour + 100)
        rig.upstream.say(notice)
        await trio.sleep(10)
        assert told(said)[3:] == [(notice, 0)], "news again"


async def test_a_new_connection_makes_no_news_of_it(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    notice = '{"status":"ok"}'
    async with rig.running():
        for _ in range(5):
            await trio.sleep(70)
            rig.upstream.say(notice, rig.lost)
        await trio.sleep(30)
    assert told(said) == [(notice, 0)]


async def test_a_refusal_of_each_message_is_told_once(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    rig.store.refuses = "e"
    async with rig.running():
        await trio.sleep(1)
        rig.upstream.say(*frames(*range(50)))
        await trio.sleep(10)
    assert sum(each["event"] == "set aside" for each in said) == 1


async def test_refusals_that_are_never_the_same_are_counted(
    rig: Rig,
    said: Said,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    hour: float,
) -> None:
    """As of a wrong type under the keys of many symbols."""
    apply = FakeStore.apply

    async def refusing(
        self: FakeStore, stream: Stream, batch: Batch, _: Batch | None = None, /
    ) -> Applied | Behind:
        answer = await apply(self, stream, batch)
        if not isinstance(answer, Applied):
            return answer
        results = [
            f"{result} ({batch.first + n})" if result.startswith("refused") else result
            for n, result in enumerate(answer.results)
        ]
        return attrs.evolve(answer, results=tuple(results))

    monkeypatch.setattr(FakeStore, "apply", refusing)
    rig.store.refuses = "e"
    async with rig.running():
        await trio.sleep(1)
        rig.upstream.say(*frames(*range(500)))
        await trio.sleep(10)
        assert sum(each["event"] == "set aside" for each in said) == NOTICES
        await trio.sleep(hour)
        [again] = (each for each in said if each["event"].endswith("hour again"))
        assert again["times"] == 500 - NOTICES


def test_notices_that_are_never_the_same_are_counted() -> None:
    notices = Notices()
    assert notices.again(0) == {}
    assert sum(notices.is_news(f"notice {n}") for n in range(1_000)) == NOTICES
    assert notices.again(3_599) == {}
    assert notices.again(3_600) == {OTHERS: 1_000 - NOTICES}
    assert notices.is_news("notice 1")
