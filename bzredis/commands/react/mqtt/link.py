"""One connection to a broker: the one module here that knows paho-mqtt.

Its network loop runs in a thread of its own; what it says is heard in trio's.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from secrets import token_hex
from typing import Any, Final

import attrs
import trio

from bzredis.commands.react.mqtt.address import Broker
from bzredis.errors import ConfigError

MISSING: Final = (
    "--mqtt needs the library paho-mqtt: install it where bzredis is, with"
    " `pip install paho-mqtt`"
)
ANSWER: Final = 10.0  # s; a broker answers within milliseconds
GOODBYE: Final = 1.0  # s that the end takes at most
# s; a broker that hears nothing for one and a half of it says our last will.
KEEP_ALIVE: Final = 20
IN_FLIGHT: Final = 100  # messages that are on their way at a time
AT_LEAST_ONCE: Final = 1

# (topic, what is to stand there)
Message = tuple[str, bytes]


@attrs.frozen
class Heard:
    """A message that came."""

    topic: str
    payload: bytes
    retained: bool  # it stood there before we asked


Hear = Callable[[Heard], None]


class Lost(Exception):
    """There is no connection, for the reason told in one line."""


class Refused(Lost):
    """The broker does not let us in."""


@attrs.define(eq=False)
class Link:
    """A connection that is up, until it is lost; it comes to life by `connect`."""

    lost: trio.Event = attrs.field(init=False, factory=trio.Event)
    why: str = attrs.field(init=False, default="")  # it was lost
    scope: trio.CancelScope = attrs.field(init=False, factory=trio.CancelScope)
    _broker: Broker
    _client: Any = attrs.field(repr=False)
    _let_in: trio.Event = attrs.field(init=False, factory=trio.Event)
    _refusal: str = attrs.field(init=False, default="")
    # Of what was sent: what is set when the broker has it.
    _waiting: dict[int, trio.Event] = attrs.field(init=False, factory=dict)

    async def publish(self, messages: Sequence[Message]) -> None:
        """Have messages retained, and return when the broker has them. Raises Lost."""
        await self._until_there(
            [
                self._client.publish(topic, payload, AT_LEAST_ONCE, retain=True).mid
                for topic, payload in messages
                if not self.lost.is_set()
            ]
        )

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Have all that comes under topics told. Raises Lost."""
        asked = [(topic, AT_LEAST_ONCE) for topic in topics]
        _, mid = self._client.subscribe(asked)
        await self._until_there([mid] if mid is not None else [])

    async def _until_there(self, sent: Sequence[int]) -> None:
        # What is answered is heard in this thread, so not before we wait.
        waiting = [self._waiting.setdefault(mid, trio.Event()) for mid in sent]
        try:
            with trio.fail_after(ANSWER):
                for each in waiting:
                    await each.wait()
        except trio.TooSlowError:
            self._gone(f"it did not answer within {ANSWER:g} s")
        finally:
            for mid in sent:
                self._waiting.pop(mid, None)
        if self.lost.is_set():
            raise Lost(self.why)

    async def close(self, last: Sequence[Message] = ()) -> None:
        """End it in good order, `last` being said before; it takes no longer than 1 s.

        The broker says no last will then.
        """
        with trio.CancelScope(shield=True), trio.move_on_after(GOODBYE):
            with suppress(Lost):
                if last and not self.lost.is_set():
                    await self.publish(last)
            self._client.disconnect()
            await trio.to_thread.run_sync(
                self._client.loop_stop, abandon_on_cancel=True
            )

    # ---- what paho says, heard in trio's thread

    def listen(self, hear: Hear) -> None:
        token = trio.lowlevel.current_trio_token()

        def soon(call: Callable[..., None], *args: Any) -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(partial(call, *args))

        client = self._client
        client.on_connect = lambda _, __, ___, code, ____: soon(
            self._answered, str(code) if code.is_failure else ""
        )
        client.on_publish = lambda _, __, mid, ___, ____: soon(self._there, mid)
        client.on_subscribe = lambda _, __, mid, ___, ____: soon(self._there, mid)
        client.on_disconnect = lambda _, __, ___, code, ____: soon(
            self._gone, f"the connection was lost ({code})"
        )
        client.on_message = lambda _, __, found: soon(
            hear, Heard(found.topic, found.payload, found.retain)
        )

    def _answered(self, refusal: str) -> None:
        self._refusal = refusal
        self._let_in.set()

    def _there(self, mid: int) -> None:
        if mid in self._waiting:
            self._waiting[mid].set()

    def _gone(self, why: str) -> None:
        if self.lost.is_set():
            return
        self.why = f"the MQTT broker {self._broker.shown}: {why}"
        self.lost.set()
        self._let_in.set()
        self.scope.cancel()
        for each in self._waiting.values():
            each.set()

    # ---- how it comes about

    async def open(self) -> None:
        """Connect. Raises Lost, or Refused."""
        broker = self._broker
        connect = partial(self._client.connect, broker.host, broker.port, KEEP_ALIVE)
        try:
            with trio.fail_after(ANSWER):
                await trio.to_thread.run_sync(connect, abandon_on_cancel=True)
                self._client.loop_start()
                await self._let_in.wait()
        except trio.TooSlowError:
            self._gone(f"it did not answer within {ANSWER:g} s")
        except ssl.SSLCertVerificationError as error:
            told = "SSL_CERT_FILE names the file of an authority of one's own"
            self._gone(
                f"its certificate is not trusted: {error.verify_message}; {told}"
            )
        except (OSError, ValueError, UnicodeError) as error:
            self._gone(f"it cannot be reached: {_words(error)}")
        if self._refusal:
            who = "the user or the password is wrong, or may not do this"
            told = f"it does not let us in ({self._refusal}): {who}"
            raise Refused(f"the MQTT broker {broker.shown}: {told}")
        if self.lost.is_set():
            raise Lost(self.why)


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


async def connect(broker: Broker, will: Message, hear: Hear) -> Link:
    """Connect to a broker, which says `will` when it hears of us no longer.

    Raises Lost, or Refused; ConfigError where paho-mqtt is missing.
    """
    paho = paho_mqtt()
    client = paho.Client(
        paho.CallbackAPIVersion.VERSION2,
        client_id=f"bzredis-{token_hex(6)}",
        reconnect_on_failure=False,  # a new one is made for each connection
    )
    client.max_inflight_messages_set(IN_FLIGHT)
    client.will_set(*will, qos=AT_LEAST_ONCE, retain=True)
    if broker.user:
        client.username_pw_set(broker.user, broker.password or None)
    if broker.tls:
        client.tls_set_context(ssl.create_default_context())
    link = Link(broker, client)
    link.listen(hear)
    try:
        await link.open()
    except BaseException:
        await link.close()
        raise
    return link


def paho_mqtt() -> Any:
    """Import it; raises ConfigError where it is missing."""
    try:
        return import_module("paho.mqtt.client")
    except ImportError:
        raise ConfigError(MISSING) from None
