"""The market by its laws: reproducible, consistent, at its pace."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzredis.messages.times import instant
from bzredis.simulator.market.book import Book
from bzredis.simulator.market.catalogue import COMPANIES, FIRMS, coverers
from bzredis.simulator.market.market import Market
from bzredis.simulator.market.records import Published

NOW = 1_790_000_000.0
FEW = settings(max_examples=8, deadline=None)


def lively(seed: int = 0, history: int = 60, rate: float = 20.0) -> Market:
    market = Market(seed)
    for _ in market.past(NOW, history):
        pass
    market.pace(rate, NOW)
    return market


def data(published: Published) -> dict[str, object]:
    found = json.loads(published.text)["data"]
    assert isinstance(found, dict)
    return found


@FEW
@given(st.integers(0, 9), st.lists(st.floats(0, 40), max_size=5))
def test_equal_seeds_make_equal_markets_however_time_is_cut(
    seed: int, cuts: list[float]
) -> None:
    whole, cut = lively(seed), lively(seed)
    pieces = [
        published
        for moment in [*sorted(cuts), 40]
        for published in cut.advance(NOW + moment)
    ]
    assert list(whole.advance(NOW + 40)) == pieces


def test_other_seeds_make_other_markets() -> None:
    assert list(lively(1).advance(NOW + 9)) != list(lively(2).advance(NOW + 9))


def test_messages_come_in_order_and_never_early() -> None:
    market = lively()
    times = [published.at for published in market.advance(NOW + 120)]
    assert times == sorted(times)
    assert NOW < times[0] < times[-1] <= NOW + 120
    assert market.next_due > NOW + 120


@pytest.mark.parametrize("rate", [0.5, 20, 1_000])
def test_the_average_is_the_rate_from_the_first_second(rate: float) -> None:
    market = lively(rate=rate)
    seconds = 4_000 / rate
    count = sum(1 for _ in market.advance(NOW + seconds))
    assert count == pytest.approx(4_000, rel=0.06)


def test_without_a_rate_nothing_happens_nor_follows() -> None:
    market = lively(rate=0)
    market.opine(NOW, "AAPL")
    assert market.next_due == inf
    assert list(market.advance(NOW + 1e6)) == []


def test_the_past_is_over_before_the_start() -> None:
    market = Market(3)
    past = list(market.past(NOW, 200))
    assert all(published.at <= NOW for published in past)
    assert market.next_due == inf
    assert {published.stream for published in past} == {
        "ratings",
        "insights",
        "consensus",
    }


@FEW
@given(st.integers(0, 99))
def test_consensus_is_always_what_the_ratings_come_to(seed: int) -> None:
    market = lively(seed, rate=20)
    for published in market.advance(NOW + 100):
        if published.stream != "consensus" or published.company is None:
            continue
        symbol = published.company.symbol
        found = market.book.consensus[symbol].figures
        current = [r for r in market.book.current(symbol) if r.opinion.grade]
        assert found == market.book.figures(symbol)
        assert sum(found.counts) == found.unique == len(current) <= found.total
        if found.low is not None and found.high is not None and found.target:
            assert found.low <= found.target <= found.high


@pytest.mark.long
@FEW
@given(st.integers(0, 99))
def test_priors_are_the_firms_last_rating(seed: int) -> None:
    market = lively(seed, history=500, rate=10)
    for _ in market.advance(NOW + 150):
        pass
    checked = 0
    for company in COMPANIES:
        for firm in coverers(company):
            for last, rating in pairwise(market.book.history(company, firm)):
                prior, now = last.content, rating.content
                assert now["rating_prior"] == prior["rating_current"]
                assert price(now["pt_prior"]) == price(prior["pt_current"])
                checked += 1
    assert checked > 50


def price(text: object) -> Decimal | None:
    return Decimal(str(text)) if text else None


def test_actions_fit_the_figures() -> None:
    market = lively(history=400, rate=20)
    for _ in market.advance(NOW + 200):
        pass
    moves: Counter[object] = Counter()
    for rating in market.book.ratings.values():
        row = rating.content
        before, after = price(row["pt_prior"]), price(row["pt_current"])
        if row["action_pt"] == "Raises":
            assert before is not None
            assert after is not None
            assert after > before
        if row["action_company"] == "Reiterates":
            assert row["rating_current"] == row["rating_prior"]
            assert before == after
        moves[row["action_company"]] += 1
    assert {"Upgrades", "Downgrades", "Maintains", "Reiterates"} <= set(moves)
    assert {"Initiates", "Initiates Coverage On", "Reinstates"} <= set(moves)


def test_sequels_come_when_they_should() -> None:
    market = lively(rate=30)
    created: dict[object, float] = {}
    delays: dict[str, list[float]] = {"insights": [], "updated": []}
    for published in market.advance(NOW + 300):
        if published.stream == "consensus":
            continue
        record, word = data(published)["id"], str(data(published)["action"]).lower()
        if record in created:
            if word == "updated":
                delays["updated"].append(published.at - created[record])
            continue
        created[record] = published.at
        content = data(published).get("content")
        assert isinstance(content, dict)
        if published.stream == "insights" and content["rating_id"] in created:
            delays["insights"].append(published.at - created[content["rating_id"]])
    assert len(delays["updated"]) > 100
    assert 40 <= min(delays["updated"]) < max(delays["updated"]) <= 80
    assert 5 <= min(delays["insights"]) < max(delays["insights"]) <= 30


def test_deletes_move_records_to_the_deleted_ones() -> None:
    market = lively(rate=20)
    deletes = [
        published
        for published in market.advance(NOW + 400)
        if str(data(published).get("action")).lower() == "deleted"
    ]
    assert {"content" in data(published) for published in deletes} == {True, False}
    for published in deletes:
        record = str(data(published)["id"])
        gone = market.book.deleted[record]
        assert (gone.stream, gone.at) == (published.stream, published.at)
        assert gone.company == published.company
        assert record not in {*market.book.ratings, *market.book.insights}


@FEW
@given(st.integers(0, 99), st.lists(st.floats(0, 3), min_size=2, max_size=30))
def test_the_times_of_a_record_never_go_back(seed: int, delays: list[float]) -> None:
    """However many digits they have; else nobody could tell which change is later."""
    market = lively(seed, rate=0)
    [rated, *_] = market.opine(NOW)
    [commented] = market.comment(NOW, str(data(rated)["id"]))
    for first in (commented, rated):
        record = str(data(first)["id"])
        told = [
            first,
            *(market.revise(NOW + delay, record)[0] for delay in sorted(delays)),
            market.retract(NOW + 3, record)[0],
        ]
        times = [instant(str(data(published)["timestamp"])) or 0 for published in told]
        assert times == sorted(times)


def test_scripted_events() -> None:
    market = lively(rate=0)
    rated, reckoned = market.opine(NOW, "TSX:T", FIRMS[0])
    record = str(data(rated)["id"])
    assert reckoned.stream == "consensus"
    [comment] = market.comment(NOW + 1, record)
    insight = str(data(comment)["id"])
    [edited] = market.revise(NOW + 2, insight)
    assert str(data(edited)["action"]).lower() in {"created", "updated"}
    assert market.book.insights[insight].content["updated"] == (NOW + 2) * 1000
    for second in range(20):
        first, *_ = market.revise(NOW + 3 + second, record)
        content = data(first)["content"]
        assert content == market.book.ratings[record].content
    gone = market.retract(NOW + 99, record, content=False)
    assert [g.stream for g in gone if "content" not in data(g)] != []
    assert "TSX:T" not in market.book.consensus or market.book.current("TSX:T")
    assert set(market.book.deleted) >= {record, insight}


def test_a_lone_insight_can_be_retracted() -> None:
    market = lively(rate=0, history=0)
    record = str(data(market.opine(NOW, "AAPL")[0])["id"])
    insight = str(data(market.comment(NOW, record)[0])["id"])
    [gone] = market.retract(NOW + 1, insight, content=True)
    content = data(gone)["content"]
    assert isinstance(content, dict)
    assert content["updated"] == (NOW + 1) * 1000
    assert list(market.book.deleted) == [insight]
    assert market.book.comments(record) == []


def test_the_last_rating_takes_the_consensus_with_it() -> None:
    market = lively(rate=0, history=0)
    record = str(data(market.opine(NOW, "AAPL")[0])["id"])
    [gone] = market.retract(NOW + 1, record)
    assert gone.stream == "ratings"
    assert market.book.consensus == {}


def test_a_superseded_rating_cannot_be_retracted() -> None:
    market = lively(rate=0, history=0)
    record = str(data(market.opine(NOW, "AAPL", FIRMS[0])[0])["id"])
    market.opine(NOW + 1, "AAPL", FIRMS[0])
    with pytest.raises(ValueError, match="not its firm's current rating"):
        market.retract(NOW + 2, record)


def test_old_ratings_are_forgotten_but_not_current_ones() -> None:
    market = Market(book=Book(kept=700))
    market.pace(60, NOW)
    for _ in market.advance(NOW + 100):
        pass
    book = market.book
    assert len(book.ratings) == 700
    assert {insight.rating_id for insight in book.insights.values()} <= {*book.ratings}
    for company in COMPANIES:
        consensus = book.consensus.get(company.symbol)
        assert (consensus.figures if consensus else None) == book.figures(
            company.symbol
        )


def test_of_the_deleted_the_newest_are_kept() -> None:
    market = Market(book=Book(kept=1))
    for second in range(3):
        record = str(data(market.opine(NOW + second, "AAPL")[0])["id"])
        market.retract(NOW + second, record)
    assert list(market.book.deleted) == [record]
