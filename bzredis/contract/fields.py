"""Every field of an entry, a hash and a status: its type, and when it is not there.

All values are text; what is not known has no field.
"""

from __future__ import annotations

from typing import Final

import attrs

from bzredis.streams.field import SHIFT, Field, Type
from bzredis.streams.stream import Stream

UNITS: Final[dict[Type, str]] = {  # in words, where the type's name is none
    "ms": "ms since 1970",
    "time": "UTC, RFC 3339",
    "number": "number, in the digits sent",
    "reckoned": "number, computed",
    "flag": "`1`",
    "id": "entry id",
}
SOURCES: Final = ("live", "replay", "rest")
EFFECTS: Final = ("latest", "record", "none")
ACTIONS: Final = ("created", "updated", "deleted")
CAUSES: Final = ("reconnect", "restart", "redis-rollback")
REASONS: Final = (  # why `alive` was taken away
    *("disconnected", "behind", "missing", "silent", "evicting", "stopped"),
)
FRESH: Final = ("1", *(f"0 {reason}" for reason in REASONS))  # all that `fresh` says
STATES: Final = ("connecting", "live", "retrying", "refused", "full", "stopped")
NO_RECORD: Final = "it is a consensus, which as a rule has none"
NOT_SENT: Final = "it came over REST; most consensus has none either"

# In front of each stream's headline.
ENTRY: Final = (
    Field(
        *("envelope", "text", "upstream's id of this message"),
        "it came over REST, or upstream sent none",
    ),
    Field(
        *("action", "words"),
        "what upstream did to the record. What REST gave is `updated`, also where the"
        " record was never seen before: `created` is no test for what is new, but"
        " `news` is",
        words=ACTIONS,
    ),
    Field("record", "text", "the id of the record", NO_RECORD),
    Field(
        *("symbol", "text", "the symbol that it is about"),
        "that is not certain, or what upstream says can be no symbol",
    ),
    Field("timestamp", "text", "when upstream sent it, in upstream's form", NOT_SENT),
    Field("received", "time", "when the bridge got it"),
    Field(
        *("source", "words"),
        "`live`: when it happened; `replay`: sent once more after a connect; `rest`:"
        " fetched. It is for your information, no rule hangs on it",
        words=SOURCES,
    ),
    Field(
        *("version", "ms"),
        "when the record was last changed; of one record the highest counts. It is"
        " finer than `published`",
    ),
    Field(
        *("published", "ms"),
        "when the call was published; `latest` is the record with the highest, and of"
        " equal ones that with the higher id. Of insights upstream as a rule tells"
        " only the date: then it is the start of that day in New York. Ask for this"
        " where you want *today's*, not for when an entry was written: replay and REST"
        " bring what was published before",
    ),
    Field(
        *("effect", "words"),
        "what it changed. `latest`: the newest of the symbol; `record`: an older one;"
        " `none`: nothing, for it was out of date when it came, is older than all that"
        " the timeline keeps, or is a consensus whose symbol is not certain",
        words=EFFECTS,
    ),
    Field(
        *("news", "flag"),
        "act on this: firm, direction, rating or target (of consensus: a figure) are"
        " not what was said before, or the record is new or deleted (look at `action`)",
        "it only says the same again, changed nothing (`effect` is `none`), or deletes"
        " what was not known",
    ),
)
RAW: Final = Field(
    *("raw", "text"),
    "the frame as it came, byte for byte; of what came over REST the row, as JSON",
)
EVENT: Final = Field("event", "id", "the id of the same entry in `events`")
GAP: Final = (
    Field(*("action", "words", "it is a gap: messages may be missing"), words=("gap",)),
    Field("received", "time", "when the bridge announced it, having looked in vain"),
    Field(
        "from",
        "time",
        "what is missing was sent after this (when upstream last answered a `ping`) …",
    ),
    Field("to", "time", "… and before this"),
    Field(
        *("cause", "words"),
        "`reconnect`: the connection was lost; `restart`: the bridge did not run;"
        " `redis-rollback`: Redis came back without what it had",
        words=CAUSES,
    ),
    Field(
        *("recovered", "count"),
        "messages that upstream's replay or REST had brought all the same by then",
    ),
)

REJECTED: Final = (
    Field("reason", "text", "why it could not be used, or was refused"),
    Field("received", "time", "when the bridge got it"),
    Field("raw", "text", "what came, cut where Redis did not take it whole", "no text"),
)

# What the bridge adds to a hash, beside the content's own fields.
OURS: Final = (
    Field(
        *("_symbol", "text", "the symbol that it is about"),
        "what upstream says can be no symbol",
    ),
    Field("_record", "text", "the id of the record", NO_RECORD),
    Field("_action", "words", "the last thing upstream did to it", words=ACTIONS[:2]),
    Field("_version", "ms", "when it was last changed"),
    Field("_published", "ms", "when it was published, as `published` of an entry"),
    Field("_timestamp", "text", "when upstream sent it, in upstream's form", NOT_SENT),
    Field("_received", "time", "when the bridge got it"),
    Field("_source", "words", "how it came, as `source` of an entry", words=SOURCES),
    Field("_event", "id", "the id of the entry in `events` that wrote it"),
)
# All that is kept of a record that was deleted.
GONE: Final = tuple(
    attrs.evolve(each, words=ACTIONS[2:]) if each.name == "_action" else each
    for each in OURS
)
_NOT_YET: Final = "there was none since the start"
STATUS: Final = (
    Field("contract", "count", "the number of what stands on this page"),
    Field(
        *("state", "words"),
        "what the connection does. `retrying`: it was lost or not made, and is tried"
        " again; `refused`: upstream said 401 or 403, and is asked again every 15"
        " minutes; `full`: it was closed on purpose, until there is room on disk",
        words=STATES,
    ),
    Field("since", "time", "since when it is in this state"),
    Field("connected_at", "time", "when this connection began", "there is none"),
    Field("last_frame_at", "time", "when anything came from upstream", _NOT_YET),
    Field("last_event_at", "time", "when a message with data came", _NOT_YET),
    Field("last_pong_at", "time", "when upstream answered a `ping`", _NOT_YET),
    Field(
        *("covered_until", "time"),
        "until when all that upstream sent is in Redis, but for `missing`, and for what"
        " was announced and can no longer be fetched: that stands in the log alone, as"
        " `gap` entries",
        "that is not known yet",
    ),
    Field(
        *("missing", "text"),
        "what before that is still to be fetched or announced, as `FROM/TO` pairs with"
        " spaces between. An announced one stays while REST may still bring it, and"
        " goes when it has, or when nobody can fetch it any more",
        "nothing is to be fetched or announced: what was announced before is a `gap` in"
        " the log",
    ),
    Field("events", "count", "messages that were logged, since the start"),
    Field("duplicates", "count", "messages that had come before"),
    Field("rejected", "count", "frames that could not be used"),
    Field("unattributed", "count", "consensus whose symbol is not certain"),
    Field("gaps", "count", "gaps that were announced, since the start of the bridge"),
    Field("reconnects", "count", "connections after the first"),
    Field("fetched", "count", "rows of REST that took effect"),
    Field("backlog", "count", "messages that were read and are not in Redis yet"),
    Field("spooled", "count", "how many of those wait on disk"),
    Field("bridge", "text", "the id of this bridge, which stands in `alive` too"),
    Field("version", "text", "the version of the bridge's program"),
    Field("started_at", "time", "since when this bridge runs"),
    Field("upstream", "text", "the host that it reads from"),
    Field("subscription", "text", "`*` for all there is, or the watch-list"),
    Field("error", "text", "the last error, in words, however old", _NOT_YET),
)


def headline(stream: Stream) -> tuple[Field, ...]:
    """Return the fields of a stream's headline; a consensus moves, too."""
    moved = (SHIFT,) if stream.state == "per_symbol" else ()
    return (*(each.about for each in stream.headline), *moved)


def entry(stream: Stream) -> tuple[Field, ...]:
    """Return the fields of an entry of a stream's log, in their order."""
    return (*ENTRY, *headline(stream), RAW)


def history(stream: Stream) -> tuple[Field, ...]:
    """Return the fields of an entry of a symbol's history: all of it is news."""
    always = {"symbol", "news"}
    told = (
        attrs.evolve(each, absent="") if each.name in always else each for each in ENTRY
    )
    return (*told, *headline(stream), EVENT)


def ours(stream: Stream) -> tuple[Field, ...]:
    """Return what the bridge adds to a hash of a stream."""
    return (*OURS, *stream.derived)
