"""What REST gave, as changes: rows, removals, and the consensus that was asked for.

Pure: no trio, no socket, no clock. Receipt is in ms since 1970. What cannot be
used is set aside, as a frame is, and does no harm to the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import structs

from bzredis.changes.from_frame import change, rejected
from bzredis.changes.kinds import Change, Rejected
from bzredis.errors import Unusable
from bzredis.messages import envelope as message
from bzredis.messages.envelope import Envelope
from bzredis.streams.stream import Reading, Stream

_ISIN = "ISIN:"  # how a symbol begins that is no ticker


def row(stream: Stream, text: str, *, received: int) -> Change | Rejected:
    return _made(stream, text, received, lambda: (message.row(text), None))


def sifted(
    stream: Stream,
    rows: Sequence[Change | Rejected],
    tickers: frozenset[str],
    isins: frozenset[str],
) -> tuple[list[Change | Rejected], list[Change]]:
    """Return the rows on a watch-list that has ISINs, and those that may be on it.

    Upstream leaves ISINs out at times. Then other rows of the symbol may tell.
    """
    of: dict[str, set[str]] = {}  # the ISINs of each symbol
    for row in rows:
        if isinstance(row, Change) and row.symbol:
            of.setdefault(row.symbol, set()).update(_isin(stream, row))
    wanted: list[Change | Rejected] = []
    unknown: list[Change] = []
    for row in rows:
        if isinstance(row, Rejected) or _tickers(row) & tickers:
            wanted.append(row)
        elif told := _isin(stream, row) or of.get(row.symbol):
            wanted += [row] if told & isins else []
        else:
            unknown.append(row)
    return wanted, unknown


def _isin(stream: Stream, row: Change) -> set[str]:
    held = dict(zip(row.fields[::2], row.fields[1::2], strict=True))
    return {held.get(stream.isin, "").strip().upper()} - {""}


def _tickers(row: Change) -> set[str]:
    return {row.symbol, row.symbol.rpartition(":")[2]}


def removal(
    stream: Stream, record: str, updated: int | None, text: str, *, received: int
) -> Change | Rejected:
    """Make a row of removals into a change: a record, and when it went (unix s).

    Where nobody knows when, its version is 0: after all that is stored (record.lua).
    """
    gone = Envelope("", "deleted", record, "", None, {}, {})
    reading = Reading(
        updated=1_000 * (updated or 0), headline=("",) * len(stream.headline)
    )

    return _made(stream, text, received, lambda: (gone, reading))


def looked_up(
    stream: Stream, text: str, symbol: str, *, received: int
) -> Change | Rejected:
    """Make the object that REST gave for one symbol into a change of that symbol."""

    def found() -> tuple[Envelope, Reading]:
        one = structs.replace(message.row(text), record="")  # one per symbol
        return one, _attributed(stream.read(one, symbol), symbol)

    return _made(stream, text, received, found)


def _attributed(reading: Reading, symbol: str) -> Reading:
    """Put the symbol that was asked for in the place of none, or raise Unusable."""
    named = reading.symbol
    # An ISIN neither confirms nor contradicts a ticker.
    says_nothing = named.startswith(_ISIN) and not symbol.startswith(_ISIN)
    if named != symbol and not says_nothing:
        raise Unusable(f"{symbol} was asked for, and this names {named or 'others'}")
    if not any(reading.headline):  # an error under status 200, say
        raise Unusable("no consensus in it")
    return structs.replace(reading, symbol=symbol)


def _made(
    stream: Stream,
    text: str,
    received: int,
    found: Callable[[], tuple[Envelope, Reading | None]],
) -> Change | Rejected:
    try:
        one, reading = found()
        return change(
            stream, one, text, received=received, source="rest", reading=reading
        )
    except Unusable as error:
        return rejected(str(error), text, received=received)
    except RecursionError:
        return rejected("nested too deeply", text, received=received)
