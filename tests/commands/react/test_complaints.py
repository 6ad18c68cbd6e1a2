"""A reaction that fails without end: people are told once, and then hourly."""

from __future__ import annotations

import trio
from fakes import Said
from trio.testing import MockClock

from bzredis.commands.react.reaction import Happening
from bzredis.commands.react.taking.complaints import Complaints

HOUR = 3_600


async def test_what_fails_without_end_is_told_once_and_then_hourly(
    said: Said, autojump_clock: MockClock
) -> None:
    complaints = Complaints("phone")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(complaints.remind)
        for number in range(3 * 60):  # each minute one that is given up at once
            one = Happening("entry", "ratings", "AAPL", f"{number}-0")
            for tries in range(1, 5):
                complaints.failed(one, "no network", f"{tries} of 5", "Traceback")
            complaints.gave_up(one, "no network")
            await trio.sleep(60)
        await trio.sleep(2 * HOUR)  # it works again
        nursery.cancel_scope.cancel()
    first, kept, *hourly = said
    assert first["event"] == "a reaction failed, and is tried again"
    assert (first["tries"], first["error"]) == ("1 of 5", "no network")
    assert (first["symbol"], first["output"]) == ("AAPL", "Traceback")
    assert kept["event"] == (
        "a reaction failed in the end; `bzredis react phone --failed` lists it"
    )
    assert {each["event"] for each in hourly} == {
        "a reaction failed in the last hour again"
    }
    assert sum(each["times"] for each in hourly) == 3 * 60 * 4 - 1
    assert sum(each["kept"] for each in hourly) == 3 * 60 - 1
    assert len(hourly) <= 4


async def test_another_reason_is_told_at_once(
    said: Said, autojump_clock: MockClock
) -> None:
    complaints = Complaints("phone")
    for reason in ("no network", "no network", "not found"):
        complaints.failed(Happening("stale", "ratings"), reason, "1 of 5")
    assert [each["error"] for each in said] == ["no network", "not found"]
    assert said[0]["kind"] == "stale"
