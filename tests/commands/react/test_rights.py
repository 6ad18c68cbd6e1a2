"""`react`, by the user that `bzredis keys --acl` prints for it."""

from __future__ import annotations

from pathlib import Path

from commands.looks.conftest import Look
from commands.react.test_react import ALL, lines, reacting
from consumers.week import Bridge
from redis import Redis

from bzredis.store.acl import reactor


def test_it_reacts_keeps_what_failed_and_hears_what_is_stale(
    look: Look, bridge: Bridge, tmp_path: Path
) -> None:
    rules = reactor("bz").replace(">PASSWORD", ">a-password").split(" ")
    bridge.peer.redis.execute_command(*rules)
    bridge.peer.redis.delete("bz:ratings:alive")
    url = look.url.replace("://", "://bzreactor:a-password@")
    try:
        as_user, done = {"BZREDIS_REDIS": url}, tmp_path / "done"
        script = f"echo $BZ_KIND $BZ_SYMBOL >>{done}"
        words = ("--on", "entry", "--on", "stale", "--stream", "ratings", "--all")
        with reacting(
            look, "me", *words, *ALL, "--", "sh", "-c", script, environ=as_user
        ):
            told = lines(done, 15)  # of 15 entries one is a gap
        assert [line for line in told if not line.startswith("entry ")] == ["stale"]
        with Redis.from_url(url) as redis:
            assert redis.xpending("bz:ratings:events", "me")["pending"] == 0
        shown = look("react", "me", "--failed", environ=as_user)
        assert shown == "Nothing failed in the end for me.\n"
    finally:
        bridge.peer.redis.acl_deluser("bzreactor")
