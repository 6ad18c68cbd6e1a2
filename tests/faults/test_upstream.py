"""Upstream refuses, hangs up, breaks off, talks nonsense: every stream comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import trio
from faults.checker import Tally
from faults.press import STREAMS
from faults.proxy import Proxy
from faults.rig import Rig, text_frame, until

from bzredis.simulator import Simulator
from bzredis.simulator.faults import (
    HALF_FRAME,
    INVALID_UTF8,
    RESERVED_BITS,
    RING_BALANCER,
    Refusal,
)

LARGE = 5 * 2**20
Wound = Callable[[Simulator, str], None]


async def test_nobody_listens_at_first_and_then_again(rig: Rig) -> None:
    proxy = Proxy(rig.simulator.port)
    rig.bridge.upstream = await rig.nursery.start(proxy.serve)
    proxy.shut()
    await rig.bridge.start()
    await until(lambda: "cannot be reached" in rig.bridge.said())
    await rig.nursery.start(proxy.serve)
    await rig.connected()
    await rig.known()
    async with rig.talking():
        await trio.sleep(0.3)
        proxy.shut()
        await until(lambda: not any(map(rig.is_connected, STREAMS)))
        await rig.nursery.start(proxy.serve)
        await rig.connected()
    await rig.without_gaps()


async def test_the_token_is_not_accepted(rig: Rig) -> None:
    for faults in rig.simulator.faults.values():
        faults.refuse = Refusal(401, b'{"ok":false}')
    await rig.bridge.start()
    assert await rig.bridge.ended() == 3
    assert rig.bridge.said().count("BENZINGA_TOKEN") == 2  # and why it ends
    assert "401" in rig.bridge.said()
    assert rig.status()["state"] == "stopped"


async def test_one_stream_is_not_in_the_contract(rig: Rig) -> None:
    rig.simulator.faults["insights"].refuse = Refusal(403)
    await rig.start("ratings", "consensus")
    rig.publish(20, "ratings", "consensus")
    await rig.settled()
    await until(lambda: rig.is_fresh("ratings", "consensus"))
    await until(lambda: rig.status("insights")["state"] == "refused")
    assert "403" in rig.status("insights")["error"]
    assert not rig.is_fresh("insights")


async def test_upstream_is_out_of_order_at_the_handshake(rig: Rig) -> None:
    faults = rig.simulator.faults
    faults["ratings"].refusals = [Refusal(502, b"<html>Bad Gateway</html>")]
    faults["insights"].refusals = [RING_BALANCER]
    faults["consensus"].hang_up = True
    await rig.bridge.start()
    await until(lambda: {each.stream for each in rig.simulator.attempts} == {*STREAMS})
    faults["consensus"].hang_up = False
    await rig.connected()
    rig.publish(20)
    await rig.without_gaps()
    said = rig.bridge.said()
    assert "HTTP 502: <html>Bad Gateway</html>" in said
    assert "failure to get a peer" in said


def drop(simulator: Simulator, stream: str) -> None:
    simulator.drop(stream)


def reset(simulator: Simulator, stream: str) -> None:
    simulator.drop(stream, reset=True)


def goodbye(simulator: Simulator, stream: str) -> None:
    simulator.close(stream, 1001)


def half_a_frame(simulator: Simulator, stream: str) -> None:
    simulator.send_raw(stream, HALF_FRAME, cut=True)


def no_text(simulator: Simulator, stream: str) -> None:
    simulator.send_raw(stream, INVALID_UTF8)


def no_websocket(simulator: Simulator, stream: str) -> None:
    simulator.send_raw(stream, RESERVED_BITS)


def too_large(simulator: Simulator, stream: str) -> None:
    simulator.send_raw(stream, text_frame(b"x" * LARGE))


def unanswered_goodbye(simulator: Simulator, stream: str) -> None:
    simulator.faults[stream].ignore_close = True
    simulator.send_raw(stream, RESERVED_BITS)  # so that the bridge says goodbye


@pytest.mark.parametrize(
    "wounds",
    [
        (drop, half_a_frame, goodbye),
        (no_websocket, reset, no_text),
        (too_large, unanswered_goodbye, drop),
    ],
)
async def test_connections_break(rig: Rig, wounds: tuple[Wound, ...]) -> None:
    await rig.start()
    await rig.known()
    before = {stream: rig.simulator.connections(stream) for stream in STREAMS}
    async with rig.talking():
        await trio.sleep(0.2)
        for stream, wound in zip(STREAMS, wounds, strict=True):
            wound(rig.simulator, stream)
        for stream in STREAMS:
            await until(lambda s=stream: is_anew(rig, s, before[s]))  # type: ignore[misc]
        await trio.sleep(0.3)
    await rig.without_gaps()
    for stream in STREAMS:
        await until(lambda s=stream: rig.status(s)["reconnects"] >= "1")  # type: ignore[misc]


def is_anew(rig: Rig, stream: str, before: Sequence[object]) -> bool:
    rig.simulator.faults[stream].ignore_close = False
    now = rig.simulator.connections(stream)
    return bool(now) and now != before


async def test_nonsense_is_set_aside_and_harms_nothing_else(rig: Rig) -> None:
    await rig.start()
    async with rig.talking():
        for text in ("{", "[1, 2]", '{"a": 1}', '{"data": {}}', "<html>", "null"):
            rig.simulator.publish("ratings", text)
        rig.simulator.send_raw("ratings", b"\x82\x04\xff\xfe\x00\x01")
        for text in ("pong", "4711", '{"type": "error", "message": "no"}'):
            rig.simulator.publish("ratings", text)
        await until(lambda: rig.redis_length("ratings:rejected") == 7)
    await rig.without_gaps()
    await until(lambda: rig.status()["rejected"] == "7")
    assert rig.status()["reconnects"] == "0"


async def test_the_replay_holds_a_frame_that_ends_every_connection(rig: Rig) -> None:
    await rig.start("ratings")
    rig.publish(20)
    rig.simulator.publish("ratings", "x" * LARGE)
    rig.publish(20)
    await until(lambda: "more than 4 MiB" in rig.bridge.said())
    await until(lambda: rig.status()["state"] == "live")

    def came(tally: Tally) -> bool:
        return tally.is_sound and tally.covered + tally.logged == tally.sent

    await rig.settled(came)
    await rig.decided()
    tally = await rig.settled(came)
    rig.publish(20)
    await rig.settled(lambda t: came(t) and t.logged == tally.logged + 60)
