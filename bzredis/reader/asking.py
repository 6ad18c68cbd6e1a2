"""Redis, asked: the one module here that knows redis-py, and its errors in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import attrs
from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MaxConnectionsError,
    MovedError,
    NoPermissionError,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from bzredis.reader.error import ReaderError

__all__ = ["Asked", "Command", "Redis"]

ANSWER: Final = 5.0  # s; a read takes milliseconds: so late, a connection is dead

HOPS: Final = 3  # from node to node, of which one may not know yet who has the keys
FORM: Final = "redis://HOST:PORT/DATABASE, rediss:// or unix:///PATH"
# Others of redis-py's would undo what this module relies on.
KNOWN: Final = re.compile(r"db|username|password|ssl_[a-z_]+")
# What ends by itself: a server that starts, a fail-over, a slot that moves.
PASSES: Final = (
    *(RedisConnectionError, RedisTimeoutError, BusyLoadingError),
    *(ClusterDownError, MasterDownError, TryAgainError, MaxConnectionsError),
    AskError,
)
# Of these redis-py makes no class.
PASSES_TOO: Final = {"BUSY", "UNBLOCKED"}
NO_KEY: Final = "no such key"  # XINFO alone makes an error of it
# What Redis says after an error's words: arguments, a password among them.
BEHIND: Final = re.compile(r",? with args beginning with:.*")
# What redis-py puts before them.
BEFORE: Final = re.compile(r"(?s)Command # \d+ \(.*\) of pipeline caused error: ")

# How redis-py says that nobody answers at all, and of which what is told in our words.
CONNECTING: Final = re.compile(r"Error -?\d+ connecting to (.+?)\. (.+)\.")
CLOSED: Final = "Connection refused"

# What a client has to be like: of a URL's here, and of who makes one for us.
HOW: Final[dict[str, Any]] = {
    "decode_responses": True,
    "encoding_errors": "backslashreplace",  # of what others put there
    "socket_timeout": ANSWER,
    "socket_connect_timeout": ANSWER,
    # redis-py would try ten times, in silence.
    "retry": Retry(NoBackoff(), 0),
    "protocol": 2,  # the one answer to HELLO that every server and proxy gives
}

Command = tuple[str | int, ...]


@attrs.define(eq=False)
class Asked:
    """One Redis. Threads may share it: each call takes a connection of its own.

    Of a cluster the node that has these keys is followed.
    """

    _first: Redis = attrs.field(repr=False)  # whom the URL names
    _ours: bool  # whether it was made here
    _node: Redis = attrs.field(init=False, repr=False)  # who has the keys

    def __attrs_post_init__(self) -> None:
        self._node = self._first

    @classmethod
    def at(cls, where: str | Redis) -> Asked:
        """Make a client of a URL, or take one; nothing is sent yet.

        Raises ReaderError.
        """
        if not isinstance(where, str):
            how = where.connection_pool.connection_kwargs
            if not how.get("decode_responses") or how.get("protocol") in {3, "3"}:
                raise ReaderError("the client needs decode_responses=True, protocol=2")
            return cls(where, ours=False)
        wrong = _wrong(where)
        if not wrong:
            try:
                return cls(_client(where), ours=True)
            except (ValueError, TypeError, RedisError):
                wrong = f"it is not of the form {FORM}"
        # Raised out here, for else it would lead to what holds the URL.
        raise ReaderError(f"the Redis URL cannot be used: {wrong}")

    def ask(self, *commands: Command) -> list[Any]:
        """Return the answers; of several commands together, at one moment (MULTI).

        None for what stands under no key. Raises ReaderError.
        """
        try:
            return self._at_the_keys(commands)
        except RedisError as error:
            raised = in_words(error)
        except (OSError, UnicodeError) as error:
            # redis-py lets some through, of a TLS handshake or a strange host name.
            raised = ReaderError(f"cannot reach Redis: {error}", passes=True)
        # Not above, for then it would lead to frames of redis-py with the password.
        raise raised

    def _at_the_keys(self, commands: Sequence[Command]) -> list[Any]:
        node = self._node
        try:
            for _ in range(HOPS):
                try:
                    return _answers(node, commands)
                except MovedError as moved:
                    node = self._node = _neighbour(node, moved)
            return _answers(node, commands)
        except (RedisConnectionError, RedisTimeoutError):
            self._node = self._first  # who is gone knows no successor
            raise

    def close(self) -> None:
        """Close what was made here."""
        if self._node is not self._first:
            self._node.connection_pool.disconnect()
        if self._ours:
            self._first.close()
            self._first.connection_pool.disconnect()


def _answers(node: Redis, commands: Sequence[Command]) -> list[Any]:
    if len(commands) == 1:
        run: Any = node.execute_command
        return [run(*commands[0])]
    with node.pipeline(transaction=True) as together:
        for command in commands:
            add: Any = together.execute_command
            add(*command)
        answers = together.execute(raise_on_error=False)
    for error in answers:
        if isinstance(error, RedisError) and NO_KEY not in str(error):
            raise error
    return [None if isinstance(each, RedisError) else each for each in answers]


def _neighbour(node: Redis, moved: MovedError) -> Redis:
    """Return a client for the node that another one named."""
    pool = node.connection_pool
    if "host" not in pool.connection_kwargs:
        raise moved  # a Unix socket; or Sentinels, who know of no cluster
    # It may leave out the host: then it means its own, under another port.
    host = moved.host.strip("?") or pool.connection_kwargs["host"]
    place = {**pool.connection_kwargs, "host": host, "port": moved.port}
    kind = pool.connection_class
    return Redis.from_pool(ConnectionPool(connection_class=kind, **place))


def _wrong(url: str) -> str:
    """Return what is wrong with a URL, in words that repeat none of it; else ""."""
    hint = "special characters in a password have to be percent-encoded"
    try:
        parts = urlsplit(url)
        _ = parts.port  # read only when asked for
    except ValueError:
        return f"host or port cannot be read; {hint}"
    if parts.scheme not in {"redis", "rediss", "unix"}:
        return f"it is not of the form {FORM}"
    if parts.fragment or parts.netloc.count("@") > 1:
        return f"there is a # or a second @ in it; {hint}"
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    if not all(map(KNOWN.fullmatch, names)):
        return f"what follows its ? is no option known here; {hint}"
    return ""


def _client(url: str) -> Redis:
    client: Redis = Redis.from_url(url, **HOW)
    # Connects nowhere, and tells of an option that is none.
    client.connection_pool.make_connection()
    return client


def in_words(error: RedisError) -> ReaderError:
    """Tell of an error, with nothing that could be a secret."""
    words = BEHIND.sub("", BEFORE.sub("", str(error)))
    if isinstance(error, AuthenticationError):
        return ReaderError(f"Redis does not let us in: {words}")
    if isinstance(error, NoPermissionError):
        told = "`bzredis keys --acl` prints what a user who reads needs"
        return ReaderError(f"Redis does not allow it: {words} ({told})")
    if isinstance(error, MovedError):
        return ReaderError(
            f"Redis Cluster has these keys on another node: {error.host}:{error.port}"
        )
    if isinstance(error, RedisTimeoutError):
        return ReaderError(f"Redis did not answer within {ANSWER:.0f} s", passes=True)
    passes = isinstance(error, PASSES) or words.partition(" ")[0] in PASSES_TOO
    if isinstance(error, RedisConnectionError) and not isinstance(
        error, BusyLoadingError
    ):
        told = _unreached(words)
        return ReaderError(f"cannot reach Redis: {told}", passes=passes)
    return ReaderError(f"Redis refused: {words}", passes=passes)


def _unreached(words: str) -> str:
    if not (found := CONNECTING.fullmatch(words)):
        return words
    place, reason = found.groups()
    if reason == CLOSED:
        return f"nobody listens at {place} ({reason}): is it running?"
    return f"{place}: {reason}"
