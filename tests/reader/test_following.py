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


def look(first: str, last: str, *read: str, added: int | None = None) -> list[Any]:
    log: dict[str, Any] = {"first-entry": (first, {}), "last-generated-id": last}
    if added is not None:
        log["entries-added"] = added
    return [log, [[LOG, raw(*read)]] if read else []]


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


@pytest.mark.parametrize(("length", "is_told"), [(100, True), (150, False)])
def test_another_log_that_was_trimmed_is_told(length: int, *, is_told: bool) -> None:
    """As where the reader slept while Redis was emptied, and much came since."""
    at = follower("5-0")
    at.answer(look("1-0", "5-0", added=500))
    at.look()
    came = [f"{number}-0" for number in range(10, 10 + BATCH)]
    answer = look("10-0", "200-0", *came, added=150)
    answer[0]["length"] = length
    told = ids(at.answer(answer))
    assert told == (["gap 5-0", *came] if is_told else came)


def test_in_no_log_it_begins_with_whatever_comes_first() -> None:
    at = follower()
    at.answer([None, []])
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


COUNTS = pytest.mark.parametrize("added", [None, 90], ids=["redis 6.2", "redis 7"])


@COUNTS
def test_what_was_trimmed_is_told_as_a_gap(added: int | None) -> None:
    at = follower("1728069666000-3")
    first = "1728069667500-0"
    told = at.answer(look(first, "1728069668000-0", first, added=added))
    assert ids(told) == ["gap 1728069666000-3", first]
    [gap, _] = told
    assert isinstance(gap, Gap)
    assert gap.cause == "trimmed"
    assert gap.begin == datetime(2024, 10, 4, 19, 21, 6, tzinfo=UTC)
    assert gap.end == datetime(2024, 10, 4, 19, 21, 7, 500_000, tzinfo=UTC)


def test_all_of_a_log_may_be_gone() -> None:
    at = follower("5-0")
    gone = [{"first-entry": None, "last-generated-id": "9-0", "entries-added": 9}, []]
    assert ids(at.answer(gone)) == ["gap 5-0"]
    at.look()
    assert ids(at.answer(gone)) == []


@COUNTS
def test_a_gap_is_told_also_while_a_slow_reader_is_behind(added: int | None) -> None:
    at = follower("0")
    many = [f"{number}-0" for number in range(1, BATCH + 1)]
    at.answer(look("1-0", "900-0", *many, added=added))
    told = at.answer(look("500-0", "900-0", "500-0", added=added and 900))
    assert ids(told) == [f"gap {BATCH}-0", "500-0"]


def test_an_entry_that_a_queue_deleted_is_no_gap() -> None:
    at = follower()
    at.answer(look("1-0", "5-0", added=5))
    at.answer(wait("6-0"))
    assert ids(at.answer(look("9-0", "9-0", "9-0", added=7))) == ["9-0"]
    told = at.answer(look("12-0", "12-0", "12-0", added=9))
    assert ids(told) == ["gap 9-0", "12-0"], "one came between"
    assert ids(at.answer(look("15-0", "15-0", "15-0", added=10))) == ["15-0"]


def test_nor_is_it_where_redis_does_not_count_and_nothing_came() -> None:
    at = follower()
    at.answer(look("1-0", "5-0"))
    at.answer(wait())
    assert ids(at.answer(look("9-0", "9-0", "9-0"))) == ["9-0"]


@pytest.mark.parametrize("after", ["9-0", "10-0", "10-5"])
def test_an_older_log_is_followed_from_its_end(after: str) -> None:
    at = follower(after)
    at.answer(look("1-0", "8-0", added=8))
    assert at.after == "8-0"
    assert ids(at.answer(look("1-0", "9-0", "9-0", added=9))) == ["9-0"]


def test_it_waits_only_where_it_has_just_looked() -> None:
    at = follower()
    found = []
    for answer in (look("1-0", "5-0"), wait("6-0"), look("1-0", "6-0"), wait()):
        found.append(looks(at))
        at.answer(answer)
    assert [*found, looks(at)] == [True, False, True, False, True]
    at.answer(look("1-0", "6-0"))
    at.lost(AWAY)
    assert looks(at)
    at.answer(look("1-0", "6-0"))
    at.look()
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
    log = {"first-entry": first, "last-generated-id": "1-0"}
    assert at.answer([log, [[LOG, [first]]]]) == [
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
