"""For packages that bring a stream of their own: all of this stays as it is.

A package names its `Stream` under the entry points `bzredis.streams`, by the stream's
own name:

    [project.entry-points."bzredis.streams"]
    guidance = "bzredis_guidance:GUIDANCE"

From then on `bzredis plugins` lists it, and `--stream guidance` has it followed: its
log, hashes, timeline, history, status and `alive` stand under ``PREFIX:guidance:`` as
for all others, and `bzredis keys --stream guidance` describes them. Its `read` is
called for each message; whatever that raises costs this one message alone, which goes
to `rejected`. `broken` says what is wrong with a definition, for a package's own tests.

    @attrs.frozen
    class Guidance:  # of the content what is needed; all is text, "" where it is absent
        ticker: str = ""
        exchange: str = ""
        updated: str = ""
        eps_guidance_est: str = ""

    content = content_reader(Guidance)

    def read(envelope: Envelope, sole: str) -> Reading:
        guidance = content(envelope.content or {})  # a deletion may have none
        return Reading(
            symbol=symbol(guidance.ticker, guidance.exchange),
            updated=milliseconds(guidance.updated),
            headline=(guidance.eps_guidance_est,),
        )

    GUIDANCE = Stream(
        name="guidance",
        path="/api/v2.1/calendar/guidance/stream",
        headline=(head("eps_est", "eps_guidance_est", is_news=True, kind="number"),),
        read=read,
    )
"""

from __future__ import annotations

from bzredis.errors import Unusable
from bzredis.messages.direction import direction
from bzredis.messages.envelope import Envelope, is_blank, text
from bzredis.messages.exchanges import market
from bzredis.messages.model import reader as content_reader
from bzredis.messages.symbols import symbol
from bzredis.messages.times import comparable, milliseconds, published, rfc3339
from bzredis.streams.field import Field, said
from bzredis.streams.rules import broken
from bzredis.streams.stream import Head, Reading, Stream, Table, Weight, head

__all__ = [
    "Envelope",
    "Field",
    "Head",
    "Reading",
    "Stream",
    "Table",
    "Unusable",
    "Weight",
    "broken",
    "comparable",
    "content_reader",
    "direction",
    "head",
    "is_blank",
    "market",
    "milliseconds",
    "published",
    "rfc3339",
    "said",
    "symbol",
    "text",
]
