"""The flow's commands do what it needs, and its function reads their answers.

Node-RED itself is not run here: what passes between its nodes is told as
node-red-contrib-redis (1.3) does it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from commands.looks.conftest import LIMIT
from consumers.week import LAST, Bridge
from redis import Redis
from redis.exceptions import NoPermissionError, ResponseError

from bzredis.store.acl import reactor
from bzredis.streams import RATINGS

FILE: Final = Path(__file__).parents[2] / "scripts" / "examples" / "node-red.json"
NODES: Final[dict[str, dict[str, Any]]] = {
    node["id"].removeprefix("bzredis-"): node for node in json.loads(FILE.read_text())
}
LOG: Final = "bz:ratings:events"


def ask(
    redis: Any, name: str, payload: list[str] | None = None, topic: str = ""
) -> Any:
    """Run a node's command, with what a message brings or its own parameters."""
    node = NODES[name]
    assert node["type"] == "redis-command"
    words = payload or json.loads(node["params"])
    words = ["1" if words[i - 1] == "BLOCK" else word for i, word in enumerate(words)]
    return redis.execute_command(node["command"], topic or node["topic"], *words)


def sent(answer: Any) -> list[Any]:
    """Run the function on an answer; return what it sends to each of its outputs."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here")
    body = f"const msg = {json.dumps({'payload': answer, 'left': True})};"
    program = f"{body}\nconst f = () => {{ {NODES['entries']['func']} }};"
    done = subprocess.run(
        [node, "-e", f"{program}\nconsole.log(JSON.stringify(f()))"],
        capture_output=True,
        timeout=LIMIT,
        check=True,
    )
    found: list[Any] = json.loads(done.stdout)
    assert len(found) == NODES["entries"]["outputs"] == len(NODES["entries"]["wires"])
    return found


@pytest.fixture
def redis(bridge: Bridge) -> Any:
    """Return what asks as Node-RED's client does, as the user of `react`."""
    bridge.peer.redis.execute_command(*reactor("bz").split(" "))
    user: Any = {"username": "bzreactor", "password": "PASSWORD", "protocol": 2}
    port = bridge.peer.server.port
    with Redis(port=port, decode_responses=True, **user) as one:
        one.response_callbacks.clear()  # answers come as they are
        yield one


def test_news_is_shown_once_and_what_was_left_comes_first(
    bridge: Bridge, redis: Any
) -> None:
    assert ask(redis, "group") == "OK"
    with pytest.raises(ResponseError, match="BUSYGROUP"):  # goes on all the same
        ask(redis, "group")
    assert NODES["is-there"]["scope"] == ["bzredis-group"]
    assert ask(redis, "left") == [[LOG, []]]
    assert ask(redis, "new") is None  # only what comes from now on
    bridge.apply(RATINGS, bridge.week.rating(LAST))
    bridge.apply(RATINGS, bridge.week.rating(LAST, "updated", 60))
    ask(redis, "new")  # Node-RED ends here
    shown, done, nothing = sent(ask(redis, "left"))
    assert nothing is None
    (rule,) = NODES["news"]["rules"]
    path = NODES["news"]["property"].removeprefix("payload.")
    news = [each["payload"].get(path) == rule["v"] for each in shown]
    assert (news, rule["t"]) == ([True, False], "eq")
    assert ask(redis, "done", done["payload"], done["topic"]) == 2
    assert ask(redis, "left") == [[LOG, []]]


def test_what_it_says_of_an_entry_is_there(bridge: Bridge, redis: Any) -> None:
    ask(redis, "group")
    bridge.apply(RATINGS, bridge.week.rating(LAST))
    [one], _, _ = sent(ask(redis, "new"))
    words = NODES["words"]["template"]
    for name, value in {**one["payload"]}.items():
        words = words.replace(f"{{{{{{payload.{name}}}}}}}", value)
    assert words == "XOM: Barclays says Overweight, target 130.00 (created)"


@pytest.mark.parametrize("answer", [None, [[LOG, []]]])
def test_where_nothing_came_it_reads_on(answer: Any) -> None:
    assert sent(answer) == [None, None, {"left": True}]
    assert NODES["on"]["id"] in NODES["entries"]["wires"][2]


def test_of_an_entry_that_is_gone_nothing_is_shown_and_it_is_done() -> None:
    shown, done, _ = sent([[LOG, [["1-0", None]]]])
    assert shown == []
    assert done["payload"] == ["node-red", "1-0"]


def test_its_client_asks_nothing_that_the_user_may_not(redis: Any) -> None:
    with pytest.raises(NoPermissionError):
        redis.info()
    assert json.loads(NODES["server"]["options"])["enableReadyCheck"] is False


def test_wires_lead_somewhere() -> None:
    known = {node["id"] for node in NODES.values()}
    for node in NODES.values():
        for wires in node.get("wires", ()):
            assert {*wires} <= known
        assert {*node.get("scope", ())} <= known
        assert node.get("server", "bzredis-server") in known
    waits = {name for name, node in NODES.items() if node.get("block")}
    assert waits == {"left", "new"}  # on connections of their own
