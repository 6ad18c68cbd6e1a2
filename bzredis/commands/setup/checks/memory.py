"""How much memory Redis may come to need: README's table, and the limits set. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from bzredis.settings.config import Config

# Bytes, at the limits that are the defaults (scripts/memory measures them).
REMEMBERED: Final = 280  # of an entry, for a week
RECORDS, ENTRIES = 50, 200  # of a symbol, of which all is kept that may be
SECURITIES: Final = 6_000  # that upstream follows, some
DECIMAL: Final = {"GB": 10**9, "MB": 10**6, "KB": 10**3}
BINARY: Final = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10}


@attrs.frozen
class Weight:
    """What is kept of one stream, in bytes."""

    entry: int  # of the log
    latest: int
    record: int  # 0: it keeps none
    whole: int  # a symbol of which all is kept that may be

    def symbol(self, records: int, entries: int) -> float:
        """Return what a symbol takes with so many records, and entries in `history`."""
        rest = self.whole - self.latest - RECORDS * self.record
        return self.latest + records * self.record + entries * rest / ENTRIES


WEIGHTS: Final = {
    "ratings": Weight(1_400, 2_080, 1_890, 159_000),
    "insights": Weight(2_870, 3_300, 2_920, 211_000),
    "consensus": Weight(690, 790, 0, 38_000),
}


@attrs.frozen
class Need:
    """How many bytes it may come to, for how many symbols."""

    symbols: int
    is_known: bool  # that many, and no more than a guess
    logs: float  # at their full length
    least: float  # the logs, and one record of each symbol
    most: float  # the logs, and of each symbol all that may be kept


def need(config: Config, known: int) -> Need:
    """Return what the limits that are set allow; `known`: symbols that Redis has."""
    listed = len(config.tickers) + len(config.isins)
    symbols = listed or known or SECURITIES
    weights = [WEIGHTS[name] for name in config.streams if name in WEIGHTS]
    logs = float(sum(config.events_maxlen * (w.entry + REMEMBERED) for w in weights))
    kept = config.timeline_length, config.history_length
    return Need(
        symbols,
        bool(listed or known),
        logs,
        logs + symbols * _each(weights, 1, 1),
        logs + symbols * _each(weights, *kept),
    )


def _each(weights: Sequence[Weight], records: int, entries: int) -> float:
    return sum(weight.symbol(records, entries) for weight in weights)


def in_units(count: float, units: Mapping[str, int] = DECIMAL) -> str:
    """Write a number of bytes as people do."""
    for unit, worth in units.items():
        if count >= worth:
            number = f"{count / worth:,.{1 if count < 10 * worth else 0}f}"
            return f"{number.removesuffix('.0')} {unit}"
    return f"{count:.0f} bytes"
