"""What is told of a reaction that fails: each reason once, and hourly from then on."""

from __future__ import annotations

from typing import Final, NoReturn

import attrs
import structlog
import trio

from bzredis.commands.react.reaction import Happening
from bzredis.troubles import Notices

log = structlog.get_logger(__name__)

LOOK: Final = 60.0  # s between looks whether an hour is over


@attrs.frozen
class Complaints:
    """Those of one reaction, of all that it is told of."""

    name: str
    _tried: Notices = attrs.field(factory=Notices)
    _kept: Notices = attrs.field(factory=Notices)

    def failed(
        self, what: Happening, reason: str, tries: str, output: str = ""
    ) -> None:
        """Say that a try failed, and what else was written then."""
        if self._tried.is_news(reason):
            words = "a reaction failed, and is tried again"
            told = {**self._told(what), "tries": tries, "output": output}
            log.warning(words, **told, error=reason)

    def gave_up(self, what: Happening, reason: str) -> None:
        """Say that the last try failed."""
        if self._kept.is_news(reason):
            listed = f"`bzredis react {self.name} --failed` lists it"
            words = f"a reaction failed in the end; {listed}"
            log.error(words, **self._told(what), error=reason)

    async def remind(self) -> NoReturn:
        """Each hour say what failed again since it was told, and how often."""
        while True:
            now = trio.current_time()
            tried, kept = self._tried.again(now), self._kept.again(now)
            for reason in tried | kept:
                times = {"times": tried.get(reason, 0), "kept": kept.get(reason, 0)}
                words = "a reaction failed in the last hour again"
                log.warning(words, reaction=self.name, error=reason, **times)
            await trio.sleep(LOOK)

    def _told(self, what: Happening) -> dict[str, str]:
        told = {"stream": what.stream, "symbol": what.symbol, "entry": what.event}
        kind = "" if what.kind == "entry" else what.kind
        return {"reaction": self.name, **told, "kind": kind}
