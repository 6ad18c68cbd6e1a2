"""A place in a log, moved by answers that a test makes up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bzredis.reader import Entry, Gap, ReaderError
from bzredis.reader.following import BATCH, BLOCK, Follower

LOG = "bz:ratings:events"
AWAY = ReaderError("away", passes=True)
Raw = tuple[str, dict[str, str]]


def raw(*ids: str) -> list[Raw]:
    return [(one, {"action": "updated", "symbol": "AAPL"}) for one in ids]


def look(oldest: str, newest: str, *read: str) -> list[Any]:
    return [raw(oldest), raw(newest), [[LOG, raw(*read)]] if read else []]


def wait(*read: str) -> list[Any]:
    return [[[LOG, raw(*read)]] if read else []]


def follower(after: str = "$", *, follow: bool = True) -> Follower:
    return Follower("ratings", LOG, after, follow)


def ids(told: list[Entry | Gap]) -> list[str]:
    return [f"gap {one.id}" if isinstance(one, Gap) else one.id for one in told]


def looks(at: Follower) -> bool:
    return len(at.ask()) > 1


def test_it_begins_at_the_end_and_then_waits_for_what_comes() -> None:
    at = follower()
    assert at.answer(look("1-0", "5-0")) == []
    assert at.ask() == (
        ("XREAD", "COUNT", BATCH, "BLOCK", BLOCK, "STREAMS", LOG, "5-0"),
    )
    assert ids(at.answer(wait("6-0", "7-0"))) == ["6-0", "7-0"]
    assert at.after == "7-0"


def test_in_an_empty_log_it_begins_with_whatever_comes_first() -> None:
    at = follower()
    at.answer([[], [], []])
    assert at.after == "0-0"


def test_until_the_first_answer_now_stays_now() -> None:
    at = follower()
    at.lost(AWAY)
    assert at.after == "$"
    at.answer(look("1-0", "5-0"))
    assert at.after == "5-0"


def test_all_from_the_start() -> None:
    at = follower("0")
    assert ids(at.answer(look("1-0", "2-0", "1-0", "2-0"))) == ["1-0", "2-0"]


def test_what_was_trimmed_is_told_as_a_gap() -> None:
    at = follower("1728069666000-3")
    told = at.answer(look("1728069667500-0", "1728069668000-0", "1728069667500-0"))
    assert ids(told) == ["gap 1728069666000-3", "1728069667500-0"]
    [gap, _] = told
    assert isinstance(gap, Gap)
    assert gap.cause == "trimmed"
    assert gap.begin == datetime(2024, 10, 4, 19, 21, 6, tzinfo=UTC)
    assert gap.end == datetime(2024, 10, 4, 19, 21, 7, 500_000, tzinfo=UTC)


def test_it_is_told_also_while_a_slow_reader_is_behind() -> None:
    at = follower("0")
    many = [f"{number}-0" for number in range(1, BATCH + 1)]
    at.answer(look("1-0", "900-0", *many))
    assert looks(at)
    assert ids(at.answer(look("500-0", "900-0", "500-0"))) == [
        f"gap {BATCH}-0",
        "500-0",
    ]


def test_an_entry_that_a_queue_deleted_while_nothing_came_is_no_gap() -> None:
    at = follower()
    at.answer(look("1-0", "5-0"))
    at.answer(wait())
    assert looks(at)
    assert ids(at.answer(look("9-0", "9-0", "9-0"))) == ["9-0"]


@pytest.mark.parametrize("after", ["9-0", "10-0", "10-5"])
def test_an_older_log_is_followed_from_its_end(after: str) -> None:
    at = follower(after)
    at.answer(look("1-0", "8-0"))
    assert at.after == "8-0"


def test_that_is_seen_after_redis_was_away_or_silent() -> None:
    at = follower()
    at.answer(look("1-0", "5-0"))
    assert not looks(at)
    at.lost(AWAY)
    assert looks(at)
    at.answer(look("1-0", "5-0"))
    assert not looks(at)
    at.answer(wait())
    assert looks(at)


def test_it_waits_for_longer_each_time_and_not_after_an_answer() -> None:
    at = follower()
    waits = [at.lost(AWAY) for _ in range(9)]
    assert waits[0] <= 0.1
    assert 2.5 <= waits[-1] <= 5
    at.answer(look("1-0", "5-0"))
    assert at.lost(AWAY) <= 0.1


def test_what_will_not_pass_is_raised() -> None:
    with pytest.raises(ReaderError, match="wrong type"):
        follower().lost(ReaderError("wrong type"))


def test_without_following_it_ends_where_the_log_does() -> None:
    at = follower("0", follow=False)
    ended = []
    for answer in (look("1-0", "2-0", "1-0", "2-0"), look("1-0", "2-0")):
        assert looks(at), "it would wait"
        at.answer(answer)
        ended.append(at.ended)
    assert ended == [False, True]
    with pytest.raises(ReaderError):
        follower("0", follow=False).lost(AWAY)


def test_a_gap_of_the_bridge() -> None:
    at = follower("0")
    fields = {
        "action": "gap",
        "received": "2024-10-04T19:21:06.000Z",
        "from": "2024-10-04T19:00:00.000Z",
        "to": "2024-10-04T19:01:00.000Z",
        "cause": "restart",
        "recovered": "7",
        "envelope": "",
    }
    first = ("1-0", fields)
    assert at.answer([[first], [first], [[LOG, [first]]]]) == [
        Gap(
            stream="ratings",
            id="1-0",
            received=datetime(2024, 10, 4, 19, 21, 6, tzinfo=UTC),
            begin=datetime(2024, 10, 4, 19, 0, tzinfo=UTC),
            end=datetime(2024, 10, 4, 19, 1, tzinfo=UTC),
            cause="restart",
            recovered=7,
        )
    ]


@pytest.mark.parametrize("after", ["", "-", "x", "1-", "1-x", "+", "-1", "²"])
def test_what_is_no_id_is_told(after: str) -> None:
    with pytest.raises(ReaderError, match="is no id of an entry"):
        follower(after)
