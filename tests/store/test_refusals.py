"""What Redis refuses, it refuses whole: contract.md, promises 2, 5 and 9."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from store.servers import Peer, consensus, deleted, message, rating

from bzredis.errors import StoreDown, StoreRolledBack
from bzredis.store.script import script
from bzredis.streams import CONSENSUS, RATINGS, Stream

MAXIMUM = "18446744073709551615-18446744073709551615"

# Messages that together go every way through the script.
STEPS = {
    RATINGS.name: (
        rating("a", minute=1),
        rating("b", minute=2),
        rating("c", minute=None),
        rating("c", 2, minute=None),
        rating("d", minute=9, symbol=""),
        rating("b", 2, minute=2, symbol="X"),
        deleted("a"),
        "garbage",
    ),
    CONSENSUS.name: (
        consensus(1, id="c1"),
        consensus(2, "4", id="c1"),
        consensus(3, "4", id="c1"),
        consensus(4, "5", id="c1", symbol=None),
        consensus(5, "5", id="c2"),
        consensus(6, "5", id="c2", symbol="X"),
        message("c2", None, action="deleted", at=40),
        message("c1", None, action="deleted", at=50),
    ),
}
BOTH = pytest.mark.parametrize("stream", [RATINGS, CONSENSUS], ids=lambda s: s.name)


@contextmanager
def refused_whole(peer: Peer, words: str) -> Iterator[None]:
    """Expect StoreDown in these words, and that no key of any kind has changed."""
    before = peer.dump()
    with pytest.raises(StoreDown, match=words) as caught:
        yield
    assert "\n" not in str(caught.value)
    assert peer.dump() == before


# -------------------------------------------------------------- wrong types


WRONG = {
    "ratings:record:bad": (RATINGS, rating("bad", symbol="BAD")),
    "ratings:latest:BAD": (RATINGS, rating("bad", symbol="BAD")),
    "ratings:timeline:BAD": (RATINGS, rating("bad", symbol="BAD")),
    "consensus:latest:BAD": (CONSENSUS, consensus(symbol="BAD")),
    "consensus:history:BAD": (CONSENSUS, consensus(symbol="BAD")),
    "consensus:heard:symbol:BAD": (CONSENSUS, consensus(symbol="BAD")),
    "consensus:heard:record:bad": (CONSENSUS, consensus(symbol=None, id="bad")),
}


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_type_refuses_that_change_alone(peer: Peer, key: str) -> None:
    stream, bad = WRONG[key]
    good = [rating("good"), rating("good", 2)]
    if stream is CONSENSUS:
        good = [consensus(), consensus(2, "4")]
    peer.redis.rpush(f"bz:{key}", "in the way")
    first, refused, last = peer.apply(stream, good[0], bad, good[1])
    assert (first, last) == ("latest", "latest")
    assert refused.startswith("refused WRONGTYPE")
    assert key in refused
    assert [k for k in sorted(peer.redis.keys("*")) if re.search("bad|BAD", k)] == [
        f"bz:{key}"
    ]
    assert peer.redis.lrange(f"bz:{key}", 0, -1) == ["in the way"]
    assert "BAD" not in peer.symbols(stream.name)
    (entry,) = peer.entries(f"{stream.name}:rejected")
    assert entry["raw"] == bad
    assert entry["reason"] == refused.removeprefix("refused ")
    assert len(peer.entries(f"{stream.name}:events")) == 2

    # Sent again it is set aside no second time; and once it can be, it is applied.
    assert peer.one(bad, stream) == refused
    assert len(peer.entries(f"{stream.name}:rejected")) == 1
    peer.redis.delete(f"bz:{key}")
    assert peer.one(bad, stream) in ("latest", "unattributed")


def test_a_wrong_type_under_the_old_symbol_refuses_a_move(peer: Peer) -> None:
    peer.one(rating("a"))
    peer.redis.delete("bz:ratings:timeline:AAPL")
    peer.redis.set("bz:ratings:timeline:AAPL", "in the way")
    before = peer.dump()
    assert peer.one(rating("a", 2, symbol="X")).startswith("refused WRONGTYPE")
    after = peer.dump()
    assert after.keys() - before.keys() == {"bz:ratings:rejected"}
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"bz:ratings:seen"}


@pytest.mark.parametrize("name", ["OOM ", "NOPERM", "READONLY", "ROLLBACK x"])
def test_names_are_not_taken_for_what_redis_says(peer: Peer, name: str) -> None:
    peer.redis.set(f"bz:ratings:record:{name.strip()}", "in the way")
    results = peer.apply(RATINGS, rating(name), rating("good"))
    assert results[0].startswith("refused WRONGTYPE")
    assert results[1] == "latest"


@pytest.mark.parametrize("key", ["events", "seen", "symbols", "rejected"])
@BOTH
def test_a_wrong_type_under_the_streams_own_keys_refuses_the_batch(
    peer: Peer, key: str, stream: Stream
) -> None:
    peer.redis.set(f"bz:{stream.name}:{key}", "in the way")
    with refused_whole(peer, f"WRONGTYPE bz:{stream.name}:{key} holds a string"):
        peer.apply(stream, *STEPS[stream.name])


# ------------------------------------------------------ what concerns the server


@BOTH
def test_full_memory_refuses_the_batch_until_there_is_room(
    peer: Peer, stream: Stream
) -> None:
    peer.apply(stream, *STEPS[stream.name][:2])
    rest = STEPS[stream.name][1:]  # the first of them is known already
    with peer.config(maxmemory="1", maxmemory_policy="noeviction"):
        for _ in range(2):
            with refused_whole(peer, "command not allowed when used memory"):
                peer.apply(stream, *rest)
        if stream is RATINGS:
            with refused_whole(peer, "command not allowed when used memory"):
                peer.one(deleted("a"))
    results = peer.apply(stream, *rest)
    assert results[0] == "duplicate"
    assert set(results[1:]) <= {"latest", "record", "rejected"}


@BOTH
def test_a_replica_refuses_the_batch(peer: Peer, stream: Stream) -> None:
    peer.apply(stream, *STEPS[stream.name][:2])
    peer.redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        with refused_whole(peer, "read only replica"):
            peer.apply(stream, *STEPS[stream.name])
        with (
            peer.config(replica_serve_stale_data="no"),
            pytest.raises(StoreDown, match="MASTER is down"),
        ):
            peer.apply(stream, *STEPS[stream.name])
    finally:
        peer.redis.execute_command("REPLICAOF", "NO", "ONE")
    assert "duplicate" not in peer.apply(stream, *STEPS[stream.name][2:])


def test_the_script_is_loaded_again_where_redis_lost_it(peer: Peer) -> None:
    store = peer.store()
    assert peer.one(rating("a"), store=store) == "latest"
    peer.redis.script_flush()
    assert peer.one(rating("b"), store=store) == "latest"


# ------------------------------------------------------------- missing permissions


def commands_called(stream: Stream) -> list[str]:
    """Return every command that the script calls for a stream."""
    return sorted(set(re.findall(r"call\('([A-Z]+)'", script(stream))))


DENIED = r"this user may not|permission|can't run|can't access"
ONLY_READ = {"XRANGE", "XLEN"}  # before anything is written


def user(peer: Peer, *rules: str) -> str:
    peer.redis.execute_command("ACL", "SETUSER", "bridge", "reset", "on", ">pw", *rules)
    return "bridge:pw"


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


KEYS = ("events", "seen", "symbols", "rejected", "latest:*")
KEYS_OF = {
    RATINGS.name: (*KEYS, "record:*", "timeline:*", "newest", "owed", "subscribed"),
    CONSENSUS.name: (*KEYS, "history:*", "heard:record:*", "heard:symbol:*"),
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


def test_with_a_watch_list_what_is_gone_unseen_is_needed_too(peer: Peer) -> None:
    keys = [f"~bz:ratings:{key}" for key in KEYS_OF["ratings"]]
    store = peer.store(user=user(peer, *keys, "&*", "+@all"), watched=True)
    with refused_whole(peer, DENIED):
        peer.one(rating(), store=store)
    peer.redis.rpush("bz:ratings:gone:a", "in the way")
    refused = peer.one(rating(), store=peer.store(watched=True))
    assert refused.startswith("refused WRONGTYPE")


@BOTH
def test_exactly_what_is_needed_is_enough(peer: Peer, stream: Stream) -> None:
    patterns = [f"~bz:{stream.name}:{key}" for key in KEYS_OF[stream.name]]
    needed = [f"+{command.lower()}" for command in commands_called(stream)]
    login = user(
        peer,
        *patterns,
        *("resetchannels", f"&bz:{stream.name}:changed"),
        *("+evalsha", "+script|load", "+client", "+ping", *needed),
    )
    results = peer.apply(
        stream, *STEPS[stream.name], store=peer.store(user=login), acknowledged=""
    )
    assert set(results) <= {"latest", "record", "rejected"}


def test_a_channel_that_is_forbidden_refuses_the_batch(peer: Peer) -> None:
    if peer.version < (7,):
        pytest.skip("Redis 6.2 cannot be asked")
    login = user(peer, "~*", "+@all")
    with refused_whole(peer, "may not PUBLISH to bz:ratings:changed"):
        peer.one(rating(), store=peer.store(user=login))


def test_a_record_no_one_may_read_waits_for_permission(peer: Peer) -> None:
    keys = (*KEYS, "timeline:*", "newest", "owed", "subscribed")
    patterns = [f"~bz:ratings:{key}" for key in keys]
    patterns += [r"~bz:ratings:record:\*", "~bz:ratings:record:a"]
    login = user(peer, *patterns, "&*", "+@all")
    with pytest.raises(StoreDown, match=DENIED):
        peer.apply(RATINGS, rating("a"), rating("b"), store=peer.store(user=login))
    peer.redis.execute_command("ACL", "SETUSER", "bridge", "~*")
    results = peer.apply(RATINGS, rating("a", envelope="e"), rating("b"))
    assert results == ("duplicate", "latest")
    assert peer.hash("ratings:latest:AAPL") == peer.hash("ratings:record:b")


# -------------------------------------------------------------------- rollback


def test_an_acknowledged_entry_that_is_there_is_no_rollback(peer: Peer) -> None:
    entry = peer.send(RATINGS, rating("a")).entry
    assert peer.one(rating("b"), acknowledged=entry) == "latest"


def test_an_acknowledged_entry_that_was_trimmed_is_no_rollback(peer: Peer) -> None:
    entry = peer.send(RATINGS, rating("a")).entry
    batch = [rating(f"r{n}") for n in range(300)]
    peer.apply(RATINGS, *batch, store=peer.store(events_maxlen=100))
    few = peer.store(events_maxlen=100)
    result = peer.one(rating("b", minute=9), acknowledged=entry, store=few)
    assert result == "latest"


@BOTH
def test_an_empty_redis_is_a_rollback(peer: Peer, stream: Stream) -> None:
    with pytest.raises(StoreRolledBack, match=r"^Redis came back older, or emptied"):
        peer.apply(stream, *STEPS[stream.name], acknowledged="5-1")
    assert peer.dump() == {}


def test_an_older_redis_is_a_rollback(peer: Peer) -> None:
    peer.one(rating("a"))
    entry = peer.send(RATINGS, rating("b")).entry
    peer.redis.xdel("bz:ratings:events", entry)  # as if it had never come
    with refused_whole(peer, "came back older"):
        peer.one(rating("c"), acknowledged=entry)


def test_an_older_redis_that_went_on_without_us_is_a_rollback(peer: Peer) -> None:
    entry = peer.send(RATINGS, rating("a")).entry
    peer.redis.flushall()
    peer.one(rating("b"))  # another bridge was quicker
    with refused_whole(peer, "came back older"):
        peer.one(rating("c"), acknowledged=entry)


# -------------------------------------- streams that take nothing more, for once


def test_a_log_that_takes_nothing_more_loses_nothing(peer: Peer) -> None:
    peer.one(rating("a"))
    peer.redis.xadd("bz:ratings:events", {"a": "b"}, id=MAXIMUM)
    batch = (rating("b"), rating("c", symbol="X"), deleted("a"))
    with refused_whole(peer, "last possible ID|exhausted"):
        peer.apply(RATINGS, *batch)
    peer.redis.delete("bz:ratings:events")
    assert peer.apply(RATINGS, *batch) == ("latest", "latest", "record")


def test_what_was_applied_before_a_failure_is_whole_and_known(peer: Peer) -> None:
    peer.redis.xadd("bz:ratings:rejected", {"a": "b"}, id=MAXIMUM)
    peer.redis.set("bz:ratings:record:bad", "in the way")
    batch = (rating("a"), rating("bad", symbol="X"), rating("b"))
    with pytest.raises(StoreDown):
        peer.apply(RATINGS, *batch)
    assert peer.hash("ratings:latest:AAPL") == peer.hash("ratings:record:a") != {}
    assert peer.symbols() == {"AAPL"}
    peer.redis.delete("bz:ratings:record:bad")
    assert peer.apply(RATINGS, *batch) == ("duplicate", "latest", "latest")
    peer.redis.delete("bz:ratings:rejected")
    assert peer.one("garbage") == "rejected"
