"""Where Redis is: redis-py's client, and the node that has our keys.

redis-py's blocking client, because its asyncio client does not run on trio: in a
worker thread for what is seldom asked, and to connect. Scripts, which all else is, run
over its connections without one (wire.py).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

import attrs
import trio
from redis import ConnectionPool, Redis, UnixDomainSocketConnection
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import (
    MovedError,
    NoScriptError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from redis.sentinel import SentinelManagedConnection

from bzredis.errors import StoreDown, StoreSlow, StoreUnready
from bzredis.store import failures, sentinel
from bzredis.store.failures import ANSWER
from bzredis.store.wire import Ask, Line

T = TypeVar("T")

CALL: Final = 12.0  # s for all of a call: name look-up, connect, send, answer
LOOK_AGAIN: Final = 60.0  # s; nodes of a cluster come and go

# What no other node is reached by.
ELSEWHERE: Final = (UnixDomainSocketConnection, SentinelManagedConnection)


def _greet(connection: Any) -> None:
    """Log in, and tell our name where CLIENT is there and allowed."""
    connection.on_connect()
    with suppress(ResponseError):
        connection.send_command("CLIENT", "SETNAME", "bzredis")
        connection.read_response()


def _client(url: str) -> Redis:
    make = sentinel.client if sentinel.MARK in url else Redis.from_url
    client: Redis = make(
        url,
        socket_timeout=ANSWER,
        socket_connect_timeout=ANSWER,
        # redis-py would retry ten times inside a call that cannot be cancelled.
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # the one answer to HELLO that every server and proxy gives
        redis_connect_func=_greet,  # with `client_name` a name would be a condition
    )
    return client


@attrs.define
class Connection:
    """One Redis. Each call takes one connection, which the next may have.

    Of a cluster one node has all our keys, since they share a slot (contract.md, 1).
    Which one, the others say; it is followed when the cluster moves our keys.
    """

    url: str = attrs.field(repr=False)
    others: Sequence[str] = attrs.field(default=(), repr=False)  # URLs, of its cluster
    first: Redis = attrs.field(init=False, repr=False)  # whom the URL names
    _node: Redis = attrs.field(init=False, repr=False)  # who has our keys
    _last: Redis = attrs.field(init=False, repr=False)  # who had them, of the others
    _named: tuple[Redis, ...] = attrs.field(init=False, repr=False)  # whom others name
    _others: tuple[Redis, ...] = attrs.field(init=False, repr=False, default=())
    _look_again: float = attrs.field(init=False, repr=False, default=0.0)
    # Lines for scripts that nobody uses now, each with whose it is; and those over
    # which something was sent ahead, by its first key.
    _spare: list[tuple[Redis, Line]] = attrs.field(init=False, repr=False, factory=list)
    _ahead: dict[str, tuple[Ask, Redis, Line]] = attrs.field(
        init=False, repr=False, factory=dict
    )
    _known: set[str] = attrs.field(init=False, repr=False, factory=set)  # hashes

    def __attrs_post_init__(self) -> None:
        self.first = self._node = self._last = _client(self.url)
        self._named = tuple(map(_client, self.others))

    async def run(self, call: Callable[[Redis], T]) -> T:
        """Run a blocking call in a thread; at its limit the thread is left to itself.

        The socket's own limits end that thread soon after. Raises StoreDown.
        """
        return await self._told(partial(_in_thread, call))

    async def script(self, ask: Ask, following: Ask | None = None) -> Any:
        """Run a script, with its text where Redis does not know it. Raises StoreDown.

        `following` is what the next call for these keys will ask: it is sent behind
        this, so that Redis has it at hand. Where another call comes, or this one fails,
        nobody learns what came of it. Without SCRIPT LOAD, which some hosters and
        proxies do not have.
        """

        async def ran(node: Redis) -> Any:
            try:
                answer = await self._asked(node, ask.by_hash, ask, following)
            except NoScriptError:
                self._known.discard(ask.script.sha)
                return await self._asked(node, ask.by_text)
            self._known.add(ask.script.sha)
            return answer

        return await self._told(ran)

    async def _told(self, call: Callable[[Redis], Awaitable[T]]) -> T:
        try:
            with trio.fail_after(CALL):
                return await self._at_our_keys(call)
        except trio.TooSlowError:
            down: StoreDown = StoreSlow(f"Redis did not answer within {CALL:.0f} s")
        except RedisError as error:
            down = failures.down(error)
        except (OSError, UnicodeError) as error:
            # redis-py lets some through, of a TLS handshake or a strange host name say.
            down = StoreUnready(f"cannot reach Redis: {error}")
        # Not raised above, for then it would lead to frames of redis-py that hold the
        # password.
        raise down

    async def _at_our_keys(self, call: Callable[[Redis], Awaitable[T]]) -> T:
        node = self._node
        try:
            try:
                answer = await call(node)
            except MovedError as moved:
                node = self._node = self._last = self._neighbour(moved)
                answer = await call(node)
        except RedisError as error:
            # READONLY, MASTERDOWN, LOADING, what a proxy says: who answers so may no
            # longer be who is meant. The next try asks name and proxy anew.
            self._let_go()
            node.connection_pool.disconnect(inuse_connections=False)
            gone = isinstance(error, (RedisConnectionError, RedisTimeoutError))
            if gone and self._node is node:  # who is gone knows no successor
                self._node = self._after(node)
            raise
        if time.monotonic() >= self._look_again:
            self._look_again = time.monotonic() + LOOK_AGAIN
            await _in_thread(self._look_around, node)
        return answer

    async def _asked(
        self,
        node: Redis,
        words: Sequence[str | bytes | int],
        ask: Ask | None = None,
        following: Ask | None = None,
    ) -> Any:
        """Ask a node, over a line that is there, or a new one.

        Where `ask` was sent ahead, only its answer is waited for.
        """
        line = self._sent_ahead(node, ask) if ask else None
        was_sent = line is not None
        line = line or self._open(node)
        while line is None:
            # Kept there, so that none is lost where nobody waits for it any more.
            await _in_thread(self._connect, node)
            line = self._open(node)
        is_fine = False
        try:
            if not was_sent:
                await line.send(words, ANSWER)
            # A server that never knows a hash would answer it before the text comes.
            if following and not line.is_last and following.script.sha in self._known:
                await line.send(following.by_hash, ANSWER)
            answer = await line.answer(ANSWER)
            is_fine = True
        except ResponseError:
            is_fine = not line.waiting
            raise
        finally:
            if not is_fine or (line.is_last and not line.waiting):
                _drop(node, line)
            elif following and line.waiting:
                self._ahead[following.keys[0]] = following, node, line
            else:
                self._spare.append((node, line))
        return answer

    def _sent_ahead(self, node: Redis, ask: Ask) -> Line | None:
        """Return the line over which this was sent to a node, if it was."""
        sent, whose, line = self._ahead.pop(ask.keys[0], (None, node, None))
        if line is not None and (sent != ask or whose is not node):
            _drop(whose, line)
            return None
        return line

    def _open(self, node: Redis) -> Line | None:
        """Take a line to a node that is still good; None where there is none."""
        while self._spare:
            whose, line = self._spare.pop()
            if whose is node and line.is_silent:
                return line
            _drop(whose, line)
        return None

    def _connect(self, node: Redis) -> None:
        self._spare.append((node, Line(node.connection_pool.get_connection())))

    def _let_go(self) -> None:
        """Ask nothing more over what is open; what was asked is still answered."""
        while self._spare:
            _drop(*self._spare.pop())
        for _, _, line in self._ahead.values():
            line.is_last = True

    def _after(self, node: Redis) -> Redis:
        """Return who is tried after a node: by turns, any may be gone for longer."""
        nodes = (self.first, *self._named, self._last, *self._others)
        known = {_place(each): each for each in nodes}
        places, here = list(known), _place(node)
        after = places.index(here) + 1 if here in known else 0
        return known[places[after % len(known)]]

    def _look_around(self, node: Redis) -> None:
        """Remember every node that a cluster tells of; all others refuse to tell."""
        ask: Any = node.execute_command
        # A proxy may have an idea of its own of what to answer.
        with suppress(RedisError, OSError, TypeError, ValueError, AttributeError):
            shards = [nodes for _, _, *nodes in ask("CLUSTER", "SLOTS")]
            places = {(host, port) for nodes in shards for host, port, *_ in nodes}
            if issubclass(node.connection_pool.connection_class, ELSEWHERE):
                return
            self._others = tuple(
                self._at_place((host or b"").decode(), int(port))
                for host, port in sorted(places, key=str)
            )

    def _neighbour(self, moved: MovedError) -> Redis:
        """Return a client for the node that another one named."""
        pool = self._node.connection_pool
        if issubclass(pool.connection_class, ELSEWHERE):
            raise moved  # its address would have to be put in the URL
        return self._at_place(moved.host, moved.port)

    def _at_place(self, host: str, port: int) -> Redis:
        pool = self._node.connection_pool
        # It may leave out the host: then it means its own, under another port.
        place = {"host": host, "port": port} if host.strip("?") else {"port": port}
        kwargs = {**pool.connection_kwargs, **place}
        return Redis(
            connection_pool=ConnectionPool(
                connection_class=pool.connection_class, **kwargs
            )
        )

    def close(self) -> None:
        self._let_go()
        while self._ahead:
            _drop(*self._ahead.popitem()[1][1:])
        self._node.close()
        for each in (self.first, *self._named):
            each.close()


async def _in_thread(call: Callable[[Redis], T], node: Redis) -> T:
    return await trio.to_thread.run_sync(call, node, abandon_on_cancel=True)


def _drop(node: Redis, line: Line) -> None:
    line.connection.disconnect()
    node.connection_pool.release(line.connection)


def _place(node: Redis) -> tuple[object, object]:
    kwargs = node.connection_pool.connection_kwargs
    return kwargs.get("host"), kwargs.get("port")
