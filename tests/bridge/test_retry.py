"""How it goes with REST: told once, and when to ask again."""

from __future__ import annotations

from random import Random

import pytest
import trio
from fakes import Said
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
    return Retry("ratings", told.append, Random(1))


def test_trouble_is_told_once_and_so_is_its_end(
    retry: Retry, told: list[str], said: Said
) -> None:
    retry.answered()
    for error in (DOWN, DOWN, RestDown("no host"), RestDown("no host"), DOWN):
        retry.failed(error)
    assert told == ["down", "no host", "down"]
    retry.answered()
    retry.answered()
    retry.failed(DOWN)
    assert told == ["down", "no host", "down", "down"]
    assert [entry["log_level"] for entry in said] == [
        *["warning"] * 3, "info", "warning",
    ]  # fmt: skip


def test_the_waits_grow_to_their_limit_and_begin_anew(retry: Retry) -> None:
    waits = [retry.failed(DOWN) for _ in range(12)]
    assert RETRY_FIRST / 2 <= waits[0] <= RETRY_FIRST
    assert RETRY_LAST / 2 <= waits[-1] <= RETRY_LAST
    retry.answered()
    assert retry.failed(DOWN) <= RETRY_FIRST


def test_who_is_asked_to_wait_waits_so_long_at_least(retry: Retry) -> None:
    assert retry.failed(RestDown("HTTP 429", retry_after=300.0)) == 300
    assert retry.failed(RestDown("HTTP 429", retry_after=0.1)) > 1


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
