"""How much memory Redis may come to need: README's table, and the limits set. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from bzredis.settings.config import Config
from bzredis.streams import STREAMS
from bzredis.streams.stream import Stream, Weight

# Bytes, at the limits that are the defaults (scripts/memory measures them).
REMEMBERED: Final = 280  # of an entry, for a week
RECORDS, ENTRIES = 50, 200  # of a symbol, of which all is kept that may be
SECURITIES: Final = 6_000  # that upstream follows, some
DECIMAL: Final = {"GB": 10**9, "MB": 10**6, "KB": 10**3}
BINARY: Final = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10}

HEAVIEST: Final = max(filter(None, (s.weight for s in STREAMS)), key=attrs.astuple)


@attrs.frozen
class Need:
    """How many bytes it may come to, for how many symbols."""

    symbols: int
    is_known: bool  # that many, and no more than a guess
    logs: float  # at their full length
    least: float  # the logs, and one record of each symbol
    most: float  # the logs, and of each symbol all that may be kept
    guessed: tuple[str, ...] = ()  # streams that nobody weighed


def need(config: Config, streams: Sequence[Stream], known: int) -> Need:
    """Return what the limits that are set allow; `known`: symbols that Redis has.

    One that nobody weighed is taken for as heavy as the heaviest.
    """
    listed = len(config.tickers) + len(config.isins)
    symbols = listed or known or SECURITIES
    weights = [stream.weight or HEAVIEST for stream in streams]
    logs = float(sum(config.events_maxlen * (w.entry + REMEMBERED) for w in weights))
    kept = config.timeline_length, config.history_length
    return Need(
        symbols,
        bool(listed or known),
        logs,
        logs + symbols * _each(weights, 1, 1),
        logs + symbols * _each(weights, *kept),
        tuple(stream.name for stream in streams if stream.weight is None),
    )


def _each(weights: Sequence[Weight], records: int, entries: int) -> float:
    return sum(of_symbol(weight, records, entries) for weight in weights)


def of_symbol(weight: Weight, records: int, entries: int) -> float:
    """Return what a symbol takes with so many records, and entries in `history`."""
    rest = weight.whole - weight.latest - RECORDS * weight.record
    return weight.latest + records * weight.record + entries * rest / ENTRIES


def in_units(count: float, units: Mapping[str, int] = DECIMAL) -> str:
    """Write a number of bytes as people do."""
    for unit, worth in units.items():
        if count >= worth:
            number = f"{count / worth:,.{1 if count < 10 * worth else 0}f}"
            return f"{number.removesuffix('.0')} {unit}"
    return f"{count:.0f} bytes"
