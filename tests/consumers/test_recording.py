"""The log that consumers are given is a bridge's, and says what upstream sent."""

from __future__ import annotations

import json
from typing import Final

import pytest
from consumers.meant import HEADLINES, meant
from consumers.odd import FIRMS, LABELS, PRICES, TARGETS, TEXT, VALUES
from consumers.recording import Recording
from faults.press import STREAMS

OWN: Final = ("envelope", "timestamp", "received", "source", "published", "raw")
SYMBOLS: Final = {
    *("AAPL", "BRK.B", "BF-B", "TSX:BIP-UN.A", "TSX:RY", "LONDON-STOCK-EXCHANGE:Q1"),
}


@pytest.mark.parametrize("stream", STREAMS)
def test_each_entry_says_what_was_sent(recording: Recording, stream: str) -> None:
    log = [*recording.log[stream].values()]
    entries = [entry for entry in log if entry["action"] != "gap"]
    wanted = meant(stream, log, recording.sent[stream])
    for entry, fields in zip(entries, wanted, strict=True):
        found = {name: entry[name] for name in entry if name not in OWN}
        if fields.get("effect") != "none":
            assert found.pop("effect") in ("latest", "record")
        assert found == fields
        assert entry["published"].isdigit()


@pytest.mark.parametrize("stream", STREAMS)
def test_each_frame_is_there_once_byte_for_byte(
    recording: Recording, stream: str
) -> None:
    sent = {json.loads(text)["id"]: text for text in recording.sent[stream]}
    logged = [each for each in recording.log[stream].values() if "envelope" in each]
    for entry in logged:
        text = sent.pop(entry["envelope"])
        assert entry["raw"] == text
        assert entry.get("timestamp") == json.loads(text)["data"].get("timestamp")
    assert {each["source"] for each in logged} == {"live", "replay"}
    assert len(logged) > 100


@pytest.mark.parametrize("stream", STREAMS)
def test_latest_says_what_its_entry_says(recording: Recording, stream: str) -> None:
    latest, log = recording.latest[stream], recording.log[stream]
    assert SYMBOLS - {"AAPL"} <= {*latest} <= SYMBOLS
    for held in latest.values():
        entry = log[held["_event"]]
        for name in ("version", "record", "symbol", "firm", "direction"):
            assert held.get(f"_{name}") == entry.get(name)
        for name, field in HEADLINES[stream].items():
            if name != "direction":
                value = held.get(field)
                wanted = entry.get(name)
                assert value == wanted or (value or "").upper() == wanted


def test_the_log_holds_all_that_may_come(recording: Recording) -> None:
    log = recording.log["ratings"].values()
    wanted: dict[str, set[str | None]] = {
        "source": {None, "live", "replay", "rest"},
        "action": {"created", "updated", "deleted", "gap"},
        "effect": {None, "latest", "record", "none"},
        "news": {None, "1"},
        "symbol": {None, *SYMBOLS},
        "firm": {*FIRMS},
        "pt": {pt for pt, _ in TARGETS},
        "pt_prior": {prior for _, prior in TARGETS},
        "direction": {None, "up", "down", "same", "new", "end"},
    }
    for name, values in wanted.items():
        assert values <= {entry.get(name) for entry in log}, name
    rows = [each for each in log if each.get("source") == "rest"]
    assert all("timestamp" not in each for each in rows)
    assert any("firm" in each for each in log if each["action"] == "deleted")
    assert any(TEXT in json.loads(row["raw"]).get("notes", "") for row in rows)
    consensus = recording.log["consensus"].values()
    figures: dict[str, set[str | None]] = {
        "rating": {label and label.upper() for label in LABELS},
        "value": {*VALUES},
        "target": {*PRICES},
        "shift": {None, "up", "down", "same"},
    }
    for name, values in figures.items():
        assert values <= {entry.get(name) for entry in consensus}, name
