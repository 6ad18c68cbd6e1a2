"""What happened, and what a reaction to it is: all that the two sides have in common.

A reaction is entered once, for the life of the process, and then called for one thing
after the other, at times for several at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, get_args

import attrs

Kind = Literal["entry", "gap", "stale", "fresh"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@attrs.frozen
class Happening:
    """One thing that happened: an entry of a log, a gap, or a stream stale or fresh.

    `fields` is what a program gets as JSON: an entry's own fields and those of the
    content under the contract's names, numbers as int or Decimal; absent is absent. Of
    a stream that went stale there is `reason`.
    """

    kind: Kind
    stream: str
    symbol: str = ""  # "" where it is about none
    event: str = ""  # the entry's id in `events`; "" for stale and fresh
    fields: Mapping[str, Any] = attrs.field(factory=dict)


class NotDone(Exception):
    """A reaction failed, for the reason told in one line; it is tried again.

    `output` is what it wrote besides.
    """

    def __init__(self, reason: str, output: str = "") -> None:
        super().__init__(reason)
        self.output = output


# Returning is what acknowledges; raises NotDone. Whoever is cancelled did nothing.
React = Callable[[Happening], Awaitable[None]]
Reaction = AbstractAsyncContextManager[React]  # program(command), notify(…), mqtt(…)
