"""What happened, in a sentence for people; or in their own words, by a template. Pure.

>>> template("{symbol} {direction}", known)(happened).body  # doctest: +SKIP
'AAPL down'
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from string import Formatter
from typing import Any, Final, Literal

import attrs

from bzredis.commands.looks.words import one_line, price
from bzredis.commands.react.reaction import Happening
from bzredis.settings.names import meant
from bzredis.streams import installed

Mood = Literal["good", "bad", "plain"]

MOST_LINES: Final = 20  # of what is summed up; a phone shows some ten
NOBODY: Final = "no symbol"  # where it is not certain whose it is
VERBS: Final = {
    "up": "upgrades to",
    "down": "downgrades to",
    "new": "starts at",
    "same": "keeps",
}
TITLES: Final = {
    "up": "upgraded",
    "down": "downgraded",
    "new": "new rating",
    "end": "coverage ended",
}
MOODS: Final[dict[str, Mood]] = {
    "up": "good",
    "down": "bad",
    "raised": "good",
    "lowered": "bad",
}
# What a template may name besides the fields: these two texts, and what it is about.
OURS: Final = ("title", "text", "kind", "stream", "symbol", "event")


@attrs.frozen
class Said:
    """A message: a title of a few words, a sentence, and whether that is good."""

    title: str
    body: str
    mood: Mood = "plain"


Say = Callable[[Happening], Said]


def sentence(happened: Happening) -> Said:
    """Say what happened."""
    fields, stream = happened.fields, happened.stream
    match happened.kind:
        case "gap":
            return Said(f"{stream}: a gap", f"{stream}: {_gap(fields)}", "bad")
        case "stale":
            why = f" ({_text(fields, 'reason')})" if fields.get("reason") else ""
            words = f"{stream}: what stands in Redis is not kept current{why}"
            return Said(f"{stream} is stale", words, "bad")
        case "fresh":
            words = f"{stream}: what stands in Redis is current again"
            return Said(f"{stream} is fresh", words, "good")
        case _:
            say = SENTENCES.get(stream, _any)
            title, body = say(fields, stream)
            whose = one_line(happened.symbol) or NOBODY
            return Said(f"{whose}: {title}", f"{whose}: {body}", _mood(fields))


def summed_up(said: Sequence[Said]) -> Said:
    """Say several things at once."""
    if len(said) == 1:
        return said[0]
    lines = [one_line(each.body) for each in said[:MOST_LINES]]
    more = len(said) - len(lines)
    rest = [f"and {more:,} more"] if more else []
    moods = {each.mood for each in said}
    mood: Mood = moods.pop() if len(moods) == 1 else "plain"
    return Said(f"{len(said):,} at once", "\n".join([*lines, *rest]), mood)


# ---- in their own words


def template(text: str, known: Collection[str]) -> Say:
    """Return what fills in a template; raises ValueError where it cannot be."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{error}; a brace itself is written twice, as {{{{") from None
    for _, name, form, conversion in parts:
        if name is None:
            continue
        if form or conversion:
            raise ValueError(f"{{{name}}} has to stand alone, with no : or ! in it")
        if name not in (*known, *OURS):
            hint = meant(name, (*known, *OURS)) or "; `bzredis keys` names all"
            raise ValueError(f"there is no field {{{name}}}{hint}")

    def say(happened: Happening) -> Said:
        usual = sentence(happened)
        own = {"title": usual.title, "text": usual.body, "kind": happened.kind}
        own |= {"stream": happened.stream, "symbol": happened.symbol}
        own["event"] = happened.event
        found = [
            literal + (own.get(name) or _text(happened.fields, name) if name else "")
            for literal, name, _, _ in parts
        ]
        return attrs.evolve(usual, body="".join(found).strip() or usual.body)

    return say


# ---- of each stream: a title, and what it is about


def _rating(fields: Mapping[str, Any], _: str) -> tuple[str, str]:
    firm, rating = _text(fields, "firm") or "a firm", _text(fields, "rating")
    direction = fields.get("direction")
    if fields.get("action") == "deleted":
        of = f" ({rating})" if rating else ""
        return "rating withdrawn", f"{firm}'s rating{of} was withdrawn"
    if direction == "end":
        before = _text(fields, "rating_prior") or rating
        return TITLES["end"], f"{firm} ends its coverage{_was(before)}"
    now, prior = fields.get("pt"), fields.get("pt_prior")
    moved = _moved(prior, now)
    title = TITLES.get(str(direction)) or (f"target {moved}" if moved else "rating")
    parts = [_verdict(direction, rating, _text(fields, "rating_prior"))]
    if target := _change(prior, now):
        parts.append(f"target {target}")
    said = ", ".join(filter(None, parts)) or "has something to say"
    return title, f"{firm} {said}"


def _verdict(direction: object, rating: str, prior: str) -> str:
    if not rating:
        return ""
    before = f" from {prior}" if prior and prior != rating else ""
    return f"{VERBS.get(str(direction), 'says')} {rating}{before}"


def _insight(fields: Mapping[str, Any], _: str) -> tuple[str, str]:
    firm, rating = _text(fields, "firm") or "a firm", _text(fields, "rating")
    if fields.get("action") == "deleted":
        return "insight withdrawn", f"{firm}'s insight was withdrawn"
    target = f"target {_number(fields['pt'])}" if fields.get("pt") else ""
    about = ", ".join(filter(None, (rating, target)))
    return "insight", f"{firm} tells why" + (f": {about}" if about else "")


def _consensus(fields: Mapping[str, Any], _: str) -> tuple[str, str]:
    if fields.get("action") == "deleted":
        return "no consensus", "there is no consensus any more"
    shift = {"up": "consensus up", "down": "consensus down"}.get(
        str(fields.get("shift")), "consensus"
    )
    rating, value = _text(fields, "rating"), fields.get("value")
    was = _text(fields, "_previous_consensus_rating")
    figure = f"({_number(value)} of 5)" if value is not None else ""
    before = f"from {was}" if was and was != rating else ""
    parts = [" ".join(filter(None, ("consensus", rating, figure, before)))]
    prior = fields.get("_previous_consensus_price_target")
    if target := _change(prior, fields.get("target")):
        parts.append(f"target {target}")
    return shift, ", ".join(parts)


def _any(fields: Mapping[str, Any], stream: str) -> tuple[str, str]:
    """Say what the headline has, of a stream that has no sentence of its own."""
    known = installed.is_known(stream)
    heads = installed.stream(stream).headline if known else ()
    names = [head.name for head in heads]
    told = [f"{name} {_text(fields, name)}" for name in names if fields.get(name)]
    if fields.get("action") == "deleted":
        told.insert(0, "withdrawn")
    return stream, f"{stream}: {', '.join(told) or 'something new'}"


SENTENCES: Final = {"ratings": _rating, "insights": _insight, "consensus": _consensus}


def _gap(fields: Mapping[str, Any]) -> str:
    begin, end = _text(fields, "from"), _text(fields, "to")
    between = f" between {begin} and {end}" if begin and end else ""
    cause = f" ({_text(fields, 'cause')})" if fields.get("cause") else ""
    return f"messages may be missing{between}{cause}"


# ---- pieces


def _mood(fields: Mapping[str, Any]) -> Mood:
    where = str(fields.get("direction") or fields.get("shift"))
    moved = _moved(fields.get("pt_prior"), fields.get("pt"))
    return MOODS.get(where) or MOODS.get(moved, "plain")


def _was(text: str) -> str:
    return f" (it said {text})" if text else ""


def _moved(prior: object, now: object) -> str:
    if not (isinstance(prior, Decimal) and isinstance(now, Decimal)) or prior == now:
        return ""
    return "raised" if now > prior else "lowered"


def _change(prior: object, now: object) -> str:
    if now is None:
        return ""
    if prior is None or prior == now:
        return _number(now)
    return f"{_number(prior)} → {_number(now)}"


def _number(value: object) -> str:
    return price(value) if isinstance(value, Decimal) else one_line(str(value))


def _text(fields: Mapping[str, Any], name: str) -> str:
    """Return a field as text; "" where it is absent."""
    value = fields.get(name)
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else ""
        case Decimal():
            return f"{value:f}"
        case _:
            return one_line(str(value))
