"""How it goes with REST: told once, and when to ask again."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from bzredis.bridge.retry import (
    REFUSED,
    RETRY_FIRST,
    RETRY_LAST,
    SYMBOLS_LAST,
    Retry,
    known,
)
from bzredis.errors import RestDown, RestRefused, StoreDown

DOWN = RestDown("down")


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def retry(told: list[str]) -> Retry:
    return Retry("rest", lambda _, words, __: told.append(words), Random(1))


def test_trouble_is_told_once_and_so_is_its_end(retry: Retry, told: list[str]) -> None:
    retry.answered()
    for error in (DOWN, DOWN, RestDown("no host"), RestDown("no host"), DOWN):
        retry.failed(error)
    assert told == ["down", "no host", "down"]
    retry.answered()
    retry.answered()
    retry.failed(DOWN)
    assert told[3:] == ["", "down"]


def test_the_waits_grow_to_their_limit_and_begin_anew(retry: Retry) -> None:
    waits = [retry.failed(DOWN) for _ in range(12)]
    assert RETRY_FIRST / 2 <= waits[0] <= RETRY_FIRST
    assert RETRY_LAST / 2 <= waits[-1] <= RETRY_LAST
    retry.answered()
    assert retry.failed(DOWN) <= RETRY_FIRST


def test_who_is_asked_to_wait_waits_so_long_at_least(retry: Retry) -> None:
    assert retry.failed(RestDown("HTTP 429", retry_after=300.0)) == 300
    assert retry.failed(RestDown("HTTP 429", retry_after=0.1)) > 1


@pytest.mark.parametrize("kind", ["rest", "removals"])
def test_people_are_told_what_is_so_for_all_streams(kind: Any) -> None:
    told: list[tuple[str, ...]] = []
    retry = Retry(kind, lambda *words: told.append(words), Random(1))
    retry.failed(RestDown("h, asked for /a, is down", gist="h is down"))
    retry.answered()
    assert told == [(kind, "h, asked for /a, is down", "h is down"), (kind, "", "")]


def test_who_is_refused_is_told_what_to_do(retry: Retry, told: list[str]) -> None:
    assert retry.failed(RestRefused("HTTP 401")) == REFUSED == 900
    [words] = told
    for word in ("HTTP 401", "BENZINGA_TOKEN", "15 min", "--no-rest"):
        assert word in words


async def test_redis_is_asked_for_its_symbols_until_it_answers(
    autojump_clock: MockClock,
) -> None:
    at: list[float] = []

    async def symbols() -> list[str]:
        at.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if trio.current_time() < 60:
            raise StoreDown("LOADING")
        return ["A"]

    assert await known(symbols, Random(1)) == ["A"]
    assert 60 <= at[-1] <= 60 + SYMBOLS_LAST
    assert len(at) > 12
