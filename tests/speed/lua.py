"""The script in a Lua of our own, on a real server: how many instructions it takes.

The same 5.1 as Redis' (lupa), with a hook that counts; `redis.call` goes to the server.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]
import msgspec
import pytest
import redis

lua51 = pytest.importorskip("lupa.lua51", reason="no wheel of lupa for this platform")

SET_UP: Final = b"""
local function raised(found)
  if type(found) == 'table' and found.err then error(found) end
  return found
end
redis = { call = function(...) return raised(called(...)) end, pcall = called,
  error_reply = function(why) return { err = why } end }
cmsgpack = { unpack = unpacked, pack = packed,
  unpack_limit = function(...) return unpack(limited(...)) end }
function counted(text)
  local script, count = assert(loadstring(text)), 0
  debug.sethook(function() count = count + 1 end, '', 1)
  local answer = script()
  debug.sethook()
  return count, answer
end
"""


class Counter:
    """Runs scripts against a server, and counts."""

    def __init__(self, client: redis.Redis) -> None:
        """Take a client that answers as the protocol does: RESP 2, no callbacks."""
        self._client: Any = client
        self._lua: Any = lua51.LuaRuntime(encoding=None)
        globals_ = self._lua.globals()
        globals_[b"called"] = self._called
        globals_[b"unpacked"] = lambda data: self._table(msgspec.msgpack.decode(data))
        globals_[b"limited"] = self._limited
        globals_[b"packed"] = _unwanted
        self._lua.execute(SET_UP)
        self._globals = globals_

    def count(self, text: str, keys: Sequence[str], args: Sequence[bytes]) -> int:
        """Return how many instructions a script takes; it has to succeed."""
        self._globals[b"KEYS"] = self._table(list(keys))
        self._globals[b"ARGV"] = self._table(list(args))
        count, answer = self._globals[b"counted"](text.encode())
        assert answer[1] == b"applied", answer
        return int(count)

    def _called(self, *words: Any) -> Any:
        texts = [word if isinstance(word, bytes) else str(word) for word in words]
        try:
            found = self._client.execute_command(*texts)
        except redis.ResponseError as error:
            return self._table({"err": str(error)})
        if words[0] == b"TYPE" or found == b"OK":
            return self._table({"ok": found})
        return self._table(found)

    def _limited(self, data: bytes, limit: int, offset: int) -> Any:
        """Return where the rest begins, and so many objects before that."""
        unpacker = msgpack.Unpacker(raw=True)
        unpacker.feed(data[offset:])
        found = [unpacker.unpack() for _ in range(limit)]
        return self._table([offset + unpacker.tell(), *found])

    def _table(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return self._lua.table_from([self._table(each) for each in value])
        if isinstance(value, dict):
            pairs = {name.encode(): self._table(each) for name, each in value.items()}
            return self._lua.table_from(pairs)
        if value is None:  # as Redis tells Lua
            return False
        return value.encode() if isinstance(value, str) else value


def _unwanted(*_: object) -> Callable[[], None]:
    raise AssertionError("a batch of messages packs nothing")
