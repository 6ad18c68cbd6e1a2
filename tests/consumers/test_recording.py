"""The log that consumers are given is a bridge's, and says what upstream sent."""

from __future__ import annotations

import json

import pytest
from consumers.meant import content, meant
from consumers.odd import FIRMS, PRICES, SYMBOLS, TARGETS, TEXT, VALUES
from consumers.recording import Recording
from faults.press import STREAMS

# What the bridge alone can know. That it is there is asked for below.
OWN = ("envelope", "timestamp", "received", "source", "published", "raw")


@pytest.mark.parametrize("stream", STREAMS)
def test_each_entry_says_what_was_sent(recording: Recording, stream: str) -> None:
    log = [*recording.log[stream].values()]
    entries = [entry for entry in log if entry["action"] != "gap"]
    for entry, wanted in zip(
        entries, meant(stream, log, recording.sent[stream]), strict=True
    ):
        found = {name: entry[name] for name in entry if name not in OWN}
        if wanted.get("effect") != "none":
            assert found.pop("effect") in ("latest", "record")
        assert found == wanted
        assert entry["published"].isdigit()


@pytest.mark.parametrize("stream", STREAMS)
def test_each_entry_has_it_byte_for_byte(recording: Recording, stream: str) -> None:
    sent = {json.loads(text)["id"]: text for text in recording.sent[stream]}
    for entry in recording.log[stream].values():
        if entry.get("source") in ("live", "replay"):
            assert entry["raw"] == sent[entry["envelope"]]
            data = json.loads(entry["raw"])["data"]
            assert entry.get("timestamp") == data.get("timestamp")
    envelopes = [entry.get("envelope") for entry in recording.log[stream].values()]
    assert len({*envelopes} - {None}) == len([e for e in envelopes if e])


def test_there_is_all_that_may_be_in_a_log(recording: Recording) -> None:
    log = recording.log["ratings"].values()
    for field, wanted in {
        "source": {None, "live", "replay", "rest"},
        "action": {"created", "updated", "deleted", "gap"},
        "effect": {None, "latest", "record", "none"},
        "news": {None, "1"},
        "firm": {*FIRMS},
        "pt": {pt for pt, _ in TARGETS},
        "direction": {None, "up", "down", "same", "new", "end"},
    }.items():
        found = {entry.get(field) for entry in log}
        assert wanted <= found, field
    for symbol in ("AAPL", "BRK.B", "BF-B", "TSX:BIP-UN.A", "TSX:RY"):
        assert any(entry.get("symbol") == symbol for entry in log)
    assert any(entry.get("symbol") == "LONDON-STOCK-EXCHANGE:Q1" for entry in log)
    assert len(SYMBOLS) == 7
    gone = [entry for entry in log if entry["action"] == "deleted"]
    assert any("firm" in entry for entry in gone)
    for source in ("live", "replay", "rest"):
        mine = [e for e in log if e.get("source") == source]
        assert any(TEXT in json.loads(e["raw"]).get("data", {}).get("content", json.loads(e["raw"])).get("notes", "") for e in mine)
