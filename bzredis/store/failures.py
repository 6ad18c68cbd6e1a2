"""What redis-py's errors, and Redis' own, mean: in words that say what to do."""

from __future__ import annotations

import re
import socket
from typing import Final

from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    MaxConnectionsError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from bzredis.errors import StoreDown, StoreSlow, StoreUnready

ANSWER: Final = 5.0  # s; a batch takes milliseconds: so late, a connection is dead
NOT_HERE: Final = "non local key"  # in what a script is told whose keys are elsewhere
NO_TAG: Final = (
    "Redis Cluster takes our keys only where they share a slot: it is moving that slot "
    "now, or they need a hash tag, as in --prefix '{bz}'"
)
TOLD: Final[dict[type[RedisError], str]] = {
    ClusterCrossSlotError: NO_TAG,
    OutOfMemoryError: (
        "Redis is full (maxmemory) and refuses whatever comes: give it more memory, or "
        "less to keep, as by a lower --events-maxlen"
    ),
    # MOVED too, where it comes twice, or on a Unix socket.
    AskError: "Redis Cluster has our keys elsewhere, or is moving them",
    NoScriptError: "Redis lost our script; it is loaded again",  # since it was loaded
}
# The server's own state, whatever it is asked: no fault of what it was sent. Of some
# redis-py makes a class, and of others it leaves the code.
UNREADY: Final = (
    *(BusyLoadingError, OutOfMemoryError, ReadOnlyError, ClusterDownError),
    *(NoPermissionError, AuthenticationError, MaxConnectionsError, NoScriptError),
    *(AskError, ClusterCrossSlotError, TryAgainError),
)
IN_THE_URL: Final = (
    "as redis://USER:PASSWORD@HOST:PORT in BZREDIS_REDIS or in the TOML file"
)
TOLD_LOGIN: Final = (  # by what Redis says
    ("required", f"Redis wants a password, and got none: give it {IN_THE_URL}"),
    (
        "no password is set|without any password",
        "Redis has no password, and got one: take it out where --redis is set",
    ),
    ("", f"Redis does not accept this password, or user: mend it {IN_THE_URL}"),
)
CONNECTING: Final = re.compile(r"Error -?\d+ connecting to (.+?)\. (.+)\.")
UNREADY_CODES: Final = {"MISCONF", "NOREPLICAS", "BUSY", "UNKILLABLE"}
UNREADY_WORDS: Final = (
    *(NOT_HERE, "cluster is down", "max number of clients", " connecting to "),
)
# What Redis says after an error's words: arguments, a password among them, and hashes.
BEHIND: Final = re.compile(r"(,? with args beginning with:| script: [0-9a-f]{40}).*")


def down(error: RedisError) -> StoreDown:
    words = BEHIND.sub("", str(error))
    if isinstance(error, RedisTimeoutError):
        return StoreSlow(f"Redis did not answer within {ANSWER:.0f} s")
    down = StoreUnready if _is_unready(error, words) else StoreDown
    if type(error) is AuthenticationError:
        return down(next(told for said, told in TOLD_LOGIN if re.search(said, words)))
    if type(error) is RedisConnectionError:
        return down(f"cannot reach Redis: {_unreached(error, words)}")
    if NOT_HERE in words:
        return down(NO_TAG)
    told = next((told for kind, told in TOLD.items() if isinstance(error, kind)), None)
    return down(told or f"Redis refused: {words}")


def _unreached(error: BaseException, words: str) -> str:
    """Say what to look at where nobody answers at all."""
    if not (found := CONNECTING.fullmatch(words)):
        return words
    place, reason = found.groups()
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    if isinstance(cause, socket.gaierror):
        return f"there is no host of that name, {place} ({reason}): mend --redis"
    if isinstance(cause, ConnectionRefusedError):
        return f"nobody listens at {place} ({reason}): is it running?"
    return f"{place}: {reason}"


def _is_unready(error: RedisError, words: str) -> bool:
    return (
        isinstance(error, UNREADY)
        or words.partition(" ")[0] in UNREADY_CODES
        or any(each in words for each in UNREADY_WORDS)
    )
