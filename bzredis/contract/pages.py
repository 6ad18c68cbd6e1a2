"""The contract for people: keys and fields, as text or as a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import fill, wrap
from typing import Final

from bzredis.contract import fields
from bzredis.contract.examples import EXAMPLES
from bzredis.contract.fields import UNITS
from bzredis.contract.keys import KEYS, Key, key
from bzredis.streams import STREAMS, Stream
from bzredis.streams.field import Field

WIDTH: Final = 80  # columns
NARROWEST: Final = 20  # that what a key holds has at the least
HEAD: Final = """# What stands in Redis

`{prefix}` is the prefix of all keys (`--prefix`). SYM is a symbol: the ticker in
capitals, bare in the United States (`AAPL`, `BRK.B`), else with its exchange
(`TSX:SHOP`). ID is the id of a record{record}

- All values are text. **What is not known has no field**, in entries and hashes alike.
{newest}- `latest` is fresh exactly while `alive` is there.
- An entry of the log says what happened. **Act on those that have `news`**: most
  updates only say again what was known.
- What stands under `{prefix}:STREAM:internal:` is the bridge's own: rely on none of it.

The number of all this is 1 (`contract` in `status`). Under one number fields may be
added to entries, hashes and `status`, but none is taken away, gets another name or
another meaning: leave alone what you do not know.
"""
# What a record is, and `latest`: of the three, and of any other stream.
OF_CALLS: Final = {
    "record": """: one call of one firm on one symbol, however
often upstream changes it.""",
    "newest": """\
- **`latest` is the newest call of *any* firm about the symbol**, by the time of its
  publication and not by when it came. What each firm says stands in `record:ID`, in the
  order of `timeline:SYM`. Of consensus there is one for each symbol, and no records.
""",
}
OF_OTHERS: Final = {
    "record": ", however often upstream\nchanges it.",
    "newest": """\
- **`latest` is the newest record of the symbol**, by the time of its publication and
  not by when it came. All of them stand in `record:ID`, in the order of
  `timeline:SYM`.
""",
}
COOKBOOK: Final = """More questions and their answers:
[the cookbook](../../scripts/consumers/cookbook.md). Programs in nine languages to copy
from: [consumers](../../scripts/consumers/README.md).
What is shown here was printed by a test, of data that is made up.
"""
REASONS: Final = """
The reasons of `fresh`: `disconnected`; `behind` (what was read waits for Redis);
`missing` (something is still to be fetched or announced); `silent` (upstream does not
answer, or the bridge, its machine or Redis stood still meanwhile); `evicting` (Redis
may take keys away); `stopped`. A bridge that was killed says nothing: `alive` expires.

A program that only looks finds that `alive` is not there, and why in `status`:

- `state` is not `live`: it is not connected. What is wrong stands in `error`;
- `backlog` is over 0 and stays so: it is behind, mostly since Redis refuses (`error`);
- `missing` is there: something is still to be fetched or announced (where all of it is
  announced, and REST goes on, `alive` is there);
- `last_pong_at` is old: upstream is silent;
- none of these: the bridge was killed (all of `status` stands still), or Redis may take
  keys away (`error`).

The word itself is said on `fresh` only."""
ACTING: Final = """
## Acting on the log

- **Look at `action` first, then at `news`.** A `deleted` entry is news too, and has the
  headline of what is gone.
- **Each upgrade once.** `news` may tell a `direction` again: an upgrade whose target is
  corrected is news again, and its `direction` is still `up`. To tell each upgrade once,
  remember `record` with `direction` and `rating`. An id is no key for *already done*:
  after a Redis that came back older, entries come again under new ids.
- **New is not recent.** On a first start and after an outage replay and REST bring what
  was published hours or days ago, and it is news. Where only what is recent counts, ask
  for `published`.
- **Do not fall behind too far.** The log is trimmed (`--events-maxlen`, about 20,000
  entries), and nobody tells a late reader. It may have been overtaken where the first
  id of the log (`XRANGE {prefix}:STREAM:events - + COUNT 1`) is higher than that of the
  last entry that it read; of a group, than its `last-delivered-id` (`XINFO GROUPS`).
  Then read `latest` anew. From Redis 7.0 on `entries-added` of `XINFO STREAM` makes it
  certain for who counts what is read; `max-deleted-entry-id` there tells of `XDEL`, and
  not of trimming. `bzredis.reader` does all that, and gives a `Gap` (`trimmed`)."""


def keys_of(stream: Stream) -> list[Key]:
    """Return the keys that a stream has."""
    return [one for one in KEYS if stream.state in one.state]


def text(prefix: str, streams: Sequence[Stream] = STREAMS) -> Iterator[str]:
    """Yield lines: each key, and the fields of what stands there."""
    rows = [
        (key(prefix, stream, one.name), one.type, one.content)
        for stream in streams
        for one in keys_of(stream)
    ]
    names, types = (max(len(row[column]) for row in rows) for column in (0, 1))
    for name, kind, content in rows:
        head = f"{name:{names}}  {kind:{types}}  "
        room = max(WIDTH - len(head), NARROWEST)
        first, *others = wrap(content, room)
        yield head + first
        yield from (" " * len(head) + other for other in others)
    for stream in streams:
        stem = f"{prefix}:{stream.name}"
        hashes = (
            "latest:SYM and record:ID" if stream.state == "records" else "latest:SYM"
        )
        yield f"\nAn entry of {stem}:events may have the fields"
        yield _names(fields.entry(stream))
        yield f"{stem}:{hashes} may have upstream's own, among others"
        yield _names(stream.content)
        yield "and the bridge's"
        yield _names(fields.ours(stream))
    yield "\nAn entry of events whose action is gap has the fields"
    yield _names(fields.GAP)
    yield "An entry of rejected has"
    yield _names(fields.REJECTED)
    yield "And status has"
    yield _names(fields.STATUS)


def _names(of: Iterable[Field]) -> str:
    names = " ".join(each.name for each in of)
    return fill(names, WIDTH, initial_indent="  ", subsequent_indent="  ")


def markdown(prefix: str, streams: Sequence[Stream] = STREAMS) -> Iterator[str]:
    """Yield the parts of a page: examples, each key, and each field with its type."""
    names, known = ({each.name for each in of} for of in (streams, STREAMS))
    yield HEAD.format(prefix=prefix, **(OF_CALLS if names & known else OF_OTHERS))
    if names >= known:  # of which the examples are
        yield f"## Look at it\n{EXAMPLES.replace(' bz:', f' {prefix}:')}\n{COOKBOOK}"
    yield from _keys(prefix, streams)
    yield from _entries(prefix, streams)
    yield ACTING.format(prefix=prefix)
    yield from _hashes(prefix, streams)
    yield f"\n## The status: `{prefix}:STREAM:status`\n"
    yield (
        "It is at most a second behind. It stays as it was when the bridge is killed:"
        " it counts while `alive` is there. **`missing` is what is still to be fetched"
        " or announced**: where it is not there, all until `covered_until` is in Redis,"
        " or in a `gap` of the log."
    )
    yield from _table(fields.STATUS)


def _keys(prefix: str, streams: Sequence[Stream]) -> Iterator[str]:
    yield "## Keys\n\n| key | type | content |\n|---|---|---|"
    for stream in streams:
        for one in keys_of(stream):
            yield f"| `{key(prefix, stream, one.name)}` | {one.type} | {one.content} |"
    yield REASONS


def _entries(prefix: str, streams: Sequence[Stream]) -> Iterator[str]:
    yield f"\n## An entry of the log: `{prefix}:STREAM:events`\n"
    yield "All streams have these fields, in this order:"
    yield from _table(fields.ENTRY)
    for stream in streams:
        yield f"\nThen those of {stream.name}:"
        yield from _table(fields.headline(stream))
    yield "\nAnd last:"
    yield from _table([fields.RAW])
    yield (
        "\nA deletion has the symbol and these fields of what is gone, where they were"
        f" known. `{prefix}:STREAM:history:SYM` has the entries of the symbol that are"
        " `news`, always with `symbol`, and in the place of `raw`:"
    )
    yield from _table([fields.EVENT])
    yield (
        "\n### A gap in the log\n\nIt tells what was missed and not fetched in time."
        " REST may still bring it (then it stays in `missing`); what nobody can fetch"
        " any more stands here alone. It has just these fields:"
    )
    yield from _table(fields.GAP)
    yield f"\n## What could not be used: `{prefix}:STREAM:rejected`"
    yield from _table(fields.REJECTED)


def _hashes(prefix: str, streams: Sequence[Stream]) -> Iterator[str]:
    yield f"\n## A hash: `{prefix}:STREAM:latest:SYM` and `{prefix}:STREAM:record:ID`\n"
    yield (
        "The content's own fields stand under upstream's names, numbers in the digits"
        " in which they were sent. Nested ones are joined with `_` (`security_symbol`),"
        " arrays and booleans are JSON; `null` and empty text have no field. What the"
        " bridge adds begins with `_`:"
    )
    yield from _table(fields.OURS)
    for stream in streams:
        yield f"\nAnd for {stream.name}:"
        yield from _table(stream.derived)
    yield from _theirs(streams)
    yield (
        "\nOf a deleted record only the fields of the first table are left, and they"
        " for 35 days: its `_action` is `deleted`."
    )


def _theirs(streams: Sequence[Stream]) -> Iterator[str]:
    yield (
        "\n### Upstream's own fields\n\nThese are known. Others may come, and stand in"
        " the hash alike (`ratings_accuracy_…`, for one); any of them may be absent,"
        " and none is checked. `date` and `time` are of New York's clock (US/Eastern):"
        " for a moment in time take `_published`, which is ms since 1970."
    )
    for stream in streams:
        yield f"\nOf {stream.name}:\n\n| field | type | meaning |\n|---|---|---|"
        for each in stream.content:
            kind = UNITS.get(each.type, each.type)
            yield f"| `{each.name}` | {kind} | {each.meaning} |"


def _table(of: Iterable[Field]) -> Iterator[str]:
    yield "\n| field | type | meaning | absent where |\n|---|---|---|---|"
    for each in of:
        kind = " ".join(f"`{word}`" for word in each.words)
        kind = kind or UNITS.get(each.type, each.type)
        yield f"| `{each.name}` | {kind} | {each.meaning} | {each.absent or 'never'} |"
