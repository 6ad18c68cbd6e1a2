from __future__ import annotations

import re

import pytest

from bzredis.bridge.status import Identity, StreamStatus

IDENTITY = Identity(
    bridge="host-1",
    version="1.2.3",
    started_at=1728069666880,
    upstream="api.benzinga.com",
    subscription="*",
)
# In the order of contract.md, 2.
FIELDS = [
    "contract",
    "state",
    "since",
    "bridge",
    "version",
    "started_at",
    "upstream",
    "subscription",
    "connected_at",
    "last_frame_at",
    "last_event_at",
    "last_pong_at",
    "events",
    "duplicates",
    "rejected",
    "unattributed",
    "gaps",
    "reconnects",
    "fetched",
    "backlog",
    "spooled",
    "error",
]
COUNTS = FIELDS[12:21]


def test_the_first_status_has_every_field() -> None:
    found = StreamStatus(IDENTITY).fields()
    assert list(found) == FIELDS
    assert found == {
        "contract": "1",
        "state": "connecting",
        "since": "2024-10-04T19:21:06.880Z",
        "bridge": "host-1",
        "version": "1.2.3",
        "started_at": "2024-10-04T19:21:06.880Z",
        "upstream": "api.benzinga.com",
        "subscription": "*",
        **dict.fromkeys(FIELDS[8:12], ""),
        **dict.fromkeys(COUNTS, "0"),
        "error": "",
    }


@pytest.mark.parametrize("name", COUNTS)
def test_each_count_is_its_own(name: str) -> None:
    status = StreamStatus(IDENTITY)
    setattr(status, name, 7)
    found = status.fields()
    assert [count for count in COUNTS if found[count] != "0"] == [name]
    assert found[name] == "7"


@pytest.mark.parametrize("name", FIELDS[8:12])
def test_each_time_is_its_own(name: str) -> None:
    status = StreamStatus(IDENTITY)
    setattr(status, name, 1728069670123)
    found = status.fields()
    assert [time for time in FIELDS[8:12] if found[time]] == [name]
    assert re.fullmatch(r"2024-10-04T19:21:10\.123Z", found[name])


@pytest.mark.parametrize(
    ("result", "counted"),
    [
        ("latest", {"events": "1"}),
        ("record", {"events": "1"}),
        ("none", {"events": "1"}),
        ("unattributed", {"events": "1", "unattributed": "1"}),
        ("duplicate", {"duplicates": "1"}),
        ("rejected", {"rejected": "1"}),
        ("refused WRONGTYPE bz:ratings:latest:A", {"rejected": "1"}),
        ("gap", {"gaps": "1"}),
    ],
)
def test_what_came_of_a_change_is_counted(result: str, counted: dict[str, str]) -> None:
    status = StreamStatus(IDENTITY)
    status.count(result)
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
