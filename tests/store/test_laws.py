"""Laws: whatever way messages come, the keys end up the same.

A history is what upstream has to say of a few records; a delivery is one way in which
that may come: twice, under new envelope ids, shuffled, in batches anyhow, from two
bridges, resent, to a bridge started anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import count
from typing import Any

import attrs
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store.servers import Peer, consensus, deleted, new_log, pack, rating, stamp
from store.servers import message as written

from bzredis import ports
from bzredis.changes.from_frame import read
from bzredis.changes.kinds import Change
from bzredis.store.client import Store
from bzredis.store.script import Limits
from bzredis.streams import CONSENSUS, RATINGS, Stream

# Real servers, so no deadline; the server is shared, but each example has a prefix.
law = settings(
    max_examples=60,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

ARRIVAL = ("_event", "_received", "_source")
SYMBOLS = ("A", "B", "TSX:C", "")
_prefixes = (f"law{number}" for number in count())
_envelopes = (f"again-{number}" for number in count())

Hashes = dict[str, dict[str, str]]


@attrs.frozen
class Message:
    """One message of a record; `tick` orders the messages of all records."""

    record: str
    tick: int
    action: str
    symbol: str
    minute: int

    def frame(self, envelope: str) -> str:
        """Write it; of two ticks that share a version the second is later."""
        at = self.tick + 0.5
        if self.action == "gone":
            return deleted(self.record, at=at, envelope=envelope)
        return rating(
            self.record,
            self.tick // 2 * 2,
            symbol=self.symbol,
            minute=self.minute,
            action=self.action,
            at=at,
            envelope=envelope,
            notes=str(self.tick),
        )

    @property
    def order(self) -> tuple[Any, ...]:
        """What decides between two messages of a record."""
        change = read(RATINGS, self.frame(""), received=0, source="live")
        assert isinstance(change, Change)
        return change.version, change.moments, change.action == "deleted"


@st.composite
def histories(draw: st.DrawFn, symbols: Sequence[str] = SYMBOLS) -> list[Message]:
    """Make up what upstream says, in its order; publication times may tie."""
    records = draw(st.lists(st.sampled_from("abcdé"), min_size=1, max_size=14))
    actions = st.sampled_from(("created", "updated", "updated", "deleted", "gone"))
    return [
        Message(
            record,
            tick,
            draw(actions),
            draw(st.sampled_from(symbols)),
            draw(st.integers(0, 3)),
        )
        for tick, record in enumerate(records)
    ]


@attrs.frozen
class Batch:
    """Some messages together: from one of two bridges, and how often."""

    frames: tuple[str, ...]
    writer: int
    times: int
    restart: bool


def _envelope(message: Message, again: int) -> str:
    return ("", f"e{message.tick}", next(_envelopes))[again]


@st.composite
def deliveries(draw: st.DrawFn, history: list[Message]) -> list[Batch]:
    """Deliver a history anyhow, each message once at least."""
    extra = draw(st.lists(st.sampled_from(history), max_size=8))
    order = draw(st.permutations([*history, *extra]))
    return draw(
        batches([m.frame(_envelope(m, draw(st.integers(0, 2)))) for m in order])
    )


@st.composite
def batches(draw: st.DrawFn, frames: list[str]) -> list[Batch]:
    """Split frames into batches, from two writers, resent and restarted."""
    made = []
    while frames:
        size = draw(st.integers(1, 6))
        made.append(
            Batch(
                tuple(frames[:size]),
                draw(st.integers(0, 1)),
                draw(st.sampled_from((1, 1, 1, 2))),
                draw(st.booleans()),
            )
        )
        frames = frames[size:]
    return made


def orders(history: list[Message]) -> st.SearchStrategy[list[Batch]]:
    """Deliver a history in order, in batches anyhow."""
    return batches([m.frame(f"e{m.tick}") for m in history])


async def _apply(stream: Stream, stores: list[Store], made: list[Batch]) -> list[str]:
    results: list[str] = []
    for batch in made:
        if batch.restart:
            old = stores[batch.writer]
            stores[batch.writer] = Store(old.url, old.prefix, old.limits)
            old.close()
        packed = pack(stream, batch.frames)
        for _ in range(batch.times):
            sent = ports.Batch(new_log(), 0, packed, None)  # as if never sent before
            applied = await stores[batch.writer].apply(stream, sent)
            assert isinstance(applied, ports.Applied)
            results += applied.results
    return results


@attrs.frozen
class State:
    """What the contract promises of a stream's keys, and nothing else."""

    records: Hashes
    latest: Hashes
    timelines: dict[str, list[tuple[str, float]]]
    symbols: frozenset[str]


def deliver(
    peer: Peer, made: list[Batch], stream: Stream = RATINGS, **limits: Any
) -> tuple[State, list[str]]:
    """Apply batches under a prefix of their own; return what came of it."""
    prefix = next(_prefixes)
    stores = [Store(peer.server.url, prefix, Limits(**limits)) for _ in range(2)]
    try:
        results = trio.run(partial(_apply, stream, stores, made))
    finally:
        for store in stores:
            store.close()
    found = state(peer, f"{prefix}:{stream.name}:")
    peer.redis.flushall()
    return found, results


def state(peer: Peer, stem: str) -> State:
    """Read all keys; on the way, see that they fit each other."""

    def hashes(kind: str) -> Hashes:
        names = peer.redis.keys(f"{stem}{kind}:*")
        return {n.split(":", 3)[3]: peer.redis.hgetall(n) for n in sorted(names)}

    entries = {entry for entry, _ in peer.redis.xrange(f"{stem}events")}
    records, latest = hashes("record"), hashes("latest")
    timelines = {}
    for name in peer.redis.keys(f"{stem}timeline:*"):
        symbol = name.split(":", 3)[3]
        timelines[symbol] = peer.redis.zrevrange(name, 0, -1, withscores=True)
        top = timelines[symbol][0][0]
        copy = peer.redis.dump(f"{stem}latest:{symbol}")
        assert copy == peer.redis.dump(f"{stem}record:{top}")
    for name, held in (*records.items(), *latest.items()):
        assert held["_event"] in entries
        ttl = peer.redis.ttl(f"{stem}record:{name}") if name in records else 0
        if name in records:
            assert (ttl == -1) == (held["_action"] != "deleted" and "_symbol" in held)
    symbols = frozenset(peer.redis.zrange(f"{stem}symbols", 0, -1))
    assert symbols == latest.keys()
    return State(_told(records), _told(latest), timelines, symbols)


def _told(found: Hashes) -> Hashes:
    """Leave out what tells of arrival; and of a delete what only others could tell."""
    told = {}
    for name, held in found.items():
        hidden = (*ARRIVAL, "_symbol", "_published")
        aside = hidden if held.get("_action") == "deleted" else ARRIVAL
        told[name] = {k: v for k, v in held.items() if k not in aside}
    return told


@law
@given(st.data())
def test_any_delivery_gives_what_the_last_messages_give(
    peer: Peer, data: st.DataObject
) -> None:
    # Without a ticker one stays with its record's symbol, which hangs on the order.
    history = data.draw(histories([name for name in SYMBOLS if name]))
    last: dict[str, Message] = {}
    for message in history:
        held = last.get(message.record)
        if held is None or message.order > held.order:
            last[message.record] = message
    final = [
        Batch((m.frame(f"e{m.tick}"),), 0, 1, restart=False) for m in last.values()
    ]
    expected, _ = deliver(peer, final)
    found, results = deliver(peer, data.draw(deliveries(history)))
    assert found == expected
    assert not any(result.startswith("refused") for result in results)


# --------------------------------------------------- a timeline of a few, in order


@attrs.define
class Model:
    """The contract in a few lines of Python, for messages in order."""

    length: int
    records: dict[str, Message] = attrs.field(factory=dict)
    effects: list[str] = attrs.field(factory=list)

    def timeline(self, symbol: str) -> list[Message]:
        """Return the live records of a symbol, newest first."""
        live = (m for m in self.records.values() if m.symbol == symbol != "")
        alive = (m for m in live if m.action not in ("deleted", "gone"))
        return sorted(alive, key=lambda m: (m.minute, m.record.encode()), reverse=True)

    def apply(self, message: Message) -> None:
        """Apply one message; note its effect."""
        was = self.records.get(message.record)
        known = was.symbol if was else ""
        is_deletion = message.action == "deleted" and known != ""  # moves nothing
        # Else nobody says whose it is.
        if is_deletion or not message.symbol or message.action == "gone":
            message = attrs.evolve(message, symbol=known)
        if was and was.action in ("deleted", "gone"):
            was = None
        tops = {symbol: self.timeline(symbol)[:1] for symbol in SYMBOLS}
        was_top = was is not None and tops[was.symbol] == [was]
        self.records[message.record] = message
        newcomer = was is None or was.symbol != message.symbol
        for old in self.timeline(message.symbol)[self.length if newcomer else 99 :]:
            del self.records[old.record]
        stays = message.record in self.records
        is_top = self.timeline(message.symbol)[:1] == [message]
        is_known = stays or (was is not None and was.symbol != "")
        effect = "record" if is_known else "none"
        self.effects.append("latest" if was_top or is_top else effect)


@law
@given(st.data())
def test_a_short_timeline_in_order_is_as_the_model_says(
    peer: Peer, data: st.DataObject
) -> None:
    length = data.draw(st.integers(1, 3))
    history = data.draw(histories(("A", "A", "B", "")))
    # A delete without content bears the time at which it is sent, others their tick's.
    history = [attrs.evolve(m, tick=2 * m.tick) for m in history]
    model = Model(length)
    for message in history:
        model.apply(message)
    made = data.draw(orders(history))
    found, results = deliver(peer, made, timeline_length=length)
    assert found.timelines == {
        symbol: [(m.record, _score(m)) for m in model.timeline(symbol)]
        for symbol in ("A", "B")
        if model.timeline(symbol)
    }
    assert set(found.records) == set(model.records)
    assert [r for r in results if r != "duplicate"] == model.effects
    assert found.symbols == found.timelines.keys()
    for symbol in found.symbols:
        newest = model.timeline(symbol)[0]
        assert found.latest[symbol]["notes"] == str(newest.tick)


def _score(message: Message) -> float:
    return 1_727_928_000_000 + 60_000 * message.minute  # 2024-10-03 in New York


# ------------------------------------------------------------------- the consensus


@attrs.frozen
class Opinion:
    """One consensus of a symbol."""

    symbol: str
    tick: int
    value: int

    def frame(self, envelope: str) -> str:
        """Write it."""
        made = consensus(self.tick, f"{self.value}.0", symbol=self.symbol)
        return made.replace('"id":"envelope-', f'"id":"{envelope}-', 1)


@st.composite
def opinions(draw: st.DrawFn) -> list[Opinion]:
    """Make up consensuses in order; the same figures often come again."""
    given_ = draw(
        st.lists(
            st.tuples(st.sampled_from("AB"), st.integers(1, 3)), min_size=1, max_size=12
        )
    )
    return [Opinion(symbol, tick, value) for tick, (symbol, value) in enumerate(given_)]


def modelled(history: list[Opinion], symbol: str) -> dict[str, str]:
    """Return what the newest message of a symbol, and those before it, have to give."""
    own = [opinion for opinion in history if opinion.symbol == symbol]
    if not own:
        return {}
    is_, *_ = newest = own[::-1]
    told = {
        "consensus_rating_val": f"{is_.value}.0",
        "updated_at": stamp(is_.tick),
        "_version": str((1_728_000_000 + is_.tick) * 1000),
    }
    was = next((old for old in newest if old.value != is_.value), None)
    if was is not None:
        told["_previous_consensus_rating_val"] = f"{was.value}.0"
        told["_shift"] = "up" if is_.value > was.value else "down"
    return told


def _consensus(found: State, symbol: str, names: Sequence[str]) -> dict[str, str]:
    return {k: v for k, v in found.latest.get(symbol, {}).items() if k in names}


STANDING = ("consensus_rating_val", "updated_at", "_version")
BEFORE = ("_previous_consensus_rating_val", "_shift")


@law
@given(st.data())
def test_the_consensus_in_order_is_as_the_model_says(
    peer: Peer, data: st.DataObject
) -> None:
    history = data.draw(opinions())
    made = data.draw(batches([o.frame(f"e{o.tick}") for o in history]))
    found, _ = deliver(peer, made, CONSENSUS)
    for symbol in "AB":
        told = _consensus(found, symbol, STANDING + BEFORE)
        assert told == modelled(history, symbol)


@law
@given(st.data())
def test_the_consensus_in_any_order_ends_with_the_newest(
    peer: Peer, data: st.DataObject
) -> None:
    history = data.draw(opinions())
    extra = data.draw(st.lists(st.sampled_from(history), max_size=6))
    order = data.draw(st.permutations([*history, *extra]))
    made = data.draw(batches([o.frame(next(_envelopes)) for o in order]))
    found, _ = deliver(peer, made, CONSENSUS)
    for symbol in "AB":
        expected = modelled(history, symbol)
        told = {name: expected[name] for name in STANDING if name in expected}
        assert _consensus(found, symbol, STANDING) == told


@attrs.frozen
class Saying:
    """What is said of a symbol's consensus, by a record or by none ("")."""

    record: str
    tick: int
    action: str
    symbol: str
    value: int

    def frame(self, envelope: str) -> str:
        """Write it; of two ticks that share a version the second is later."""
        at = self.tick + 0.5
        if self.action == "gone" and self.record:
            return deleted(self.record, at=at, envelope=envelope)
        content = {
            "ticker": self.symbol,
            "consensus_rating_val": self.value,
            "updated_at": stamp(self.tick // 2 * 2 if self.record else at),
        }
        action = "updated" if self.action == "updated" else "deleted"
        return written(self.record, content, action=action, at=at, envelope=envelope)

    @property
    def change(self) -> Change:
        """Return it as it is read."""
        found = read(CONSENSUS, self.frame(""), received=0, source="live")
        assert isinstance(found, Change)
        return found

    @property
    def deletes(self) -> bool:
        """Whether it is a delete."""
        return self.action != "updated"

    @property
    def order(self) -> tuple[Any, ...]:
        """What decides between two of a record, and between two of a symbol."""
        change = self.change
        return change.version, change.moments, self.deletes, self.record


@st.composite
def sayings(draw: st.DrawFn) -> list[Saying]:
    """Make up consensuses with record ids and without, moves and deletes."""
    records = draw(st.lists(st.sampled_from(("", "c", "d", "é")), max_size=14))
    actions = st.sampled_from(("updated", "updated", "updated", "deleted", "gone"))
    return [
        Saying(
            record,
            tick,
            draw(actions),
            draw(st.sampled_from("AB")),
            draw(st.integers(1, 2)),
        )
        for tick, record in enumerate((*records, "c"))
    ]


def standing(history: list[Saying], symbol: str) -> dict[str, str]:
    """Return what a symbol shows: the newest said of it, if its record still says so.

    A delete is said of its record, and of the symbol only where there is no record.
    """
    of_symbol = [
        s for s in history if s.symbol == symbol and not (s.record and s.deletes)
    ]
    newest = max(of_symbol, key=lambda s: s.order, default=None)
    if newest is None or newest.deletes:
        return {}
    of_record = [s for s in history if s.record == newest.record]
    if newest.record and newest != max(of_record, key=lambda s: s.order):
        return {}
    change = newest.change
    return {
        "consensus_rating_val": str(newest.value),
        "updated_at": dict(zip(change.fields[::2], change.fields[1::2], strict=True))[
            "updated_at"
        ],
        "_version": str(change.version),
    }


@law
@given(st.data())
def test_the_consensus_of_records_does_not_hang_on_their_order(
    peer: Peer, data: st.DataObject
) -> None:
    history = data.draw(sayings())
    extra = data.draw(st.lists(st.sampled_from(history), max_size=6))
    order = data.draw(st.permutations([*history, *extra]))
    made = data.draw(batches([s.frame(next(_envelopes)) for s in order]))
    found, results = deliver(peer, made, CONSENSUS)
    assert not any(result.startswith("refused") for result in results)
    for symbol in "AB":
        assert _consensus(found, symbol, STANDING) == standing(history, symbol)
