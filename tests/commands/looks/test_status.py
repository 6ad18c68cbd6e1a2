"""`bzredis status`: a bridge that is well, ill, stopped, killed or not there."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from commands.looks.conftest import HEIGHT, WIDTH, Look
from commands.looks.test_get import lines
from consumers.week import Bridge
from rich.cells import cell_len
from store.servers import Peer

Say = Callable[..., None]


def before(**how: float) -> str:
    at = datetime.now(UTC) - timedelta(**how)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def of(text: str, stream: str = "ratings") -> str:
    """Return what is said of a stream, in one line."""
    [block] = [each for each in text.split("\n\n") if each.startswith(stream)]
    return " ".join(block.split())


def test_a_bridge_that_is_well(bridge: Bridge, look: Look) -> None:
    text = look("status")
    assert text.startswith("bridge 1.0.0 · api.benzinga.com · everything · start")
    assert of(text).startswith("ratings fresh · connected for ")
    assert "All until " in of(text)
    assert ", is here, but for " in of(text)
    assert "nothing waits for Redis." in of(text)
    assert "1 rejected, 1 gap, 1 reconnect." in of(text)
    assert "Past error: ConnectionClosed: the link is dead" in of(text)
    assert "8 events, 1 without a symbol." in of(text, "consensus")
    assert "is here." in of(text, "insights")


def test_on_a_terminal(bridge: Bridge, look: Look) -> None:
    text = look.shown("status")
    assert "\x1b[32m● fresh" in text
    assert max(map(cell_len, lines(text))) <= WIDTH
    assert len(lines(text)) < HEIGHT


def test_no_bridge_was_ever_here(peer: Peer, look: Look) -> None:
    text = look("status", code=1)
    assert text.startswith(
        f"Nothing stands under bz in {peer.server.url}.\n\nratings  "
    )
    assert text.count("No bridge has written here yet (`bzredis run` is one).") == 3


def test_a_stream_that_the_bridge_does_not_follow(
    bridge: Bridge, peer: Peer, look: Look
) -> None:
    peer.redis.delete("bz:insights:status", "bz:insights:alive")
    assert "No bridge has written here" in of(look("status", code=1), "insights")
    named = {"BZREDIS_STREAM": "consensus,ratings"}
    assert "insights" not in look("status", environ=named)


def test_a_bridge_that_was_stopped(bridge: Bridge, look: Look, say: Say) -> None:
    say("gone", state="stopped", since=before(hours=3))
    said = of(look("status", code=1))
    assert said.startswith("ratings stopped The bridge is stopped since ")
    assert "CET, 3 hours ago." in said


def test_a_bridge_that_was_killed(look: Look, say: Say) -> None:
    """Its status stays as it was, and `alive` goes by itself."""
    say(state="live", since=before(days=9), last_pong_at=before(minutes=12))
    said = of(look("status", code=1))
    assert said.startswith("ratings gone No sign of the bridge since ")
    assert "12 minutes ago: killed, or its machine is off." in said


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"backlog": "1200", "spooled": "1000"},
            "behind 1,200 messages wait for Redis",
        ),
        ({"backlog": "1200", "spooled": "1000"}, "not in Redis yet, 1,000 of them on"),
        (
            {"missing": "JUST NOW"},
            "catching up What was missed is being fetched.",
        ),
        (
            {"missing": "2026-01-02T03:04:05Z/2026-01-02T03:09:05Z"},
            "Connected when it spoke last; whether all is here is not certain.",
        ),
        (
            {},
            "Connected when it spoke last; whether all is here is not certain.",
        ),
    ],
)
def test_a_bridge_that_is_not_through(
    look: Look, say: Say, fields: dict[str, str], words: str
) -> None:
    if fields.get("missing") == "JUST NOW":
        fields = {"missing": f"{before(minutes=3)}/{before(minutes=1)}"}
    say(state="live", since=before(days=9), last_pong_at=before(seconds=9), **fields)
    assert words in of(look("status", code=1))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            "retrying",
            "The bridge said last: no connection to upstream since {}: oh dear.",
        ),
        ("refused", "refused The bridge said last: oh dear since {}."),
        ("full", "full The bridge said last: oh dear since {}."),
        ("connecting", "connecting The bridge said last: not connected yet since {}."),
        (
            "of a later contract",
            "of a later contract The bridge said last: not connected",
        ),
    ],
)
def test_what_it_said_last(look: Look, say: Say, state: str, words: str) -> None:
    say("apart", state=state, since="2025-06-01T10:00:00.000Z", error="oh  dear")
    said = of(look("status", code=1))
    assert words.partition("{}")[0] in said
    assert words.partition("{}")[2] in said
    assert "1 Jun 2025 11:00 CET" in said
    assert ("Last error: oh dear" in said) == ("ear" not in words)


def test_json(bridge: Bridge, peer: Peer, look: Look, say: Say) -> None:
    say("gone", "insights", state="stopped", since="2025-06-01T10:00:00.000Z")
    found = json.loads(look("status", "--json", code=1))
    assert [*found] == ["ratings", "insights", "consensus"]
    assert found["ratings"] == {"fresh": True, **peer.hash("ratings:status")}
    assert found["insights"]["fresh"] is False
    assert found["insights"]["says"].startswith("the bridge is stopped since ")
    assert found["insights"]["state"] == "stopped"
    peer.redis.flushall()
    found = json.loads(look("status", "--json", "--stream", "ratings", code=1))
    assert found["ratings"]["says"].startswith("no bridge has written here yet")
