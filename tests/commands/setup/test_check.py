"""`bzredis check`, on real servers: each broken set-up is the one line that is told."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import attrs
import pytest
import redis
import trio
from click.testing import Result
from trio.testing import MockClock

from bzredis.backlog.spool import opened
from bzredis.backlog.statefolder import locked
from bzredis.commands import logs
from bzredis.commands.embedded import Server, server_binary
from bzredis.commands.running.start import target
from bzredis.commands.setup import check
from bzredis.commands.setup.checks import upstream
from bzredis.commands.setup.checks.lines import Finding, Sheet, code
from bzredis.ports import Item, Log, Sign
from bzredis.settings.file import Found, find
from bzredis.simulator import Refusal, Settings, Simulator
from bzredis.store.acl import bridge as rules_of_bridge
from bzredis.store.acl import reader as rules_of_reader
from bzredis.store.client import Store
from bzredis.streams import STREAMS

TOKEN = "t0ken-of-the-test"
LIMIT = 60.0  # s, for what ends in a few
HOUR = 3_600.0
NOBODY = "redis://127.0.0.1:9/0"
NOWHERE = "nosuch.invalid"

Inside = Callable[..., Result]


@attrs.define
class Rig:
    """All that a bridge needs, and well; a test breaks one thing."""

    folder: Path
    server: Server
    simulator: Simulator
    nursery: trio.Nursery
    flags: dict[str, Any]

    @property
    def client(self) -> Any:
        return redis.Redis(port=self.server.port, decode_responses=True)

    def found(self, **flags: Any) -> Found:
        return find(None, {**self.flags, **flags})

    async def all_of_it(self, **flags: Any) -> dict[str, Finding]:
        with trio.fail_after(LIMIT):
            sheet = await check.checked(self.found(**flags))
        return {each.name: each for each in sheet}

    async def ill(self, **flags: Any) -> list[Finding]:
        """Return what is to be mended or looked at."""
        found = await self.all_of_it(**flags)
        return [each for each in found.values() if code([each])]

    async def one(self, name: str, state: str, words: str, **flags: Any) -> Finding:
        """See that just one line tells of trouble, and which."""
        ill = await self.ill(**flags)
        assert [(each.name, each.state) for each in ill] == [(name, state)], ill
        assert words in f"{ill[0].words} {ill[0].todo}"
        return ill[0]

    async def restart(self, **settings: str) -> None:
        await self.server.stop()
        self.server.settings = {"appendonly": "yes", **settings}
        await self.server.start()

    async def simulate(self, **told: Any) -> None:
        """Put another upstream in the place of this one."""
        quick: dict[str, Any] = {
            "token": TOKEN,
            "history": 40,
            "rate": 0.0,
            "refusal_delay": 0.1,
        }
        clock = told.pop("clock", time.time)
        self.simulator = Simulator(Settings(**quick | told), clock)
        port = await self.nursery.start(self.simulator.serve)
        self.flags["upstream"] = f"ws://127.0.0.1:{port}"


@pytest.fixture
async def rig(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Rig]:
    for name in ("BENZINGA_TOKEN_FILE", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENZINGA_TOKEN", TOKEN)
    server = Server(server_binary(), tmp_path / "redis", {"appendonly": "yes"})
    await server.start()
    state = tmp_path / "state"
    # A limit for which every disk has room.
    flags = {
        "redis": (server.url,),
        "state_dir": str(state),
        "spool_limit": "16MiB",
    }
    rig = Rig(tmp_path, server, Simulator(), nursery, flags)
    try:
        await rig.simulate()
        yield rig
    finally:
        await server.stop()


# ---- all is well


async def test_all_is_well_and_nothing_is_left_behind(rig: Rig) -> None:
    found = await rig.all_of_it()
    assert {each.state for each in found.values()} == {"ok"}, found
    asked = {"stream ratings", "removed ratings", "rest consensus", "clock", "rights"}
    assert asked < found.keys()
    assert rig.client.dbsize() == 0
    assert not (rig.folder / "state").exists()
    assert not (rig.folder / "home").exists()


async def test_each_stream_is_left_in_good_order(rig: Rig) -> None:
    for _ in range(2):  # after an unclean end the next one would be turned away
        assert await rig.ill() == []
    assert [each.status for each in rig.simulator.attempts] == [101] * 6
    assert len(rig.simulator.requests) == 2 * 4
    assert all(each.page == 0 for each in rig.simulator.requests)


async def test_it_asks_for_no_more_than_would_run(rig: Rig) -> None:
    found = await rig.all_of_it(no_rest=True, stream=("insights",))
    names = {name for name in found if name.startswith(("stream", "rest", "removed"))}
    assert names == {"stream insights", "rest"}
    assert found["rest"].state == "skipped"
    assert found["clock"].state == "ok"  # by the handshake
    assert len(rig.simulator.attempts) == 1
    assert not rig.simulator.requests


async def test_the_smallest_rules_are_enough(rig: Rig) -> None:
    command = rules_of_bridge("bz").replace(">PASSWORD", ">pw")
    rig.client.execute_command(*command.split(" "))
    url = rig.server.url.replace("://", "://bzredis:pw@")
    found = await rig.all_of_it(redis=(url,))
    assert {each.state for each in found.values()} <= {"ok", "warning"}
    assert found["rights"].state == "ok"
    # CONFIG is not among them; INFO told enough.
    assert found["persistence"].state == "ok"


# ---- what is broken, one at a time


async def test_a_wrong_token(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENZINGA_TOKEN", "t0ken-of-another")
    found = await rig.one("token", "error", "does not know the token that stands in")
    assert "BENZINGA_TOKEN" in found.words
    assert "t0ken" not in f"{found.words} {found.todo}"


async def test_no_token(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENZINGA_TOKEN")
    await rig.one("token", "error", "there is no token: set BENZINGA_TOKEN")
    assert not rig.simulator.attempts


async def test_a_token_that_others_may_read(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENZINGA_TOKEN")
    file = rig.folder / "token"
    file.write_text(TOKEN)
    file.chmod(0o644)
    found = await rig.one("token", "warning", "0644", token_file=str(file))
    assert "chmod 600" in found.todo
    file.chmod(0o600)
    assert await rig.ill(token_file=str(file)) == []


async def test_no_redis(rig: Rig) -> None:
    found = await rig.one("redis", "error", "nobody listens", redis=(NOBODY,))
    assert "--redis" in found.todo


@pytest.mark.parametrize(
    ("login", "words"),
    [("", "wants a password"), (":wr0ng@", "does not accept this password")],
)
async def test_a_wrong_password(rig: Rig, login: str, words: str) -> None:
    await rig.restart(requirepass="right")
    url = rig.server.url.replace("://", f"://{login}")
    found = await rig.one("redis", "error", words, redis=(url,))
    assert "BZREDIS_REDIS" in found.words
    assert "wr0ng" not in found.words


async def test_a_host_that_is_none(rig: Rig) -> None:
    found = await rig.one("host", "error", NOWHERE, upstream=f"wss://{NOWHERE}")
    assert "--upstream" in found.todo


async def test_a_redis_that_is_none(rig: Rig) -> None:
    found = await rig.one("redis", "error", "", redis=(f"redis://{NOWHERE}",))
    # Some resolvers take their time.
    assert NOWHERE in found.words or "did not answer" in found.words


async def test_a_user_who_may_only_read(rig: Rig) -> None:
    may = "~" if rig.client.info()["redis_version"].startswith("6") else "%R~"
    command = rules_of_reader("bz", may).replace(">PASSWORD", ">pw")
    rig.client.execute_command(*command.split(" "))
    url = rig.server.url.replace("://", "://bzreader:pw@")
    found = await rig.one("rights", "error", "permission", redis=(url,))
    assert "evalsha" in found.words
    assert "bzredis keys --acl" in found.todo


@pytest.mark.parametrize("key", ["status", "alive", "internal:holder"])
async def test_a_user_who_may_not_write_a_key_of_the_status(rig: Rig, key: str) -> None:
    rules = rules_of_bridge("bz").replace(">PASSWORD", ">pw").split(" ")
    rules.remove(f"~bz:insights:{key}")
    rig.client.execute_command(*rules)
    url = rig.server.url.replace("://", "://bzredis:pw@")
    words = f"this user may not write bz:insights:{key}"
    await rig.one("rights", "error", words, redis=(url,))


async def test_a_command_that_is_missing_is_named(rig: Rig) -> None:
    rules = rules_of_bridge("bz").replace(">PASSWORD", ">pw").split(" ")
    rig.client.execute_command(*rules, "-xadd")
    url = rig.server.url.replace("://", "://bzredis:pw@")
    await rig.one("rights", "error", "may not run XADD", redis=(url,))


@pytest.mark.parametrize(("limit", "state"), [("0", "warning"), ("4gb", "error")])
async def test_a_redis_that_evicts(rig: Rig, limit: str, state: str) -> None:
    rig.client.config_set("maxmemory-policy", "allkeys-lru")
    rig.client.config_set("maxmemory", limit)
    found = await rig.one("eviction", state, "allkeys-lru")
    assert "noeviction" in found.todo


async def test_a_redis_that_forgets(rig: Rig) -> None:
    await rig.restart(appendonly="no")
    await rig.one("persistence", "warning", "after a restart it is empty")
    rig.client.config_set("save", "3600 1")
    await rig.one("persistence", "warning", "after the last snapshot")


async def test_a_redis_that_is_full(rig: Rig) -> None:
    rig.client.config_set("maxmemory", "1")
    found = {each.name: each.state for each in await rig.ill()}
    assert found.pop("memory") == "error"
    assert found in ({}, {"rights": "error"})


async def test_a_disk_that_is_full(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def usage(free: int, _: Path) -> Any:
        return type("Usage", (), {"free": free})

    monkeypatch.setattr(shutil, "disk_usage", partial(usage, 2**29))
    await rig.one("disk", "warning", "512 MiB free", spool_limit="1GiB")
    monkeypatch.setattr(shutil, "disk_usage", partial(usage, 4096))
    await rig.one("disk", "error", "the disk is full")


async def test_a_clock_that_is_an_hour_off(rig: Rig) -> None:
    await rig.simulate(clock=lambda: time.time() + HOUR)
    await rig.one("clock", "error", "hour behind upstream's")
    await rig.simulate(clock=lambda: time.time() - HOUR)
    await rig.one("clock", "error", "hour ahead of upstream's", no_rest=True)


@pytest.mark.parametrize("place", ["/dev/null/x", "/dev/null", "~nobody-here/x"])
async def test_a_folder_that_cannot_be_used(rig: Rig, place: str) -> None:
    await rig.one("folder", "error", "--state-dir", state_dir=place)


async def test_a_folder_that_others_may_write_to(rig: Rig) -> None:
    (rig.folder / "state").mkdir()
    (rig.folder / "state").chmod(0o777)
    await rig.one("folder", "error", "chmod go-w")


async def test_a_stream_that_the_key_is_not_entitled_to(rig: Rig) -> None:
    rig.simulator.faults["insights"].refuse = Refusal(403)
    await rig.one("stream insights", "error", "--stream")


async def test_a_table_of_rest_that_it_is_not_entitled_to(rig: Rig) -> None:
    rig.simulator.rest_faults["removed"].refuse = Refusal(403)
    await rig.one("removed ratings", "warning", "each outage leaves one gap")


async def test_a_web_page_in_the_place_of_rest(rig: Rig) -> None:
    rig.simulator.rest_faults["ratings"].html = True
    await rig.one("rest ratings", "warning", "a web page")


async def test_what_hangs_is_told(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "EACH", 3.0)
    rig.simulator.faults["insights"].hold = True
    ill = {each.name: each.words for each in await rig.ill()}
    assert "did not answer within 3 s" in ill["stream insights"]


async def test_what_it_finds_is_kept_where_it_hangs_later(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_secrets", logs._Secrets())
    monkeypatch.setattr(check, "redact", logs._secrets.redact)
    logs._secrets.add(TOKEN)

    async def probe() -> AsyncGenerator[Finding, None]:
        yield Finding("a", "ok", f"it said {TOKEN}", f"take {TOKEN} away")
        await trio.sleep_forever()

    sheet = Sheet()
    await check.within(5.0, "b", probe(), sheet)
    assert trio.current_time() == 5.0
    hangs = Finding("b", "error", "did not answer within 5 s")
    assert [*sheet] == [Finding("a", "ok", "it said ***", "take *** away"), hangs]


async def test_a_redis_that_hangs(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "LIMIT", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"redis://127.0.0.1:{deaf.getsockname()[1]}"
        ill = {each.name: each.words for each in await rig.ill(redis=(url,))}
    assert ill["redis"] == "did not answer within 2 s"


# ---- other bridges, and what they left


async def sign(rig: Rig, state: str = "live", presence: Any = "fresh") -> None:
    store = Store(rig.server.url)
    now = "2026-11-28T06:00:00.000Z"
    told = {"state": state, "upstream": "127.0.0.1", "version": "1", "started_at": now}
    for stream in STREAMS:
        await store.write_status(stream, told, Sign("them", presence, "log", -1))
    store.close()


async def test_a_second_bridge_disturbs_no_first_one(rig: Rig) -> None:
    await sign(rig)
    before = sorted(rig.client.keys())
    await rig.one("bridge", "warning", "one writes under bz already: version 1")
    assert not rig.simulator.attempts
    assert sorted(rig.client.keys()) == before


@pytest.mark.parametrize(
    ("state", "presence", "attempts"),
    [("retrying", "apart", 0), ("refused", "apart", 3), ("stopped", "gone", 3)],
)
async def test_which_bridge_is_not_to_be_disturbed(
    rig: Rig, state: str, presence: str, attempts: int
) -> None:
    await sign(rig, state, presence)
    found = await rig.all_of_it()
    assert len(rig.simulator.attempts) == attempts
    is_there = presence != "gone"
    assert found["bridge"].state == ("warning" if is_there else "ok")


async def test_the_bridge_that_runs_here(rig: Rig) -> None:
    await sign(rig)
    with locked(rig.folder / "state", "another bridge"):
        found = await rig.one("bridge", "warning", "it runs already, another bridge")
    assert found.todo == "nothing: one is enough"
    assert not rig.simulator.attempts


async def test_one_that_holds_the_folder_and_writes_elsewhere(rig: Rig) -> None:
    with locked(rig.folder / "state", "another bridge") as folder:
        before = {each: each.read_bytes() for each in folder.iterdir()}
        await rig.one("folder", "error", "is in use by another bridge, process")
        assert {each: each.read_bytes() for each in folder.iterdir()} == before
    assert not rig.simulator.attempts
    assert await rig.ill() == []  # the lock was given back


async def test_one_that_is_connected_from_elsewhere(rig: Rig) -> None:
    for faults in rig.simulator.faults.values():
        faults.refuse = Refusal(429)
    await rig.one("connection", "warning", "the place of this key in ratings, insights")


async def test_keys_that_came_from_another_upstream(rig: Rig) -> None:
    rig.client.hset("bz:ratings:internal:coverage", "upstream", "elsewhere.example")
    found = await rig.one("keys", "error", "elsewhere.example")
    assert "--prefix" in found.todo
    assert await rig.ill(prefix="other") == []


async def test_what_waits_in_the_folder(rig: Rig) -> None:
    place, config = rig.folder / "state" / "spool", rig.found().config
    place.parent.mkdir(mode=0o700)
    own = f"{target(config)} {config.upstream.host}"
    for whose in (own, "demo 127.0.0.1:1/0 elsewhere.example"):
        spool, _ = opened(place, whose, 10**6)
        log = Log("log", "*", 0, "elsewhere.example")
        spool.append("ratings", [Item(log, 0, b"packed")])
        spool.close()
        if whose == own:
            before = {each: each.read_bytes() for each in place.iterdir()}
            found = await rig.all_of_it()
            assert found["spool"].state == "ok"
            assert "1 message" in found["spool"].words
            assert {each: each.read_bytes() for each in place.iterdir()} == before
    finding = await rig.one("spool", "warning", "1 message for prefix demo")
    assert "upstream elsewhere.example" in finding.words


# ---- as a person runs it


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        (("--prefx", "x"), {}, "No such option '--prefx'; is --prefix meant?"),
        (("--tickers", "AAPL;MSFT"), {}, "--tickers"),
        ((), {"BZREDIS_TICKER": "AAPL"}, "BZREDIS_TICKER"),
        (("--config", "/dev/null/x"), {}, "/dev/null/x: cannot be read"),
    ],
)
def test_wrong_settings_are_one_line(
    inside: Inside, arguments: tuple[str, ...], variables: dict[str, str], words: str
) -> None:
    ended = inside("check", *arguments, BENZINGA_TOKEN=TOKEN, **variables)
    assert ended.exit_code == 2
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert words in line


def test_bad_toml_is_one_line(inside: Inside, file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text("prefix = x y\n")
    ended = inside("check", BENZINGA_TOKEN=TOKEN)
    [line] = ended.stderr.splitlines()
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert f"{file}: is no TOML" in line


async def process(
    rig: Rig, *arguments: str, closed: str = "", **variables: str
) -> CompletedProcess[bytes]:
    environ = {**os.environ, **variables}
    given = [sys.executable, "-P", "-m", "bzredis", "check", *arguments]
    given += ["--upstream", rig.flags["upstream"], "--state-dir", str(rig.folder / "s")]
    line = ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *given]
    with trio.fail_after(LIMIT):
        return await trio.run_process(
            line, env=environ, check=False, capture_stdout=True, capture_stderr=True
        )


async def test_it_ends_with_a_code_and_a_line_that_sums_up(rig: Rig) -> None:
    ended = await process(rig, BZREDIS_REDIS=rig.server.url)
    lines = ended.stdout.decode().splitlines()
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert lines[-1].startswith("All is well: start it with `")
    assert lines[-1].endswith("run` and the same options.")
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert b"\x1b" not in ended.stdout
    as_json = await process(rig, "--json", BZREDIS_REDIS=rig.server.url)
    found = json.loads(as_json.stdout)
    assert len(found) == len(lines) - 1
    assert {*found[0]} == {"name", "state", "words", "todo"}
    bad = {"BZREDIS_REDIS": f"{NOBODY}?password=s3cr3t", "BENZINGA_TOKEN": "wr0ng-tok"}
    ended = await process(rig, **bad)
    assert ended.returncode == 2
    assert ended.stdout.splitlines()[-1].startswith(b"2 things to mend before `")
    for secret in (b"s3cr3t", b"wr0ng", TOKEN.encode()):
        assert secret not in ended.stdout + ended.stderr


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
async def test_closed_standard_streams_change_nothing(rig: Rig, closed: str) -> None:
    ended = await process(rig, closed=closed, BZREDIS_REDIS=rig.server.url)
    assert ended.returncode == 0
    assert ended.stderr == b""
