"""How each stream stands, drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from bzredis.commands.looks.drawn.pen import DOWN, FAINT, GAP, ODD, STRONG, Cell, Pen
from bzredis.commands.looks.words import (
    ago,
    counted,
    health,
    lasted,
    one_line,
    spans,
    when,
)
from bzredis.reader import Status

NAME: Final = 9  # cells: `consensus`
# What is counted, and in what words; what is zero is not told.
COUNTS: Final = (
    *(("events", "event"), ("fetched", "row fetched"), ("duplicates", "duplicate")),
    *(("unattributed", "without a symbol"), ("rejected", "rejected"), ("gaps", "gap")),
    ("reconnects", "reconnect"),
)
INVARIABLE: Final = {"unattributed", "rejected", "fetched"}
PLURAL: Final = {"row fetched": "rows fetched"}


def draw(pen: Pen, states: Mapping[str, Status]) -> Iterator[RenderableType]:
    """Draw all that the bridge says of itself."""
    bridge = next((each for each in states.values() if each.text), None)
    if bridge is not None:
        yield _bridge(pen, bridge)
    for name, status in states.items():
        if bridge is not None or name != next(iter(states)):
            yield ""
        head = Text(name.ljust(NAME), STRONG)
        state = pen.state(health(status, pen.now))
        yield pen.joined(Text.assemble(head, "  ", state), _connected(pen, status))
        yield Padding(Text("\n").join(_lines(pen, status)), (0, 0, 0, NAME + GAP))


def _bridge(pen: Pen, status: Status) -> Text:
    """Write which bridge it is."""
    listed = status.subscription
    what = "everything" if listed in {None, "*"} else one_line(listed or "")
    started = status.started_at
    return pen.joined(
        f"bridge {one_line(status.version or 'of an unknown version')}",
        one_line(status.upstream or ""),
        what,
        f"started {ago(started, pen.now)}" if started else "",
    )


def _connected(pen: Pen, status: Status) -> str:
    if not (status.fresh and status.since):
        return ""
    return f"connected for {lasted((pen.now - status.since).total_seconds())}"


def _lines(pen: Pen, status: Status) -> Iterator[Text]:
    """Say how a stream stands, in sentences."""
    found, now = health(status, pen.now), pen.now
    if found.why:
        yield Text(f"{found.why[0].upper()}{found.why[1:]}.", DOWN)
    if not status.text:
        return
    missing = spans(status.missing, now)
    if status.covered_until:
        until = when(status.covered_until, now)
        yield Text(f"All until {until}, is here{', but for' if missing else '.'}")
    if missing:
        yield Text(f"  {missing}.", ODD)
    last = status.last_event_at
    event = f"Last message {when(last, now)}" if last else "No message since its start"
    yield Text(f"{event}; {_waiting(status)}.")
    if told := _counts(status):
        yield Text(f"Since its start: {told}.", FAINT)
    if status.error and one_line(status.error) not in found.why:
        which = "Past" if status.fresh else "Last"  # it stands there however old it is
        yield Text(f"{which} error: {one_line(status.error)}", FAINT)


def _waiting(status: Status) -> str:
    if not status.backlog:
        return "nothing waits for Redis"
    words = f"{counted(status.backlog, 'message')} not in Redis yet"
    return f"{words}, {status.spooled:,} of them on disk" if status.spooled else words


def _counts(status: Status) -> str:
    told = []
    for name, words in COUNTS:
        number: int | None = getattr(status, name)
        if number:
            several = words if name in INVARIABLE else f"{words}s"
            told.append(
                f"{number:,} {words if number == 1 else PLURAL.get(words, several)}"
            )
    return ", ".join(told)


def row(pen: Pen, name: str, status: Status) -> list[Cell]:
    """Say in a line how a stream stands."""
    found = health(status, pen.now)
    last = status.last_event_at
    waits = f"{status.backlog:,} waiting" if status.backlog else ""
    return [
        Text(name, STRONG),
        pen.state(found),
        _connected(pen, status),
        f"last message {ago(last, pen.now)}" if last else "",
        waits,
    ]
