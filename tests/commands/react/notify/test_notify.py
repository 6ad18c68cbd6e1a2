"""When people are told: each thing on its own, and a flood in one message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from bzredis.commands.react.notify.notify import GATHER, notify
from bzredis.commands.react.notify.services import Service
from bzredis.commands.react.notify.texts import Said, sentence
from bzredis.commands.react.reaction import Happening, NotDone, React

A_MINUTE = 3


@attrs.define
class Phone:
    """A service that keeps what it got, and when."""

    number: int = 1
    got: list[tuple[float, Said]] = attrs.field(factory=list)
    refuses: bool = False
    takes: float = 0.0  # s

    async def send(self, said: Said, _seconds: float) -> None:
        if self.refuses:
            raise NotDone(f"service {self.number}: it is full")
        await trio.sleep(self.takes)
        self.got.append((trio.current_time(), said))

    @property
    def titles(self) -> list[str]:
        return [said.title for _, said in self.got]


def happened(number: int) -> Happening:
    return Happening("entry", "ratings", f"S{number}", f"{number}-0", {"rating": "Buy"})


Telling = Callable[..., Any]


@asynccontextmanager
async def telling(*phones: Phone) -> AsyncIterator[React]:
    services = cast("Sequence[Service]", phones)
    async with notify(services, sentence, seconds=9, a_minute=A_MINUTE) as react:
        yield react


async def test_each_thing_is_a_message(autojump_clock: MockClock) -> None:
    phone = Phone()
    async with telling(phone) as react:
        for number in range(2 * A_MINUTE):
            await react(happened(number))
            await trio.sleep(60 / A_MINUTE)
    assert phone.titles == [f"S{number}: rating" for number in range(2 * A_MINUTE)]


async def test_what_comes_at_once_is_one_message(autojump_clock: MockClock) -> None:
    phone = Phone()
    async with telling(phone) as react, trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(react, happened(number))
    assert [at for at, _ in phone.got] == [GATHER]
    assert phone.titles == ["50 at once"]
    assert phone.got[0][1].body.startswith("S0: a firm says Buy\nS1: ")  # in order


async def test_no_minute_has_more_than_it_may(autojump_clock: MockClock) -> None:
    phone = Phone(takes=0.1)
    done = list[int]()

    async def one(number: int) -> None:
        await react(happened(number))
        done.append(number)

    async with telling(phone) as react, trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(one, number)
            await trio.sleep(2)
    assert sorted(done) == [*range(40)]
    times = [at for at, _ in phone.got]
    for at in times:
        assert sum(at <= each < at + 59 for each in times) <= A_MINUTE
    # None is lost: what was summed up is counted.
    lines = [line for _, said in phone.got for line in said.body.splitlines()]
    more = sum(int(each.split()[1]) for each in lines if each.startswith("and "))
    assert len([each for each in lines if not each.startswith("and ")]) + more == 40


async def test_where_it_fails_each_is_told_and_tried_again(
    autojump_clock: MockClock,
) -> None:
    phone = Phone(refuses=True)
    async with telling(phone) as react:
        with pytest.raises(NotDone, match="service 1: it is full"):
            await react(happened(1))
        phone.refuses = False
        await react(happened(1))
    assert phone.titles == ["S1: rating"]


async def test_who_got_it_is_not_told_again(autojump_clock: MockClock) -> None:
    phone, other = Phone(), Phone(2, refuses=True)
    async with telling(phone, other) as react:
        for _ in range(2):
            with pytest.raises(NotDone, match="service 2: it is full"):
                await react(happened(1))
        other.refuses = False
        await react(happened(1))
        await react(happened(2))
    assert phone.titles == other.titles == ["S1: rating", "S2: rating"]


async def test_what_was_given_up_is_not_sent(autojump_clock: MockClock) -> None:
    phone = Phone(takes=5)
    async with telling(phone) as react, trio.open_nursery() as nursery:
        nursery.start_soon(react, happened(1))
        await wait_all_tasks_blocked()
        with trio.move_on_after(1):
            await react(happened(2))
    assert phone.titles == ["S1: rating"]


async def test_a_slow_service_holds_up_no_other(autojump_clock: MockClock) -> None:
    phone, slow = Phone(), Phone(2, takes=8)
    async with telling(phone, slow) as react:
        await react(happened(1))
    assert phone.got[0][0] == GATHER
    assert slow.got[0][0] == GATHER + 8
