"""The dashboard asks for what there is, and gets it.

Redis is asked as Grafana's Redis data source (2.2) does: a command by its key, fields
and span, or one as it is written.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
from consumers.week import DAY, Bridge
from redis import Redis

from bzredis.bridge.bridge import Bridge as RealBridge
from bzredis.commands.health.metrics import OfBridge
from bzredis.store.acl import reader

FILE: Final = Path(__file__).parents[2] / "scripts" / "examples" / "grafana.json"
BOARD: Final[dict[str, Any]] = json.loads(FILE.read_text())
VARIABLES: Final = {"${prefix}": "bz", "${symbol}": "AAPL"}
PANELS: Final = [each for each in BOARD["panels"] if each["type"] != "row"]
TARGETS: Final = [
    (panel, target)
    for panel in PANELS
    for target in panel["targets"]
    if target["datasource"]["type"] == "redis-datasource"
]
EXPRESSIONS: Final = [
    target["expr"]
    for panel in PANELS
    for target in panel["targets"]
    if target["datasource"]["type"] == "prometheus"
]


def put(text: str) -> str:
    for name, value in VARIABLES.items():
        text = text.replace(name, value)
    assert "$" not in text
    return text


def asked(target: dict[str, Any], start: int, end: int) -> list[str]:
    """Return the command that a target becomes."""
    if target["type"] == "cli":
        return shlex.split(put(target["query"]))
    command, key = target["command"], put(target["keyName"])
    if command == "hmget":
        return ["HMGET", key, *shlex.split(target["field"])]
    span = [target["start"] or f"{start}-0", target["end"] or f"{end}-0"]
    if command == "xrevrange":
        span.reverse()
    return [command.upper(), key, *span, "COUNT", str(target["count"])]


def rows(target: dict[str, Any], answer: Any) -> list[dict[str, str]]:
    """Return the table that the data source makes of an answer."""
    if target["type"] == "cli":
        return [{"Value": str(answer)}]
    if target["command"] == "hmget":
        names = shlex.split(target["field"])
        found = dict(zip(names, answer, strict=True))
        return [{name: value or "" for name, value in found.items()}]
    found_all = [{"$time": entry, **fields} for entry, fields in answer]
    names = [*dict.fromkeys(name for each in found_all for name in each)]
    return [{name: each.get(name, "") for name in names} for each in found_all]


def changed(panel: dict[str, Any], found: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return what is left of a table after a panel's transformations."""
    for each in panel["transformations"]:
        match each["id"], each["options"]:
            case "filterByValue", options:
                [one] = options["filters"]
                assert one["config"]["id"] == "greater"
                least, name = one["config"]["options"]["value"], one["fieldName"]
                found = [row for row in found if float(row[name] or 0) > least]
            case "filterFieldsByName", options:
                names = options["include"]["names"]
                found = [{name: row[name] for name in names} for row in found]
            case "organize", options:
                names = options["renameByName"]
                assert not found or {*names} <= {*found[0]}
                found = [{names.get(n, n): v for n, v in row.items()} for row in found]
            case _:
                raise AssertionError(each)
    return found


def shown(bridge: Bridge, panel: dict[str, Any], target: dict[str, Any]) -> Any:
    start, end = ((bridge.week.start + day * DAY) * 1_000 for day in (-7, 1))
    # The user who only reads may ask all of it.
    bridge.peer.redis.execute_command(*reader("bz", "%R~").split(" "))
    user = {"username": "bzreader", "password": "PASSWORD"}
    with Redis(
        port=bridge.peer.server.port, decode_responses=True, **cast("Any", user)
    ) as redis:
        answer = redis.execute_command(*asked(target, start, end))
    return changed(panel, rows(target, answer))


@pytest.mark.parametrize(
    ("panel", "target"), TARGETS, ids=[panel["title"] for panel, _ in TARGETS]
)
def test_what_is_asked_of_redis_is_there(
    bridge: Bridge, panel: dict[str, Any], target: dict[str, Any]
) -> None:
    found = shown(bridge, panel, target)
    assert found
    for row in found:
        assert any(value not in {"", "0"} for value in row.values())


def table(bridge: Bridge, title: str) -> list[dict[str, str]]:
    [(panel, target)] = [each for each in TARGETS if each[0]["title"] == title]
    found: list[dict[str, str]] = shown(bridge, panel, target)
    return found


def test_it_shows_what_happened(bridge: Bridge) -> None:
    assert table(bridge, "Ratings") == [{"Value": "1"}]
    assert table(bridge, "Status of ratings")[0]["state"] == "live"
    newest = table(bridge, "Newest ratings that are news")
    assert len(newest) > 5
    assert newest[0]["action"] == "deleted"
    downgrade = next(row for row in newest if row["direction"] == "down")
    assert [*downgrade.values()][1:] == [
        *("AAPL", "created", "down", "Jefferies", "Hold", "Underperform"),
        *("222.80", "205.16"),
    ]
    targets = table(bridge, "Targets of $symbol, of all firms")
    assert [row["target"] for row in targets] == [
        *("198.00", "217.00", "205.16", "267.00")
    ]
    average = table(bridge, "Average target of $symbol")
    assert [row["average target"] for row in average] == ["281.5", "274.25", "278.4"]
    bridge.say("connected", "disconnected")
    assert table(bridge, "Ratings") == [{"Value": "0"}]


def test_symbols_to_choose_from_are_there(bridge: Bridge) -> None:
    variables = {each["name"]: each for each in BOARD["templating"]["list"]}
    assert {f"${{{name}}}" for name in variables} > {*VARIABLES}
    found = bridge.peer.redis.execute_command(
        *put(variables["symbol"]["query"]).split()
    )
    assert VARIABLES["${symbol}"] in found


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_is_asked_of_prometheus_is_told(expression: str) -> None:
    bridge = cast("RealBridge", SimpleNamespace(lines=()))
    told = {
        metric.name + ("_total" if metric.type == "counter" else "")
        for metric in OfBridge(bridge).collect()
    }
    names = re.findall(r"bzredis_\w+", expression)
    assert names
    assert {*names} <= told


def test_panels_lie_side_by_side() -> None:
    taken = set[tuple[int, int]]()
    for panel in BOARD["panels"]:
        x, y, w, h = (panel["gridPos"][name] for name in "xywh")
        cells = {(x + i, y + j) for i in range(w) for j in range(h)}
        assert not cells & taken
        assert max(column for column, _ in cells) < 24
        taken |= cells
    numbers = [panel["id"] for panel in BOARD["panels"]]
    assert len({*numbers}) == len(numbers)
