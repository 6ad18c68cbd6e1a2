"""Where Redis is by what Sentinels say: a client that follows them.

The URL was read by settings/addresses.py: whatever it holds has its form.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import attrs
from redis import ConnectionPool, Redis
from redis.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.sentinel import (
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

MARK: Final = "+sentinel://"
PORT: Final = 26379
# s; several may be gone, and all of them are asked within one call (connection.py).
ANSWER: Final = 1.0

_parsed: Any = parse_url  # neither has types
_Pool: Any = SentinelConnectionPool


@attrs.frozen
class _Asked:
    """The Sentinels, of whom one that answers is enough.

    redis-py's own class would tell of failures with the whole of each client.
    """

    sentinels: deque[Any]  # redis-py says little of what it returns

    def discover_master(self, service: str) -> tuple[str, int]:
        """Return where the master is; raises RedisConnectionError in words."""
        told = ""
        self.sentinels.rotate()  # one that was cut off still names the old master
        for sentinel in tuple(self.sentinels):
            ask = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)
            try:
                found = sentinel.execute_command(*ask)
            except (RedisError, OSError) as error:
                told = told or f"no Sentinel tells where it is: {error}"
                continue
            finally:  # each time by name, and nothing of it is kept
                sentinel.connection_pool.disconnect(inuse_connections=False)
            if found:
                host, port = found
                return host.decode(), int(port)
            told = f"the Sentinels know no service {service!r}"
        raise RedisConnectionError(told)


def client(url: str, **how: Any) -> Redis:
    """Return a client for the master, wherever it is when a connection is made."""
    parts = urlsplit(url)
    login, _, places = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    scheme = parts.scheme.partition("+")[0]
    user = f"{login}@" if login else ""
    found = _parsed(f"{scheme}://{user}redis/{database}?{parts.query}")
    theirs = {
        name: found.pop(f"sentinel_{name}", None) for name in ("username", "password")
    }
    kind = found.pop("connection_class", None)
    tls = {name: found[name] for name in found if name.startswith("ssl_")}
    short = {"socket_timeout": ANSWER, "socket_connect_timeout": ANSWER}
    common = {**tls, **how, **theirs, **short}
    del common["redis_connect_func"]  # they have no use for a name
    if kind is not None:
        common["connection_class"] = kind
    asked = [_pool(f"redis://{place}", common) for place in places.split(",")]
    del found["host"]
    pool = _Pool(
        unquote(service),
        _Asked(deque(Redis.from_pool(each) for each in asked)),
        connection_class=SentinelManagedSSLConnection
        if kind
        else SentinelManagedConnection,
        **found,
        **how,
    )
    return Redis.from_pool(pool)


def _pool(url: str, common: dict[str, Any]) -> ConnectionPool:
    place = urlsplit(url)
    return ConnectionPool(host=place.hostname, port=place.port or PORT, **common)
