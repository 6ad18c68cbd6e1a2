"""Each broken set-up is the one line that is told."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from commands.setup.checks.rig import HOUR, NOBODY, NOWHERE, TOKEN, Rig
from trio.testing import MockClock

from bzredis.commands import logs
from bzredis.commands.setup import check
from bzredis.commands.setup.checks import upstream
from bzredis.commands.setup.checks.lines import Finding, Sheet
from bzredis.simulator import Refusal
from bzredis.store.acl import bridge as rules_of_bridge
from bzredis.store.acl import reader as rules_of_reader


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
    # A bridge that knows it may have the one connection that upstream allows.
    assert not rig.simulator.attempts
    assert rig.simulator.requests


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
    assert not rig.simulator.attempts
    assert (await rig.all_of_it(redis=(url,)))["bridge"].state == "skipped"


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


async def test_a_replica(rig: Rig) -> None:
    rig.client.replicaof("127.0.0.1", 9)
    found = await rig.one("rights", "error", "read only replica")
    assert found.todo == "name its master with --redis"


async def test_a_redis_that_wants_replicas(rig: Rig) -> None:
    rig.client.config_set("min-replicas-to-write", "1")
    await rig.one("rights", "error", "replicas to write")


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
    assert not rig.simulator.attempts
