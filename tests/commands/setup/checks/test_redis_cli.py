"""What a person is told to type reaches the server that was looked at."""

from __future__ import annotations

import pytest

from bzredis.commands.setup.checks.redis import redis_cli
from bzredis.settings.addresses import redis_urls


@pytest.mark.parametrize(
    ("url", "typed"),
    [
        ("redis://127.0.0.1:6379/0", "redis-cli"),
        ("redis://localhost", "redis-cli"),
        ("redis://127.0.0.1:6399/0", "redis-cli -p 6399"),
        ("redis://:s3cret@nas.local:6380/2", "redis-cli -h nas.local -p 6380"),
        ("rediss://nas.local", "redis-cli -h nas.local --tls"),
        ("redis://[::1]:6379", "redis-cli -h ::1"),
        ("unix:///run/redis.sock", "redis-cli -s /run/redis.sock"),
        ("redis+sentinel://a:26379,b:26379/main/0", "redis-cli"),
    ],
)
def test_redis_cli_is_told_where_it_is(url: str, typed: str) -> None:
    [place] = redis_urls([url])
    assert redis_cli(place) == typed
