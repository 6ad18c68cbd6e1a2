"""`bzredis react` as a person runs it."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands.looks.conftest import LIMIT, Look
from consumers.week import Bridge
from store.servers import Peer

from bzredis.commands.running.called import installer
from bzredis.settings.config import FILE_VARIABLE

ALL = ("--from-start",)


@contextmanager
def reacting(
    look: Look, *words: str, environ: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run it until the end of the block; then it ends well."""
    process = subprocess.Popen(
        look.command("react", *words),
        env=look.surroundings(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 0
    finally:
        process.kill()
        process.wait(LIMIT)
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def lines(file: Path, count: int) -> list[str]:
    """Return what a file has, when it has so many lines."""
    until(lambda: file.exists() and file.read_text().count("\n") >= count)
    return file.read_text().splitlines()


def test_a_dry_run_shows_what_it_would_be_and_touches_nothing(
    look: Look, bridge: Bridge
) -> None:
    keys = bridge.peer.redis.keys()
    told = look.shown("react", "x", "--dry-run", "--when", 'direction == "down"')
    first, *_ = lines_ = re.sub(r"\x1b\[[0-9;]*m", "", told).splitlines()
    assert "XOM" in first
    assert first.endswith("Goldman Sachs  Buy → Neutral          135.00 → 118.00")
    last = (
        "Would have been reacted to: ratings 2 of 15, insights 1 of 2, consensus 0 of 8"
    )
    assert lines_[-1] == last
    assert all(len(line) <= 80 for line in lines_)
    assert bridge.peer.redis.keys() == keys
    assert bridge.peer.redis.xinfo_groups("bz:ratings:events") == []


def test_what_failed_is_shown_and_done_again(look: Look, peer: Peer) -> None:
    at = "bz:react:x:failed"
    for symbol in ("AAPL", "MSFT"):
        fields = {"symbol": symbol, "firm": "Jefferies", "pt": 195.5}
        kept = {"reason": f"no network for {symbol}", "tries": "5", "kind": "entry"}
        kept |= {"when": "2026-11-28T09:12:17.342Z", "stream": "ratings"}
        kept |= {"symbol": symbol, "event": f"{len(symbol)}-0", "fields": ""}
        kept["event"] = f"{peer.redis.xlen(at) + 1}-0"
        peer.redis.xadd(at, {**kept, "fields": json.dumps(fields)})
    told = look("react", "x", "--failed")
    assert "AAPL" in told
    assert "no network for MSFT" in told
    assert "2 failures; --again does them once more" in told
    assert all(len(line) <= 80 for line in told.splitlines())
    [first, _] = json.loads(look("react", "x", "--failed", "--json"))
    assert (first["fields"]["pt"], first["tries"]) == (195.5, 5)
    script = "test $BZ_SYMBOL = MSFT || { echo still none >&2; exit 1; }"
    done = look.run("react", "x", "--again", "--", "sh", "-c", script)
    assert done.exit_code == 1
    assert "bzredis: ratings AAPL: still none\n" in done.stderr
    assert "bzredis: 1 of 2 done, 1 failed again\n" in done.stderr
    assert peer.redis.xlen(at) == 1
    done = look.run("react", "x", "--again", "--", "true")
    assert (done.exit_code, peer.redis.xlen(at)) == (0, 0)
    peer.redis.xgroup_create("bz:insights:events", "x", mkstream=True)
    assert look("react", "x", "--failed") == "Nothing failed in the end for x.\n"
    mistyped = look.run("react", "xx", "--failed")
    assert mistyped.exit_code == 2
    said = "bzredis: no reaction xx ever ran here, under the prefix bz; is x meant?\n"
    assert mistyped.stderr == said


def test_again_ends_the_program_that_runs_where_it_is_ended(
    look: Look, peer: Peer, tmp_path: Path
) -> None:
    peer.redis.xadd("bz:react:y:failed", {"kind": "entry", "reason": "no network"})
    told = tmp_path / "pid"
    script = f"echo $$ > {told}.new; mv {told}.new {told}; exec sleep 600"
    words = ("react", "y", "--again", "--", "sh", "-c", script)
    with subprocess.Popen(
        look.command(*words),
        env=look.surroundings(),
        stderr=subprocess.PIPE,
    ) as process:
        until(told.exists)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=LIMIT)
    last = b"bzredis: it was ended before all was done; what is left is kept on\n"
    assert (process.returncode, errors) == (1, last)
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)
    assert peer.redis.xlen("bz:react:y:failed") == 1


def bads(bridge: Bridge) -> int:
    """Return how many the reaction that always fails has in hand, or gave up."""
    with bridge.peer.redis.pipeline(transaction=True) as both:
        both.xpending("bz:ratings:events", "bad")
        both.xlen("bz:react:bad:failed")
        held, given_up = both.execute()
    return int(held["pending"]) + int(given_up)


def test_all_of_the_file_run_in_one_process_and_none_stops_another(
    look: Look, bridge: Bridge, tmp_path: Path
) -> None:
    good, stale = tmp_path / "good", tmp_path / "stale"
    file = tmp_path / "f.toml"
    file.write_text(f"""
[[reaction]]
name = "bad"
from_start = true
command = ["false"]

[[reaction]]
name = "good"
stream = "ratings"
when = 'direction == "down"'
from_start = true
command = ["sh", "-c", "cat >>{good}; echo $BZ_SYMBOL $BZ_PT_CHANGE_PCT >>{good}"]

[[reaction]]
name = "stale"
on = "stale"
stream = "insights"
command = ["sh", "-c", "echo $BZ_KIND $BZ_STREAM $BZ_REASON >>{stale}"]
""")
    bridge.peer.redis.delete("bz:insights:alive")
    with reacting(look, environ={FILE_VARIABLE: str(file)}):
        told = lines(good, 4)
        assert told[1::2] == ["XOM -12.59", "AAPL -7.92"]
        first = json.loads(told[0])
        assert (first["kind"], first["firm"]) == ("entry", "Goldman Sachs")
        assert "raw" not in first
        assert lines(stale, 1) == ["stale insights expired"]
        until(lambda: bads(bridge) == 13)
    bad, good_ = bridge.peer.redis.xinfo_groups("bz:ratings:events")
    assert (bad["name"], good_["name"]) == ("bad", "good")
    assert (bads(bridge), good_["pending"]) == (13, 0)
    shown = look("react", "good", "--dry-run", environ={FILE_VARIABLE: str(file)})
    assert shown.endswith("Would have been reacted to: ratings 2 of 15\n")
    other = ("--dry-run", "--stream", "insights")
    shown = look("react", "good", *other, environ={FILE_VARIABLE: str(file)})
    assert shown.endswith("Would have been reacted to: insights 1 of 2\n")


def test_one_that_does_not_end_holds_up_nobody(
    look: Look, bridge: Bridge, tmp_path: Path
) -> None:
    file = tmp_path / "told"
    script = f"trap '' TERM; echo $$ >{file}; while :; do sleep 1; done"
    with reacting(look, "x", *ALL, "--", "sh", "-c", script) as process:
        [pid] = lines(file, 1)
        began = time.monotonic()
        process.terminate()
        assert process.wait(LIMIT) == 0
    # 3 s for it, 1 s until it is killed; the rest is a busy machine's.
    assert 2.9 < time.monotonic() - began < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
    left = bridge.peer.redis.xpending("bz:ratings:events", "x")["pending"]
    assert left == 13


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--dry-run"], "and no [[reaction]] stands in"),
        (["x"], "there is no reaction x in"),
        (["x y", "--", "true"], "'x y' is no name for a reaction"),
        (["x", "--", "nothere"], "nothere: there is no such command"),
        (["x", "--on", "gaps", "--", "true"], "--on: has to be one of entry, gap"),
        (["x", "--on", "gap", "--all", "--", "true"], "--all: it is about entries"),
        (["x", "--when", "", "--", "true"], "--when: there is nothing in it"),
        (["./x.sh"], "'./x.sh' is no name for a reaction (react NAME -- COMMAND)"),
        (["x", "--jobs", "0", "--", "true"], "--jobs: has to be between 1 and 64"),
        (["x", "--timeout", "9", "--", "true"], "--timeout: has to be a time"),
        (["x", "--when", "fim == 1", "--", "true"], "--when, column 1: there is no"),
        (["x", "--stream", "rating", "--", "true"], "--stream: has to be one of"),
        (["--when", "news"], "--when: is for one reaction: name it"),
        (["--stream", "ratings"], "--stream: is for one reaction: name it"),
        (["x", "--json", "--", "true"], "--json: it goes with --failed"),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(
    look: Look, words: Sequence[str], told: str
) -> None:
    done = look.run("react", *words)
    assert done.exit_code == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_rule_engine_it_says_how_to_get_it(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rule_engine", None)
    done = look.run("react", "x", "--when", "news", "--", "true")
    assert shlex.join([*installer(), "rule-engine"]) in done.stderr


def test_a_redis_that_is_not_there_is_told_where_someone_looks(look: Look) -> None:
    place = "redis://:s3cretword@127.0.0.1:1/0"
    for words in (["--failed"], ["--dry-run"], ["--again", "--", "true"]):
        done = look.run("react", "x", *words, environ={"BZREDIS_REDIS": place})
        told = done.stderr
        assert done.exit_code == 2
        assert "nobody listens at 127.0.0.1:1" in told
        assert "s3cretword" not in told


def test_it_waits_for_a_redis_without_a_secret_in_its_log(look: Look) -> None:
    place = "redis://:s3cretword@127.0.0.1:1/0"
    with reacting(look, "x", "--", "true", environ={"BZREDIS_REDIS": place}) as process:
        assert process.stderr is not None
        told = process.stderr.readline() + process.stderr.readline()
    assert b"trouble with Redis, it is asked again" in told
    assert b"s3cretword" not in told
