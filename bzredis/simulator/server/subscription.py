"""What a client asked a stream for, in its query."""

from __future__ import annotations

import attrs

from bzredis.simulator.market.catalogue import Company
from bzredis.simulator.market.consensus import PLAIN, View
from bzredis.simulator.market.records import Published
from bzredis.simulator.server.request import Request

TRUE = {"1", "true", "yes"}


@attrs.frozen
class Subscription:
    """Tickers and ISINs (none: everything), and how consensus should look."""

    tickers: frozenset[str] = frozenset()
    isins: frozenset[str] = frozenset()
    view: View = PLAIN

    def wants(self, published: Published) -> bool:
        """Tell whether a message passes the filters; one of no company does."""
        company = published.company
        if company is None or not (self.tickers or self.isins):
            return True
        named = not self.tickers.isdisjoint(names(company))
        return named or company.isin in self.isins


def names(company: Company) -> set[str]:
    """Return what a company can be asked for by: a bare ticker may fit two."""
    return {company.ticker, f"{company.exchange}:{company.ticker}"}


def view(request: Request) -> View:
    return View(
        simplify=request.query.get("simplify", "").lower() in TRUE,
        percentage=request.query.get("aggregate_type", "").lower() == "percentage",
    )


def subscription(request: Request) -> Subscription:
    return Subscription(
        frozenset(request.items("tickers")),
        frozenset(request.items("isins")),
        view(request),
    )
