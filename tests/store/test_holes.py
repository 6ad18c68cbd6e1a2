"""Marks, and what is lacking: coverage.md, one test for each rule."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from store.servers import HOST, RECEIVED, Item, Peer, message, new_log, rating

from bzredis.changes.from_rest import row
from bzredis.changes.kinds import Filled, GaveUp, Heard, Opened, Replayed
from bzredis.contract.fields import GAP
from bzredis.messages.times import rfc3339
from bzredis.ports import Applied, Behind, Coverage, Hole, Log
from bzredis.streams import RATINGS, STREAMS, Stream

T = RECEIVED
HOUR = 3_600_000
WINDOW = 86_400_000
NEWEST = 1_728_000_005_000  # of rating(version=5)


@attrs.define
class Sender:
    """One log and what is sent of it; numbers count by themselves."""

    peer: Peer
    log: Log = attrs.field(factory=new_log)
    since: int | None = None
    next: int = 0
    stream: Stream = RATINGS

    def send(self, *items: Item, first: int | None = None, **how: Any) -> Applied:
        answer = self.answer(*items, first=first, **how)
        assert isinstance(answer, Applied)
        self.next = answer.last + 1
        self.since = answer.coverage.since
        return answer

    def answer(
        self, *items: Item, first: int | None = None, **how: Any
    ) -> Applied | Behind:
        first = self.next if first is None else first
        told = {"since": self.since, **how}
        return self.peer.send(self.stream, *items, log=self.log, first=first, **told)

    def coverage(self) -> Coverage:
        """Return what stands, by an empty batch."""
        return self.send().coverage


def spans(coverage: Coverage) -> list[tuple[int, int, str]]:
    return [(hole.begin - T, hole.end - T, hole.cause) for hole in coverage.holes]


@pytest.fixture
def sender(peer: Peer) -> Sender:
    """Return a log without REST that has begun: all is here until T."""
    made = Sender(peer)
    made.send(Opened(T))
    return made


def replayed_rating(record: str = "a", version: int = 1) -> Item:
    """Make a frame that has an envelope of its own each time that it comes."""
    return rating(record, version)


# -------------------------------------------------------------------------- opened


def test_a_first_start_has_no_hole(peer: Peer) -> None:
    log = new_log("A,B")
    answer = Sender(peer, log).send(Opened(T))
    assert answer.results == ("opened",)
    assert answer.coverage == Coverage(T, T, "A,B", log.id, ())


def test_a_first_start_with_rest_has_the_window(peer: Peer) -> None:
    answer = Sender(peer, new_log("*", WINDOW)).send(Opened(T))
    (hole,) = answer.coverage.holes
    assert hole == Hole(hole.id, T - WINDOW, T, "first", T - WINDOW - HOUR, False)
    assert hole.id.endswith(f"-{answer.coverage.reader}-0-{hole.begin}")


def test_a_connection_opens_a_hole_since_the_last_was_heard(sender: Sender) -> None:
    sender.send(rating("a", 5), Heard(T + 10, T + 10))
    answer = sender.send(Opened(T + 50))
    (hole,) = answer.coverage.holes
    assert (hole.begin, hole.end) == (T + 10, T + 50)
    assert (hole.cause, hole.resume, hole.announced) == ("reconnect", NEWEST, False)
    assert hole.id.endswith(f"-{sender.log.id}-3-{hole.begin}")
    assert answer.coverage.until == T + 50


def test_the_first_of_a_log_opens_it_for_a_restart(sender: Sender, peer: Peer) -> None:
    again = Sender(peer, since=T)
    assert spans(again.send(Opened(T + 9)).coverage) == [(0, 9, "restart")]
    assert again.coverage().reader == again.log.id


def test_without_a_newest_it_resumes_from_its_begin_less_an_hour(
    sender: Sender,
) -> None:
    (hole,) = sender.send(Opened(T + 9)).coverage.holes
    assert hole.resume == T - HOUR


@pytest.mark.parametrize("t", [T - 1, T])
def test_a_late_log_does_nothing(sender: Sender, peer: Peer, t: int) -> None:
    late = Sender(peer, new_log("X", WINDOW), T)
    before = sender.coverage()
    answer = late.send(Opened(t), Heard(T + 100, T + 100), Replayed(T + 101))
    assert answer.results == ("late", "heard", "replayed")
    assert answer.coverage == before
    later = late.send(Opened(T + 5))
    assert later.results == ("opened",)
    assert spans(later.coverage) == [(0, 5, "reconnect")]


def test_what_was_emptied_is_a_hole_since_it_was_followed(peer: Peer) -> None:
    sender = Sender(peer, since=T - 500)
    coverage = sender.send(Opened(T)).coverage
    assert spans(coverage) == [(-500, 0, "redis-rollback")]
    assert (coverage.since, coverage.until) == (T - 500, T)


@pytest.mark.parametrize(
    ("before", "after", "is_new"),
    [
        ("*", "*", False),
        ("*", "A", False),
        ("A,B", "A,B", False),
        ("A,B", "B,A", False),
        ("A,B", "B", False),
        ("A", "*", True),
        ("A", "A,B", True),
        ("A", "AB", True),
        ("A,B", "C", True),
    ],
)
def test_what_is_new_in_a_subscription_has_its_window(
    peer: Peer, before: str, after: str, *, is_new: bool
) -> None:
    Sender(peer, new_log(before)).send(Opened(T))
    coverage = Sender(peer, new_log(after, 60), T).send(Opened(T + 9)).coverage
    window = [(9 - 60, 9, "first")] if is_new else []
    assert spans(coverage) == [(0, 9, "restart"), *window]
    assert coverage.subscription == after


def test_windows_become_one(peer: Peer) -> None:
    first = Sender(peer, new_log("A", 60)).send(Opened(T)).coverage.holes[0]
    coverage = Sender(peer, new_log("A,B", 50), T).send(Opened(T + 9)).coverage
    assert spans(coverage) == [(-60, 9, "first"), (0, 9, "restart")]
    joined = coverage.holes[0]
    assert joined.id != first.id
    assert joined.resume == T - 60 - HOUR


# --------------------------------------------------------------------------- heard


def test_only_marks_move_until(sender: Sender) -> None:
    coverage = sender.send(rating("a", 5), "garbage", Replayed(T + 9)).coverage
    assert coverage.until == T
    assert sender.send(Heard(T + 5, T + 5)).coverage.until == T + 5
    assert sender.send(Heard(T + 3, T + 3)).coverage.until == T + 5


def test_only_the_reader_hears(sender: Sender, peer: Peer) -> None:
    other = Sender(peer, since=T)
    other.send(Opened(T + 9))
    assert sender.send(Heard(T + 100, T + 100)).coverage.until == T + 9
    assert other.send(Heard(T + 20, T + 20)).coverage.until == T + 20


def test_what_nobody_opened_is_not_heard(peer: Peer) -> None:
    answer = Sender(peer).send(rating(), Heard(T, T))
    assert answer.coverage == Coverage()


# --------------------------------------------------------- proof by the replay


def opened_again(sender: Sender, *before: Item) -> None:
    sender.send(*before, Heard(T + 1, T + 1))
    sender.send(Opened(T + 9))
    assert len(sender.coverage().holes) == 1


@pytest.mark.parametrize("apart", [False, True], ids=["one batch", "each alone"])
def test_a_replay_that_reaches_back_closes(sender: Sender, *, apart: bool) -> None:
    opened_again(sender, rating("a", 1), rating("b", 2))
    items = replayed_rating("b", 2), rating("new", 3), Replayed(T + 10)
    if apart:
        for item in items:
            sender.send(item)
    else:
        assert sender.send(*items).results == ("duplicate", "latest", "replayed")
    assert sender.coverage().holes == ()


def test_a_replay_of_what_came_since_proves_nothing(sender: Sender) -> None:
    opened_again(sender, rating("a", 1))
    sender.send(rating("b", 2), replayed_rating("b", 2), Replayed(T + 10))
    assert len(sender.coverage().holes) == 1


def test_what_is_known_before_in_the_same_batch_proves(sender: Sender) -> None:
    heard: list[Item] = [rating("a", 1), Heard(T + 1, T + 1), Opened(T + 9)]
    answer = sender.send(*heard, replayed_rating("a", 1), Replayed(T + 10))
    assert answer.coverage.holes == ()


def test_a_replay_closes_only_what_was_opened_after_it_reaches_back(
    sender: Sender,
) -> None:
    sender.send(Opened(T + 5), rating("a", 1), Heard(T + 6, T + 6), Opened(T + 9))
    coverage = sender.send(replayed_rating("a", 1), Replayed(T + 10)).coverage
    assert spans(coverage) == [(0, 5, "reconnect")]


def test_what_is_known_by_a_row_alone_proves_nothing(sender: Sender) -> None:
    text = '{"id":"a","ticker":"AAPL","updated":1728000001}'
    opened_again(sender, row(RATINGS, text, received=T))
    answer = sender.send(rating("a", 1), Replayed(T + 10))
    assert answer.results[0] == "duplicate of a row"
    assert len(answer.coverage.holes) == 1


def test_a_row_proves_nothing(sender: Sender) -> None:
    opened_again(sender, rating("a", 1))
    text = '{"id":"a","ticker":"AAPL","updated":1728000001}'
    answer = sender.send(row(RATINGS, text, received=T), Replayed(T + 10))
    assert answer.results[0] == "duplicate"
    assert len(answer.coverage.holes) == 1


def test_proof_is_within_one_whole_replay(sender: Sender) -> None:
    opened_again(sender, rating("a", 1))
    answer = sender.send(
        replayed_rating("a", 1), Opened(T + 20), Replayed(T + 21), Replayed(T + 22)
    )
    assert len(answer.coverage.holes) == 2


def test_only_the_reader_proves(sender: Sender, peer: Peer) -> None:
    opened_again(sender, rating("a", 1))
    other = Sender(peer, since=T)
    assert other.send(rating("b"), replayed_rating("a", 1), Replayed(T + 10))
    assert len(sender.coverage().holes) == 1
    assert sender.send(replayed_rating("a", 1), Replayed(T + 10)).coverage.holes == ()


def test_a_replay_does_not_close_the_window(peer: Peer) -> None:
    sender = Sender(peer, new_log("*", 60))
    sender.send(rating("a", 1), Opened(T), replayed_rating("a", 1), Replayed(T + 1))
    assert [hole.cause for hole in sender.coverage().holes] == ["first"]


# ---------------------------------------------------------------- filled, given up


def test_filled_closes_by_ids(sender: Sender) -> None:
    sender.send(Opened(T + 5))
    coverage = sender.send(Opened(T + 9)).coverage
    first, second = coverage.holes
    assert sender.send(Filled(T + 9, (second.id, "x"))).coverage.holes == (first,)
    assert sender.send(Filled(T + 9, (first.id,))).coverage.holes == ()


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
@pytest.mark.parametrize("keep", [True, False])
def test_what_is_given_up_is_a_gap_once(
    peer: Peer, stream: Stream, *, keep: bool
) -> None:
    sender = Sender(peer, stream=stream)
    sender.send(Opened(T))
    (hole,) = sender.send(Opened(T + 1_005)).coverage.holes
    mark = GaveUp(T + 61_007, (hole.id,), keep)
    answer = sender.send(mark, mark)
    assert answer.results == ("gap", "given up")
    expected = (attrs.evolve(hole, announced=True),) if keep else ()
    assert answer.coverage.holes == expected
    (entry,) = peer.entries(f"{stream.name}:events")
    assert list(entry) == [field.name for field in GAP]
    assert {name: value for name, value in entry.items() if value} == {
        "action": "gap",
        "received": rfc3339(T + 61_007),
        "from": rfc3339(T),
        "to": rfc3339(T + 1_005),
        "cause": "reconnect",
        "recovered": "0",
    }


@pytest.mark.parametrize("keep", [True, False])
def test_a_window_given_up_is_no_gap(peer: Peer, *, keep: bool) -> None:
    sender = Sender(peer, new_log("*", 60))
    (hole,) = sender.send(Opened(T)).coverage.holes
    answer = sender.send(GaveUp(T + 9, (hole.id,), keep))
    assert answer.results == ("given up",)
    assert [hole.announced for hole in answer.coverage.holes] == [True] * keep
    assert peer.entries() == []


def test_a_gap_tells_how_much_was_recovered(sender: Sender, peer: Peer) -> None:
    sender.send(rating("a", 1))
    (hole,) = sender.send(Opened(T + 5)).coverage.holes
    sender.send(rating("r1"), rating("r2"), rating("a", 1), source="replay")
    sender.send(rating("live"))
    text = '{"id":"b","ticker":"AAPL","updated":1728000001}'
    answer = sender.send(row(RATINGS, text, received=T), row(RATINGS, text, received=T))
    assert (answer.results, answer.fetched) == (("latest", "duplicate"), 1)
    sender.send(GaveUp(T + 9, (hole.id,), keep=True))
    assert peer.entries()[-1]["recovered"] == "3"


@pytest.mark.parametrize(
    "at",
    [
        *(0, 951_782_399_999, 951_782_400_000, 951_868_799_999, 951_868_800_000),
        *(1_709_164_800_000, 1_709_251_199_999, 1_735_689_599_999, 4_107_542_400_001),
    ],
)
def test_a_gap_tells_times_as_the_bridge_writes_them(peer: Peer, at: int) -> None:
    sender = Sender(peer, since=at)
    (hole,) = sender.send(Opened(at + 1)).coverage.holes
    sender.send(GaveUp(at + 2, (hole.id,), keep=False))
    (entry,) = peer.entries()
    told = (entry["from"], entry["to"], entry["received"])
    assert told == tuple(rfc3339(at + more) for more in range(3))


# ---------------------------------------------------------------------- many holes


def test_over_sixteen_the_two_oldest_become_one(sender: Sender) -> None:
    for n in range(1, 17):
        sender.send(
            rating("a", n), Heard(T + 10 * n, T + 10 * n), Opened(T + 10 * n + 5)
        )
    before = sender.coverage().holes
    assert len(before) == 16
    sender.send(GaveUp(T + 900, (before[0].id,), keep=True))
    after = sender.send(Opened(T + 1_000)).coverage.holes
    assert len(after) == 16
    assert after[0].id not in {hole.id for hole in before}
    assert (after[0].begin, after[0].end) == (before[0].begin, before[1].end)
    assert after[0].resume == before[0].resume
    assert not after[0].announced
    assert after[1:-1] == before[2:]


def test_two_announced_ones_are_one_announced(sender: Sender) -> None:
    for n in range(1, 17):
        sender.send(Opened(T + n))
    ids = tuple(hole.id for hole in sender.coverage().holes)
    sender.send(GaveUp(T + 900, ids, keep=True))
    after = sender.send(Opened(T + 1_000)).coverage.holes
    assert [hole.announced for hole in after] == [True] * 15 + [False]


# ------------------------------------------------------------------ what is lacking


def test_what_is_lacking_is_a_hole_with_ids_anew(sender: Sender) -> None:
    (old,) = sender.send(Opened(T + 5)).coverage.holes
    at = sender.next
    answer = sender.send(Heard(T + 30, T + 30), first=at + 7, may_hold=False)
    assert answer.results == ("heard",)
    assert spans(answer.coverage) == [(0, 5, "reconnect"), (5, 30, "redis-rollback")]
    assert answer.coverage.until == T + 30
    for hole in answer.coverage.holes:
        assert hole.id != old.id
        assert hole.id.endswith(f"-{sender.log.id}-{at + 7}-{hole.begin}")
    filled = sender.send(Filled(T + 31, (old.id,)))
    assert len(filled.coverage.holes) == 2


def test_what_is_lacking_ends_the_proof(sender: Sender) -> None:
    opened_again(sender, rating("a", 1))
    lost = sender.next + 3
    sender.send(
        Heard(T + 20, T + 20), replayed_rating("a", 1), first=lost, may_hold=False
    )
    assert len(sender.send(Replayed(T + 12)).coverage.holes) == 2


@pytest.mark.parametrize(
    ("stored", "own", "both"),
    [("A,B", "B,C", "B"), ("*", "A", "A"), ("A", "*", "A"), ("A", "B", "")],
)
def test_what_is_lacking_leaves_what_both_have(
    peer: Peer, stored: str, own: str, both: str
) -> None:
    Sender(peer, new_log(stored)).send(Opened(T))
    other = Sender(peer, new_log(own, 60), T)
    answer = other.send(Heard(T + 9, T + 9), first=4, may_hold=False)
    assert answer.coverage.subscription == both
    assert answer.coverage.reader == other.log.id
    window = [] if stored == "*" else [(9 - 60, 9, "first")]
    assert spans(answer.coverage) == [(0, 9, "redis-rollback"), *window]


def test_what_is_lacking_before_until_opens_nothing(sender: Sender, peer: Peer) -> None:
    late = Sender(peer, new_log("X"), T)
    answer = late.send(Heard(T - 5, T - 5), first=4, may_hold=False)
    assert answer.coverage == sender.coverage()
    assert answer.coverage.subscription == "*"


def test_what_is_lacking_where_nothing_is_begins_with_since(peer: Peer) -> None:
    answer = Sender(peer, since=T - 9).send(Heard(T, T), first=4, may_hold=False)
    assert spans(answer.coverage) == [(-9, 0, "redis-rollback")]
    assert (answer.coverage.since, answer.coverage.until) == (T - 9, T)


def test_a_host_is_told_and_kept(peer: Peer) -> None:
    Sender(peer).send(message("a", {"x": 1}))
    assert peer.redis.hget("bz:ratings:internal:coverage", "upstream") == HOST
