"""Token and password are nowhere to be seen, whatever goes wrong and is logged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

from faults.press import STREAMS
from faults.process import TOKEN
from faults.rig import Rig, until

from bzredis.simulator.faults import Refusal

PASSWORD = "pa55/w+rd%21"


async def test_nowhere(rig: Rig) -> None:
    with rig.redis() as redis:
        redis.execute_command("ACL", "SETUSER", "bz", "on", f">{PASSWORD}", "~*", "&*",
                              "+@all")  # fmt: skip
        port = rig.server.port
        rig.bridge = rig.another("telling", "--log-level", "debug")
        rig.bridge.redis = f"redis://bz:{quote(PASSWORD, safe='')}@127.0.0.1:{port}"
        for stream, status in zip(STREAMS, (429, 502, 403), strict=True):
            body = f"no: ?token={TOKEN} {quote(TOKEN, safe='')}".encode()
            rig.simulator.faults[stream].refusals = [Refusal(status, body)]
        await rig.start("ratings", "insights")
        rig.publish(20)
        rig.simulator.drop("ratings")
        redis.execute_command("ACL", "SETUSER", "bz", "resetpass")
        redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        rig.publish(20)
        words = "does not accept this password"
        await until(lambda: words in rig.bridge.said())
        redis.execute_command("ACL", "SETUSER", "bz", f">{PASSWORD}")
        await rig.connected("ratings")
        for stream in ("ratings", "insights"):
            await until(lambda s=stream: rig.redis_length(f"{s}:events") >= 40)  # type: ignore[misc]
        seen = {"processes": rig.bridge.shown()}
        await rig.bridge.stop()
        seen["log"] = rig.bridge.said()
        seen["redis"] = dump(redis)
        for path in rig.bridge.state.rglob("*"):
            if path.is_file():
                seen[path.name] = path.read_bytes().decode(errors="replace")
    for place, text in seen.items():
        for secret in (TOKEN, PASSWORD):
            for form in {secret, quote(secret, safe=""), quote_plus(secret)}:
                assert form not in text, place


def dump(redis: Any) -> str:
    """Return all that stands in Redis, as it would be shown."""
    readers: dict[bytes, Callable[[bytes], object]] = {
        b"hash": redis.hgetall,
        b"stream": redis.xrange,
        b"zset": lambda key: redis.zrange(key, 0, -1),
        b"string": redis.get,
    }
    found = [(key, readers[redis.type(key)](key)) for key in redis.scan_iter()]
    assert len(found) > 20
    return str(found)
