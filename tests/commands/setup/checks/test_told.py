"""What is thought of what a Redis tells of itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bzredis
from bzredis.commands.setup.checks import memory, told
from bzredis.commands.setup.checks.memory import BINARY, Need, in_units, need, of_symbol
from bzredis.settings.settle import configure
from bzredis.streams import STREAMS
from bzredis.streams.installed import stream

README = (Path(bzredis.__file__).parents[1] / "README.md").read_text("utf-8")
GB = 10**9
NEED = Need(10, is_known=True, logs=0.1 * GB, least=0.2 * GB, most=2 * GB)


@pytest.mark.parametrize(
    ("info", "state", "words"),
    [
        ({"redis_version": "6.2.14"}, "ok", "Redis 6.2.14"),
        ({"redis_version": "10.0.1"}, "ok", "Redis 10.0.1"),
        ({"redis_version": "7.2.4", "valkey_version": "8.1"}, "ok", "Valkey 8.1"),
        ({"redis_version": "6.0.16"}, "error", "needs 6.2 or newer"),
        ({"redis_version": "5.0.7"}, "error", "needs 6.2 or newer"),
        (
            {"redis_version": "7.4.0", "dragonfly_version": "df-v1.2"},
            *("warning", "Dragonfly df-v1.2, with which the bridge is untested"),
        ),
        ({}, "skipped", "could not be asked"),
    ],
)
def test_versions(info: dict[str, str], state: str, words: str) -> None:
    found = told.version(info)
    assert (found.name, found.state) == ("version", state)
    assert words in found.words


@pytest.mark.parametrize(
    ("policy", "limit", "state", "words"),
    [
        ("noeviction", "0", "ok", ""),
        ("noeviction", "100", "ok", ""),
        ("allkeys-lru", "100", "error", told.EVICTS),
        ("allkeys-random", "100", "error", told.EVICTS),
        ("allkeys-lru", "0", "warning", "no maxmemory is set"),
        ("volatile-ttl", "100", "warning", told.COMES_BACK),
        ("", "", "skipped", "could not be asked"),
    ],
)
def test_eviction(policy: str, limit: str, state: str, words: str) -> None:
    found = told.eviction({"maxmemory_policy": policy, "maxmemory": limit})
    assert (found.name, found.state) == ("eviction", state)
    assert words in found.words
    assert bool(found.todo) == (state in {"warning", "error"})


def test_it_is_told_in_the_words_of_the_readme() -> None:
    assert told.EVICTS in README
    assert told.COMES_BACK in README


@pytest.mark.parametrize(
    ("info", "snapshots", "state", "words"),
    [
        ({"aof_enabled": "1"}, "", "ok", "appendonly is on"),
        ({"aof_enabled": "0"}, "3600 1", "warning", "after the last snapshot"),
        ({"aof_enabled": "0"}, "", "warning", "after a restart it is empty"),
        ({"aof_enabled": "0"}, None, "warning", "could not be asked"),
        (
            {"aof_enabled": "1", "rdb_last_bgsave_status": "err"},
            *("", "error", "its last write to disk failed"),
        ),
        (
            {"aof_enabled": "1", "aof_last_write_status": "err"},
            *("", "error", "its last write to disk failed"),
        ),
        ({}, None, "skipped", "could not be asked"),
    ],
)
def test_persistence(
    info: dict[str, str], snapshots: str | None, state: str, words: str
) -> None:
    found = told.persistence(info, snapshots)
    assert (found.name, found.state) == ("persistence", state)
    assert words in found.words


@pytest.mark.parametrize(
    ("used", "limit", "machine", "state"),
    [
        (1, 0, 8 * GB, "ok"),
        (1, 0, 0, "ok"),
        (0, 0, 0, "ok"),
        (1, 0, 0.1 * GB, "warning"),
        (1, 3 * GB, 8 * GB, "ok"),
        (1, 1 * GB, 8 * GB, "warning"),
        (1, 0.1 * GB, 8 * GB, "error"),
        (3 * GB, 3 * GB, 8 * GB, "error"),
    ],
)
def test_memory(used: float, limit: float, machine: float, state: str) -> None:
    info = {"used_memory": used, "maxmemory": limit, "total_system_memory": machine}
    found = told.memory({name: f"{each:.0f}" for name, each in info.items()}, NEED)
    assert (found.name, found.state) == ("memory", state)
    assert "up to 2 GB" in found.words
    assert "10 symbols" in found.words
    assert ("is full" in found.words) == (limit > 0 and used >= limit)


def test_memory_is_estimated_by_the_readmes_table() -> None:
    rows = [line for line in README.splitlines() if line.startswith("| ")]
    numbers = [
        [int(each.replace(",", "")) for each in re.findall(r"\d[\d,]*", row)]
        for row in rows
        if re.match(r"\| (an entry of the log|`latest` of a|a symbol of which)", row)
    ]
    entries, symbols, wholes = numbers
    r, i, c = filter(None, (stream.weight for stream in STREAMS))
    kept = memory.REMEMBERED
    assert entries == [r.entry, kept, i.entry, kept, c.entry, kept]
    assert symbols == [r.latest, r.record, i.latest, i.record, c.latest]
    assert wholes[-3:] == [r.whole, i.whole, c.whole]
    assert wholes[:2] == [memory.RECORDS, memory.ENTRIES]
    whole = [of_symbol(w, memory.RECORDS, memory.ENTRIES) for w in (r, i, c)]
    assert whole == wholes[-3:]


def test_the_limits_that_are_set_count() -> None:
    def of(known: int = 0, **flags: object) -> Need:
        config = configure(flags, {}, {})
        return need(config, [*map(stream, config.streams)], known)

    assert (of().symbols, of().is_known) == (6_000, False)
    assert (of(known=7).symbols, of(known=7).is_known) == (7, True)
    assert of(known=7, tickers=("AAPL,T",)).symbols == 2
    assert of(stream=("ratings",)).logs == 20_000 * 1_680
    assert of(events_maxlen="40000").logs == 2 * of().logs
    assert of().logs < of().least < of().most
    assert of(timeline_length="5").most < of().most
    assert of(history_length="5").most < of().most
    assert of(stream=("bulls-bears",)).logs == of(stream=("insights",)).logs
    assert of(stream=("bulls-bears", "ratings")).guessed == ("bulls-bears",)


@pytest.mark.parametrize(
    ("count", "words"),
    [(12, "12 bytes"), (1_000, "1 KB"), (1_540_000, "1.5 MB"), (2.64e9, "2.6 GB")],
)
def test_bytes_are_told_as_people_do(count: float, words: str) -> None:
    assert in_units(count) == words


def test_sizes_are_told_as_the_options_are_written() -> None:
    assert in_units(2**30, BINARY) == "1 GiB"
    assert in_units(2**40, BINARY) == "1,024 GiB"
