"""Every field of an entry, a hash and a status: its type, and when it is not there.

All values are text; what is not known has no field.
"""

from __future__ import annotations

from typing import Final, Literal

import attrs

from bzredis.streams import CONSENSUS, INSIGHTS, RATINGS, Stream

# `ms` since 1970; `time` in UTC, RFC 3339 with milliseconds; a `number` with the digits
# in which it was sent; `flag` is 1 or not there; `words` are listed with it.
Type = Literal["text", "ms", "time", "number", "count", "flag", "id", "json", "words"]


@attrs.frozen
class Field:
    """A field; `absent` says when it is not there, "" that it always is."""

    name: str
    type: Type
    meaning: str
    absent: str = ""
    words: tuple[str, ...] = ()


DIRECTIONS: Final = ("up", "down", "same", "new", "end")
SHIFTS: Final = ("up", "down", "same")
SOURCES: Final = ("live", "replay", "rest")
ACTIONS: Final = ("created", "updated", "deleted")
CAUSES: Final = ("reconnect", "restart", "redis-rollback")
REASONS: Final = (  # why `alive` was taken away
    *("disconnected", "behind", "missing", "silent", "evicting", "stopped"),
)
FRESH: Final = ("1", *(f"0 {reason}" for reason in REASONS))  # all that `fresh` says
STATES: Final = ("connecting", "live", "retrying", "refused", "full", "stopped")
NOT_SAID: Final = "upstream did not say"
NOTHING_BEFORE: Final = "nothing was known before"

# In front of each stream's headline.
ENTRY: Final = (
    Field("envelope", "text", "upstream's id of the message", "REST; some streams"),
    Field("action", "words", "what upstream did to the record", words=ACTIONS),
    Field("record", "text", "the record's id", "documented consensus"),
    Field(
        "symbol", "text", "whose it is", "that is not certain, or no plausible symbol"
    ),
    Field(
        "timestamp", "text", "when upstream sent it, as sent", "REST, most consensus"
    ),
    Field("received", "time", "when the bridge got it"),
    Field("source", "words", "how it came; no rule hangs on it", words=SOURCES),
    Field("version", "ms", "the record's last change: of a record the highest wins"),
    Field("published", "ms", "when it was published; `latest` is the newest of these"),
    Field(
        *("effect", "words"),
        "`latest`: it changed what is newest of the symbol; `record`: an older record;"
        " `none`: it was out of date when it came",
        words=("latest", "record", "none"),
    ),
    Field(
        *("news", "flag"),
        "firm, direction, rating or target (of consensus: a figure) are not what was"
        " said before, or the record is new or deleted (look at `action`): act on this",
        "it only says the same again, or is out of date",
    ),
)
RAW: Final = Field("raw", "text", "the frame byte for byte; of `rest` the row's JSON")
SHIFT: Final = Field(
    *("shift", "words", "where the value went"), NOTHING_BEFORE, words=SHIFTS
)
EVENT: Final = Field("event", "id", "the entry in `events` that it is a copy of")
_FIRM: Final = Field("firm", "text", "whose call it is", NOT_SAID)
_DIRECTION: Final = Field(
    *("direction", "words", "what the firm did: `new` begins, `end` ends to follow it"),
    "the firm's word for it is none of the known ones",
    DIRECTIONS,
)
HEADLINES: Final = {
    RATINGS.name: (
        _FIRM,
        _DIRECTION,
        Field("rating", "text", "what the firm says now, in its words", NOT_SAID),
        Field("rating_prior", "text", "what it said before", NOT_SAID),
        Field("pt", "number", "its price target now, in `currency`", "it names none"),
        Field("pt_prior", "number", "its price target before", "it named none"),
        Field("importance", "number", "0 to 5, as upstream sees it", NOT_SAID),
    ),
    INSIGHTS.name: (
        _FIRM,
        _DIRECTION,
        Field("rating", "text", "what the firm says now, in its words", NOT_SAID),
        Field("pt", "number", "its price target", "it names none"),
        Field("rating_id", "text", "the record of the rating it belongs to", NOT_SAID),
    ),
    CONSENSUS.name: (
        Field("rating", "text", "all firms together, in capitals", NOT_SAID),
        Field("value", "number", "the same as a number, as upstream has it", NOT_SAID),
        Field("target", "number", "the mean price target", NOT_SAID),
        SHIFT,
    ),
}
GAP: Final = (
    Field("action", "words", "it is a gap: messages may be missing", words=("gap",)),
    Field("received", "time", "when it was given up to look for them"),
    Field("from", "time", "not before then"),
    Field("to", "time", "not after then"),
    Field("cause", "words", "what happened", words=CAUSES),
    Field("recovered", "count", "messages that a replay or REST brought all the same"),
)

REJECTED: Final = (
    Field("reason", "text", "why it could not be used, or was refused"),
    Field("received", "time", "when the bridge got it"),
    Field("raw", "text", "what came, cut where Redis did not take it whole", "no text"),
)

# What the bridge adds to a hash, beside the content's own fields.
OURS: Final = (
    Field("_symbol", "text", "whose it is", "a record without a plausible symbol"),
    Field("_record", "text", "the record's id", "documented consensus"),
    Field("_action", "words", "the last thing upstream did to it", words=ACTIONS[:2]),
    Field("_version", "ms", "its last change"),
    Field("_published", "ms", "when it was published"),
    Field(
        "_timestamp", "text", "when upstream sent it, as sent", "REST, most consensus"
    ),
    Field("_received", "time", "when the bridge got it"),
    Field("_source", "words", "how it came", words=SOURCES),
    Field("_event", "id", "the entry in `events` of its last change"),
)
# All that is kept of a record that was deleted.
GONE: Final = tuple(
    attrs.evolve(each, words=ACTIONS[2:]) if each.name == "_action" else each
    for each in OURS
)
_CALL: Final = (
    Field("_firm", "text", "whose call it is", NOT_SAID),
    Field("_direction", "words", "what the firm did", _DIRECTION.absent, DIRECTIONS),
)
DERIVED: Final = {
    RATINGS.name: (
        *_CALL,
        Field("_pt_change", "number", "the target's change, exact", "one is missing"),
        Field(
            *("_pt_change_pct", "number", "… in per cent, two decimals, half-even"),
            "one is missing, or was 0",
        ),
    ),
    INSIGHTS.name: _CALL,
    CONSENSUS.name: (
        Field(
            "_previous_consensus_rating", "text", "the last other one", NOTHING_BEFORE
        ),
        Field(
            *("_previous_consensus_rating_val", "number", "the last other value"),
            NOTHING_BEFORE,
        ),
        Field(
            *("_previous_consensus_price_target", "number", "the last other target"),
            NOTHING_BEFORE,
        ),
        attrs.evolve(SHIFT, name="_shift"),
    ),
}
_NOT_YET: Final = "there was none since the start"
STATUS: Final = (
    Field("contract", "count", "the number of this contract"),
    Field("state", "words", "what the bridge said last", words=STATES),
    Field("since", "time", "since when it is in this state"),
    Field("connected_at", "time", "when this connection began", "there is none"),
    Field("last_frame_at", "time", "when anything came from upstream", _NOT_YET),
    Field("last_event_at", "time", "when a message came", _NOT_YET),
    Field("last_pong_at", "time", "when a `ping` was answered", _NOT_YET),
    Field("covered_until", "time", "until when all is here", "that is not known yet"),
    Field("missing", "text", "what before that is not, as FROM/TO pairs", "nothing is"),
    Field("events", "count", "entries written since the start"),
    Field("duplicates", "count", "messages that came again"),
    Field("rejected", "count", "frames that could not be used"),
    Field("unattributed", "count", "consensus whose symbol is not certain"),
    Field("gaps", "count", "gaps announced"),
    Field("reconnects", "count", "connections after the first"),
    Field("fetched", "count", "rows of REST that took effect"),
    Field("backlog", "count", "read, and not in Redis yet"),
    Field("spooled", "count", "of those, on disk"),
    Field("bridge", "text", "which bridge this is; its id stands in `alive` too"),
    Field("version", "text", "of the program"),
    Field("started_at", "time", "since when it runs"),
    Field("upstream", "text", "the host that it reads from"),
    Field("subscription", "text", "`*`, or the watch-list"),
    Field("error", "text", "the last one, in words", "there is none"),
)


def entry(stream: Stream) -> tuple[Field, ...]:
    """Return the fields of an entry of a stream's log, in their order."""
    return (*ENTRY, *HEADLINES[stream.name], RAW)


def history(stream: Stream) -> tuple[Field, ...]:
    """Return the fields of an entry of a symbol's history: all of it is news."""
    always = {"symbol", "news"}
    told = (
        attrs.evolve(each, absent="") if each.name in always else each for each in ENTRY
    )
    return (*told, *HEADLINES[stream.name], EVENT)


def ours(stream: Stream) -> tuple[Field, ...]:
    """Return what the bridge adds to a hash of a stream."""
    return (*OURS, *DERIVED[stream.name])
