"""What an entry of the log has to say, reckoned from what upstream sent alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import attrs
from faults import model
from faults.model import Message
from faults.represented import Sent

Fields = dict[str, str]

DIRECTIONS: Final = {
    "Upgrades": "up",
    "Downgrades": "down",
    "Maintains": "same",
    "Initiates Coverage On": "new",
    "Firm Dissolved": "end",
}
RATING: Final = {
    "firm": "analyst",
    "direction": "action_company",
    "rating": "rating_current",
    "rating_prior": "rating_prior",
    "pt": "pt_current",
    "pt_prior": "pt_prior",
    "importance": "importance",
}
INSIGHT: Final = {
    "firm": "firm",
    "direction": "action",
    "rating": "rating",
    "pt": "pt",
    "rating_id": "rating_id",
}
CONSENSUS: Final = {
    "rating": "consensus_rating",
    "value": "consensus_rating_val",
    "target": "consensus_price_target",
}
HEADLINES: Final = {"ratings": RATING, "insights": INSIGHT, "consensus": CONSENSUS}
NEWS: Final = ("firm", "direction", "rating", "pt")


@attrs.frozen
class Known:
    """What was last said of a record, or of a symbol's consensus."""

    message: Message
    symbol: str
    headline: Fields


def meant(stream: str, log: Iterable[Fields], sent: Iterable[str]) -> Iterator[Fields]:
    """Yield for each entry but gaps what it has to hold; `raw` is the message's.

    Not `effect`, but for `none`, nor what only the bridge knows.
    """
    said = Sent(stream, [model.message(text) for text in sent])
    standing: dict[str, Known] = {}
    for entry in log:
        if entry["action"] == "gap":
            continue
        message = said.meant_by(entry)
        known = standing.get(message.about)
        told = _told(stream, message, is_row=entry["source"] == "rest")
        symbol = message.symbol or (known.symbol if known else "")
        is_newer = known is None or message.rank > known.message.rank
        was = known if known and not known.message.deletes else None
        fields = {"symbol": symbol, "record": message.record}
        fields |= {"action": _action(message, entry), "version": str(message.rank[0])}
        if not is_newer:
            fields |= {"effect": "none"}
        elif message.deletes:
            fields |= {"news": "1"} if was else {}
        elif was is None or _differs(stream, told, was.headline):
            fields |= {"news": "1"}
        if is_newer:
            standing[message.about] = Known(message, symbol, told)
            if message.deletes and was:
                told = was.headline
            if stream == "consensus" and was and not message.deletes:
                fields |= {"shift": _shift(was.headline, told)}
        yield {name: value for name, value in (fields | told).items() if value}


def content(text: str, *, is_row: bool = False) -> dict[str, Any]:
    """Return a message's content, its numbers as the digits in which they were sent.

    The simulator's REST has parsed them, and writes its own.
    """

    def decimal(digits: str) -> str:
        return repr(float(digits)) if is_row else digits

    data = json.loads(text, parse_float=decimal, parse_int=str)["data"]
    found: dict[str, Any] = data.get("content", data if "ticker" in data else {})
    return found


def _told(stream: str, message: Message, *, is_row: bool) -> Fields:
    if is_row and message.deletes:  # a removal: the record's id alone
        return {}
    said = content(message.text, is_row=is_row)
    found = {name: said.get(field) or "" for name, field in HEADLINES[stream].items()}
    if stream == "consensus":
        found["rating"] = found["rating"].upper()
    else:
        found["direction"] = DIRECTIONS.get(found["direction"], "")
    return found


def _action(message: Message, entry: Fields) -> str:
    if message.deletes:
        return "deleted"
    if entry["source"] == "rest":
        return "updated"
    action: str = json.loads(message.text)["data"].get("action", "updated")
    return action.lower()


def _differs(stream: str, now: Fields, was: Mapping[str, str]) -> bool:
    if stream == "consensus":  # no two of the press have the same figures
        return True
    return any(_plain(now.get(name, "")) != _plain(was.get(name, "")) for name in NEWS)


def _plain(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _shift(was: Fields, now: Fields) -> str:
    a, b = was["value"], now["value"]
    if not a or not b:
        return ""
    return "up" if float(b) > float(a) else "down" if float(b) < float(a) else "same"
