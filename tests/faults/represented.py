"""Which message an entry of the log stands for, and which ones need no entry.

Over REST come records as they stand: a row stands for the message that last touched
the record, and what came before that needs no entry any more. No row tells of an
insight or a consensus that is gone: what REST cannot give is counted by itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs
from faults import model
from faults.model import Message

UNTOLD: Final = {"insights", "consensus"}  # of whose deletes REST does not tell
SECOND: Final = 1_000_000_000  # ns

Fields = dict[str, str]


@attrs.define
class Sent:
    """All that was ever sent of a stream."""

    stream: str
    messages: Sequence[Message]
    _by_text: dict[str, Message] = attrs.field(init=False)
    _by_number: dict[int, Message] = attrs.field(init=False)
    _removed: dict[tuple[str, int], Message] = attrs.field(init=False)
    _words: dict[str, Message] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._by_text = {each.text: each for each in self.messages}
        self._by_number = {each.number: each for each in self.messages}
        self._words = model.last_words(self.messages)
        self._removed = {
            (each.record, each.rank[1] // SECOND): each
            for each in self.messages
            if each.deletes
        }

    def meant_by(self, entry: Fields) -> Message:
        """Return the message that an entry stands for, as its source knows it."""
        raw = entry["raw"]
        if entry["source"] != "rest":
            return self._by_text.get(raw) or model.message(raw)
        row = json.loads(raw)
        if entry["action"] == "deleted":
            found = self._removed[row["id"], row["updated"]]
        else:
            found = self._by_number[_number(row)]
        if self.stream == "consensus":
            return found
        seconds = found.rank[0] // 1_000
        return attrs.evolve(
            found,
            symbol="" if found.deletes else found.symbol,  # a removal tells none
            rank=(1_000 * seconds, *found.rank[1:]),
        )

    def superseded(
        self, missing: Iterable[Message], logged: Iterable[Message]
    ) -> set[int]:
        """Return the numbers of what is missing and need not be there any more."""
        stands, found = model.last_words(logged), set()
        for each in missing:
            last = stands.get(each.about)
            # A record that is gone needs not be removed once more.
            is_gone = last is not None and last.deletes and self.is_gone(each)
            if is_gone or (last is not None and last.rank > each.rank):
                found.add(each.number)
        return found

    def is_gone(self, message: Message) -> bool:
        """Tell whether its record or consensus was deleted in the end."""
        word = self._words.get(message.about)
        return word is not None and word.deletes

    def is_untold(self, message: Message) -> bool:
        """Tell whether its record or consensus is gone, and REST does not say so."""
        return self.stream in UNTOLD and self.is_gone(message)

    def was_untold(self, message: Message) -> bool:
        """Tell whether it was so at any time since it was sent.

        REST was asked at one of them; what has made the record anew since comes, or is
        missed, by itself.
        """
        if self.stream not in UNTOLD:
            return False
        word: Message | None = None
        for each in self.messages:  # in the order of sending
            if each.about != message.about:
                continue
            if word is None or each.rank > word.rank:
                word = each
            if each.sent >= message.sent and word.deletes:
                return True
        return False


def _number(row: dict[str, Any]) -> int:
    if "total_analyst_count" in row:
        return int(row["total_analyst_count"])
    prose = row.get("notes") or row["analyst_insights"]
    return int(prose.split()[0].removeprefix("#"))
