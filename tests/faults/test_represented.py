"""What REST need not have told: counted by itself, and held against no bridge."""

from __future__ import annotations

import pytest
from faults.model import Message
from faults.represented import Sent


def said(stream: str, words: str) -> tuple[Message, ...]:
    """Make messages of one record: an edit, a delete, or a late copy of an edit."""
    ranks = {"E": 10, "D": 10, "L": 0}
    return tuple(
        Message(n, n, "a", "T", (n + ranks[word], n, 0, word == "D"), 0, f"{stream}{n}")
        for n, word in enumerate(words)
    )


@pytest.mark.parametrize(
    ("words", "untold"),
    [
        ("E", ""),
        ("ED", "01"),  # the edit is gone with its record
        ("EDE", "01"),  # REST may have been asked before it was made anew, …
        ("EDEE", "01"),  # … which is missed by itself
        ("EDL", "012"),
        ("EDLD", "0123"),
        ("EEDE", "012"),
    ],
)
def test_of_what_was_gone_rest_did_not_tell(words: str, untold: str) -> None:
    for stream in ("insights", "consensus"):
        sent = said(stream, words)
        found = [each for each in sent if Sent(stream, sent).was_untold(each)]
        assert "".join(str(each.number) for each in found) == untold
    sent = said("ratings", words)
    assert not any(Sent("ratings", sent).was_untold(each) for each in sent)
