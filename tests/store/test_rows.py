"""What came over REST beside what came live: contract.md, promises 1, 3 and 4."""

from __future__ import annotations

import json
from typing import Any

import pytest
from store.servers import (
    BASE,
    RECEIVED,
    Item,
    Peer,
    consensus,
    deleted,
    message,
    rating,
)

from bzredis.changes.from_rest import looked_up, removal, row
from bzredis.changes.kinds import Change
from bzredis.streams import CONSENSUS, INSIGHTS, RATINGS


def fetched(
    record: str = "a", version: int = 1, received: int = RECEIVED, **content: Any
) -> Item:
    """Make the row of a rating, with what only REST knows; `version` in seconds."""
    fields = {
        "id": record,
        "ticker": "AAPL",
        "date": "2024-10-03",
        "time": "00:00:00",
        "updated": BASE + version,
        "ratings_accuracy": {"smart_score": "70.5"},
        **content,
    }
    return row(RATINGS, json.dumps(fields), received=received)


def removed(record: str = "a", version: int | None = None) -> Item:
    """Make a row of removals; `version` in seconds, None where it says 0."""
    updated = None if version is None else BASE + version
    return removal(RATINGS, record, updated, f'{{"id":"{record}"}}', received=RECEIVED)


def effects(peer: Peer, stream: str = "ratings") -> list[tuple[str, str, str]]:
    return [
        (entry["source"], entry["action"], entry["effect"])
        for entry in peer.entries(f"{stream}:events")
    ]


# --------------------------------------------------------------- one event, one entry


def once(*, rest_first: bool) -> tuple[str, str]:
    """Return what comes of a row and its frame, which tells what it is a copy of."""
    return "latest", "duplicate of a row" if rest_first else "duplicate"


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "each alone"])
@pytest.mark.parametrize("rest_first", [True, False], ids=["row first", "frame first"])
def test_a_row_and_its_frame_are_one(
    peer: Peer, *, rest_first: bool, together: bool
) -> None:
    items = [fetched("a", 5, notes="row"), rating("a", 5, at=5.25, notes="live")]
    if not rest_first:
        items.reverse()
    if together:
        assert peer.apply(RATINGS, *items) == once(rest_first=rest_first)
    else:
        assert tuple(map(peer.one, items)) == once(rest_first=rest_first)
    source = "rest" if rest_first else "live"
    assert effects(peer) == [(source, "updated", "latest")]
    found = peer.hash("ratings:latest:AAPL")
    assert found["_source"] == source
    assert found["notes"] == ("row" if rest_first else "live")
    assert ("ratings_accuracy_smart_score" in found) == rest_first
    assert ("_timestamp" in found) != rest_first
    before = peer.kept()
    assert peer.apply(RATINGS, *items, *items) == ("duplicate",) * 4
    assert peer.kept() == before


@pytest.mark.parametrize("rest_first", [True, False], ids=["row first", "frame first"])
def test_an_insight_in_seconds_and_its_frame_in_ms_are_one(
    peer: Peer, *, rest_first: bool
) -> None:
    content = {"id": "i", "security": {"symbol": "T"}, "updated": BASE}
    text = json.dumps({**content, "cik": "1"})
    frame = message("i", {**content, "updated": BASE * 1_000 + 17}, at=1)
    items: list[Item] = [row(INSIGHTS, text, received=RECEIVED), frame]
    if not rest_first:
        items.reverse()
    results = tuple(peer.one(item, INSIGHTS) for item in items)
    assert results == once(rest_first=rest_first)
    assert len(peer.entries("insights:events")) == 1


@pytest.mark.parametrize("rest_first", [True, False], ids=["row first", "frame first"])
def test_a_consensus_that_was_asked_for_and_its_frame_are_one(
    peer: Peer, *, rest_first: bool
) -> None:
    frame = consensus(2, more="live")
    data = json.loads(frame)["data"]
    del data["ticker"], data["more"]
    items: list[Item] = [
        looked_up(CONSENSUS, json.dumps(data), "AAPL", received=RECEIVED),
        frame,
    ]
    if not rest_first:
        items.reverse()
    results = tuple(peer.one(item, CONSENSUS) for item in items)
    assert results == once(rest_first=rest_first)
    assert len(peer.entries("consensus:events")) == 1
    assert len(peer.entries("consensus:history:AAPL")) == 1
    older = looked_up(
        CONSENSUS, json.dumps({**data, "updated_at": BASE}), "AAPL", received=1
    )
    assert peer.one(older, CONSENSUS) == "duplicate"


def test_rest_and_stream_bring_the_same_message(peer: Peer) -> None:
    row = rating("a", 5, envelope="", date="2024-10-04", extra="REST has more")
    assert peer.one(rating("a", 5)) == "latest"
    assert peer.one(row, source="rest") == "duplicate"
    assert peer.one(rating("b", 5), source="rest") == "latest"
    assert peer.one(rating("b", 5, notes="live has more")) == "duplicate of a row"
    assert len(peer.entries()) == 2


def test_what_comes_live_in_the_same_second_as_a_known_row_is_not_lost(
    peer: Peer,
) -> None:
    assert peer.one(rating("a", 5, at=5.1, notes="first")) == "latest"
    assert peer.one(rating("a", 5, notes="first"), source="rest") == "duplicate"
    assert peer.one(rating("a", 5, at=5.2, notes="second")) == "latest"
    assert peer.hash("ratings:latest:AAPL")["notes"] == "second"


def test_rows_that_are_not_newer_are_not_logged(peer: Peer) -> None:
    peer.one(rating("a", 5))
    for late in (rating("a", 5, at=9, notes="a tie"), rating("a", 4, notes="older")):
        assert peer.one(late, source="rest") == "duplicate"
    assert len(peer.entries()) == 1
    assert peer.one(rating("a", 6), source="rest") == "latest"
    assert peer.entries()[-1]["source"] == "rest"


# ---------------------------------------------------- several changes in one second

ASKED = 1_000 * BASE + 5_500  # ms: in the middle of the second of version 5


def edit(at: float) -> str:
    return rating("a", 5, at=at, notes=str(at))


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "each alone"])
@pytest.mark.parametrize(
    ("times", "logged"),
    [
        ((5.2, 5.7, 5.9), (5.7, 5.9)),
        ((5.9, 5.7, 5.2), (5.9,)),
        ((5.7, 5.2, 5.9, 5.7), (5.7, 5.9)),
        ((5.4, 5.2, 5.5), ()),
    ],
    ids=str,
)
def test_a_frame_that_was_sent_after_the_row_came_is_no_copy_of_it(
    peer: Peer, times: tuple[float, ...], logged: tuple[float, ...], *, together: bool
) -> None:
    items = [fetched("a", 5, received=ASKED, notes="row"), *map(edit, times)]
    if together:
        peer.apply(RATINGS, *items)
    else:
        for item in items:
            peer.one(item)
    newest = str(max(logged, default="row"))
    assert peer.hash("ratings:latest:AAPL")["notes"] == newest
    assert peer.hash("ratings:record:a") == peer.hash("ratings:latest:AAPL")
    kinds = [
        ("rest", "updated", "latest"),
        *[("live", "updated", "latest")] * len(logged),
    ]
    assert effects(peer) == kinds
    before = peer.kept()
    late = fetched("a", 5, received=ASKED + 9_000, notes="other")
    assert peer.apply(RATINGS, *items, late) == ("duplicate",) * (len(items) + 1)
    assert peer.kept() == before


@pytest.mark.parametrize("at", [5.3, 5.7])
def test_an_insights_frame_that_was_sent_after_the_row_came_is_no_copy(
    peer: Peer, at: float
) -> None:
    content = {"id": "i", "security": {"symbol": "T"}}
    edited = {**content, "pt": "9", "updated": round((BASE + at) * 1_000)}
    known = row(
        INSIGHTS,
        json.dumps({**content, "pt": "8", "updated": BASE + 5}),
        received=ASKED,
    )
    frame = message("i", edited, at=at)
    results = peer.apply(INSIGHTS, known, frame, frame)
    second = "latest" if at > 5.5 else "duplicate of a row"
    assert results == ("latest", second, "duplicate")


@pytest.mark.parametrize(
    "other", [{}, {"ptpo": "live has more"}, {"pt_prior": "", "notes": ""}], ids=str
)
def test_a_copy_of_the_row_is_one_also_where_our_clock_is_behind(
    peer: Peer, other: dict[str, Any]
) -> None:
    content: dict[str, Any] = {"pt_current": "9", "pt_prior": "8", "notes": "n"}
    assert peer.one(fetched("a", 5, received=ASKED, **content, rest="more")) == "latest"
    before = peer.hash("ratings:latest:AAPL")
    frame = rating("a", 5, at=5.9, **{**content, **other})
    assert peer.one(frame) == "duplicate of a row"
    assert peer.hash("ratings:latest:AAPL") == before
    assert len(peer.entries()) == 1


def test_a_frame_without_a_time_is_a_copy_of_the_row(peer: Peer) -> None:
    peer.one(fetched("a", 5, received=ASKED))
    untimed = json.loads(rating("a", 5, notes="?"))
    del untimed["data"]["timestamp"]
    assert peer.one(json.dumps(untimed)) == "duplicate of a row"


def test_what_was_removed_in_that_second_stays_removed(peer: Peer) -> None:
    peer.apply(RATINGS, fetched("a", 5, received=ASKED), removed("a", 5))
    assert peer.one(edit(5.9)) == "duplicate of a row"
    assert not peer.hash("ratings:latest:AAPL")


# ---------------------------------------------------------------------- newest wins


def test_a_row_that_is_not_newer_is_not_logged(peer: Peer) -> None:
    peer.one(rating("a", 5))
    for version in (4, 5):
        assert peer.one(fetched("a", version, notes="other")) == "duplicate"
    assert effects(peer) == [("live", "updated", "latest")]
    assert "notes" not in peer.hash("ratings:record:a")
    assert peer.one(fetched("a", 6, notes="newer")) == "latest"
    assert peer.hash("ratings:latest:AAPL")["notes"] == "newer"
    assert peer.one(rating("a", 5, at=9, notes="late")) == "none"


def test_what_is_no_row_is_kept_once(peer: Peer) -> None:
    rows = [row(RATINGS, text, received=RECEIVED) for text in ('"no record"', "7")]
    assert peer.apply(RATINGS, *rows, *rows) == (
        *("rejected", "rejected"),
        *("duplicate", "duplicate"),
    )
    assert [entry["raw"] for entry in peer.entries("ratings:rejected")] == [
        '"no record"',
        "7",
    ]


# ------------------------------------------------------------------------- removals


@pytest.mark.parametrize("version", [None, 5, 6], ids=["no time", "tie", "later"])
@pytest.mark.parametrize("first", ["row", "frame"])
def test_a_removal_removes(peer: Peer, version: int | None, first: str) -> None:
    other = rating("b", 1, at=1)
    gone = fetched("a", 5, time="08:00:00")
    if first == "frame":
        gone = rating("a", 5, minute=480, at=5.5)
    peer.apply(RATINGS, other, gone)
    assert peer.hash("ratings:latest:AAPL")["_record"] == "a"
    assert peer.one(removed("a", version)) == "latest"
    assert peer.hash("ratings:latest:AAPL")["_record"] == "b"
    assert peer.timeline("AAPL") == ["b"]
    tombstone = peer.hash("ratings:record:a")
    assert tombstone["_version"] == str((BASE + (version or 5)) * 1_000)
    assert tombstone["_published"] == "1727956800000"
    assert (tombstone["_action"], tombstone["_source"]) == ("deleted", "rest")
    assert peer.redis.ttl("bz:ratings:record:a") > 0
    assert effects(peer)[-1] == ("rest", "deleted", "latest")
    entry = peer.entries()[-1]
    assert (entry["symbol"], entry["raw"]) == ("AAPL", '{"id":"a"}')
    before = peer.kept()
    late = [removed("a", version), fetched("a", 5, x=1), fetched("a", 4), gone]
    assert peer.apply(RATINGS, *late) == ("duplicate",) * 4
    assert peer.kept() == before


def test_a_removal_before_the_last_change_is_of_the_past(peer: Peer) -> None:
    peer.one(rating("a", 5))
    assert peer.one(removed("a", 4)) == "duplicate"
    assert peer.hash("ratings:latest:AAPL")["_record"] == "a"


def test_what_is_gone_is_not_removed_again(peer: Peer) -> None:
    peer.apply(RATINGS, rating("a", 1), deleted("a", at=50))
    for version in (None, 50, 60):
        assert peer.one(removed("a", version)) == "duplicate"
    assert len(peer.entries()) == 2


def test_what_nobody_knows_is_removed_only_at_a_known_time(peer: Peer) -> None:
    assert peer.one(removed("a")) == "duplicate"
    assert peer.kept() == {}
    assert peer.one(removed("a", 5)) == "record"
    assert peer.one(rating("a", 4)) == "none"
    assert peer.hash("ratings:latest:AAPL") == {}


WATCHED: dict[str, Any] = {"watched": True}  # as of a bridge with a watch-list


def test_with_a_watch_list_nobodys_removal_shows_nowhere(peer: Peer) -> None:
    store = peer.store(**WATCHED)
    for _ in range(2):  # each fetch brings it again
        assert peer.one(removed("a", 5), store=store) == "duplicate"
    assert peer.kept() == {}
    assert peer.redis.exists("bz:ratings:internal:gone:a")
    assert peer.redis.ttl("bz:ratings:internal:gone:a") > 34 * 86_400
    assert peer.one(removed("b"), store=store) == "duplicate"
    assert not peer.redis.exists("bz:ratings:internal:gone:b")


@pytest.mark.parametrize("late", [rating("a", 5, at=5.9), rating("a", 4)], ids="=<")
def test_with_a_watch_list_what_is_late_brings_nothing_back(
    peer: Peer, late: Item
) -> None:
    """It may have waited in another bridge's spool."""
    peer.one(removed("a", 5), store=peer.store(**WATCHED))
    rows = [fetched("a", 5), fetched("a", 4)]
    assert peer.apply(RATINGS, *rows, store=peer.store(**WATCHED)) == ("duplicate",) * 2
    assert peer.one(late, store=peer.store(**WATCHED)) == "none"
    assert not peer.timeline("AAPL")
    assert not peer.hash("ratings:latest:AAPL")
    assert effects(peer) == [("live", "updated", "none")]


@pytest.mark.parametrize(
    "item", [fetched("a", 6), rating("a", 6)], ids=["row", "frame"]
)
def test_with_a_watch_list_what_is_newer_comes_back(peer: Peer, item: Item) -> None:
    peer.one(removed("a", 5), store=peer.store(**WATCHED))
    assert peer.one(item, store=peer.store(**WATCHED)) == "latest"
    assert peer.one(removed("a", 5), store=peer.store(**WATCHED)) == "duplicate"
    assert peer.timeline("AAPL") == ["a"]
    assert peer.one(removed("a", 6), store=peer.store(**WATCHED)) == "latest"
    assert peer.hash("ratings:record:a")["_action"] == "deleted"


def test_with_a_watch_list_what_is_known_is_removed(peer: Peer) -> None:
    peer.apply(RATINGS, rating("a", 5), deleted("b", at=3), removed("c", 3))
    before = len(peer.entries())
    items = [removed("a", 5), removed("b", 3), removed("c", 4)]
    results = peer.apply(RATINGS, *items, *items, store=peer.store(**WATCHED))
    assert results == ("latest", *("duplicate",) * 5)
    assert len(peer.entries()) == before + 1
    assert not peer.redis.exists(
        "bz:ratings:internal:gone:a", "bz:ratings:internal:gone:b"
    )


def test_with_a_watch_list_the_streams_own_delete_is_logged(peer: Peer) -> None:
    """Upstream sends no others: it is of what is watched."""
    peer.one(removed("a", 5), store=peer.store(**WATCHED))
    gone = rating("a", 5, at=5.5, action="deleted")
    assert peer.one(gone, store=peer.store(**WATCHED)) == "record"
    assert effects(peer) == [("live", "deleted", "record")]


@pytest.mark.parametrize("version", [None, 6])
def test_what_came_back_stays(peer: Peer, version: int | None) -> None:
    peer.apply(RATINGS, rating("a", 5), removed("a", version))
    assert peer.one(rating("a", 7)) == "latest"
    assert peer.one(removed("a", version)) == "duplicate"
    assert peer.hash("ratings:latest:AAPL")["_version"] == str((BASE + 7) * 1_000)


def test_a_change_and_its_removal_in_one_batch(peer: Peer) -> None:
    items = [fetched("a", 5), removed("a"), fetched("a", 5), removed("a")]
    assert peer.apply(RATINGS, *items) == ("latest", "latest", "duplicate", "duplicate")
    assert peer.symbols() == set()
    assert isinstance(items[1], Change)
    assert items[1].version == 0


@pytest.mark.parametrize("removal_first", [True, False])
def test_a_removal_within_the_second_of_a_frame_wins_in_either_order(
    peer: Peer, *, removal_first: bool
) -> None:
    """A record that was made and deleted in one second: its frame may come last."""
    items = [removed("a", 5), rating("a", 5, at=5.25)]
    if not removal_first:
        items.reverse()
    peer.apply(RATINGS, *items)
    assert peer.hash("ratings:record:a")["_action"] == "deleted"
    assert not peer.hash("ratings:latest:AAPL")
