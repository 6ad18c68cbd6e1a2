"""Who is refused: a stream by upstream, or all of us by what Redis holds already."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from fakes import BY_NAME, Database, FakeStore, Rig, Said, Session, frame, frames, now
from trio.testing import MockClock

from bzredis.bridge.bridge import AllRefused
from bzredis.commands.run import run_to_the_end
from bzredis.errors import FeedLost, FeedRefused, StoreForeign

LOST = FeedLost("upstream went away")
REFUSED = FeedRefused("upstream answered HTTP 403")
NAMES = tuple(BY_NAME)


# -------------------------------------------------------------------------- by upstream


async def test_every_stream_refused_ends_the_program(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    for name in NAMES:
        rig.upstreams[name].sessions.append(REFUSED)
    with pytest.raises(AllRefused, match="BENZINGA_TOKEN"):
        await rig.process(*NAMES).run()
    assert trio.current_time() < 1
    assert all(rig.store.status(name)["state"] == "stopped" for name in NAMES)
    for name in NAMES:
        error = rig.store.status(name)["error"]
        assert f"the {name} stream" in error
        assert "HTTP 403" in error
        assert "tried again" not in error
    assert "tried again" not in str(said)
    [told] = [e for e in said if e["log_level"] == "error"]
    assert told["streams"] == [*NAMES]
    assert "HTTP 403: check that BENZINGA_TOKEN" in told["error"]


async def test_the_last_status_has_the_time_that_was_not_needed(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """There is nothing to drain; and a machine may be busy."""
    rig.store.delay = 1.5
    for name in NAMES:
        rig.upstreams[name].sessions.append(REFUSED)
    with pytest.raises(AllRefused):
        await rig.process(*NAMES).run()
    assert trio.current_time() < 5
    assert all(rig.store.status(name)["state"] == "stopped" for name in NAMES)


async def test_one_that_is_only_away_keeps_the_program_going(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstreams["ratings"].sessions.append(REFUSED)
    rig.upstreams["insights"].sessions.extend([LOST] * 3)
    async with rig.running("ratings", "insights"):
        await trio.sleep(60)
        assert rig.store.status("insights")["state"] == "live"


async def test_one_that_is_refused_is_tried_again_while_the_others_go_on(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.upstream.sessions.append(REFUSED)
    async with rig.running("ratings", "insights"):
        await trio.sleep(60)
        assert rig.store.status()["state"] == "refused"
        assert rig.store.is_alive("insights")
        assert not rig.store.is_alive()
        await trio.sleep(16 * 60)
        assert rig.store.status()["state"] == "live"
        assert rig.store.is_alive()


# ------------------------------------------------- by keys that are of another upstream


async def of_another_upstream(rig: Rig) -> Database:
    """Leave keys that came from elsewhere, and return them."""
    rig.host = "simulator"
    rig.upstream.cache = frames(1)
    async with rig.running():
        await trio.sleep(5)
    rig.host = "upstream"
    rig.upstream.cache = []
    return rig.store.saved()


async def test_keys_of_another_upstream_end_the_program_and_stay_as_they_are(
    rig: Rig, autojump_clock: MockClock
) -> None:
    before = await of_another_upstream(rig)
    with pytest.raises(StoreForeign, match="simulator"):
        with trio.fail_after(5):
            await rig.process(*NAMES).run()
    assert rig.store.db.streams["ratings"] == before.streams["ratings"]


async def no_signal() -> AsyncIterator[int]:
    yield await trio.sleep_forever()


async def test_both_upstreams_and_the_ways_out_are_told_in_one_line(
    rig: Rig, said: Said, autojump_clock: MockClock
) -> None:
    await of_another_upstream(rig)
    assert await run_to_the_end(rig.process(), no_signal()) == 2
    [line] = [each["event"] for each in said if each["log_level"] == "error"]
    assert "\n" not in line
    for words in ("simulator", rig.host, "--prefix", "--redis"):
        assert words in line.replace("another upstream", ""), words


async def test_a_bridge_whose_keys_they_are_keeps_its_status(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """Who is connected takes it over, but not before Redis said whose keys it has."""
    other = Rig(rig.folder.with_name("other"), rig.lost, name="other", host="simulator")
    rig.store = FakeStore(other.store.db, most=-1)  # it answers to no batch at first

    async def redis_answers() -> None:
        await trio.sleep(8)
        rig.store.most = 10**9

    async with other.running():
        await trio.sleep(5)
        other.store.statuses.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(redis_answers)
            with pytest.raises(StoreForeign), trio.fail_after(60):
                await rig.process().run()
        await trio.sleep(3)
        assert rig.upstream.links, "it was connected"
        assert not rig.store.statuses
        assert all(alive for *_, alive in other.store.statuses)
    other.close()


async def test_what_waits_stays_on_disk_where_the_keys_are_of_another_upstream(
    rig: Rig, autojump_clock: MockClock
) -> None:
    before = await of_another_upstream(rig)
    rig.store.trouble = "LOADING"
    rig.upstream.sessions.append(Session([5.0, *frames(7, 8)]))
    read_at = now() + 5_000

    async def redis_comes_back() -> None:
        await trio.sleep(10)
        rig.store.trouble = ""
        rig.upstream.say(frame(9))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(redis_comes_back)
        with pytest.raises(StoreForeign), trio.fail_after(60):
            await rig.process().run()
    assert rig.store.db.streams == before.streams
    rig.store.db = Database()  # a person took the keys away
    rig.upstream.cache = frames(9)
    async with rig.running():
        await trio.sleep(10)
        assert rig.store.numbers() == [7, 8, 9]
        assert rig.store.is_alive()
    assert not rig.store.gaps_over(read_at)
    assert rig.spool_left() == 0


async def test_its_end_is_in_good_order_for_the_other_streams(
    rig: Rig, autojump_clock: MockClock
) -> None:
    """They have keys of their own here, and get what was read."""
    await of_another_upstream(rig)  # ratings alone
    process = rig.process(*NAMES)
    rig.upstreams["insights"].cache = frames(1, 2)
    with pytest.raises(StoreForeign), trio.fail_after(5):
        await process.run()
    left = rig.spool_left()
    taken = rig.store.db.of("insights").position
    assert left or taken, "kept, or written"
    assert all(not len(line.backlog.queue) for line in process.lines)
