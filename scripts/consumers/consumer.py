#!/usr/bin/env python3
"""What README.md says, with redis.asyncio."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

KEYS = os.environ.get("KEYS", "bz:ratings")
LOG = f"{KEYS}:events"
ENTRY = """action symbol record version published effect news firm direction rating
    rating_prior pt pt_prior rating_id value target shift"""
LATEST = """_record _version _firm _direction rating_current rating consensus_rating
    pt_current pt consensus_price_target"""
ONE_LINE = str.maketrans("\t\r\n", "   ")
URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
redis: Any = Redis.from_url(URL, decode_responses=True)
USAGE = "usage: consumer latest SYMBOL | tail [ID [COUNT]] | work GROUP NAME [IDLE]"
told = ""


def say(words: str, names: str = "", of: Mapping[str, str] = {}) -> None:
    fields = [f"{name}={of[name]}" for name in names.split() if name in of]
    flat = [field.translate(ONE_LINE) for field in fields]
    print("\t".join([words, *flat]), flush=True)


def tell(state: str) -> None:
    global told  # noqa: PLW0603 - it is a small program
    if state != told:
        say(state)
    told = state


def act(entry: str, of: dict[str, str]) -> None:
    if of["action"] == "gap":
        say(f"gap\t{entry}", "from to cause recovered", of)
        return
    say(f"entry\t{entry}", ENTRY, of)
    why = of["direction"] if of.get("direction") in ("up", "down") else moved(of)
    if why and "news" in of and of["action"] != "deleted":
        say(f"alert\t{entry}", "symbol why", {**of, "why": why})


def moved(of: dict[str, str]) -> str:
    with suppress(KeyError, InvalidOperation):
        now, before = Decimal(of["pt"]), Decimal(of["pt_prior"])
        return "target" if abs(now - before) * 10 > before else ""
    return ""


async def state() -> str:
    return "fresh" if await redis.exists(f"{KEYS}:alive") else "stale"


async def latest(symbol: str) -> None:
    alive = await state()  # first: what is read after it is no older
    found = await redis.hgetall(f"{KEYS}:latest:{symbol}")
    say(f"latest\t{symbol}\t{alive}", LATEST, found)


async def tail(last: str = "0-0", count: str = "0") -> None:
    left = int(count)

    async def once() -> None:
        nonlocal last, left
        for _, entries in await redis.xread({LOG: last}, 100, 1000) or []:
            for entry, of in entries:
                act(entry, of)
                last, left = entry, left - 1
                if left == 0:
                    sys.exit()

    await for_ever(once)


async def work(group: str, name: str, idle: str = "60000") -> None:
    cursor = "0-0"

    async def once() -> None:
        nonlocal cursor
        try:
            await redis.xgroup_create(LOG, group, "0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):  # else it is there
                raise
        left = await redis.xautoclaim(LOG, group, name, int(idle), cursor, 100)
        cursor = left[0]
        batch = [each for each in left[1] if each[0]]  # else trimmed away meanwhile
        if not batch:
            new = await redis.xreadgroup(group, name, {LOG: ">"}, 100, 1000)
            batch = [each for _, entries in new or [] for each in entries]
        for entry, of in batch:
            act(entry, of)
            await redis.xack(LOG, group, entry)

    await for_ever(once)


async def for_ever(once: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            tell(await state())
            await once()
        except RedisError as error:
            print(error, file=sys.stderr)
            tell("stale")
            await asyncio.sleep(0.5)


def main(command: str = "", *words: str) -> None:
    takes: Any = {"latest": (latest, 1, 1), "tail": (tail, 0, 2), "work": (work, 2, 3)}
    does, least, most = takes.get(command, (None, 0, 0))
    if not does or not least <= len(words) <= most:
        print(USAGE, file=sys.stderr)
        sys.exit(2)
    try:
        asyncio.run(does(*words))
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:  # as `| head` has enough: nor may the end write there
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


main(*sys.argv[1:])
