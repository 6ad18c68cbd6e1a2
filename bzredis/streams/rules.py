"""What a stream's definition has to be, so that the contract holds for it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final, get_args

import attrs

from bzredis.errors import Unusable
from bzredis.messages.envelope import Envelope, parse
from bzredis.messages.symbols import symbol
from bzredis.streams.field import Field, Type
from bzredis.streams.stream import Head, Reading, Stream, Table, Weight

# Of a key, a channel, an option's value, and a schema's name.
NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
LONGEST: Final = 32  # characters of a name
LONGEST_WORDS: Final = 500  # characters of what a package's code says of itself
KEPT: Final = {"internal"}  # what stands in the place of a stream's name otherwise
# Under upstream's host, whatever that is: no other one, no folder above, no query.
PATH: Final = re.compile(r"/(?!/)[A-Za-z0-9._~/-]*")
WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")  # a field of an entry
FIELD: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")  # … and of a hash
OWN: Final = re.compile(r"_[A-Za-z0-9][A-Za-z0-9_]{0,63}")
PARAMETERS: Final = {"tickers", "isins"}
# What the log and the hashes have of all streams; a test holds them to the contract.
OF_ENTRIES: Final = {
    *("envelope", "action", "record", "symbol", "timestamp", "received", "source"),
    *("version", "published", "effect", "news", "raw", "event", "shift"),
    *("from", "to", "cause", "recovered", "reason"),
}
OF_HASHES: Final = {
    *("_symbol", "_record", "_action", "_version", "_published", "_timestamp"),
    *("_received", "_source", "_event"),
}
MS: Final = range(10**14)  # a time that can be written


def broken(stream: object) -> list[str]:
    """Return what is wrong with a definition that somebody wrote, in words."""
    if not isinstance(stream, Stream):
        return [f"it is a {type(stream).__name__}, and no bzredis.plugin.Stream"]
    # What is of the wrong type cannot be looked at any further.
    return [*_types(stream)] or [*_broken(stream)]


def _types(stream: Stream) -> Iterator[str]:
    """Yield what is of another type than it is said to be: nobody checked it before."""
    yield from _of("", stream, str, ("name", "path", "isin", "kind"))
    yield from _of("", stream, str, ("parameters", "flat", "samples"), many=True)
    yield from _of("", stream, Head, ("headline",), many=True)
    yield from _of("", stream, Field, ("content", "derived"), many=True)
    yield from _table("rows", stream.rows)
    yield from _table("removals", stream.removals)
    heads: Any = stream.headline if isinstance(stream.headline, tuple) else ()
    for each in heads:
        yield from _of("headline: ", each, str, ("field",))
        yield from _of("headline: ", each, Field, ("about",))
    for named in _described(stream):
        where = f"the field {named.name!r}: "
        yield from _of(where, named, str, ("name", "meaning", "absent"))
        yield from _of(where, named, str, ("words",), many=True)
        if named.type not in get_args(Type):
            yield f"{where}its type {named.type!r} is none of the contract's"
    weight: object = stream.weight
    if weight is not None and not isinstance(weight, Weight):
        yield "weight is no Weight"
    elif weight is not None:
        yield from _of("weight: ", weight, int, tuple(attrs.asdict(weight)))
    functions: dict[str, object] = {"read": stream.read, "make": stream.make}
    for what, function in functions.items():
        if not callable(function) and (function is not None or what == "read"):
            yield f"{what} is no function"


def _table(what: str, table: object) -> Iterator[str]:
    if isinstance(table, Table):
        texts = ("path", "tickers", "name", "since", "type")
        yield from _of(f"{what}: ", table, str, texts)
        yield from _of(f"{what}: ", table, str, ("sizes",), many=True)
    elif table is not None:
        yield f"{what} is no Table"


def _described(stream: Stream) -> Iterator[Field]:
    parts: list[Any] = [stream.content, stream.derived, stream.headline]
    for each in chain.from_iterable(part for part in parts if isinstance(part, tuple)):
        field = getattr(each, "about", each)
        if isinstance(field, Field):
            yield field


def _of(
    where: str, holder: object, kind: type, names: Iterable[str], *, many: bool = False
) -> Iterator[str]:
    for name in names:
        value: Any = getattr(holder, name, None)
        if many and not isinstance(value, tuple):
            yield f"{where}{name} is no tuple"
        elif not all(isinstance(each, kind) for each in (value if many else (value,))):
            what = "text" if kind is str else kind.__name__
            yield (
                f"{where}{name} is no {what}"
                if not many
                else (f"{where}{name}: what is no {what} stands there")
            )


def _broken(stream: Stream) -> Iterator[str]:
    if wrong := of_name(stream.name):
        yield wrong
    yield from _paths(stream)
    if stream.state != "records" or stream.lookup is not None:
        yield "state and lookup are for upstream's consensus alone; leave them out"
    if odd := sorted({*stream.parameters} - PARAMETERS):
        yield f"parameters: {odd[0]!r} is none of {', '.join(sorted(PARAMETERS))}"
    yield from _heads(stream.headline)
    if any(not _has_content(sample) for sample in stream.samples):
        yield "samples: each is a frame as upstream sends it, as text, with content"
    yield from _fields(stream)


def of_name(name: object) -> str:
    """Say what is wrong with a stream's name, else ""."""
    if not isinstance(name, str) or not NAME.fullmatch(name) or len(name) > LONGEST:
        return (
            f"the name {name!r} is no part of a key: small letters, digits and hyphens"
            f" between them, {LONGEST} at the most"
        )
    return f"the name {name!r} is the bridge's own" if name in KEPT else ""


def _paths(stream: Stream) -> Iterator[str]:
    yield from _path("path", stream.path)
    if rows := stream.rows:
        yield from _path("the path of rows", rows.path)
        if not (rows.name and rows.since and rows.tickers):
            yield "rows: its name, since and tickers are needed"
    if removals := stream.removals:
        yield from _path("the path of removals", removals.path)
        if not (removals.name and removals.since):
            yield "removals: its name and since are needed"
        if rows is None:
            yield "removals without rows are never asked for"


def _path(what: str, path: str) -> Iterator[str]:
    if not PATH.fullmatch(path) or ".." in path.split("/") or "//" in path:
        yield (
            f"{what} {path!r} is none of upstream's host: it begins with one /, and has"
            " no host, no .. and no ? in it"
        )


def _heads(heads: Iterable[Head]) -> Iterator[str]:
    seen: set[str] = set()
    for each in heads:
        name = each.name
        if not WORD.fullmatch(name):
            yield f"the headline's {name!r} is no plain name"
        if name in OF_ENTRIES:
            yield f"the headline's {name!r} is a field of each entry already"
        if name in seen:
            yield f"the headline's {name!r} stands there twice"
        seen.add(name)
        if not FIELD.fullmatch(each.field):
            yield f"the headline's {name!r}: {each.field!r} is no field of a hash"


def _has_content(sample: str) -> bool:
    try:
        found = parse(sample)
    except Unusable:
        return False
    return isinstance(found, Envelope) and bool(found.content)


def _fields(stream: Stream) -> Iterator[str]:
    for mine in stream.derived:
        if not OWN.fullmatch(mine.name):
            yield f"derived: {mine.name!r} has to begin with one _, as all that is ours"
        if mine.name in OF_HASHES:
            yield f"derived: {mine.name!r} is a field of each hash already"
    for theirs in stream.content:
        if OWN.fullmatch(theirs.name):
            yield f"content: {theirs.name!r} begins with _, which is for what is ours"
    ours = {each.name for each in stream.derived} | OF_HASHES
    for each in stream.headline:
        if OWN.fullmatch(each.field) and each.field not in ours:
            yield f"the headline's {each.name!r}: {each.field!r} is not in derived"


def guarded(stream: Stream) -> Stream:
    """Return a stream whose `read` harms nothing but the one message, whatever it does.

    Raises Unusable, then, of which the frame goes to `rejected`.
    """
    theirs = stream.read
    own = {each.name for each in stream.derived}

    def read(envelope: Envelope, sole: str) -> Reading:
        try:
            found = theirs(envelope, sole)
            wrong = next(_wrong(found, len(stream.headline), own), "")
        except KeyboardInterrupt:
            raise
        except Unusable as error:
            raise Unusable(in_words(error, "")) from None
        except BaseException as error:  # noqa: BLE001 - nobody knows what
            words = in_words(error)
            raise Unusable(f"the code of {stream.name} failed: {words}") from None
        if wrong:
            raise Unusable(f"the code of {stream.name} is wrong: {wrong}")
        return found

    return attrs.evolve(stream, read=read)


def _wrong(found: object, heads: int, own: set[str]) -> Iterator[str]:
    """Yield what is wrong with what a stream's code made of a message."""
    if not isinstance(found, Reading):
        yield f"it returned a {type(found).__name__}, and no bzredis.plugin.Reading"
        return
    if wrong := _shapeless(found):
        yield wrong
        return
    pairs = [part for pair in found.derived for part in pair]
    texts = [found.symbol, *found.headline, *found.moments, *pairs]
    if not all(type(each) is str and _is_whole(each) for each in texts):
        yield "what is no text stands among its symbol, headline, moments and derived"
        return
    if len(found.headline) != heads:
        yield f"a headline of {len(found.headline)} values, where {heads} are defined"
    if found.symbol and symbol(found.symbol) != found.symbol:
        yield f"{found.symbol!r} is no symbol; bzredis.plugin.symbol makes one"
    if len(found.moments) % 2:
        yield "its moments are no pairs"
    for what, time in (("updated", found.updated), ("published", found.published)):
        if time is not None and (type(time) is not int or time not in MS):
            yield f"{what} is {time!r}, and no time in ms since 1970"
    for name in sorted({name for name, _ in found.derived} - own):
        yield f"{name!r} is not among what it derives"


def _shapeless(found: Reading) -> str:
    """Say which part is no tuple, or no tuple of pairs: it cannot be looked at."""
    parts = {name: getattr(found, name) for name in ("headline", "derived", "moments")}
    for name, part in parts.items():
        if not isinstance(part, tuple):
            return f"its {name} is no tuple"
    derived: tuple[Any, ...] = parts["derived"]
    if not all(
        isinstance(pair, tuple) and [*map(type, pair)] == [str, str] for pair in derived
    ):
        return "what is no pair stands in derived"
    return ""


def in_words(error: BaseException, name: str | None = None) -> str:
    """Return what somebody's code raised as a line that can be kept, whatever it is."""
    name = type(error).__name__ if name is None else name
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - it is their code as well
        said = ""
    said = said[:LONGEST_WORDS].encode(errors="replace").decode()
    return ": ".join(filter(None, (name, said))) or type(error).__name__


def _is_whole(text: str) -> bool:
    """Whether no half of a character is in it, which Redis cannot be told."""
    return text.isascii() or text == text.encode(errors="ignore").decode()
