"""One symbol: what stands in Redis about it, read and drawn."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import attrs
from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from bzredis.commands.looks.asked import STREAMS
from bzredis.commands.looks.drawn import further
from bzredis.commands.looks.drawn.pen import (
    DOWN,
    FAINT,
    GAP,
    ODD,
    STRONG,
    UP,
    Pen,
    bar,
    spaced,
    sparkline,
)
from bzredis.commands.looks.words import (
    Health,
    clean,
    counted,
    day,
    health,
    one_line,
    price,
    published,
    when,
)
from bzredis.reader import Consensus, Entry, Insight, Rating, Reader, Status
from bzredis.reader.values import Hash

LINES: Final = 8  # of an insight that is not wanted whole
KINDS: Final = ("strong_buy", "buy", "hold", "sell", "strong_sell")
STYLES: Final = (UP, UP, ODD, DOWN, DOWN)
SPARKS: Final = 40  # values in a sparkline


@attrs.frozen
class Sheet:
    """What there is about one symbol."""

    symbol: str
    rating: Rating | None
    insight: Insight | None
    consensus: Consensus | None
    opinions: tuple[Rating, ...]
    others: Mapping[str, Hash] = attrs.field(factory=dict)  # of further streams

    @classmethod
    def read(
        cls, reader: Reader, symbol: str, streams: Collection[str] = STREAMS
    ) -> Sheet:
        """Read what these streams say of it; raises ReaderError."""
        found: dict[str, Any] = {name: reader.latest(name, symbol) for name in streams}
        rating, insight, consensus = (found.pop(name, None) for name in STREAMS)
        return cls(
            symbol,
            rating,
            insight,
            consensus,
            reader.opinions(symbol) if STREAMS[0] in streams else (),
            {name: latest for name, latest in found.items() if latest},
        )

    @property
    def is_there(self) -> bool:
        three = (self.rating, self.insight, self.consensus)
        return any((*three, self.opinions, self.others))

    def fields(self) -> dict[str, Any]:
        """Return all of it as it stands in Redis; what is absent is absent."""
        parts: dict[str, Hash | None] = {
            "rating": self.rating,
            "insight": self.insight,
            "consensus": self.consensus,
            **self.others,
        }
        found: dict[str, Any] = {
            name: {**part.text} for name, part in parts.items() if part
        }
        if self.opinions:
            found["opinions"] = [{**each.text} for each in self.opinions]
        return found


def draw(
    pen: Pen, sheet: Sheet, states: Mapping[str, Status], *, whole: bool
) -> Iterator[RenderableType]:
    """Draw all that there is about a symbol."""
    yield _head(pen, sheet, states)
    yield from _not_fresh(pen, states)
    rows: list[tuple[str, RenderableType]] = []
    if sheet.rating:
        rows.append(("Rating", _rating(pen, sheet.rating)))
    if sheet.consensus:
        rows.append(("Consensus", _consensus(pen, sheet.consensus)))
    yield pen.labelled(rows)
    if sheet.opinions:
        yield ""
        yield Text("What each firm says now", STRONG)
        yield from opinions(pen, sheet.opinions)
    if sheet.insight:
        yield ""
        yield from insight(pen, sheet.insight, whole=whole)
    yield from further.draw(pen, sheet.others)


def watched(
    pen: Pen, sheet: Sheet, history: tuple[Entry, ...]
) -> Iterator[RenderableType]:
    """Draw what is watched of a symbol; the most important first."""
    rows: list[tuple[str, RenderableType]] = []
    if sheet.rating:
        rows.append(("Rating", _rating(pen, sheet.rating)))
    if sheet.consensus:
        rows.append(("Consensus", _consensus(pen, sheet.consensus, counts=False)))
        rows += [("", line) for line in bars(pen, sheet.consensus)]
        if went := targets(pen, history):
            rows.append(("", went))
    yield pen.labelled(rows)
    yield from opinions(pen, sheet.opinions)
    if sheet.insight:
        yield ""
        yield from insight(pen, sheet.insight, whole=True)
    yield from further.draw(pen, sheet.others)


def _head(pen: Pen, sheet: Sheet, states: Mapping[str, Status]) -> RenderableType:
    about = about_it(pen, sheet)
    fresh = all(status.fresh for status in states.values())
    state = pen.state(Health("fresh" if fresh else "not fresh", fresh=fresh))
    head = Text.assemble((sheet.symbol, STRONG), "  " if about else "", about)
    room = pen.width - head.cell_len - state.cell_len
    between = " " * room if pen.fancy and room >= GAP else "  "
    return Text.assemble(head, between, state)


def about_it(pen: Pen, sheet: Sheet) -> Text:
    """Write whose symbol it is, where that is known."""
    rating, note = sheet.rating, sheet.insight
    name = (rating and rating.name) or (note and note.name) or ""
    exchange = (rating and rating.exchange) or (note and note.exchange) or ""
    currency = (rating and rating.currency) or ""
    return pen.joined(*map(one_line, (name, exchange, currency)))


def _not_fresh(pen: Pen, states: Mapping[str, Status]) -> Iterator[RenderableType]:
    """Tell why what is not fresh is not, once where it is the same for all."""
    told: dict[str, list[str]] = {}
    for name, status in states.items():
        if not status.fresh:
            words = health(status, pen.now).why
            until = status.covered_until
            if until and status.text:
                words = f"{words}. All until {when(until, pen.now)}, is here"
            told.setdefault(words, []).append(name)
    for words, names in told.items():
        whose = "" if len(names) == len(states) else f"{', '.join(names)}: "
        yield Text(f"{whose}{words}.", DOWN)
    yield ""


def _rating(pen: Pen, rating: Rating) -> Text:
    """Write a rating in a few lines."""
    did = pen.styled(rating.action_company or "", rating.direction)
    says = pen.change(rating.rating_prior, rating.rating_current)
    first = spaced(pen.sign(rating.direction), _firm(rating), did)
    lines = [pen.joined(first, says)]
    target = pen.prices(rating.pt_prior, rating.pt_current)
    if target:
        change = rating.pt_change_pct
        moved = f" ({change:+f} %)" if change else ""
        style = "" if not change else UP if change > 0 else DOWN
        lines.append(Text.assemble("target ", target, (moved, style)))
    lines.append(
        pen.joined(
            *(published(rating, pen.now), one_line(rating.analyst_name or "")),
            f"importance {rating.importance}" if rating.importance is not None else "",
        )
    )
    return Text("\n").join(each for each in lines if each)


def _firm(one: Rating | Insight) -> Text:
    return Text(one_line(one.firm or "(no firm named)"), STRONG)


def _consensus(pen: Pen, found: Consensus, *, counts: bool = True) -> Text:
    value = found.consensus_rating_val
    parts = [found.consensus_rating, price(value) if value is not None else None]
    now = " ".join(filter(None, parts))
    parts = [
        found.previous_consensus_rating
        if found.previous_consensus_rating != found.consensus_rating
        else None,
        price(found.previous_consensus_rating_val)
        if found.previous_consensus_rating_val is not None
        else None,
    ]
    before = " ".join(filter(None, parts))
    was = f"(was {before})" if before and before != now else ""
    lines = [spaced(pen.sign(found.shift), Text(one_line(now), STRONG), Text(was))]
    prior, target = found.previous_consensus_price_target, found.consensus_price_target
    low, high = found.low_price_target, found.high_price_target
    if target is not None:
        words = f"target {pen.prices(prior, target)}"
        spread = f"{price(low)} to {price(high)}" if low and high else ""
        lines.append(pen.joined(words, spread))
    if counts:
        lines.append(Text(", ".join(_counts(found))))
    analysts = found.unique_analyst_count or found.total_analyst_count
    at = found.updated_at or found.version
    lines.append(
        pen.joined(
            when(at, pen.now) if at else "",
            counted(analysts, "analyst") if analysts else "",
        )
    )
    return Text("\n").join(each for each in lines if each)


def _shares(found: Consensus) -> list[tuple[str, Decimal]]:
    values = [(kind, getattr(found, kind)) for kind in KINDS]
    return [
        (kind.replace("_", " "), value) for kind, value in values if value is not None
    ]


def _counts(found: Consensus) -> list[str]:
    unit = " %" if found.aggregate_type == "percentage" else ""
    return [f"{price(value)}{unit} {kind}" for kind, value in _shares(found)]


def bars(pen: Pen, found: Consensus) -> list[Text]:
    """Draw how many say what."""
    shares = _shares(found)
    most = max((value for _, value in shares), default=Decimal(0))
    if not most:
        return []
    width = max(pen.width - 30, 10)
    styles = dict(zip((kind.replace("_", " ") for kind in KINDS), STYLES, strict=True))
    return [
        Text.assemble(
            f"{kind:11}  ",
            (bar(pen, float(value / most), width), styles[kind]),
            f" {price(value)}",
        )
        for kind, value in shares
    ]


def targets(pen: Pen, history: tuple[Entry, ...]) -> Text:
    """Draw how the target of all went, the newest last."""
    values = [each.target for each in reversed(history) if each.target is not None]
    if len(values) < 2 or not pen.letters:  # noqa: PLR2004 - of one nothing is seen
        return Text("")
    line = sparkline(values, SPARKS)
    return Text(f"target was   {line}  {price(min(values))} to {price(max(values))}")


def opinions(pen: Pen, found: tuple[Rating, ...]) -> list[Text]:
    """Put what each firm says into lines, newest first."""
    rows = [
        (
            pen.sign(each.direction),
            one_line(each.firm or "(no firm named)"),
            pen.says(each),
            pen.prices(each.pt_prior, each.pt_current),
            Text(day(each.published, pen.now) if each.published else "", FAINT),
        )
        for each in found
    ]
    return pen.columns(rows, {1: 14, 2: 20}, right=(3, 4))


def insight(pen: Pen, found: Insight, *, whole: bool) -> Iterator[RenderableType]:
    """Draw an analyst's prose; its beginning, unless all of it is wanted."""
    head = Text.assemble(("Insight", STRONG), "  ", _firm(found))
    yield pen.joined(head, published(found, pen.now))
    text = clean(found.analyst_insights or "").strip()
    if not pen.fancy:
        yield Text(text)
        return
    room = pen.width - GAP
    lines = [one for each in text.splitlines() for one in _wrapped(pen, each, room)]
    shown = lines if whole or len(lines) <= LINES + 2 else lines[:LINES]
    for line in shown:
        yield Padding(line, (0, 0, 0, GAP))
    if left := len(lines) - len(shown):
        words = f"… {counted(left, 'more line')} with --whole"
        yield Padding(Text(words if pen.letters else words[2:], FAINT), (0, 0, 0, GAP))


def _wrapped(pen: Pen, text: str, width: int) -> list[Text]:
    """Break a line of Markdown where it has to be, in the least of its forms."""
    if not text.strip():
        return [Text("")]
    if text.startswith("#"):
        return list(Text(text.lstrip("# "), STRONG).wrap(pen.console, width))
    is_item = text.lstrip().startswith(("- ", "* "))
    body = text.lstrip()[2:] if is_item else text.strip()
    words = Text()
    for number, part in enumerate(body.split("**")):
        words.append(part, STRONG if number % 2 else None)
    lines = list(words.wrap(pen.console, width - GAP * is_item))
    if not is_item:
        return lines
    marks = [f"{pen.dot if pen.letters else '-'} ", *["  "] * (len(lines) - 1)]
    return [Text.assemble(mark, line) for mark, line in zip(marks, lines, strict=True)]
