"""Pages drawn from templates, in which all text from outside is escaped."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import attrs
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bzredis import __version__
from bzredis.commands.looks import words
from bzredis.commands.running.called import shown
from bzredis.commands.web.content import pictures
from bzredis.commands.web.content.prose import prose
from bzredis.commands.web.live.hub import Drawing, Hub
from bzredis.commands.web.live.kept import DIRECTIONS, percent
from bzredis.reader import Entry, Gap, Span

HERE: Final = Path(__file__).parent
ODD: Final = 10_000  # per cent: a mistake, or a currency that changed
WIDEST: Final = 24  # characters of a number
LONGEST: Final = 160  # characters of what stands in a line
SIGNS: Final = {"up": "▲", "down": "▼", "same": "=", "new": "●", "end": "◌"}
MEANT: Final = {  # for who cannot see a sign
    "up": "up",
    "down": "down",
    "same": "unchanged",
    "new": "new",
    "end": "ended",
}
COUNTS: Final = {
    "events": "Messages",
    "fetched": "Fetched by REST",
    "duplicates": "Duplicates",
    "reconnects": "Reconnects",
    "gaps": "Gaps",
    "rejected": "Rejected",
    "unattributed": "Of no certain symbol",
    "backlog": "Not in Redis yet",
}


def short(text: object, longest: int = LONGEST) -> str:
    """Write text from outside in one line that is not too long."""
    line = words.one_line(str(text or ""))
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def address(text: str) -> str:
    """Write a part of an address: a symbol may hold whatever is no white space."""
    return quote(text, safe=":")


def moved(number: Decimal | None) -> str:
    """Write a move in per cent, always with its sign."""
    if number is None:
        return ""
    sign = "+" if number >= 0 else "\N{MINUS SIGN}"
    if abs(number) >= ODD:
        return f"{sign} over {ODD:,} %"
    return f"{sign}{abs(number):.1f} %"


def _now() -> datetime:
    return datetime.now(UTC)


def environment() -> Environment:
    """Return what knows all templates."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "short": short,
        "address": address,
        "moved": moved,
        "price": lambda number: short(words.price(number), WIDEST),
        "prose": prose,
        "counted": words.counted,
        "clock": lambda at: words.clock(at, _now()) if at else "",
        "day": lambda at: words.day(at, _now()) if at else "",
        "ago": lambda at: words.ago(at, _now()) if at else "",
        "published": lambda one: words.published(one, _now()),
        "iso": lambda at: f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else "",
        "health": lambda status: words.health(status, _now()),
        "spans": lambda missing: words.spans(missing, _now()),
        "percent": percent,
        "way": words.way,
        "entry_id": lambda one: f"n-{one.stream}-{one.id}",
        "is_gap": lambda one: isinstance(one, Gap),
        "gap_span": _gap_span,
        "whys": _whys,
    }
    made.globals |= {
        "SIGNS": SIGNS,
        "MEANT": MEANT,
        "COUNTS": COUNTS,
        "DIRECTIONS": DIRECTIONS,
        "VERSION": __version__,
        "PROGRAM": shown(),
        "now": _now,
        "shares": pictures.shares,
        "scale": pictures.scale,
        "course": pictures.course,
    }
    return made


def _whys(hub: Hub) -> list[tuple[str, str]]:
    """Say why what is not fresh is not, once where it is the same for several."""
    told: dict[str, list[str]] = {}
    now = _now()
    for name, status in hub.states.items():
        if status.fresh:
            continue
        why, until = words.health(status, now).why, status.covered_until
        if until and status.text:
            why = f"{why}. All until {words.when(until, now)}, is here"
        told.setdefault(why, []).append(name)
    return [
        (
            "" if len(names) == len(hub.states) else ", ".join(names),
            f"{why[0].upper()}{why[1:]}",
        )
        for why, names in told.items()
    ]


def _gap_span(one: Gap) -> str:
    if not (one.begin and one.end):
        return ""
    return words.span(Span(one.begin, one.end), _now())


@attrs.frozen
class Templates:
    """The pages' templates."""

    _made: Environment = attrs.field(factory=environment)

    def page(self, name: str, hub: Hub, **values: Any) -> str:
        return self._made.get_template(f"{name}.html").render(hub=hub, **values)

    def drawing(self) -> Drawing:
        """Return what draws the pieces that change while a page is open."""
        pieces: Any = self._made.get_template("pieces.html").module

        def row(one: Entry | Gap) -> str:
            return _one_line(str(pieces.news_row(one)))

        def piece(name: str, hub: Hub) -> str:
            return _one_line(str(getattr(pieces, name)(hub)))

        parts = {name: partial(piece, name) for name in ("strip", "cards", "moved")}
        return Drawing(row, **parts)


def _one_line(html: str) -> str:
    return " ".join(html.split())
