"""How opinions move, and what the moves are called."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzredis.simulator.market import opinions
from bzredis.simulator.market.catalogue import COMPANIES, FIRMS, Company, Firm
from bzredis.simulator.market.opinions import NOTHING, Opinion

BUY = Opinion(4, Decimal(50))


@pytest.mark.parametrize(
    ("last", "now", "names"),
    [
        (None, BUY, {"Initiates", "Initiates Coverage On"}),
        (NOTHING, BUY, {"Reinstates", "Assumes", "Initiates Coverage On"}),
        (Opinion(3, None), BUY, {"Upgrades"}),
        (Opinion(5, None), BUY, {"Downgrades"}),
        (Opinion(4, None), BUY, {"Maintains"}),
        (BUY, BUY, {"Reiterates"}),
        (BUY, NOTHING, set(opinions.TERMINATIONS)),
    ],
)
def test_company_action(last: Opinion | None, now: Opinion, names: set[str]) -> None:
    rng = random.Random(1)
    assert {opinions.company_action(rng, last, now) for _ in range(99)} == names


@pytest.mark.parametrize(
    ("last", "now", "names"),
    [
        (None, None, {""}),
        (50, None, {"Removes"}),
        (None, 50, {"Announces"}),
        (50, 50, {"Maintains"}),
        (50, 60, {"Raises", "Adjusts"}),
        (60, 50, {"Lowers", "Adjusts"}),
    ],
)
def test_target_action(last: int | None, now: int | None, names: set[str]) -> None:
    rng = random.Random(1)
    prices = [None if price is None else Decimal(price) for price in (last, now)]
    assert {opinions.target_action(rng, *prices) for _ in range(99)} == names


@given(
    st.integers(),
    st.sampled_from(COMPANIES),
    st.sampled_from(FIRMS),
    st.integers(1, 60),
)
def test_opinions_stay_in_the_firms_scale_and_near_the_price(
    seed: int, company: Company, firm: Firm, moves: int
) -> None:
    rng = random.Random(seed)
    opinion = opinions.first(rng, firm, company)
    for _ in range(moves):
        opinion = opinions.following(rng, firm, company, opinion)
        assert opinion.grade in {None, *dict(firm.scale)}
        if opinion.target is not None:
            assert 0 < opinion.target <= 3 * company.price
            assert opinion.target % opinions.step(company.price) == 0
        assert opinion.grade is not None or opinion.target is None
