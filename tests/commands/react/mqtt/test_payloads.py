"""What stands under the topics, as who reads it takes it."""

from __future__ import annotations

import json
from typing import Any

from bzredis.commands.react.mqtt import payloads
from bzredis.commands.react.mqtt.topics import Topics
from bzredis.streams import CONSENSUS, RATINGS

TOPICS = Topics("bzredis")


def test_a_state_has_the_contracts_names_and_numbers_with_their_digits() -> None:
    latest = {
        "rating_current": "Outperform",
        "pt_current": "195.50",
        "importance": "4",
        "_pt_change_pct": "-7.92",
        "_version": "1795865540000",
        "new_of_theirs": "as it is",
    }
    told = payloads.state(RATINGS, latest)
    assert b'"pt_current":195.50' in told
    found: dict[str, Any] = json.loads(told)
    assert found["_version"] == 1_795_865_540_000
    assert found["_pt_change_pct"] == -7.92
    assert (found["importance"], found["new_of_theirs"]) == (4, "as it is")
    assert "rating_prior" not in found


def test_of_nothing_known_the_state_is_empty() -> None:
    assert payloads.state(CONSENSUS, {}) == b"{}"


def test_a_symbol_is_a_device_of_three_sensors() -> None:
    names = ("ratings", "insights", "consensus")
    told = json.loads(payloads.symbol_device(TOPICS, "BRK.A", names, "USD"))
    assert told["device"]["identifiers"] == ["bzredis_BRK_2eA"]
    assert (told["device"]["name"], told["device"]["via_device"]) == (
        "BRK.A",
        "bzredis_bridge",
    )
    assert told["origin"]["name"] == "bzredis"
    assert told["availability_topic"] == "bzredis/availability"
    parts = told["components"]
    assert {key: one["unique_id"] for key, one in parts.items()} == {
        "rating": "bzredis_BRK_2eA_rating",
        "target": "bzredis_BRK_2eA_target",
        "consensus": "bzredis_BRK_2eA_consensus",
    }
    assert {one["platform"] for one in parts.values()} == {"sensor"}
    assert parts["consensus"]["state_topic"] == "bzredis/consensus/BRK.A"
    target = parts["target"]
    assert target["unit_of_measurement"] == "USD"
    assert target["state_class"] == "measurement"
    # Absent is unknown: of a number `None` says so, of a text an empty one.
    assert target["value_template"] == "{{ value_json.pt_current | default('None') }}"
    rating = "{{ value_json.rating_current | default('') }}"
    assert parts["rating"]["value_template"] == rating


def test_of_streams_that_are_not_followed_there_is_no_sensor() -> None:
    told = json.loads(payloads.symbol_device(TOPICS, "AAPL", ("ratings",)))
    assert [*told["components"]] == ["rating", "target"]
    assert "unit_of_measurement" not in told["components"]["target"]


def test_a_stream_that_is_stale_is_a_problem() -> None:
    told = json.loads(payloads.bridge_device(TOPICS, ("ratings", "bulls-bears")))
    one = told["components"]["bulls-bears"]
    assert (one["platform"], one["device_class"]) == ("binary_sensor", "problem")
    assert one["name"] == "Bulls bears stale"
    assert one["state_topic"] == "bzredis/bulls-bears"
    assert (one["payload_on"], one["payload_off"]) == ("stale", "fresh")
