"""Bulls say, bears say: two texts about a company, of which any change is news."""

from __future__ import annotations

from random import Random

from changes.reading import changed, fields, message

from bzredis.streams.bulls_bears import BULLS_BEARS, make

CASE = {
    "id": "c",
    "ticker": "aapl",
    "updated": 1_728_069_666,
    "bull_case": "It grows.",
    "bear_case": "Rivals press.",
}


def test_a_case() -> None:
    change = changed(message(CASE), BULLS_BEARS)
    assert (change.symbol, change.has_market) == ("AAPL", False)
    assert change.headline == ("It grows.", "Rivals press.")
    assert change.version == 1_728_069_666_000
    assert not change.dated, "it has no date"
    assert fields(change)["bull_case"] == "It grows."
    assert all(head.is_news for head in BULLS_BEARS.headline)


def test_a_case_that_is_gone() -> None:
    gone = changed(message(), BULLS_BEARS)
    assert (gone.action, gone.symbol, gone.headline) == ("deleted", "", ("", ""))


def test_all_that_is_made_up_is_described() -> None:
    told = {each.name for each in BULLS_BEARS.content}
    assert {*make(Random(1), 0)} <= told
    assert (BULLS_BEARS.rows, BULLS_BEARS.removals) == (None, None)
