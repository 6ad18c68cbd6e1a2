"""What the demo's own Redis says, read as `watch` does, and counted."""

from __future__ import annotations

import attrs

from bzredis.commands.demo.told import Tally
from bzredis.commands.looks.watching import Seen, Watched
from bzredis.reader import Entry, Gap


@attrs.define
class Followed(Watched):
    """What was read last; all of it was told to the tally."""

    tally: Tally = attrs.field(factory=Tally)
    _is_first: bool = True

    def take(self, seen: Seen) -> list[Entry | Gap]:
        """Have this drawn from now on, and count it; what stood there does not count.

        In somebody's Redis that is what a demo left that could not take it away.
        """
        found = Watched.take(self, seen)
        if not self._is_first:
            self.tally.told(found)
        self._is_first = False
        return found
