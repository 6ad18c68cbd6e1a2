"""What is live in the simulated market: records, who covers whom, the consensus."""

from __future__ import annotations

from collections import deque

import attrs

from bzredis.simulator.market.catalogue import COMPANIES, Company, Firm
from bzredis.simulator.market.consensus import Consensus, Figures, figures
from bzredis.simulator.market.opinions import Opinion
from bzredis.simulator.market.records import Insight, Rating

BY_SYMBOL = {company.symbol: company for company in COMPANIES}
KEPT = 20_000  # ratings held; older ones are forgotten so that a long run stays small


@attrs.frozen
class Deleted:
    """A record that is gone, since ``at`` (unix seconds)."""

    stream: str
    id: str
    company: Company
    at: float


@attrs.define(eq=False)
class Book:
    """The state that REST serves and that tests compare with Redis.

    ``ratings`` and ``insights`` are live records by id, ``deleted`` the gone ones by
    id, ``consensus`` the last published by symbol (``AAPL``, ``TSX:T``).
    """

    kept: int = KEPT
    ratings: dict[str, Rating] = attrs.field(factory=dict, init=False)
    insights: dict[str, Insight] = attrs.field(factory=dict, init=False)
    deleted: dict[str, Deleted] = attrs.field(factory=dict, init=False)
    consensus: dict[str, Consensus] = attrs.field(factory=dict, init=False)
    # By symbol and firm id the live ratings, oldest first: the last is current.
    _coverage: dict[str, dict[str, list[str]]] = attrs.field(factory=dict, init=False)
    _comments: dict[str, list[str]] = attrs.field(factory=dict, init=False)
    _ages: deque[str] = attrs.field(factory=deque, init=False)

    def _stack(self, company: Company, firm: Firm) -> list[str]:
        return self._coverage.setdefault(company.symbol, {}).setdefault(firm.id, [])

    def last(self, company: Company, firm: Firm) -> Opinion | None:
        """Return what the firm thinks of the company now, if it ever thought."""
        stack = self._stack(company, firm)
        return self.ratings[stack[-1]].opinion if stack else None

    def is_current(self, rating: Rating) -> bool:
        return self._stack(rating.company, rating.firm)[-1] == rating.id

    def current(self, symbol: str) -> list[Rating]:
        """Return the current rating of every firm that covers this symbol."""
        stacks = self._coverage.get(symbol, {}).values()
        return [self.ratings[stack[-1]] for stack in stacks if stack]

    def history(self, company: Company, firm: Firm) -> list[Rating]:
        """Return the firm's live ratings of the company, oldest first."""
        return [self.ratings[record] for record in self._stack(company, firm)]

    def figures(self, symbol: str) -> Figures | None:
        """Compute the consensus of a symbol anew; ``None`` where nobody covers it."""
        stacks = self._coverage.get(symbol, {}).values()
        total = sum(map(len, stacks))
        return figures((rating.opinion for rating in self.current(symbol)), total)

    def add_rating(self, rating: Rating) -> None:
        self.ratings[rating.id] = rating
        self._stack(rating.company, rating.firm).append(rating.id)
        self._ages.append(rating.id)

    def add_insight(self, insight: Insight) -> None:
        self.insights[insight.id] = insight
        self._comments.setdefault(insight.rating_id, []).append(insight.id)

    def comments(self, rating_id: str) -> list[Insight]:
        """Return the live insights into a rating."""
        ids = self._comments.get(rating_id, ())
        return [self.insights[record] for record in ids]

    def remove(self, record: Rating | Insight, at: float) -> None:
        """Move a live record to the deleted ones; a rating has to be current."""
        if isinstance(record, Insight):
            del self.insights[record.id]
            self._comments[record.rating_id].remove(record.id)
            stream = "insights"
        else:
            del self.ratings[record.id]
            self._stack(record.company, record.firm).remove(record.id)
            stream = "ratings"
        self.deleted[record.id] = Deleted(stream, record.id, record.company, at)
        if len(self.deleted) > self.kept:
            del self.deleted[next(iter(self.deleted))]

    def forget(self) -> list[Company]:
        """Drop the oldest superseded ratings and their insights beyond ``kept``.

        Returns the companies that have fewer ratings now.
        """
        shorter = []
        for _ in range(len(self._ages)):
            if len(self.ratings) <= self.kept:
                break
            rating = self.ratings.get(self._ages.popleft())
            if rating is None:
                continue
            if self.is_current(rating):
                self._ages.append(rating.id)
                continue
            for record in self._comments.pop(rating.id, ()):
                del self.insights[record]
            self._stack(rating.company, rating.firm).remove(rating.id)
            del self.ratings[rating.id]
            shorter.append(rating.company)
        return shorter
