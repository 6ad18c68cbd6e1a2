"""The tables of companies and firms are what real ones could be."""

from __future__ import annotations

import pytest

from bzredis.simulator.market.catalogue import COMPANIES, FIRMS, US, Company, coverers


def cusip_check_digit(body: str) -> str:
    values = (int(c, 36) * (1 + place % 2) for place, c in enumerate(body))
    return str(-sum(sum(divmod(value, 10)) for value in values) % 10)


@pytest.mark.parametrize("company", COMPANIES, ids=lambda company: company.symbol)
def test_identifiers_check(company: Company) -> None:
    assert cusip_check_digit(company.cusip[:8]) == company.cusip[8]
    assert len(company.isin) == 12
    assert company.isin[:2] == ("US" if company.exchange in US else "CA")


def test_known_isins() -> None:
    isins = {company.symbol: company.isin for company in COMPANIES}
    assert isins["AAPL"] == "US0378331005"
    assert isins["BRK.B"] == "US0846707026"
    assert isins["TSX:RY"] == "CA7800871021"


def test_symbols_are_unique_though_tickers_are_not() -> None:
    assert len({company.symbol for company in COMPANIES}) == len(COMPANIES) >= 60
    assert {c.symbol for c in COMPANIES if c.ticker == "T"} == {"T", "TSX:T"}
    assert {c.currency for c in COMPANIES if c.ticker == "T"} == {"USD", "CAD"}


def test_firms_have_ids_analysts_and_words() -> None:
    assert len({firm.id for firm in FIRMS}) == len(FIRMS) >= 30
    analysts = {analyst.id for firm in FIRMS for analyst in firm.analysts}
    assert len(analysts) == 3 * len(FIRMS)
    assert all(len(firm.id) == 24 for firm in FIRMS)
    assert all(firm.word(3) for firm in FIRMS)


def test_every_company_has_a_handful_of_coverers() -> None:
    assert {len(coverers(company)) for company in COMPANIES} == {8}
