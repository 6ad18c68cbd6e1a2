"""Compare what upstream sent with what stands in Redis, and count what is amiss."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import attrs
from faults import model
from faults.model import Message
from faults.press import STREAMS
from faults.represented import Sent
from faults.worker import Entries, Taken
from redis import Redis

PAGE: Final = 5_000  # entries a question: they may be many
SHOWN: Final = 5  # of each kind of fault
# s around a gap: what was on its way when it began was not heard either.
SLACK: Final = 1.0
NUMBERS: Final = {"ratings": "notes", "insights": "analyst_insights"}

Fields = dict[str, str]
Entry = tuple[str, Fields]


@attrs.define
class Tally:
    """What came of the messages of all streams; `faults` has an example of each."""

    sent: int = 0
    logged: int = 0
    refused: int = 0  # set aside, for a wrong type under their key
    covered: int = 0  # missing, as a gap says
    fetched: int = 0  # of the logged ones, over REST
    superseded: int = 0  # missing, and so they may: REST, or more, came in their place
    untold: int = 0  # missing, of what is gone since: REST says nothing of that
    lost: int = 0
    duplicated: int = 0
    disordered: int = 0
    wrong: int = 0
    gaps: list[Fields] = attrs.field(factory=list)
    faults: list[str] = attrs.field(factory=list)

    @property
    def is_sound(self) -> bool:
        return not (self.lost or self.duplicated or self.disordered or self.wrong)

    @property
    def is_whole(self) -> bool:
        """Whether every message is there."""
        return self.is_sound and self.sent == self.logged

    def add(self, kind: str, stream: str, faults: Iterable[object]) -> None:
        found = [f"{kind} {stream}: {fault}" for fault in faults]
        setattr(self, kind, getattr(self, kind) + len(found))
        self.faults += found[:SHOWN]


def check(  # noqa: PLR0913 - what was said, what is there, and what may be
    redis: Redis,
    sent: Iterable[tuple[str, str]],
    prefix: str = "bz",
    *,
    rest: bool = False,
    taken: Taken | None = None,
    over: Mapping[str, object] | None = None,
) -> Tally:
    """Return the tally of all that was ever sent, (stream, text) in order.

    `rest`: what REST gave back may stand for what was missed. `taken`: what readers
    took out of the logs. `over`: by which connection each text went, where there were
    several bridges: what one of them has on its disk comes late.
    """
    tally = Tally()
    by_stream: dict[str, list[Message]] = {name: [] for name in STREAMS}
    for stream, text in sent:
        if text.startswith('{"id":"' + stream):  # else none of the press
            by_stream[stream].append(model.message(text))
    for stream, messages in by_stream.items():
        keys = Keys(redis, f"{prefix}:{stream}")
        gone = (taken or {}).get(stream, {})
        _check_stream(keys, Sent(stream, messages), tally, gone, over, rest=rest)
    return tally


@attrs.frozen
class Keys:
    """One stream's keys, read as text."""

    redis: Any  # of what its commands return, its types leave too much open
    stem: str

    def entries(self, name: str) -> Iterator[Entry]:
        """Yield a Redis stream's entries in order."""
        after = "-"
        while page := self.redis.xrange(f"{self.stem}:{name}", after, count=PAGE):
            for identity, fields in page:
                yield _text(identity), {_text(k): _text(v) for k, v in fields.items()}
            after = f"({_text(page[-1][0])}"

    def hash(self, name: str) -> Fields:
        found: dict[bytes, bytes] = self.redis.hgetall(f"{self.stem}:{name}")
        return {_text(k): _text(v) for k, v in found.items()}

    def names(self, kind: str) -> set[str]:
        """Return what follows the kind in the keys of that kind."""
        head = f"{self.stem}:{kind}:"
        keys = self.redis.scan_iter(f"{head}*", count=1_000)
        return {_text(key).removeprefix(head) for key in keys}

    def timeline(self, symbol: str) -> list[tuple[int, str]]:
        key = f"{self.stem}:timeline:{symbol}"
        found: list[tuple[bytes, float]] = self.redis.zrange(
            key, 0, -1, withscores=True
        )
        return [(int(score), _text(member)) for member, score in found]

    def symbols(self) -> set[str]:
        return {
            _text(each) for each in self.redis.zrange(f"{self.stem}:symbols", 0, -1)
        }


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _check_stream(  # noqa: PLR0913 - what was said, what is there, and what may be
    keys: Keys,
    said: Sent,
    tally: Tally,
    taken: Entries,
    over: Mapping[str, object] | None,
    *,
    rest: bool,
) -> None:
    stream, sent = said.stream, said.messages
    found = {**taken, **dict(keys.entries("events"))}
    entries = sorted(found.items(), key=lambda entry: _order(entry[0]))
    gaps = [fields for _, fields in entries if fields["action"] == "gap"]
    logged = [
        (identity, fields, said.meant_by(fields))
        for identity, fields in entries
        if fields["action"] != "gap"
    ]
    numbers = [each.number for _, _, each in logged]
    refused = _refused(keys)
    accounted = refused.union(numbers)
    missing = [each for each in sent if each.number not in accounted]
    if rest:
        superseded = said.superseded(missing, [each for *_, each in logged])
        missing = [each for each in missing if each.number not in superseded]
        tally.superseded += len(superseded)
        tally.fetched += sum(fields["source"] == "rest" for _, fields, _ in logged)
    open_ = [each for each in missing if not _is_covered(each, gaps)]
    lost = [each for each in open_ if not (rest and said.is_untold(each))]
    tally.untold += len(open_) - len(lost)
    tally.sent += len(sent)
    tally.logged += len(set(numbers))
    tally.refused += len(refused - set(numbers))
    tally.covered += len(missing) - len(open_)
    tally.gaps += [{"stream": stream, **gap} for gap in gaps]
    tally.add("lost", stream, (f"{each.number} of {each.about}" for each in lost))
    tally.add("duplicated", stream, _repeated(numbers))
    disordered = _disordered(logged) if over is None else _late(logged, over)
    tally.add("disordered", stream, disordered)
    tally.add("wrong", stream, _altered(logged, sent))
    wrong = _wrong_records if stream in NUMBERS else _wrong_consensus
    tally.add("wrong", stream, wrong(keys, stream, logged))
    tally.add("wrong", stream, _wrong_histories(keys, logged))


def _order(identity: str) -> tuple[int, int]:
    ms, number = identity.split("-")
    return int(ms), int(number)


def _refused(keys: Keys) -> set[int]:
    """Return the numbers of messages that Redis could not take."""
    found = set()
    for _, fields in keys.entries("rejected"):
        try:
            found.add(int(json.loads(fields["raw"])["number"]))
        except (ValueError, TypeError, KeyError):
            continue  # no message of the press, but a frame that is none
    return found


def _is_covered(missing: Message, gaps: Iterable[Fields]) -> bool:
    return any(
        _seconds(gap["from"]) - SLACK <= missing.sent <= _seconds(gap["to"]) + SLACK
        for gap in gaps
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _repeated(numbers: Iterable[int]) -> Iterator[int]:
    seen = set()
    for number in numbers:
        if number in seen:
            yield number
        seen.add(number)


def _disordered(logged: Iterable[tuple[str, Fields, Message]]) -> Iterator[str]:
    """Yield what came live, and stands behind something that was sent after it.

    A replay may bring what is older than what came live while it was asked for, and
    REST what is newer than what is still on its way.
    """
    highest = 0
    for _, fields, each in logged:
        if fields["source"] == "rest":
            continue
        if each.number < highest and fields["source"] == "live":
            yield f"{each.number} behind {highest}"
        highest = max(highest, each.number)


def _late(
    logged: Iterable[tuple[str, Fields, Message]], over: Mapping[str, object]
) -> Iterator[str]:
    """Yield what came live, behind something that came later by the same connection."""
    highest: dict[int, int] = {}
    for _, fields, each in logged:
        if fields["source"] == "live":
            connection = id(over[each.text])  # all are held on to: no two are alike
            before = highest.get(connection, 0)
            if each.number < before:
                yield f"{each.number} behind {before} of its connection"
            highest[connection] = max(before, each.number)


def _altered(
    logged: Iterable[tuple[str, Fields, Message]], sent: Iterable[Message]
) -> Iterator[str]:
    texts = {each.number: each.text for each in sent}
    for _, _, each in logged:
        if texts.get(each.number) != each.text:
            yield f"{each.number} is not as it was sent"


# ---- what stands under the symbols


def _wrong_histories(
    keys: Keys, logged: Sequence[tuple[str, Fields, Message]]
) -> Iterator[str]:
    news: dict[str, list[str]] = {}
    for identity, fields, _ in logged:
        if "news" in fields and "symbol" in fields:
            news.setdefault(fields["symbol"], []).append(identity)
    yield from _differing("history", keys.names("history"), set(news))
    for symbol, ids in news.items():
        found = [each["event"] for _, each in keys.entries(f"history:{symbol}")]
        if found != ids:
            yield f"history:{symbol} is {found[-5:]}, not {ids[-5:]}"


def _wrong_records(
    keys: Keys, stream: str, logged: Sequence[tuple[str, Fields, Message]]
) -> Iterator[str]:
    words = model.last_words(each for _, _, each in logged)
    lines = model.timelines(words.values())
    numbers = {identity: each.number for identity, _, each in logged}
    where = model.where(each for _, _, each in logged)
    yield from _differing("latest", keys.names("latest"), set(lines))
    yield from _differing("timeline", keys.names("timeline"), set(lines))
    yield from _differing("symbols", keys.symbols(), set(lines))
    for symbol, line in lines.items():
        if keys.timeline(symbol) != [(at, record) for at, record, _ in line]:
            yield f"timeline:{symbol} is {keys.timeline(symbol)}, not {line}"
        _, record, number = line[-1]
        latest = keys.hash(f"latest:{symbol}")
        yield from _wrong_hash(f"latest:{symbol}", latest, words[record], numbers)
        if latest != keys.hash(f"record:{record}"):
            yield f"latest:{symbol} is no copy of record:{record} (#{number})"
    for record, word in words.items():
        held = keys.hash(f"record:{record}")
        yield from _wrong_hash(f"record:{record}", held, word, numbers)
        if word.deletes and held.get("_symbol", "") != where[record]:
            yield f"record:{record} was of {where[record]}, not {held.get('_symbol')}"
        prose = held.get(NUMBERS[stream], "")
        if not word.deletes and not prose.startswith(f"#{word.number} "):
            yield f"record:{record} does not hold #{word.number}"


def _wrong_consensus(
    keys: Keys, _stream: str, logged: Sequence[tuple[str, Fields, Message]]
) -> Iterator[str]:
    words = model.last_words(each for _, _, each in logged)
    live = {symbol for symbol, word in words.items() if not word.deletes}
    numbers = {identity: each.number for identity, _, each in logged}
    yield from _differing("latest", keys.names("latest"), live)
    yield from _differing("symbols", keys.symbols(), live)
    for symbol in live:
        latest = keys.hash(f"latest:{symbol}")
        yield from _wrong_hash(f"latest:{symbol}", latest, words[symbol], numbers)
    for symbol, line in model.history(each for _, _, each in logged).items():
        found = [
            numbers.get(fields["event"], 0)
            for _, fields in keys.entries(f"history:{symbol}")
            if fields["action"] != "deleted"
        ]
        if found != line[-len(found) :] or len(found) < min(len(line), 1_000):
            yield f"history:{symbol} is {found}, not {line}"


def _differing(what: str, found: set[str], wanted: set[str]) -> Iterator[str]:
    if found != wanted:
        yield f"{what}: {found - wanted} too many, {wanted - found} missing"


def _wrong_hash(
    name: str, held: Fields, word: Message, numbers: dict[str, int]
) -> Iterator[str]:
    wanted: dict[str, Any] = {
        "_version": str(word.rank[0]),
        "_action": "deleted" if word.deletes else held.get("_action"),
        "_record": word.record or None,
    }
    if word.symbol and not word.deletes:  # then it is where it was
        wanted["_symbol"] = word.symbol
    found = {field: held.get(field) for field in wanted}
    if found != wanted:
        yield f"{name} has {found}, not {wanted} (#{word.number})"
    if numbers.get(held.get("_event", "")) != word.number:
        yield f"{name} does not name the entry of #{word.number}"
