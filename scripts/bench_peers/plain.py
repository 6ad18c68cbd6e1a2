"""No promise: each message is one entry of a log, and the ticker's newest hash."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import redis.asyncio
import websockets

PREFIX, MAXLEN = os.environ["BENCH_PREFIX"], int(os.environ["BENCH_MAXLEN"])


def flatten(content: dict[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}_")
        elif value not in (None, ""):
            flat[prefix + name] = (
                json.dumps(value) if isinstance(value, list) else str(value)
            )
    return flat


async def write(client: Any, raw: str) -> None:
    message = json.loads(raw)
    data = message["data"]
    content = flatten(data["content"])
    entry = {
        "envelope": message["id"],
        "action": data["action"],
        "record": data["id"],
        "symbol": content["ticker"],
        "raw": raw,
    }
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.xadd(f"{PREFIX}events", entry, maxlen=MAXLEN, approximate=True)
        pipeline.hset(f"{PREFIX}latest:{content['ticker']}", mapping=content)
        await pipeline.execute()


async def keep_alive(socket: websockets.ClientConnection) -> None:
    while True:
        await asyncio.sleep(10)
        await socket.send("ping")


async def main() -> None:
    async with (
        redis.asyncio.Redis.from_url(os.environ["BENCH_REDIS"]) as client,
        websockets.connect(os.environ["BENCH_UPSTREAM"]) as socket,
    ):
        await socket.send("replay")
        pings = asyncio.create_task(keep_alive(socket))
        async for raw in socket:
            if isinstance(raw, str) and raw != "pong":
                await write(client, raw)
        pings.cancel()


if __name__ == "__main__":
    asyncio.run(main())
