"""What Redis should say of a stream, reckoned from the messages alone.

Knows nothing of the bridge: it takes the messages that reached the log, in any order,
and says which of them should be the last word on each record and symbol.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import attrs

EASTERN: Final = ZoneInfo("America/New_York")
AMERICAN: Final = {"NASDAQ", "NYSE"}
DELETES: Final = {"deleted", "removed"}
MOMENT: Final = re.compile(r"(.{19})\.(\d{9})Z")

# Version (ms), timestamp (ns), updated_at (ns), whether it deletes: the higher wins.
Rank = tuple[int, int, int, bool]


@attrs.frozen
class Message:
    """One message, as far as the model cares."""

    number: int
    sent: float  # unix seconds
    record: str  # "" of consensus
    symbol: str  # "" of a delete without content
    rank: Rank
    published: int  # ms
    text: str

    @property
    def about(self) -> str:
        """The record, or the symbol of a consensus."""
        return self.record or self.symbol

    @property
    def deletes(self) -> bool:
        return self.rank[-1]


def message(text: str) -> Message:
    """Read a message of `press.Press`."""
    frame = json.loads(text)
    data = frame["data"]
    content = data.get("content") or (data if "ticker" in data else {})
    security = content.get("security", content)
    deletes = data.get("action", "updated").lower() in DELETES
    timestamp = nanoseconds(data.get("timestamp", ""))
    updated_at = nanoseconds(content.get("updated_at", ""))
    version = _version(content, timestamp)
    return Message(
        number=frame["number"],
        sent=frame["sent"],
        record=data.get("id", ""),
        symbol=_symbol(security.get("ticker") or security.get("symbol", ""), security),
        rank=(version, timestamp, 0 if deletes else updated_at, deletes),
        published=_published(content),
        text=text,
    )


def _version(content: dict[str, Any], timestamp: int) -> int:
    if "updated" in content:
        updated: int = content["updated"]
        return updated if updated > 10**11 else updated * 1000
    return (nanoseconds(content.get("updated_at", "")) or timestamp) // 1_000_000


def _symbol(ticker: str, security: dict[str, Any]) -> str:
    exchange = security.get("exchange", "")
    if not ticker or exchange in AMERICAN:
        return ticker
    return f"{'-'.join(exchange.upper().split())}:{ticker}"


def _published(content: dict[str, Any]) -> int:
    if "date" not in content:
        return 0
    wall = f"{content['date']}T{content.get('time', '00:00:00')}"
    moment = datetime.fromisoformat(wall).replace(tzinfo=EASTERN)
    return int(moment.timestamp()) * 1000


def nanoseconds(text: str) -> int:
    """Return ns since 1970, 0 where nothing stands."""
    found = MOMENT.fullmatch(text)
    if not found:
        return 0
    moment = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    return int(moment.timestamp()) * 10**9 + int(found[2])


def last_words(messages: Iterable[Message]) -> dict[str, Message]:
    """Return the message that counts of each record, or of each symbol's consensus."""
    found: dict[str, Message] = {}
    for each in messages:
        if each.about not in found or each.rank > found[each.about].rank:
            found[each.about] = each
    return found


def where(logged: Iterable[Message]) -> dict[str, str]:
    """Return the symbol of each record, in the log's order: where it was when it went.

    A deletion does not move it, whatever that names; it may tell what nobody knew.
    """
    found: dict[str, str] = {}
    ranks: dict[str, Rank] = {}
    for each in logged:
        if each.rank > ranks.get(each.record, (0, 0, 0, False)):
            ranks[each.record] = each.rank
            if not each.deletes or not found.get(each.record):
                found[each.record] = each.symbol or found.get(each.record, "")
    return found


def timelines(words: Iterable[Message]) -> dict[str, list[tuple[int, str, int]]]:
    """Return each symbol's live records, oldest first: published, record, number."""
    lines: dict[str, list[tuple[int, str, int]]] = {}
    for word in words:
        if word.symbol and not word.deletes:
            line = lines.setdefault(word.symbol, [])
            line.append((word.published, word.record, word.number))
    return {symbol: sorted(line) for symbol, line in lines.items()}


def history(logged: Iterable[Message]) -> dict[str, list[int]]:
    """Return the numbers that a consensus' history should hold, in the log's order."""
    newest: dict[str, Rank] = {}
    lines: dict[str, list[int]] = {}
    for each in logged:
        if each.rank > newest.get(each.symbol, (0, 0, 0, False)):
            newest[each.symbol] = each.rank
            if not each.deletes:
                lines.setdefault(each.symbol, []).append(each.number)
    return lines
