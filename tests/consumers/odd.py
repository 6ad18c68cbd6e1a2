"""What upstream may say at its oddest: texts, symbols and targets hard on a reader."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import attrs
from faults.press import STREAMS, Json, Press, Record

Words = Mapping[str, str | None]

SYMBOLS: Final = (
    *(("AAPL", "NASDAQ"), ("BRK.B", "NYSE"), ("BF-B", "NYSE"), ("BIP-UN.A", "TSX")),
    *(("TSX:RY", "NASDAQ"), ("Q1", "London Stock Exchange"), ("", "")),
)
FIRMS: Final = (
    *("Example Securities", "Société Générale", "野村證券", "Zoë & 😀👩‍🚀 «Co»"),
    *("%s%n\\t$HOME", 'a "quoted" firm', " spaces  around ", "a\ttab\nand\r\nlines"),
    *("x=y", "Ĳ" * 1_500, "-n", "*", "0", None),
)
ACTIONS: Final = (
    *("Upgrades", "Downgrades", "Maintains", "Initiates Coverage On"),
    *("Firm Dissolved", None),
)
RATINGS: Final = (("Buy", "Hold"), ("Sell", None), (None, None), ("Überkaufen", "買い"))
# Targets now and before; exactly 10 % is not over 10 %, whatever binary fractions say.
TARGETS: Final = (
    *(("195.50", "180"), ("0.1000", "0.1000"), ("265", None), (None, "0.0001")),
    *(("110.11", "100.10"), ("110.12", "100.10"), ("90.09", "100.10")),
    *(("90.08", "100.10"), ("1000000.00", "1"), (None, None), ("n/a", "12")),
    *(("12", "n/a"), ("007.70", "7"), ("1.1", "1.0"), ("0.0011", "0.0010")),
    *(("0.0012", "0.0010"), ("12.1234", "11.0214")),
    ("12345678901234567890.1234567890", None),
)
LABELS: Final = ("BUY", "Overweight", "Überkaufen", None)
VALUES: Final = ("3.50", "4", "4.000000000000001", None, "2.10")
PRICES: Final = ("293.69192307692305", "300.00", None, "0.10", "1000000")
TEXT: Final = "“Margins” hold: 利益率 📈\n" * 100  # 3 KB and more
NOTHING: Final = ("", None, "left out")  # how upstream says that it has no value
# What JSON takes for a number; not so many digits that the simulator's REST loses some.
PLAIN: Final = re.compile(r"(0|[1-9]\d{0,6})(\.\d+)?")
MARKED: Final = re.compile(r'"digits:([^"]*)"')


@attrs.define
class OddPress(Press):
    """A press of odd words; lists of different lengths give every mixture of them."""

    _worded: dict[str, int] = attrs.field(factory=lambda: dict.fromkeys(STREAMS, 0))
    _heads: dict[str, int] = attrs.field(factory=dict)  # what was last said of a record

    def next(self, stream: str) -> str:
        """Return the next message, in one of the ways in which JSON can be written."""
        text = super().next(stream)
        if self._numbers[stream] % 3:
            comma = ",\n\t" if self._numbers[stream] % 3 == 1 else ","
            frame = json.loads(text)
            text = json.dumps(frame, ensure_ascii=False, separators=(comma, ":"))
        return MARKED.sub(r"\1", text)  # numbers with their own digits

    def _security(self) -> tuple[str, str]:
        return self.rng.choice(SYMBOLS[:-1])

    def _new(self, at: int) -> Record:
        """Publish some of nothing that has a symbol."""
        security = self.rng.choice(SYMBOLS)
        record = super()._new(at)
        return attrs.evolve(record, ticker=security[0], exchange=security[1])

    def _content(self, stream: str, record: Record, number: int, at: int) -> Json:
        content = super()._content(stream, record, number, at)
        if record.id not in self._heads or self.rng.random() < 0.5:
            self._heads[record.id] = self._worded[stream]
            self._worded[stream] += 1
        head = self._heads[record.id]  # else an update that only repeats it
        prose = f"#{number} {TEXT if head % 4 == 0 else ''}"
        rating, rating_prior = RATINGS[head // 3 % len(RATINGS)]
        pt, pt_prior = TARGETS[head % len(TARGETS)]
        firm, action = FIRMS[head % len(FIRMS)], ACTIONS[head // 2 % len(ACTIONS)]
        if stream == "insights":
            rating_id = f"{head:024x}" if head % 3 else None
            said = {"analyst_insights": prose, "action": action, "firm": firm}
            said |= {"rating": rating, "pt": pt, "rating_id": rating_id}
        else:
            said = {"notes": prose, "action_company": action, "analyst": firm}
            said |= {"rating_current": rating, "rating_prior": rating_prior}
            said |= {"pt_current": pt, "pt_prior": pt_prior}
            said["importance"] = str(head % 6) if head % 5 else None
        return without(content, said) | worded(said, head)

    def _consensus(self, number: int, at: int) -> Json:
        data: Any = super()._consensus(number, at)
        content = data.get("content", data)
        if "total_analyst_count" not in content:  # a deletion: all others stay
            return {**data, "ticker": SYMBOLS[0][0], "exchange": SYMBOLS[0][1]}
        figures = {
            "consensus_rating": LABELS[number % len(LABELS)],
            "consensus_rating_val": VALUES[number % len(VALUES)],
            "consensus_price_target": PRICES[number % len(PRICES)],
        }
        found = without(content, figures) | worded(figures, number)
        return {**data, "content": found} if "content" in data else found


def without(content: Json, said: Words) -> Json:
    return {name: value for name, value in content.items() if name not in said}


def worded(said: Words, number: int) -> Json:
    """Write what is absent, and numbers, in one of the ways in which upstream may."""
    nothing = NOTHING[number % len(NOTHING)]
    found: Json = {}
    for name, value in said.items():
        if value is not None:
            is_bare = number % 2 and PLAIN.fullmatch(str(value))
            found[name] = f"digits:{value}" if is_bare else value
        elif nothing != "left out":
            found[name] = nothing
    return found
