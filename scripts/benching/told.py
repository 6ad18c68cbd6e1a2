"""What was found, for people: 80 columns, and the ratios first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benching.found import Spread
from benching.sides import SIDES

WIDTH: Final = 80
OTHERS: Final = {
    "writes": "what the contract demands, as plain commands in a pipeline",
    "floor": "an XADD without anybody between: what the measuring itself costs",
}


def put(told: dict[str, Any]) -> None:
    """Write all of it to the standard output."""
    out = Console(width=WIDTH, highlight=False, markup=False, soft_wrap=False)
    at, given = told["machine"], told["options"]
    rounds = given["rounds"]
    out.print(
        f"{at['cores']} cores, {at['system']}, Python {at['python']}, {at['server']},"
        f" Node {at['node'] or 'none'}; {rounds} round{'s' * (rounds > 1)}."
    )
    out.print("Median, and lowest to highest of the rounds in brackets.\n")
    for name, words in _who(told):
        out.print(f"{name:8} {words}")
    for name, why in told["left_out"].items():
        out.print(f"{name:8} is left out: {why}")
    for write in (_speed, _work, _streams, _latency, _idle, _refill, _flat):
        write(out, told)


def _who(told: dict[str, Any]) -> Iterable[tuple[str, str]]:
    there = {side for sides in told["measures"].values() for side in sides}
    about = {name: side.about for name, side in SIDES.items()} | OTHERS
    return ((name, words) for name, words in about.items() if name in there)


def _speed(out: Console, told: dict[str, Any]) -> None:
    if not (sides := told["measures"].get("throughput")):
        return
    table = _table("", "bridge / it", "events/s", "RSS MB")
    ratios = told["ratios"].get("throughput", {})
    for name, figures in sides.items():
        if name != "writes":
            ratio = ratios.get(name, {}).get("events_per_s")
            rate, rss = figures.get("events_per_s"), figures.get("rss_mb")
            table.add_row(name, _cell(ratio, 2), _cell(rate), _middle(rss))
    about = (
        f"{told['options']['events']:,} ratings of 1.1 KB at full speed."
        "\n1.2: the bridge takes 1.2 times as many a second as that side."
    )
    _section(out, "Throughput", about, table)


def _work(out: Console, told: dict[str, Any]) -> None:
    if not (sides := told["measures"].get("throughput")):
        return
    table = _table("", "Redis / writes", "Redis µs", "itself µs")
    for name, figures in sides.items():
        to_writes = told["redis_to_writes"].get(name)
        redis, side = figures.get("redis_us"), figures.get("side_us")
        table.add_row(name, _cell(to_writes, 2), _cell(redis), _cell(side))
    about = (
        "CPU for each of these events. 1.4: Redis works 1.4 times what it does for the"
        "\nwrites alone that the contract demands, as plain commands."
    )
    _section(out, "Work", about, table)


def _streams(out: Console, told: dict[str, Any]) -> None:
    table = _table("", "events/s", "itself µs", "Redis µs")
    for stream in ("insights", "consensus"):
        if figures := told["measures"].get(stream, {}).get("bridge"):
            cells = map(figures.get, ("events_per_s", "side_us", "redis_us"))
            table.add_row(stream, *map(_cell, cells))
    if table.row_count:
        about = "The bridge alone, with insights of 3 KB and with consensus."
        _section(out, "Other streams", about, table)


def _latency(out: Console, told: dict[str, Any]) -> None:
    if not (sides := told["measures"].get("latency")):
        return
    table = _table("a second", "", "bridge / it", "median ms", "99 % ms")
    rates = [rate for rate, count in told["options"]["loads"].items() if count]
    for rate in rates:
        for place, (name, figures) in enumerate(sides.items()):
            p50, p99 = (f"{rate}_per_s_{p}_ms" for p in ("p50", "p99"))
            ratio = told["ratios"].get("latency", {}).get(name, {}).get(p50)
            cells = (_cell(ratio, 2), _cell(figures.get(p50), 2))
            rate_once = f"{int(rate):,}" if not place else ""
            last = place == len(sides) - 1
            table.add_row(
                *(rate_once, name, *cells, _middle(figures.get(p99), 2)),
                end_section=last,
            )
    about = (
        "From just before the frame is written until a reader has the log's entry."
        "\n0.9: the bridge's median is 0.9 of that side's."
    )
    _section(out, "Latency", about, table)


def _idle(out: Console, told: dict[str, Any]) -> None:
    if not (sides := told["measures"].get("idle")):
        return
    table = _table("", "RSS MB", "PSS MB", "% of a core")
    for name, figures in sides.items():
        rss, pss = _middle(figures.get("rss_mb"), 1), _middle(figures.get("pss_mb"), 1)
        table.add_row(name, rss, pss, _middle(figures.get("cpu_percent"), 2))
    about = (
        f"{told['options']['idle']:.0f} s of PING alone:"
        " the bridge with three streams, the others with one."
    )
    _section(out, "Idle", about, table)


def _refill(out: Console, told: dict[str, Any]) -> None:
    measures = told["measures"]
    table = _table("", "a second")
    if figures := measures.get("backfill", {}).get("bridge"):
        table.add_row(
            "rows from REST, at the pace of asking", _cell(figures.get("rows_per_s"))
        )
        after = figures.get("rows_per_s_after_the_last_page")
        table.add_row("rows, once the last page is asked for", _cell(after))
    if figures := measures.get("rebuild", {}).get("bridge"):
        rate = figures.get("entries_per_s")
        table.add_row("entries that `rebuild` goes by", _cell(rate))
    if table.row_count:
        about = "What comes back, and how fast. The bridge asks for two pages a second."
        _section(out, "Fetched and mended", about, table)


def _flat(out: Console, told: dict[str, Any]) -> None:
    names = ("itself µs", "Redis µs", "both µs", "RSS MB", "used MB")
    table = _table("", "", *names)
    keys = ("side_us", "redis_us", "both_us", "rss_mb", "redis_mb")
    for measure, prefix, words in (
        ("60 symbols", "", "60 symbols"),
        ("6,000 symbols", "", "6,000 symbols"),
        ("many events", "early_", "around 10⁴ events"),
        ("many events", "late_", f"at {told['options']['many']:,} events"),
    ):
        for name, figures in told["measures"].get(measure, {}).items():
            cells = [_middle(figures.get(f"{prefix}{key}")) for key in keys]
            table.add_row(words, name, *cells)
    if table.row_count:
        about = "CPU for an event, which should not change, and what is held then."
        _section(out, "Flat", about, table)


def _section(out: Console, title: str, about: str, table: Table) -> None:
    out.print(f"\n{title.upper()}\n{about}")
    out.print(table)


def _table(*names: str) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for place, name in enumerate(names):
        table.add_column(
            name, justify="right" if name and place else "left", no_wrap=True
        )
    return table


def _cell(of: Spread | None, digits: int = 0) -> str:
    if of is None:
        return ""
    if len(of["values"]) == 1:
        return _middle(of, digits)
    low, high = of["min"], of["max"]
    return f"{_middle(of, digits)} ({low:,.{digits}f}-{high:,.{digits}f})"


def _middle(of: Spread | None, digits: int = 0) -> str:
    return "" if of is None else f"{of['median']:,.{digits}f}"
