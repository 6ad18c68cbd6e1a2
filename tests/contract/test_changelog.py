"""No change of the contract without a line in CHANGELOG.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from bzredis.bridge.status import CONTRACT
from bzredis.contract import fields, keys
from bzredis.contract.schemas import schemas
from bzredis.streams import STREAMS
from bzredis.streams.field import Field

CHANGELOG: Final = Path(__file__).parents[2] / "CHANGELOG.md"
LINE: Final = re.compile(r"^Contract (\d+), digest `(\w+)`\.$", re.MULTILINE)
TOLD: Final = (
    "the contract changed: say in the newest section of CHANGELOG.md what is different"
    " for programs that read Redis, and write there the line\n\n"
    "    Contract {}, digest `{}`.\n"
)


def facts() -> Iterator[object]:
    """Yield all that a program may rely on.

    Words for people are not among it: better ones change nothing for a program, and a
    digest that has to be set anew for each of them would soon be set unread.
    """
    yield CONTRACT
    yield [[one.name, one.type, one.state] for one in keys.KEYS]
    yield unworded(schemas())
    for stream in STREAMS:
        for table in (
            fields.entry(stream),
            fields.history(stream),
            fields.ours(stream),
        ):
            yield types(table)
    yield from map(types, (fields.GAP, fields.GONE, fields.REJECTED, fields.STATUS))


def types(table: tuple[Field, ...]) -> list[tuple[str, str]]:
    """Return what the schemas do not tell: a `number` is any text to them."""
    return [(each.name, each.type) for each in table]


def unworded(schema: Any) -> Any:
    """Return a schema without its descriptions; a field may have that name."""
    if isinstance(schema, list):
        return [unworded(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: unworded(value)
        for name, value in schema.items()
        if not (name in {"description", "title"} and isinstance(value, str))
    }


def digest() -> str:
    text = json.dumps([*facts()], sort_keys=True)
    return sha256(text.encode()).hexdigest()[:16]


def test_a_change_of_the_contract_is_in_the_changelog() -> None:
    newest = LINE.search(CHANGELOG.read_text())
    told = TOLD.format(CONTRACT, digest())
    assert newest, told
    assert newest.groups() == (CONTRACT, digest()), told


def test_the_line_stands_once_in_a_section() -> None:
    sections = CHANGELOG.read_text().split("\n## ")[1:]
    assert all(len(LINE.findall(section)) <= 1 for section in sections)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "cause_of_it"},
        {"type": "number", "words": ()},
        {"absent": "nobody knows"},
        {"words": (*fields.CAUSES, "weather")},
    ],
    ids=" ".join,
)
def test_what_a_program_would_notice_counts(
    change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digest()
    monkeypatch.setattr(fields, "GAP", changed(**change))
    assert digest() != before


def test_a_key_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest()
    monkeypatch.setattr(keys, "KEYS", keys.KEYS[:-1])
    assert digest() != before


def test_words_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest()
    monkeypatch.setattr(fields, "GAP", changed(meaning="why it is one"))
    assert digest() == before


def changed(**change: Any) -> tuple[Field, ...]:
    """Return the table of a gap with another `cause`."""
    return tuple(
        attrs.evolve(each, **change) if each.name == "cause" else each
        for each in fields.GAP
    )
