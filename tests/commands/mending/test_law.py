"""Laws: what the log says each key should be is what the script made of it.

Not held, since it cannot be: histories (what was trimmed or deleted there does not come
back under its old ids), scores in `symbols` of what was mended (its `latest` changed
when it was mended), and of consensus that came while `latest` was broken, what was
before it (the script did not see it).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache, partial
from itertools import count
from typing import Any

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store.servers import Peer, new_log, pack
from store.test_laws import (
    STANDING,
    Batch,
    Message,
    Opinion,
    Saying,
    deliveries,
    histories,
    opinions,
    orders,
    sayings,
)
from store.test_laws import batches as cut

from bzredis import ports
from bzredis.commands.mending.asked import Progress
from bzredis.commands.mending.rebuild import Report, lines, survey_of
from bzredis.commands.mending.survey import Survey
from bzredis.store import client
from bzredis.store.client import Store
from bzredis.store.mending import Keys, Step
from bzredis.store.script import Limits, script
from bzredis.streams import CONSENSUS, RATINGS, Stream

law = settings(
    max_examples=int(os.environ.get("MEND_EXAMPLES", "12")),
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
LENGTH = 50
_prefixes = (f"mend{number}" for number in count())


@attrs.define
class Bench:
    """A prefix of its own, and short ways to what happens there."""

    peer: Peer
    stream: Stream
    length: int = LENGTH
    prefix: str = attrs.field(factory=lambda: next(_prefixes))

    @property
    def stem(self) -> str:
        return f"{self.prefix}:{self.stream.name}:"

    def store(self) -> Store:
        return Store(
            self.peer.server.url, self.prefix, Limits(timeline_length=self.length)
        )

    async def put(self, frames: Sequence[str]) -> None:
        with closing(self.store()) as store:
            sent = ports.Batch(new_log(), 0, pack(self.stream, frames), None)
            assert isinstance(await store.apply(self.stream, sent), ports.Applied)

    def apply(self, made: Sequence[Any]) -> None:
        for batch in made:
            trio.run(self.put, batch.frames)

    def look(self, *, verify: bool, meanwhile: Meanwhile | None = None) -> Report:
        return trio.run(partial(self._look, verify=verify, meanwhile=meanwhile))

    async def _look(self, *, verify: bool, meanwhile: Meanwhile | None) -> Report:
        with closing(self.store()) as store:
            keys = Keys(store, self.stream)
            if meanwhile:
                keys = Busy(store, self.stream, meanwhile)
            survey = Survey(keys, self.length, Progress())
            return await survey_of(survey, (), verify=verify)

    def verified(self) -> list[str]:
        """Return what differs, in words."""
        report = self.look(verify=True)
        return [] if report.is_well else lines(report, verify=True)

    def kept(self) -> dict[str, Any]:
        """Return all that is mended."""
        redis, found = self.peer.redis, dict[str, Any]()
        for name in sorted(redis.keys(f"{self.stem}*")):
            kind = (name.split(":")[2], redis.type(name))
            if kind in {("record", "hash"), ("latest", "hash")}:
                found[name] = (redis.hgetall(name), redis.ttl(name) >= 0)
            elif kind == ("timeline", "zset"):
                found[name] = redis.zrange(name, 0, -1, withscores=True)
            elif kind[0] in {"record", "latest", "timeline"}:
                found[name] = kind
        found["symbols"] = set(redis.zrange(f"{self.stem}symbols", 0, -1))
        return found


@attrs.define
class Meanwhile:
    """Batches that the bridge applies between what the command asks of Redis."""

    put: Callable[[Sequence[str]], Any]
    left: list[Any]

    async def __call__(self) -> None:
        if self.left and (frames := self.left.pop(0).frames):
            await self.put(frames)


@attrs.frozen
class Busy(Keys):
    """Keys that change each time before they are looked at, and before each write."""

    meanwhile: Meanwhile

    async def timelines(self, symbols: Sequence[str]) -> list[list[str]]:
        await self.meanwhile()
        found = await super().timelines(symbols)
        await self.meanwhile()
        return found

    async def mend(self, read: str, steps: Sequence[Step]) -> list[bool]:
        await self.meanwhile()
        return await super().mend(read, steps)


_script = cache(script)  # most of the time went into making it anew


@pytest.fixture
def bench(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    monkeypatch.setattr(client, "script", _script)
    return partial(Bench, peer)


@contextmanager
def emptied(peer: Peer) -> Iterator[None]:
    try:
        yield
    finally:
        peer.redis.flushall()


# ---------------------------------------------------------- nothing where nothing is


@pytest.mark.parametrize(
    "moves",
    [
        "aA aA bA a- aA",  # of no symbol, and too old to come back
        "aA bA bB",  # what fell off is gone, whoever has left since
        "aA bA aA bB",
        "aA bA aA bB aA",
        "aA bA cA cB bB",
    ],
)
def test_nor_where_a_timeline_is_short(bench: Callable[..., Bench], moves: str) -> None:
    """Found by chance, by the law that follows."""
    frames = [
        Message(move[0], n, "created", move[1].strip("-"), 0).frame(f"e{n}")
        for n, move in enumerate(moves.split())
    ]
    at = bench(RATINGS, 1)
    with emptied(at.peer):
        at.apply([Batch(tuple(frames), 0, 1, restart=False)])
        assert at.verified() == []


def test_nor_where_a_consensus_was_deleted_before_it_came(
    bench: Callable[..., Bench],
) -> None:
    """Found by chance, by the law of consensus."""
    said = [("", 0, "updated"), ("d", 3, "gone"), ("d", 2, "updated")]
    frames = [
        Saying(record, tick, action, "A", 1).frame(f"e{n}")
        for n, (record, tick, action) in enumerate(said)
    ]
    at = bench(CONSENSUS)
    with emptied(at.peer):
        at.apply([Batch(tuple(frames), 0, 1, restart=False)])
        assert at.verified() == []


@law
@given(st.data())
def test_of_what_the_script_wrote_nothing_differs(
    bench: Callable[..., Bench], data: st.DataObject
) -> None:
    history = data.draw(histories())
    made = data.draw(deliveries(history))
    at = bench(RATINGS, data.draw(st.sampled_from((1, 2, 3, LENGTH))))
    with emptied(at.peer):
        at.apply(made)
        assert at.verified() == []
        before = at.peer.dump(at.prefix)
        assert at.look(verify=False).mended == 0
        assert at.peer.dump(at.prefix) == before


@law
@given(st.data())
def test_nor_does_it_of_consensus(
    bench: Callable[..., Bench], data: st.DataObject
) -> None:
    history = data.draw(sayings())
    extra = data.draw(st.lists(st.sampled_from(history), max_size=6))
    order = data.draw(st.permutations([*history, *extra]))
    made = data.draw(cut([s.frame(f"e{n}") for n, s in enumerate(order)]))
    at = bench(CONSENSUS)
    with emptied(at.peer):
        at.apply(made)
        assert at.verified() == []


@law
@given(st.data())
def test_nor_does_it_where_the_log_was_trimmed(
    bench: Callable[..., Bench], data: st.DataObject
) -> None:
    stream = data.draw(st.sampled_from((RATINGS, CONSENSUS)))
    at = bench(stream)
    if stream is RATINGS:
        made = data.draw(deliveries(data.draw(histories())))
    else:
        history = data.draw(opinions())
        made = data.draw(cut([o.frame(f"e{o.tick}") for o in history]))
    with emptied(at.peer):
        at.apply(made)
        events = f"{at.stem}events"
        keep = data.draw(st.integers(0, at.peer.redis.xlen(events)))
        at.peer.redis.xtrim(events, maxlen=keep, approximate=False)
        assert at.verified() == []


# -------------------------------------------------------------- what a person breaks

_BREAKS = (
    *("del record", "del latest", "del timeline", "set record", "set latest"),
    *("hdel record", "hdel latest", "zrem timeline", "zrem symbols", "zadd timeline"),
    *("other latest", "expire record", "evict", "unlist", "zscore timeline"),
)
_FIELDS = ("notes", "_version", "_symbol", "_published", "_firm", "ticker", "new")


def _evict(at: Bench) -> None:
    for each in at.peer.redis.keys(f"{at.stem}*"):
        if each.split(":")[2] in {"record", "latest", "timeline", "symbols"}:
            at.peer.redis.delete(each)


def _other(redis: Any, name: str, _: str) -> None:
    redis.delete(name)
    redis.set(name, "mine")


def _expire(redis: Any, name: str, _: str) -> None:
    if redis.ttl(name) >= 0:
        redis.persist(name)
    else:
        redis.expire(name, 9_999)


_WAYS: dict[str, Callable[[Any, str, str], Any]] = {
    "del": lambda redis, name, _: redis.delete(name),
    "other": _other,
    "expire": _expire,
    "set": lambda redis, name, field: redis.hset(name, field, "1"),
    "hdel": lambda redis, name, field: redis.hdel(name, field),
    "zadd": lambda redis, name, _: redis.zadd(name, {"nobody": 9_999_999_999_999}),
    "zscore": lambda redis, name, _: redis.zadd(name, {redis.zrange(name, 0, 0)[0]: 5}),
    "zrem": lambda redis, name, _: redis.zpopmax(name),
}


def broken(at: Bench, how: str, which: int, field: str) -> None:
    """Break something, if there is any of it."""
    redis = at.peer.redis
    verb, _, kind = how.partition(" ")
    names = sorted(redis.keys(f"{at.stem}{kind}:*")) if kind else []
    if verb == "evict":
        _evict(at)
    elif how == "zrem symbols":
        redis.zpopmin(f"{at.stem}symbols")
    elif verb == "unlist":
        redis.zadd(f"{at.stem}symbols", {"NOBODY": 1})
    elif names:
        name = names[which % len(names)]
        if redis.type(name) in {"hash", "zset"}:
            _WAYS[verb](redis, name, field)


def breaks(ways: Sequence[str] = _BREAKS) -> st.SearchStrategy[list[Any]]:
    one = st.tuples(st.sampled_from(ways), st.integers(0, 9), st.sampled_from(_FIELDS))
    return st.lists(one, min_size=1, max_size=5)


# What comes upon a key of another type is refused, and waits in `rejected`.
_TAKEN = tuple(way for way in _BREAKS if not way.startswith("other"))


@law
@given(st.data())
def test_what_was_broken_is_as_it_was(
    bench: Callable[..., Bench], data: st.DataObject
) -> None:
    made = data.draw(deliveries(data.draw(histories())))
    at = bench(RATINGS)
    with emptied(at.peer):
        at.apply(made)
        before, log = at.kept(), at.peer.redis.xrange(f"{at.stem}events")
        for each in data.draw(breaks()):
            broken(at, *each)
        differs = at.kept() != before
        assert bool(at.verified()) == differs
        at.look(verify=False)
        assert at.kept() == before
        assert at.verified() == []
        assert at.peer.redis.xrange(f"{at.stem}events") == log


@law
@given(st.data())
def test_what_was_broken_of_consensus_is_as_it_was(
    bench: Callable[..., Bench], data: st.DataObject
) -> None:
    history = data.draw(opinions())
    extra = data.draw(st.lists(st.sampled_from(history), max_size=4))
    order = data.draw(st.permutations([*history, *extra]))
    at = bench(CONSENSUS)
    with emptied(at.peer):
        at.apply(data.draw(cut([o.frame(f"e{o.tick}") for o in order])))
        before = at.kept()
        for how, which, field in data.draw(breaks()):
            named = field if field != "_version" else "consensus_rating"
            broken(at, how, which, named)
        at.look(verify=False)
        assert at.kept() == before
        assert at.verified() == []


# ------------------------------------------------------------ while the bridge goes on


def _batch(*messages: Message) -> Batch:
    return Batch(tuple(m.frame(f"e{m.tick}") for m in messages), 0, 1, restart=False)


NEWER = (
    [Message("a", 4, "updated", "A", 1)],
    [Message("a", 4, "deleted", "A", 1)],
    [Message("a", 4, "updated", "B", 1)],
    [Message("c", 4, "created", "A", 9)],
    [Message("b", 4, "updated", "A", 9)],
    [Message("b", 4, "deleted", "A", 9), Message("b", 6, "created", "A", 9)],
)


@pytest.mark.parametrize("newer", NEWER)
@pytest.mark.parametrize("pause", range(3))
def test_what_comes_in_between_stands(
    bench: Callable[..., Bench], newer: list[Message], pause: int
) -> None:
    at, control = bench(RATINGS), bench(RATINGS)
    first = _batch(
        Message("a", 0, "created", "A", 1), Message("b", 2, "created", "B", 1)
    )
    control.apply([first, _batch(*newer)])
    at.apply([first])
    at.peer.redis.hset(f"{at.stem}record:a", "notes", "broken")
    at.peer.redis.delete(f"{at.stem}latest:A", f"{at.stem}timeline:B")
    # Before the looking, in its midst, or between that and the writing.
    meanwhile = Meanwhile(at.put, [_batch()] * pause + [_batch(*newer)])
    at.look(verify=False, meanwhile=meanwhile)
    assert meanwhile.left == []
    assert at.verified() == []
    assert _told(at) == _told(control)


def _in_order(history: list[Message]) -> list[Message]:
    """Have each message newer than those before, so that none is late."""
    return [attrs.evolve(m, tick=2 * m.tick) for m in history]


def test_so_does_what_moves_a_record_that_is_older_than_the_log(
    bench: Callable[..., Bench],
) -> None:
    at, control = bench(RATINGS), bench(RATINGS)
    first = _batch(
        Message("a", 0, "created", "A", 1), Message("b", 2, "created", "B", 1)
    )
    more = [
        _batch(Message("b", 4, "updated", "B", 1)),  # B is looked at once more …
        _batch(Message("a", 6, "updated", "B", 1)),  # … and meanwhile this leaves A
    ]
    control.apply([first, *more])
    at.apply([first])
    at.peer.redis.xtrim(f"{at.stem}events", maxlen=0, approximate=False)
    at.peer.redis.delete(f"{at.stem}latest:A")
    meanwhile = Meanwhile(at.put, [_batch(), *more])
    at.look(verify=False, meanwhile=meanwhile)
    assert meanwhile.left == []
    assert _told(at) == _told(control)


@law
@given(st.data())
def test_the_end_is_the_same_while_more_comes(
    bench: Callable[..., Bench], data: st.DataObject
) -> None:
    # What has no ticker, or is deleted without one, stays with its record's.
    history = _in_order(data.draw(histories(("A", "B", "TSX:C"))))
    made = data.draw(orders(history))
    at_first = data.draw(st.integers(0, len(made)))
    at, control = bench(RATINGS), bench(RATINGS)
    with emptied(at.peer):
        control.apply(made)
        at.apply(made[:at_first])
        for each in data.draw(breaks(_TAKEN)):
            broken(at, *each)
        meanwhile = Meanwhile(at.put, list(made[at_first:]))
        assert at.look(verify=False, meanwhile=meanwhile).busy == []
        at.apply(meanwhile.left)
        assert at.verified() == []
        assert _told(at) == _told(control)


@law
@given(st.data())
def test_a_consensus_that_comes_meanwhile_stands(
    bench: Callable[..., Bench], data: st.DataObject
) -> None:
    history: list[Opinion] = data.draw(opinions())
    made = data.draw(cut([o.frame(f"e{o.tick}") for o in history]))
    at_first = data.draw(st.integers(0, len(made)))
    at, control = bench(CONSENSUS), bench(CONSENSUS)
    with emptied(at.peer):
        control.apply(made)
        at.apply(made[:at_first])
        for how, which, _ in data.draw(breaks(_TAKEN)):
            broken(at, how, which, "consensus_rating")
        meanwhile = Meanwhile(at.put, list(made[at_first:]))
        at.look(verify=False, meanwhile=meanwhile)
        at.apply(meanwhile.left)
        assert at.verified() == []
        assert _told(at, STANDING) == _told(control, STANDING)


def _told(at: Bench, names: Sequence[str] = ()) -> dict[str, Any]:
    """Return what stands, but the ids of entries, which hang on the time."""
    told: dict[str, Any] = {}
    for name, value in at.kept().items():
        short = name.removeprefix(at.stem)
        if short.startswith(("record:", "latest:")):
            fields, dies = value
            wanted = names or {*fields} - {"_event"}
            # A deletion that came upon nothing does not know when it was published.
            if fields.get("_action") == "deleted":
                wanted = {*wanted} - {"_symbol", "_published"}
            told[short] = {k: v for k, v in fields.items() if k in wanted}, dies
        else:
            told[short] = value
    return told
