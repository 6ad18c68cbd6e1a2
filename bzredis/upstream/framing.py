"""Take whole text frames out of a WebSocket's bytes, in front of trio-websocket. Pure.

Almost all that upstream sends are whole text frames, and trio-websocket takes some ten
times as long over one as it takes to find its end and decode it. All else, handshake,
control frames, fragments, errors, is handed on to it untouched and in its order.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Final

import attrs

# First bytes of a frame, all without extensions (RFC 6455, 5.2).
WHOLE_TEXT: Final = 0x81
PARTS: Final = {0x00, 0x01, 0x02}  # of a message, and not the last
CONTROL: Final = {0x88, 0x89, 0x8A}  # close, ping, pong
KNOWN: Final = {*PARTS, 0x80, WHOLE_TEXT, 0x82, *CONTROL}
EXTENDED: Final = {126: 2, 127: 8}  # this length says: it stands in so many more bytes
MASKED: Final = 0x80  # of the second byte; a server never does that
END_OF_HEAD: Final = b"\r\n\r\n"
SWITCHED: Final = b"HTTP/1.1 101"  # else no frames follow
EVER: Final = sys.maxsize  # bytes, of a conversation that is not ours to read


@attrs.define
class Splitter:
    """What has come and is not yet taken out or handed on.

    A text frame is taken out if it has at most `largest` bytes and is sound UTF-8.
    """

    largest: int
    _waiting: bytearray = attrs.field(factory=bytearray)
    _line: bytes = b""  # where the answer to the handshake begins
    _owed: int = 0  # bytes of a frame whose beginning was handed on
    _is_open: bool = False  # whether the handshake's answer is over
    _in_message: bool = False  # whether the parts of a message are being handed on

    def feed(self, data: bytes) -> tuple[list[str], bytes]:
        """Return the texts that are complete, and the bytes to hand on.

        The answer to the handshake is handed on alone: what came with it waits for the
        next call, which may well be without data.
        """
        waiting = self._waiting
        waiting += data
        if not self._is_open:
            self._line = (self._line + data)[: len(SWITCHED)]
            return [], self._head()
        texts: list[str] = []
        handed = bytearray()
        start = 0
        overtakes = False  # what is behind a message that is handed on stays behind it
        while start < len(waiting):
            if self._owed:
                end = min(len(waiting), start + self._owed)
                self._owed -= end - start
                handed += waiting[start:end]
                start = end
                continue
            bounds = _bounds(waiting, start)
            if bounds is None:
                break
            first, body, end = waiting[start], *bounds
            is_sound = first in KNOWN and not waiting[start + 1] & MASKED
            if not is_sound or end - body > self.largest:
                self._owed = EVER  # trio-websocket will end this, and say why
                continue
            if first == WHOLE_TEXT and not self._in_message and not overtakes:
                if end > len(waiting):
                    break
                with suppress(UnicodeDecodeError):
                    texts.append(waiting[body:end].decode())
                    start = end
                    continue
            self._owed = end - start
            if first not in CONTROL:
                self._in_message = first in PARTS
                overtakes = True
        del waiting[:start]
        return texts, bytes(handed)

    def rest(self) -> bytes:
        rest, self._waiting = bytes(self._waiting), bytearray()
        return rest

    def _head(self) -> bytes:
        """Return the answer to the handshake as far as it has come."""
        at = self._waiting.find(END_OF_HEAD)
        if at >= 0:
            end = at + len(END_OF_HEAD)
            self._is_open = True
            self._owed = 0 if self._line == SWITCHED else EVER
        else:  # its end may have begun
            end = max(0, len(self._waiting) - len(END_OF_HEAD) + 1)
        head = bytes(self._waiting[:end])
        del self._waiting[:end]
        return head


def _bounds(data: bytearray, start: int) -> tuple[int, int] | None:
    """Return where a frame's payload begins and ends; None: the header goes on."""
    if len(data) < start + 2:
        return None
    length = data[start + 1]  # a server's frames are unmasked: the high bit is 0
    body = start + 2
    if more := EXTENDED.get(length, 0):
        if len(data) < body + more:
            return None
        length = int.from_bytes(data[body : body + more], "big")
        body += more
    return body, body + length
