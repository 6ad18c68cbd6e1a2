"""What a user has to be allowed, found out before any write."""

from __future__ import annotations

import re

import pytest
import trio
from store.servers import Peer, new_log, pack, rating
from store.steps import BOTH, STEPS, refused_whole, user

from bzredis.errors import StoreDown
from bzredis.ports import Applied, Batch
from bzredis.store.script import Limits, script
from bzredis.streams import CONSENSUS, RATINGS, Stream


def commands_called(stream: Stream) -> list[str]:
    """Return every command that the script calls for a stream."""
    called = re.findall(r"(?:call|read)\('([A-Z]+)'", script(stream, Limits()))
    return sorted(set(called))


DENIED = r"this user may not|permission|can't run|can't access"


ONLY_READ = {"XRANGE", "XLEN"}  # before anything is written


@pytest.mark.parametrize(
    ("stream", "command"),
    [
        (stream, command)
        for stream in (RATINGS, CONSENSUS)
        for command in commands_called(stream)
        if command not in ONLY_READ
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_missing_command_refuses_the_batch(
    peer: Peer, stream: Stream, command: str
) -> None:
    if command == "PUBLISH" and peer.version < (7,):
        pytest.skip("Redis 6.2 cannot be asked, and a try would be heard")
    name = user(peer, "~*", "&*", "+@all", f"-{command.lower()}")
    with refused_whole(peer, DENIED):
        peer.apply(stream, *STEPS[stream.name], store=peer.store(user=name))


KEYS = (
    *("events", "symbols", "rejected", "latest:*", "history:*"),
    *("internal:seen", "internal:coverage", "internal:log:*"),
)
KEYS_OF = {
    RATINGS.name: (*KEYS, "record:*", "timeline:*", "internal:gone:*"),
    CONSENSUS.name: (
        *KEYS,
        *("internal:heard:record:*", "internal:heard:symbol:*"),
    ),
}


@pytest.mark.parametrize(
    ("name", "missing"), [(name, key) for name in KEYS_OF for key in KEYS_OF[name]]
)
def test_a_missing_key_pattern_refuses_the_batch(
    peer: Peer, name: str, missing: str
) -> None:
    patterns = [f"~bz:{name}:{key}" for key in KEYS_OF[name] if key != missing]
    login = user(peer, *patterns, "&*", "+@all")
    stream = RATINGS if name == "ratings" else CONSENSUS
    with refused_whole(peer, DENIED):
        peer.apply(stream, *STEPS[name], store=peer.store(user=login))


@BOTH
def test_exactly_what_is_needed_is_enough(peer: Peer, stream: Stream) -> None:
    patterns = [f"~bz:{stream.name}:{key}" for key in KEYS_OF[stream.name]]
    needed = [f"+{command.lower()}" for command in commands_called(stream)]
    login = user(
        peer,
        *patterns,
        *("resetchannels", f"&bz:{stream.name}:changed"),
        *("+evalsha", "+eval", "+ping", *needed),
    )
    results = peer.apply(stream, *STEPS[stream.name], store=peer.store(user=login))
    assert set(results) <= {"latest", "record", "rejected"}


def test_a_channel_that_is_forbidden_refuses_the_batch(peer: Peer) -> None:
    if peer.version < (7,):
        pytest.skip("Redis 6.2 cannot be asked")
    login = user(peer, "~*", "+@all")
    with refused_whole(peer, "may not run PUBLISH on bz:ratings:changed"):
        peer.one(rating(), store=peer.store(user=login))


def test_a_record_no_one_may_read_waits_for_permission(peer: Peer) -> None:
    keys = [key for key in KEYS_OF["ratings"] if key != "record:*"]
    patterns = [f"~bz:ratings:{key}" for key in keys]
    patterns += ["~bz:ratings:record:", "~bz:ratings:record:a"]
    login = user(peer, *patterns, "&*", "+@all")
    log, batch = new_log(), (rating("a"), rating("b"))
    with pytest.raises(StoreDown, match=DENIED):
        peer.apply(RATINGS, *batch, store=peer.store(user=login), log=log)
    peer.redis.execute_command("ACL", "SETUSER", "bridge", "~*")
    assert peer.apply(RATINGS, *batch, log=log) == ("again", "latest")
    assert peer.hash("ratings:latest:AAPL") == peer.hash("ratings:record:b")


# Not those that come when a hash was deleted already, or is written, but for its end.
HALFWAY = {"HSET", "HDEL", "HGETALL", "EXPIRE"}
LOST_AFTER = [
    (stream, command)
    for stream in (RATINGS, CONSENSUS)
    for command in commands_called(stream)
    if command not in HALFWAY
]


@pytest.mark.parametrize(
    ("stream", "command"),
    LOST_AFTER,
    ids=lambda value: getattr(value, "name", value),
)
def test_what_a_user_may_no_longer_do_is_applied_whole_once_it_may(
    peer: Peer, stream: Stream, command: str
) -> None:
    """Of a change that broke off nothing counts; it is asked for before a next try."""
    steps, log = STEPS[stream.name], new_log()
    peer.apply(stream, *steps)
    wanted = state_of(peer, stream)
    peer.redis.flushall()
    store = peer.store(user=user(peer, "~*", "&*", "+@all"))
    packed = pack(stream, steps)

    async def tell() -> None:
        first = Batch(log, 0, packed[:1], None)
        assert isinstance(await store.apply(stream, first), Applied)
        deny = f"-{command.lower()}"
        peer.redis.execute_command("ACL", "SETUSER", "bridge", deny)
        for number in range(1, len(packed)):
            for _ in range(2):
                batch = Batch(log, number, packed[number : number + 1], None)
                try:
                    await store.apply(stream, batch)
                except StoreDown as error:
                    assert re.search(DENIED, str(error))  # noqa: PT017 - may come, or not
                else:
                    break
                peer.redis.execute_command("ACL", "SETUSER", "bridge", "+@all")
            if number < len(packed) - 1:
                peer.redis.execute_command("ACL", "SETUSER", "bridge", deny)
            store._permitted.add(stream.name)  # it was asked, and then it changed

    trio.run(tell)
    assert state_of(peer, stream) == wanted


def state_of(peer: Peer, stream: Stream) -> dict[str, object]:
    """Return what stands in the keys, but for what tells of when it came."""
    found: dict[str, object] = {}
    for key in peer.redis.keys(f"bz:{stream.name}:*"):
        if key.endswith((":coverage", ":seen")) or ":log:" in key:
            continue
        kind = peer.redis.type(key)
        if kind == "hash":
            held = peer.hash(key.removeprefix("bz:"))
            held.pop("_event", None)
            found[key] = held, peer.redis.ttl(key) > 0
        elif kind == "stream":
            entries = peer.entries(key.removeprefix("bz:"))
            found[key] = [{**entry, "event": ""} for entry in entries]
        else:
            found[key] = sorted(peer.redis.zrange(key, 0, -1))
    return found
