"""The table of README.md, from the figures that `scripts/bench --json` wrote.

`python -m benching.page` prints it; a test holds README.md to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

MEASURED: Final = Path(__file__).with_name("measured.json")
ROWS: Final = {
    "bridge": ("the bridge", "what stands above"),
    "equal": ("Node, a Lua script a message", "the same"),
    "plain": ("Node, XADD and HSET", "nothing"),
    "asyncio": ("Python's asyncio, XADD and HSET", "nothing"),
}
SHOWN: Final = (
    ("throughput", "events_per_s", "{:,.0f}"),
    ("latency", "1_per_s_p50_ms", "{:.2f} ms"),
)


def table(told: Mapping[str, Any]) -> list[str]:
    """Return the lines of a Markdown table: what others do, and the bridge by that."""
    names = ("", "promises", "ratings/s", "bridge by it", "one event", "bridge by it")
    lines = [_row(names), f"|{'---|' * len(names)}"]
    for side, words in ROWS.items():
        cells = [*words]
        for measure, name, form in SHOWN:
            median = told["measures"][measure][side][name]["median"]
            ratio = told["ratios"][measure].get(side, {}).get(name)  # none to itself
            by_it = f"{ratio['median']:.2f}" if ratio else ""
            cells += [form.format(median), by_it]
        lines.append(_row(cells))
    return lines


def measured() -> dict[str, Any]:
    """Return the figures that README.md shows."""
    found: dict[str, Any] = json.loads(MEASURED.read_text("utf-8"))
    return found


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(*table(measured()), sep="\n")
