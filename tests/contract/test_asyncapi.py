"""What AsyncAPI's own parser sees in the document is what the tables say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from consumers.languages import FOLDER

from bzredis.contract import fields
from bzredis.contract.asyncapi import document
from bzredis.contract.pages import keys_of
from bzredis.contract.schemas import TEXT, of
from bzredis.streams import STREAMS, Stream
from bzredis.streams.field import Field

PARSE: Final = Path(__file__).with_name("parse.js")
PATIENCE: Final = 120  # s; two took here
HASH_TAG: Final = "{b.z}"
PREFIXES: Final = ("IDX", HASH_TAG)

Seen = dict[str, Any]


@pytest.fixture(scope="module")
def parsed() -> dict[str, Seen]:
    """Return what the parser sees under each prefix."""
    node, packages = shutil.which("node"), FOLDER / "node_modules"
    if not node or not (packages / "@asyncapi" / "parser").is_dir():
        pytest.skip("node or npm's @asyncapi/parser is not installed")
    texts = [json.dumps(document(prefix, "7")) for prefix in PREFIXES]
    done = subprocess.run(
        [node, str(PARSE)],
        input=json.dumps(texts),
        env={**os.environ, "NODE_PATH": str(packages)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert not done.returncode, done.stderr
    return dict(zip(PREFIXES, json.loads(done.stdout), strict=True))


@pytest.fixture(params=PREFIXES)
def seen(request: pytest.FixtureRequest, parsed: dict[str, Seen]) -> Seen:
    return parsed[request.param]


def channel(seen: Seen, stream: Stream, kind: str) -> Seen:
    stem = f":{stream.name}:{kind}"
    [found] = [each for each in seen["channels"] if each["address"].partition(stem)[1]]
    return dict(found)


def payload(seen: Seen, stream: Stream, kind: str, name: str) -> Seen:
    return dict(channel(seen, stream, kind)["messages"][f"{stream.name}{name}"])


def bare(schema: Any) -> Any:
    """Return a schema without what the parser and our document add to it."""
    if isinstance(schema, list):
        return [bare(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: bare(value) for name, value in schema.items() if not name.startswith("x-")
    }


def test_it_has_nothing_to_say_against_it(seen: Seen) -> None:
    # 3.1.0 came; 3.0.0 is what most tools read.
    said = [each["code"] for each in seen["diagnostics"]]
    assert said == ["asyncapi-latest-version"], seen["diagnostics"]
    assert seen["version"] == "7"
    [server] = seen["servers"]
    assert (server["id"], server["protocol"]) == ("redis", "redis")


def test_each_stream_and_each_channel_of_the_table_is_one(seen: Seen) -> None:
    told = {
        f"{stream.name}:{one.name}".replace("SYM", "{symbol}"): one.type
        for stream in STREAMS
        for one in keys_of(stream)
        if one.type in {"stream", "pub/sub channel"}
    }
    channels = seen["channels"]
    assert {
        each["address"].partition(":")[2]: each["type"] for each in channels
    } == told
    assert len(channels) == len(told) == 5 * len(STREAMS)
    for each in channels:
        assert each["servers"] == each["bindings"] == ["redis"]


def test_the_bridge_sends_all_of_it(seen: Seen) -> None:
    assert {each["action"] for each in seen["operations"]} == {"send"}
    sent = {name: o["messages"] for o in seen["operations"] for name in o["channels"]}
    assert sent == {each["id"]: [*each["messages"]] for each in seen["channels"]}


def test_the_prefix_counts(parsed: dict[str, Seen]) -> None:
    for stream in STREAMS:
        stem = f"{stream.name}:history:{{symbol}}"
        history = channel(parsed["IDX"], stream, "history")
        assert history["address"] == f"IDX:{stem}"
        assert history["parameters"].keys() == {"symbol"}
        assert channel(parsed["IDX"], stream, "events")["parameters"] == {}
        # What stands between braces would be a parameter, and its braces would go.
        tagged = channel(parsed[HASH_TAG], stream, "history")
        assert tagged["address"] == f"{{prefix}}:{stem}"
        assert tagged["parameters"].keys() == {"prefix", "symbol"}
        assert tagged["parameters"]["prefix"]["enum"] == [HASH_TAG]


def of_schema(schema: Seen) -> dict[str, tuple[bool, tuple[str, ...]]]:
    return {
        name: (name in schema["required"], tuple(value.get("enum", ())))
        for name, value in schema["properties"].items()
    }


def of_table(table: tuple[Field, ...]) -> dict[str, tuple[bool, tuple[str, ...]]]:
    return {each.name: (not each.absent, each.words) for each in table}


def tables(stream: Stream) -> Iterator[tuple[str, str, tuple[Field, ...]]]:
    yield "events", "Entry", fields.entry(stream)
    yield "events", "Gap", fields.GAP
    yield "history", "History", fields.history(stream)
    yield "rejected", "Rejected", fields.REJECTED


def test_the_payloads_are_the_tables_of_fields(seen: Seen) -> None:
    for stream in STREAMS:
        for kind, name, table in tables(stream):
            found = payload(seen, stream, kind, name)
            assert of_schema(found) == of_table(table)
            assert bare(found["additionalProperties"]) == TEXT
        assert len(channel(seen, stream, "events")["messages"]) == 2
        fresh = payload(seen, stream, "fresh", "Fresh")
        assert fresh["enum"] == ["1", *(f"0 {reason}" for reason in fields.REASONS)]
        assert payload(seen, stream, "changed", "Changed")["pattern"]


def test_the_components_are_the_json_schemas(seen: Seen) -> None:
    schemas = {name: bare(each) for name, each in seen["schemas"].items()}
    told = {f"{s.name}-{kind}": each for s in STREAMS for kind, each in of(s).items()}
    assert schemas.keys() == told.keys()
    for name, schema in told.items():
        assert "bz:" not in schemas[name].pop("description")
        assert schemas[name] == schema
    for stream in STREAMS:
        latest = of_table((*fields.ours(stream), *stream.content))
        latest |= {"_symbol": (True, ())}
        assert of_schema(schemas[f"{stream.name}-latest"]) == latest
        status = of_schema(schemas[f"{stream.name}-status"])
        assert status == of_table(fields.STATUS)
