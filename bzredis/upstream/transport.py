"""The transport under a feed: every wait has its limit, every end its reason."""

from __future__ import annotations

import re
import ssl
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from functools import cache
from typing import TypeVar
from urllib.parse import urlsplit

import trio
from attrs import define, field

from bzredis.errors import FeedLost, first
from bzredis.upstream.framing import Splitter

CONNECT = 10.0  # for name and TCP together, then for TLS: a healthy network needs 1 s
SILENCE = 40.0  # upstream PINGs every 10 s: four missed, and noticed within 45 s
SEND = 10.0  # we send a few bytes; only a dead link leaves no room for them
HEAD = 16 * 1024  # bytes of an answer kept: what h11 allows for a whole HTTP head
HOST = 200  # characters of an origin that are shown
LOCATION = re.compile(rb"^location:[ \t]*([^\s]+)", re.IGNORECASE | re.MULTILINE)
DATE = re.compile(rb"^date:[ \t]*([^\r\n]+)", re.IGNORECASE | re.MULTILINE)
STATUS_LINE = re.compile(rb"HTTP/\d\.\d (\d{3})")

T = TypeVar("T")


@cache
def trusted() -> ssl.SSLContext:
    """Return whom the system trusts, read once: that takes some 50 ms, and blocks."""
    return ssl.create_default_context()


async def secure(
    tcp: trio.abc.Stream, host: str, tls: ssl.SSLContext | None
) -> trio.abc.Stream:
    """Speak TLS over `tcp`, or raise `FeedLost`; `tcp` stays the caller's to close."""
    context = tls or trusted()
    stream = trio.SSLStream(tcp, context, server_hostname=host, https_compatible=True)
    failed = f"{host} failed the TLS handshake"
    try:
        await limited(stream.do_handshake(), failed, "no end of it")
    except FeedLost:
        trusted.cache_clear()  # the system's list may have changed in these months
        raise
    return stream


async def limited(step: Awaitable[T], failed: str, late: str) -> T:
    """Take one step towards a connection within the limit, or raise `FeedLost`."""
    words = f"{late} within {CONNECT:.0f} s"
    with trio.move_on_after(CONNECT):
        try:
            return await step
        # Of an impossible name; of the network; of TLS.
        except (UnicodeError, OSError, trio.BrokenResourceError) as error:
            words = reason(error)
    raise FeedLost(f"{failed}: {words}")


@define(eq=False, repr=False)  # what a server says may hold the token
class Wire(trio.abc.Stream):
    """The transport as trio-websocket sees it: each wait limited, its end explained.

    It lies above TLS: what counts as life are bytes of the conversation, PINGs too.
    """

    _stream: trio.abc.Stream
    _inbox: trio.MemorySendChannel[str | bytes]
    _splitter: Splitter
    ending: str | None = None  # in words that go on after the host's name
    answer: tuple[int, bytes] | None = None  # status and body where it said no
    heard_at: float = field(factory=trio.current_time)  # when the last byte came
    waiting: trio.CancelScope = field(factory=trio.CancelScope)
    _head: bytearray = field(factory=bytearray)

    def end(self, words: str) -> None:
        """Keep the first reason, and let nobody wait for an answer any longer.

        trio-websocket itself waits on: for ever, where the server leaves before it
        has answered the handshake.
        """
        self.ending = self.ending or words
        self.waiting.cancel()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send within the limit, or break the connection, for those in line too."""
        if self.ending is not None:
            raise trio.BrokenResourceError
        try:
            with trio.fail_after(SEND):
                await self._stream.send_all(data)
        except trio.TooSlowError:
            self.end(f"does not take our bytes ({SEND:.0f} s)")
            raise trio.BrokenResourceError from None
        except trio.BrokenResourceError as error:
            self.end(f"broke the connection ({reason(error)})")
            raise

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive what is not a whole text frame; those go straight to the inbox."""
        data = b""  # something may have waited
        while True:
            texts, rest = self._splitter.feed(data)
            await self._deliver(texts)
            if rest:
                return rest
            data = await self._read(max_bytes)
            if not data:
                return self._splitter.rest()

    async def _read(self, max_bytes: int | None) -> bytes:
        """Read; silence beyond the limit is the end of the stream.

        The limit is around the read alone: while the queue of messages is full
        nobody reads, which is not the server's silence.
        """
        data: bytes | bytearray = b""
        try:
            with trio.move_on_after(SILENCE) as silence:
                data = await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError as error:
            self.end(f"broke the connection ({reason(error)})")
            raise
        if silence.cancelled_caught:
            self.end(f"sent no byte for {SILENCE:.0f} s")
        elif not data:
            self.end("dropped the connection without saying why")
        else:
            self.heard_at = trio.current_time()
        self._head += data[: HEAD - len(self._head)]
        return bytes(data)

    async def _deliver(self, texts: Sequence[str]) -> None:
        # Nobody takes what comes after our goodbye.
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            for text in texts:
                try:
                    self._inbox.send_nowait(text)
                except trio.WouldBlock:
                    await self._inbox.send(text)

    def rejection(self) -> tuple[int, bytes] | None:
        """Return status and body of a refusal, even of one that was cut short.

        A body without a length ends with the connection; trio-websocket then says
        nothing of the status.
        """
        line = STATUS_LINE.match(self._head)
        if self.answer or line is None or line[1] == b"101":
            return self.answer
        return int(line[1]), bytes(self._head.partition(b"\r\n\r\n")[2])

    def redirect(self) -> str:
        """Return where the answer sends us to; "" where it does not."""
        line = STATUS_LINE.match(self._head)
        return self.said(LOCATION) if line and line[1][:1] == b"3" else ""

    def said(self, header: re.Pattern[bytes]) -> str:
        """Return a header of the answer; "" where it has none."""
        found = header.search(self._head.partition(b"\r\n\r\n")[0])
        return found[1].decode(errors="replace").strip() if found else ""

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


def reason(error: BaseException) -> str:
    """Put into words why the network or TLS failed."""
    cause = error.__cause__ or error
    if isinstance(cause, BaseExceptionGroup):  # one for each address that was tried
        cause = first(cause)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted, {cause.verify_message}"
    if isinstance(cause, ssl.SSLError) and cause.reason:
        return cause.reason.replace("_", " ").lower()
    if isinstance(cause, OSError) and cause.strerror:
        # trio puts the address before it, as Python writes a pair.
        return cause.strerror.rpartition("): ")[2]
    return str(cause) or "no reason given"


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL that a server sent, or words for it."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "somewhere"
    if not parts.hostname:
        return "another of its paths"
    origin = f"{parts.scheme}://{parts.hostname}{port}"
    return origin if origin.isprintable() and len(origin) <= HOST else "somewhere"
