"""By what a message is known when it comes again (contract.md, promise 1)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from changes.reading import CONTENTS, SCALARS, changed, message
from hypothesis import given
from hypothesis import strategies as st

from bzredis.changes.fingerprints import ROW, fingerprint
from bzredis.changes.from_frame import read
from bzredis.changes.kinds import Change
from bzredis.streams import CONSENSUS, INSIGHTS


def related(one: Change, other: Change) -> bool:
    """Tell whether Redis, which has seen one, knows the other."""
    return not set(one.remember).isdisjoint(other.known_by)


CONTENT = {"ticker": "A", "updated": 1728069666, "pt": 1.5, "n": {"b": 1, "a": "x"}}


def envelope(**changes: Any) -> dict[str, Any]:
    frame = message(CONTENT, timestamp="2024-10-04T19:21:06Z") | {"id": "e1"}
    frame["data"] |= changes
    return frame


@pytest.mark.parametrize(
    "copy",
    [
        envelope(),
        envelope() | {"id": "e2"},  # a new envelope
        envelope() | {"id": ""},
        envelope(timestamp="2024-10-04T20:00:00Z"),  # the content has `updated`
        envelope(action="Update"),
        envelope(content=CONTENT | {"pt": 2}),  # the same envelope and record
        envelope(action="deleted"),  # likewise
        envelope() | {"kind": "other", "api_version": "2"},
    ],
)
def test_copies_are_known(copy: dict[str, Any]) -> None:
    first, second = changed(envelope()), changed(copy)
    assert related(first, second)
    assert related(second, first)


@pytest.mark.parametrize(
    "other",
    [
        envelope(content=CONTENT | {"pt": 1.50001}) | {"id": "e2"},
        envelope(content=CONTENT | {"pt": "1.5"}) | {"id": "e2"},
        envelope(action="deleted") | {"id": "e2"},
        envelope(action="created") | {"id": "e2"},
        envelope(id="r2") | {"id": "e2"},
        envelope(id="r2"),  # one envelope id, but another record
        envelope(content=CONTENT | {"updated": 1728069667}) | {"id": "e2"},
    ],
)
def test_other_messages_are_not_known(other: dict[str, Any]) -> None:
    first, second = changed(envelope()), changed(other)
    assert not related(first, second)
    assert not related(second, first)


def test_without_updated_the_timestamp_tells() -> None:
    def at(timestamp: str, envelope: str) -> Change:
        return changed(message(timestamp=timestamp) | {"id": envelope})

    first = at("2024-10-04T19:21:06.1Z", "e1")
    assert related(first, at("2024-10-04T19:21:06.1Z", "e2"))
    assert not related(first, at("2024-10-04T19:21:06.2Z", "e2"))


def test_two_blank_envelope_ids_are_not_the_same() -> None:
    one, other = (changed(message({"a": n}) | {"id": " "}) for n in (1, 2))
    assert one.envelope == ""
    assert not related(one, other)


def rest(content: dict[str, Any], **data: Any) -> Change:
    return changed(message(content, **data), source="rest")


def test_over_rest_record_and_version_tell() -> None:
    live = changed(envelope())
    row = rest(CONTENT | {"another": "view"})
    assert related(live, row)
    assert related(row, live)
    assert related(row, rest(CONTENT | {"a third": "view"}))
    later = rest(CONTENT | {"updated": 1728069667})
    assert not related(live, later)
    assert not related(later, live)
    assert not related(live, rest(CONTENT | {"pt": 2}, id="r2"))


def test_a_row_of_rest_does_not_hide_a_delete() -> None:
    deleted = changed(envelope(action="deleted") | {"id": "e2"})
    assert not related(rest(CONTENT | {"a": 1}), deleted)
    assert not related(deleted, rest(CONTENT | {"a": 1}))


def test_two_messages_of_a_stream_may_share_a_version() -> None:
    one = changed(envelope())
    other = changed(envelope(content=CONTENT | {"pt": 2}) | {"id": "e2"})
    assert one.version == other.version
    assert not related(one, other)


def test_each_message_leaves_few_fingerprints() -> None:
    """As few as the store counts on for what it remembers."""
    assert len(changed(envelope()).remember) == 3
    assert len(rest(CONTENT).remember) == 1


@given(CONTENTS, st.integers(0, 3), st.randoms(use_true_random=False))
def test_form_does_not_change_the_fingerprint(
    content: dict[str, Any], indent: int, rng: Any
) -> None:
    def shuffled(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        items = list(value.items())
        rng.shuffle(items)
        return {name: shuffled(inner) for name, inner in items}

    frame = message(content, timestamp="2024-10-04T19:21:06Z")
    other = shuffled(frame | {"id": "another envelope"})
    one = changed(frame, INSIGHTS)
    assert related(one, changed(json.dumps(other, indent=indent), INSIGHTS))
    escaped = json.dumps(other, ensure_ascii=False)
    assert related(one, changed(escaped, INSIGHTS))


@given(CONTENTS, st.data())
def test_any_change_of_a_value_changes_the_fingerprint(
    content: dict[str, Any], data: st.DataObject
) -> None:
    holder = other = json.loads(json.dumps(content))
    name = data.draw(st.sampled_from(sorted(holder)))
    while isinstance(holder[name], dict) and holder[name]:
        holder = holder[name]
        name = data.draw(st.sampled_from(sorted(holder)))
    before = json.dumps(holder[name])
    holder[name] = data.draw(SCALARS.filter(lambda v: json.dumps(v) != before))
    one, two = (changed(message(c), INSIGHTS) for c in (content, other))
    assert not related(one, two)
    assert not related(two, one)


def test_whose_consensus_it_is_counts() -> None:
    one, other = (
        read(CONSENSUS, '{"data":{"buy":1}}', received=1, source="live", sole=sole)
        for sole in ("A", "B")
    )
    assert isinstance(one, Change)
    assert isinstance(other, Change)
    assert not related(one, other)


# ------------------------------------------------------------- what only a row left


def strong(prints: tuple[str, ...]) -> set[str]:
    """Return the prints that tell that the stream had brought a message."""
    return {each for each in prints if not each.startswith(ROW)}


@pytest.mark.parametrize("updated", [1728069666, ""], ids=["dated", "undated"])
def test_a_row_leaves_only_what_proves_nothing(updated: object) -> None:
    content = CONTENT | {"updated": updated}
    live, row = changed(envelope(content=content, timestamp="")), rest(content)
    assert row.remember
    assert not strong(row.remember)
    assert strong(live.remember) & {*row.known_by}, "the row knows the message"
    assert {*row.remember} & {*live.known_by}, "the message knows the row"
    assert not strong(live.known_by) & {*row.remember}, "but by what proves nothing"


def test_no_print_of_a_message_looks_like_that_of_a_row() -> None:
    assert not strong((ROW + fingerprint("a"),))
    assert strong((fingerprint("a"),)), "prints are hexadecimal"


def test_what_rows_left_comes_last() -> None:
    for change in (changed(envelope()), rest(CONTENT)):
        begins = [each.startswith(ROW) for each in change.known_by]
        assert begins == sorted(begins)
        assert any(begins)
