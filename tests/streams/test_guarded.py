"""Whatever a package's code does with a message, it costs this one message alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from streams.offered import GUIDANCE, MODULE

from bzredis.changes.from_frame import read
from bzredis.changes.from_rest import row
from bzredis.changes.kinds import Change, Rejected
from bzredis.plugin import Envelope, Reading, Stream, Unusable
from bzredis.streams.rules import guarded

RIGHT = Reading("AAPL", headline=("Q4", "1.50"))


def of(does: Callable[[], Any]) -> Stream:
    return guarded(attrs.evolve(GUIDANCE, read=lambda _, __: does()))


def told(stream: Stream) -> Change | Rejected:
    """Return what becomes of a frame, and see that of a row it is the same."""
    content = {"id": "r", "ticker": "AAPL", "updated": 1_728_000_000}
    frame = json.dumps({"data": {"action": "created", "id": "r", "content": content}})
    found = read(stream, frame, received=1_728_000_009_000, source="live")
    assert isinstance(found, Change | Rejected)
    of_rest = row(stream, json.dumps(content), received=1_728_000_009_000)
    assert type(of_rest) is type(found)
    found.pack()
    return found


def raises(error: BaseException) -> Callable[[], Reading]:
    def does() -> Reading:
        raise error

    return does


def for_ever() -> Reading:
    return for_ever()


class OfOwn(BaseException):
    """As pytest's own are, which end a test and should end no bridge."""


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("does", "words"),
    [
        (raises(ValueError("no number")), "failed: ValueError: no number"),
        (raises(KeyError("eps")), "failed: KeyError: 'eps'"),
        (raises(SystemExit(3)), "failed: SystemExit: 3"),
        (raises(AssertionError()), "failed: AssertionError"),
        (raises(MemoryError()), "failed: MemoryError"),
        (for_ever, "failed: RecursionError"),
        (raises(OfOwn("skipped")), "failed: OfOwn: skipped"),
        (raises(Mute()), "failed: Mute"),
        (raises(ValueError("a\ud800 b")), "failed: ValueError: a? b"),
        (raises(ValueError("x" * 10_000)), "failed: ValueError: xxx"),
        (raises(Unusable("half of it")), "half of it"),
        (raises(Unusable("half\ud800 of it")), "half? of it"),
        (raises(Unusable()), "Unusable"),
        (lambda: None, "it returned a NoneType"),
        (lambda: {"symbol": "AAPL"}, "it returned a dict"),
        (lambda: Reading("AAPL"), "a headline of 0 values, where 2 are defined"),
        (lambda: Reading("AAPL", headline=("Q4", 1.5)), "what is no text"),  # type: ignore[arg-type]
        (lambda: Reading(None, headline=("", "")), "what is no text"),  # type: ignore[arg-type]
        (lambda: Reading(headline=("\ud800", "")), "what is no text"),
        (lambda: Reading(headline=None), "headline is no tuple"),  # type: ignore[arg-type]
        (lambda: Reading(headline=["", ""]), "headline is no tuple"),  # type: ignore[arg-type]
        (lambda: Reading(headline="ab"), "headline is no tuple"),  # type: ignore[arg-type]
        (
            lambda: Reading(headline=("", ""), derived={"_a": "b"}),  # type: ignore[arg-type]
            "derived is no tuple",
        ),
        (
            lambda: Reading(headline=("", ""), derived=(("_a",),)),  # type: ignore[arg-type]
            "what is no pair stands in derived",
        ),
        (
            lambda: Reading(headline=("", ""), moments=None),  # type: ignore[arg-type]
            "moments is no tuple",
        ),
        (lambda: Reading("a b", headline=("", "")), "'a b' is no symbol"),
        (lambda: Reading("*", headline=("", "")), "'*' is no symbol"),
        (lambda: Reading("aapl", headline=("", "")), "'aapl' is no symbol"),
        (lambda: Reading("A", "1", headline=("", "")), "updated is '1', and no time"),  # type: ignore[arg-type]
        (lambda: Reading("A", -1, headline=("", "")), "updated is -1, and no time"),
        (lambda: Reading("A", 1, 10**15, ("", "")), "published is 1000000000000000"),
        (
            lambda: Reading("A", headline=("", ""), moments=("a",)),
            "its moments are no pairs",
        ),
        (
            lambda: Reading("A", headline=("", ""), derived=(("_event", "x"),)),
            "'_event' is not among what it derives",
        ),
    ],
)
def test_its_message_is_set_aside(does: Callable[[], Any], words: str) -> None:
    found = told(of(does))
    assert isinstance(found, Rejected)
    assert words in found.reason
    assert len(found.reason) < 1_000


def test_what_is_right_goes_through() -> None:
    found = told(of(lambda: RIGHT))
    assert isinstance(found, Change)
    assert (found.symbol, found.headline) == ("AAPL", ("Q4", "1.50"))


def test_what_stops_the_program_does() -> None:
    with pytest.raises(KeyboardInterrupt):
        told(of(raises(KeyboardInterrupt())))


def test_the_example_says_what_it_is_for() -> None:
    content = {"ticker": "aapl", "date": "2024-10-04", "period": "Q4"}
    envelope = Envelope("", "created", "r", "", content, {}, {})
    found = GUIDANCE.read(envelope, "")
    assert (found.symbol, found.headline) == ("AAPL", ("Q4", ""))
    bare = Envelope("", "deleted", "r", "", None, {}, {})
    assert GUIDANCE.read(bare, "").symbol == ""
    assert len(MODULE.read_text().splitlines()) < 80
