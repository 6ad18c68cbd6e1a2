"""The simulated market: pure and seeded, told the time, it says what happened.

Nothing here reads a clock or does I/O: equal seeds and times make equal messages,
however the time is cut up.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import attrs

from bzredis.simulator.market import formats, opinions
from bzredis.simulator.market.book import BY_SYMBOL, Book
from bzredis.simulator.market.catalogue import COMPANIES, Company, Firm, coverers
from bzredis.simulator.market.consensus import Consensus
from bzredis.simulator.market.opinions import Opinion
from bzredis.simulator.market.records import (
    Insight,
    Published,
    Rating,
    enveloped,
    enveloped_consensus,
    insight_content,
    rating_content,
    updated,
)
from bzredis.simulator.market.schedule import Due, Schedule

DAY = 86_400.0
SETTLED = 600.0  # between the end of the past and the start: sequels have passed

# What follows a rating: how often, and between which seconds after it.
INSIGHT, SECOND_INSIGHT = 0.6, 0.06
REVISION, INSIGHT_REVISION = 0.5, 0.2
RETRACTION = 0.03
SOON = (5.0, 30.0)
LATER = (40.0, 80.0)
MUCH_LATER = (50.0, 150.0)

BARE_DELETE = 0.4  # the share of deletes without content
AS_CREATED = 0.1  # the share of revisions that are announced as created
CORRECTED = 0.4  # the share of revisions that change the target
NOTED = 0.5  # the share of the others that add a note
SPARSE, LOWER = 0.2, 0.05  # shares of consensus: without zeros, in small letters


@attrs.define(eq=False)
class Market:
    """Companies, what firms think of them (``book``), and how that changes.

    ``opine``, ``comment``, ``revise`` and ``retract`` make one thing happen now and
    return its messages; ``advance`` makes happen what is due. Where the pace is 0
    nothing has a sequel.
    """

    seed: int = 0
    consensus_ticker: bool = False
    book: Book = attrs.field(factory=Book)
    _rng: random.Random = attrs.field(init=False)
    _schedule: Schedule = attrs.field(init=False)
    _following: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        """Seed the chance that everything draws from."""
        self._rng = random.Random(self.seed)  # noqa: S311 - no secret hangs on it
        self._schedule = Schedule(self._rng)

    def past(
        self, now: float, count: int, span: float = 10 * DAY
    ) -> Iterator[Published]:
        """Yield a history of ``count`` ratings and their sequels, all before now."""
        end = now - SETTLED
        moments = sorted(end - self._rng.random() * span for _ in range(count))
        self._following = True
        for moment in moments:
            yield from self._catch_up(moment)
            yield from self.opine(moment)
        yield from self._catch_up(now)
        self._following = False

    def pace(self, rate: float, now: float) -> None:
        """Have ``rate`` messages a second on average from now on; 0 is silence."""
        self._schedule.pace(rate, now)
        self._following = rate > 0

    @property
    def next_due(self) -> float:
        """When the next thing happens, in unix seconds; inf: never."""
        return self._schedule.next_due

    def advance(self, now: float) -> Iterator[Published]:
        """Yield what happened up to ``now``, in order."""
        while self._schedule.arrival <= now:
            yield from self._catch_up(self._schedule.arrival)
            at, something_new = self._schedule.arrive()
            if something_new:
                messages = self.opine(at)
                self._schedule.spend(len(messages))
                yield from messages
        yield from self._catch_up(now)

    def opine(
        self, at: float, symbol: str | None = None, firm: Firm | None = None
    ) -> list[Published]:
        """Have a firm rate a company, both random unless given.

        The symbol is bare for US companies, else ``EXCHANGE:TICKER``.
        """
        company = self._rng.choice(COMPANIES) if symbol is None else BY_SYMBOL[symbol]
        firm = firm or self._rng.choice(coverers(company))
        last = self.book.last(company, firm)
        if last is None:
            now = opinions.first(self._rng, firm, company)
        else:
            now = opinions.following(self._rng, firm, company, last)
        record = formats.record_id(self._rng, at)
        rating = Rating(record, company, firm, at, last, now)
        rating = self._worded(rating, at)
        self.book.add_rating(rating)
        messages = [self._sent("ratings", "created", rating, at)]
        shorter = self.book.forget()
        for changed in dict.fromkeys([company, *shorter]):
            messages += self._reckoned(changed, at)
        for share in (INSIGHT, SECOND_INSIGHT):
            self._plan(at, share, SOON, "comment", record)
        self._plan(at, REVISION, LATER, "revise", record)
        self._plan(at, RETRACTION, MUCH_LATER, "retract", record)
        return messages

    def comment(self, at: float, rating_id: str) -> list[Published]:
        """Publish an insight into a live rating."""
        rating = self.book.ratings[rating_id]
        record = formats.record_id(self._rng, at)
        content = insight_content(self._rng, record, rating, at)
        insight = Insight(
            record, rating.company, rating.firm, rating_id, at, content=content
        )
        self.book.add_insight(insight)
        self._plan(at, INSIGHT_REVISION, LATER, "revise", record)
        return [self._sent("insights", "created", insight, at)]

    def revise(self, at: float, record_id: str) -> list[Published]:
        """Edit a live rating or insight; the target only of a current rating."""
        word = "created" if self._rng.random() < AS_CREATED else "updated"
        if record_id in self.book.insights:
            last = updated(self.book.insights[record_id])
            insight = self._reworded(record_id, at)
            return [self._sent("insights", word, insight, at, last)]
        rating = self.book.ratings[record_id]
        last = updated(rating)
        correctable = rating.opinion.target is not None and self.book.is_current(rating)
        if correctable and self._rng.random() < CORRECTED:
            rating = self._corrected(rating, at)
            messages = self._reckoned(rating.company, at)
        else:
            rating = self._edited(rating, at)
            messages = []
        self.book.ratings[record_id] = rating
        return [self._sent("ratings", word, rating, at, last), *messages]

    def retract(
        self, at: float, record_id: str, *, content: bool | None = None
    ) -> list[Published]:
        """Delete a live record; with a rating go its insights, each on its own.

        ``content`` says whether the messages carry the record; ``None`` leaves it
        to chance. Raises ValueError for a rating that is not its firm's current
        one, since the next one's prior refers to it.
        """
        if record_id in self.book.insights:
            return [
                self._gone(
                    "insights", self.book.insights[record_id], at, content=content
                )
            ]
        rating = self.book.ratings[record_id]
        if not self.book.is_current(rating):
            message = f"{record_id} is not its firm's current rating"
            raise ValueError(message)
        comments = self.book.comments(record_id)
        return [
            self._gone("ratings", rating, at, content=content),
            *self._reckoned(rating.company, at),
            *(
                self._gone("insights", insight, at, content=content)
                for insight in comments
            ),
        ]

    def _plan(
        self,
        at: float,
        share: float,
        delay: tuple[float, float],
        what: str,
        record: str,
    ) -> None:
        if self._following and self._rng.random() < share:
            self._schedule.plan(at + self._rng.uniform(*delay), what, record)

    def _catch_up(self, now: float) -> Iterator[Published]:
        while (due := self._schedule.pop(now)) is not None:
            messages = self._follow(due)
            self._schedule.spend(len(messages))
            yield from messages

    def _follow(self, due: Due) -> list[Published]:
        rating = self.book.ratings.get(due.record)
        if rating is None and due.record not in self.book.insights:
            return []  # deleted or forgotten in the meantime
        if due.what == "comment":
            return self.comment(due.at, due.record)
        if due.what == "revise":
            return self.revise(due.at, due.record)
        if rating is not None and not self.book.is_current(rating):
            return []
        return self.retract(due.at, due.record)

    def _worded(self, rating: Rating, at: float) -> Rating:
        content = rating_content(self._rng, rating, updated=at)
        return attrs.evolve(rating, content=content)

    def _corrected(self, rating: Rating, at: float) -> Rating:
        target = rating.opinion.target or rating.company.price
        moved = opinions.near(self._rng, target, rating.company)
        opinion = Opinion(rating.opinion.grade, moved)
        corrected = self._worded(attrs.evolve(rating, opinion=opinion), at)
        self.book.ratings[rating.id] = corrected
        return corrected

    def _edited(self, rating: Rating, at: float) -> Rating:
        edits = {"importance": self._rng.randint(0, 5), "updated": int(at)}
        note = {"notes": "Edited for clarity."} if self._rng.random() < NOTED else {}
        return attrs.evolve(rating, content={**rating.content, **edits, **note})

    def _reworded(self, record_id: str, at: float) -> Insight:
        insight = self.book.insights[record_id]
        text = f"{insight.content['analyst_insights']}\n\n*Edited for clarity.*"
        edits = {"analyst_insights": text, "updated": int(at * 1000)}
        edited = attrs.evolve(insight, content={**insight.content, **edits})
        self.book.insights[record_id] = edited
        return edited

    def _reckoned(self, company: Company, at: float) -> list[Published]:
        """Compute the consensus anew and say so; without a rating nothing is said."""
        sums = self.book.figures(company.symbol)
        if sums is None:
            self.book.consensus.pop(company.symbol, None)
            return []
        consensus = Consensus(
            company,
            sums,
            formats.rfc3339(at),
            sparse=self._rng.random() < SPARSE,
            lower=self._rng.random() < LOWER,
        )
        self.book.consensus[company.symbol] = consensus
        ticker = self.consensus_ticker
        return [enveloped_consensus(self._rng, consensus, at, ticker=ticker)]

    def _sent(
        self,
        stream: str,
        word: str,
        record: Rating | Insight,
        at: float,
        last: int = 0,
    ) -> Published:
        content = record.content
        return enveloped(self._rng, stream, word, record, content, at=at, last=last)

    def _gone(
        self, stream: str, record: Rating | Insight, at: float, *, content: bool | None
    ) -> Published:
        self.book.remove(record, at)
        with_content = self._rng.random() >= BARE_DELETE if content is None else content
        moment = int(at * 1000) if stream == "insights" else int(at)
        said = {**record.content, "updated": moment} if with_content else None
        return enveloped(
            self._rng, stream, "deleted", record, said, at=at, last=updated(record)
        )
