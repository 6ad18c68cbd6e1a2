from __future__ import annotations

import re

import pytest

from bzredis.bridge.status import FIELDS, Identity, StreamStatus
from bzredis.ports import Coverage, Hole

IDENTITY = Identity(
    bridge="host-1",
    version="1.2.3",
    started_at=1728069666880,
    upstream="api.benzinga.com",
    subscription="*",
)
TIMES = [
    "connected_at",
    "last_frame_at",
    "last_event_at",
    "last_pong_at",
    "covered_until",
]
MARKS = ["opened", "late", "heard", "replayed", "filled", "given up"]
COUNTS = [
    "events",
    "duplicates",
    "rejected",
    "unattributed",
    "gaps",
    "reconnects",
    "fetched",
    "backlog",
    "spooled",
]


def test_the_first_status_has_what_is_known() -> None:
    assert StreamStatus(IDENTITY).fields() == {
        "contract": "1",
        "state": "connecting",
        "since": "2024-10-04T19:21:06.880Z",
        "bridge": "host-1",
        "version": "1.2.3",
        "started_at": "2024-10-04T19:21:06.880Z",
        "upstream": "api.benzinga.com",
        "subscription": "*",
        **dict.fromkeys(COUNTS, "0"),
    }


def test_a_status_may_have_no_other_fields() -> None:
    status = StreamStatus(IDENTITY, missing="a/b")
    for name in TIMES:
        setattr(status, name, 1)
    status.note_error("rest", "HTTP 500")
    assert [*status.fields()] == [*FIELDS]


@pytest.mark.parametrize("name", COUNTS)
def test_each_count_is_its_own(name: str) -> None:
    status = StreamStatus(IDENTITY)
    setattr(status, name, 7)
    found = status.fields()
    assert [count for count in COUNTS if found[count] != "0"] == [name]
    assert found[name] == "7"


@pytest.mark.parametrize("name", TIMES)
def test_each_time_is_its_own(name: str) -> None:
    status = StreamStatus(IDENTITY)
    setattr(status, name, 1728069670123)
    found = status.fields()
    assert [time for time in TIMES if time in found] == [name]
    assert re.fullmatch(r"2024-10-04T19:21:10\.123Z", found[name])


@pytest.mark.parametrize(
    ("result", "counted"),
    [
        ("latest", {"events": "1"}),
        ("record", {"events": "1"}),
        ("none", {"events": "1"}),
        ("unattributed", {"events": "1", "unattributed": "1"}),
        ("duplicate", {"duplicates": "1"}),
        ("duplicate of a row", {"duplicates": "1"}),
        ("rejected", {"rejected": "1"}),
        ("refused WRONGTYPE bz:ratings:latest:A", {"rejected": "1"}),
        ("gap", {"gaps": "1"}),
        *((mark, {}) for mark in MARKS),
    ],
)
def test_what_came_of_a_change_is_counted(result: str, counted: dict[str, str]) -> None:
    status = StreamStatus(IDENTITY)
    status.count([result])
    found = status.fields()
    assert {name: found[name] for name in COUNTS if found[name] != "0"} == counted


def test_since_moves_with_the_state_alone() -> None:
    status = StreamStatus(IDENTITY)
    status.enter("connecting", 5)
    assert status.since == IDENTITY.started_at
    status.enter("retrying", 1000, "connection refused")
    status.enter("retrying", 2000, "connection reset")
    assert (status.state, status.since) == ("retrying", 1000)
    assert status.error == "connection reset"
    status.enter("live", 3000)
    assert (status.state, status.since) == ("live", 3000)
    assert status.error == "connection reset"  # the last one stays
    status.enter("live", 4000, "")
    assert (status.since, status.error) == (3000, "")


def test_who_is_well_again_does_not_hide_what_is_wrong_with_another() -> None:
    status = StreamStatus(IDENTITY)
    status.note_error("redis", "LOADING")
    status.note_error("rest", "HTTP 500")
    assert status.error == "HTTP 500"
    status.note_error("redis", "OOM")
    assert status.error == "OOM"  # the last one, once for each
    assert len(status._errors) == 2


def test_it_tells_until_when_all_is_here_and_what_is_missing_before() -> None:
    status = StreamStatus(IDENTITY)
    spans = [(1728069600000, 1728069601500), (1728069610000, 1728069620000)]
    holes = tuple(
        Hole(f"{begin}-log-1", begin, end, "reconnect", begin, announced=begin % 2 == 0)
        for begin, end in spans
    )
    status.note_coverage(Coverage(until=1728069666880, holes=holes))
    found = status.fields()
    assert found["covered_until"] == "2024-10-04T19:21:06.880Z"
    assert found["missing"] == (
        "2024-10-04T19:20:00.000Z/2024-10-04T19:20:01.500Z"
        " 2024-10-04T19:20:10.000Z/2024-10-04T19:20:20.000Z"
    )
    status.note_coverage(Coverage(until=1728069666881))
    assert "missing" not in status.fields()
