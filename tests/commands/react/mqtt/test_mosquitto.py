"""A real mosquitto beside a real server: what stands there, and when."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from commands.react.mqtt.conftest import LIMIT, Mosquitto, Watcher
from consumers.week import LAST, Bridge, Call
from store.servers import Peer

from bzredis.commands.react.mqtt.address import broker as read
from bzredis.commands.react.mqtt.mqtt import mqtt
from bzredis.commands.react.reaction import Happening, React
from bzredis.commands.react.taking.entries import happening
from bzredis.commands.react.taking.patient import Patient
from bzredis.errors import ConfigError
from bzredis.settings.settle import configure
from bzredis.streams import RATINGS, STREAMS

HOME = "homeassistant/device/bzredis"
Watch = Callable[..., Watcher]


@asynccontextmanager
async def keeping(
    url: str, peer: Peer, watched: Sequence[str] = ("AAPL", "XOM", "TSX:SHOP")
) -> AsyncIterator[React]:
    config = configure({"redis": peer.server.url}, {}, {}, state_dir=None)
    with closing(Patient.of(config)) as redis:
        async with mqtt(read(url), watched, STREAMS, redis) as react:
            yield react


async def until(holds: Callable[[], object]) -> None:
    with trio.fail_after(LIMIT):
        while not holds():
            await trio.sleep(0.005)


def of(found: bytes | None) -> Any:
    return json.loads(found) if found else None


async def here(watch: Watch, broker: Mosquitto, **how: Any) -> Watcher:
    """Return who watches, when all stands there."""
    seen = watch(broker.url, **how)
    await until(lambda: seen.last("bzredis/availability") == b"online")
    return seen


async def apply(bridge: Bridge, call: Call) -> Happening:
    """Have the bridge write a rating; return what the group tells of it."""
    apply = partial(bridge.apply, RATINGS, bridge.week.rating(call))
    await trio.to_thread.run_sync(apply)
    [(key, entry)] = bridge.peer.redis.xrevrange("bz:ratings:events", count=1)
    return happening(RATINGS, key, entry)


async def test_states_and_sensors_stand_there(
    broker: Mosquitto, watch: Watch, bridge: Bridge
) -> None:
    bridge.peer.redis.delete("bz:insights:alive")
    async with keeping(broker.url, bridge.peer):
        await here(watch, broker)
        # Who comes later sees it as well: all of it is retained.
        later = await here(watch, broker)
        await until(lambda: len(later.stands) == 17)
    rating = of(later.last("bzredis/ratings/AAPL"))
    assert (rating["rating_current"], rating["pt_current"]) == ("Outperform", 267)
    assert of(later.last("bzredis/ratings/TSX:SHOP"))["ticker"] == "SHOP"
    assert of(later.last("bzredis/consensus/AAPL"))["consensus_rating"] == "BUY"
    assert of(later.last("bzredis/consensus/XOM")) == {}
    assert later.last("bzredis/ratings") == b"fresh"
    assert later.last("bzredis/insights") == b"stale"
    shop = of(later.last(f"{HOME}/TSX_3aSHOP/config"))
    assert [*shop["components"]] == ["rating", "target", "consensus"]
    assert shop["components"]["target"]["unit_of_measurement"] == "CAD"
    problems = of(later.last(f"{HOME}/bridge/config"))["components"]
    assert {each["state_topic"] for each in problems.values()} == {
        f"bzredis/{each.name}" for each in STREAMS
    }


async def test_a_rating_changes_and_what_is_no_news_sends_nothing(
    broker: Mosquitto, watch: Watch, bridge: Bridge
) -> None:
    async with keeping(broker.url, bridge.peer) as react:
        seen = await here(watch, broker)
        await until(lambda: len(seen.stands) == 17)
        count = len(seen.came)
        began = time.monotonic()
        await react(await apply(bridge, LAST))
        # When it returns the broker has it.
        await until(lambda: len(seen.came) > count)
        assert time.monotonic() - began < 30
        [(topic, payload)] = seen.came[count:]
        assert topic == "bzredis/ratings/XOM"
        assert of(payload)["rating_current"] == "Overweight"
        # Told once more, of another symbol, a gap: nothing of that is another state.
        await react(
            await apply(bridge, attrs.evolve(LAST, ticker="MSFT", clock="13:50"))
        )
        await react(Happening("entry", "ratings", "XOM", "1-0"))
        await react(Happening("entry", "unknown", "XOM", "1-0"))
        await react(Happening("gap", "ratings", "", "1-0"))
        await react(Happening("stale", "ratings", fields={"reason": "x"}))
        await until(lambda: seen.last("bzredis/ratings") == b"stale")
        await react(Happening("fresh", "ratings"))
        await until(lambda: seen.last("bzredis/ratings") == b"fresh")
        assert len(seen.came) == count + 3


async def test_what_is_deleted_or_moves_leaves_its_state(
    broker: Mosquitto, watch: Watch, bridge: Bridge
) -> None:
    async with keeping(broker.url, bridge.peer) as react:
        seen = await here(watch, broker)
        # The entry names AAPL alone; XOM is another record's by then.
        bridge.peer.redis.hset("bz:ratings:latest:XOM", "_record", "another")
        bridge.peer.redis.delete("bz:ratings:latest:AAPL")
        await react(Happening("entry", "ratings", "AAPL", "1-0"))
        await until(lambda: seen.last("bzredis/ratings/AAPL") == b"{}")
        xom = "bzredis/ratings/XOM"
        await until(lambda: of(seen.last(xom))["_record"] == "another")


async def test_what_no_entry_tells_of_leaves_its_state(
    broker: Mosquitto, watch: Watch, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forgotten, say; what differs but is no other call is no news, and is not sent."""
    monkeypatch.setattr("bzredis.commands.react.mqtt.mqtt.LOOK", 0.1)
    async with keeping(broker.url, bridge.peer):
        seen = await here(watch, broker)
        await until(lambda: len(seen.stands) == 17)
        count = len(seen.came)
        bridge.peer.redis.hset("bz:ratings:latest:XOM", "notes", "a remark")
        bridge.peer.redis.delete("bz:ratings:latest:AAPL", "bz:consensus:latest:AAPL")
        await until(lambda: seen.last("bzredis/ratings/AAPL") == b"{}")
        await until(lambda: seen.last("bzredis/consensus/AAPL") == b"{}")
        assert len(seen.came) == count + 2


async def test_what_changed_without_an_entry_is_told(
    watch: Watch, broker: Mosquitto, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `rebuild` mends it; and a sign of life that came while nobody looked."""
    monkeypatch.setattr("bzredis.commands.react.mqtt.mqtt.LOOK", 0.1)
    redis, alive = bridge.peer.redis, "bz:ratings:alive"
    sign = redis.get(alive)
    redis.delete(alive)
    async with keeping(broker.url, bridge.peer):
        seen = await here(watch, broker)
        assert seen.last("bzredis/ratings") == b"stale"
        redis.set(alive, sign)
        await until(lambda: seen.last("bzredis/ratings") == b"fresh")
        redis.hset("bz:ratings:latest:AAPL", "pt_current", "1.25")
        topic = "bzredis/ratings/AAPL"
        await until(lambda: b'"pt_current":1.25' in (seen.last(topic) or b""))


async def test_home_assistant_is_told_again_when_it_starts(
    broker: Mosquitto, watch: Watch, bridge: Bridge
) -> None:
    watch(broker.url).publish("homeassistant/status", b"online", retain=True)
    async with keeping(broker.url, bridge.peer):
        seen = await here(watch, broker)
        await until(lambda: len(seen.stands) == 18)
        before = len(seen.came)
        seen.publish("homeassistant/status", b"offline")
        seen.publish("homeassistant/status", b"online")
        await until(lambda: len(seen.came) == before + 2 + 17)


async def test_what_is_watched_no_longer_is_cleared(
    broker: Mosquitto, watch: Watch, bridge: Bridge
) -> None:
    async with keeping(broker.url, bridge.peer, ("AAPL", "TSX:SHOP")):
        await here(watch, broker)
    seen = watch(broker.url)
    await until(lambda: len(seen.stands) == 13)
    assert seen.last("bzredis/availability") == b"offline"
    seen.publish("homeassistant/device/other/AAPL/config", b"{}", retain=True)
    async with keeping(broker.url, bridge.peer, ("AAPL",)):
        await until(lambda: seen.last("bzredis/insights/TSX:SHOP") == b"")
        assert seen.last(f"{HOME}/TSX_3aSHOP/config") == b""
        assert seen.last("bzredis/ratings/TSX:SHOP") == b""
    left = watch(broker.url)
    await until(lambda: len(left.stands) == 10)
    assert not [topic for topic in left.stands if "SHOP" in topic]
    assert "homeassistant/device/other/AAPL/config" in left.stands


# ---- the broker


async def test_it_is_away_and_back(
    broker: Mosquitto, watch: Watch, bridge: Bridge, logs: list[Any]
) -> None:
    async with keeping(broker.url, bridge.peer) as react:
        await here(watch, broker)
        broker.stop()  # it forgets all
        await until(lambda: len(logs) == 1)
        await react(await apply(bridge, LAST))  # and nothing waits for it
        broker.start()
        seen = await here(watch, broker)
        await until(lambda: len(seen.stands) == 17)
        await until(lambda: len(logs) == 2)
    assert of(seen.last("bzredis/ratings/XOM"))["rating_current"] == "Overweight"
    assert [each["event"] for each in logs] == [
        "the MQTT broker is away, and is tried again until it is back",
        "the MQTT broker is back",
    ]


async def test_it_is_away_at_the_start(
    broker: Mosquitto, watch: Watch, bridge: Bridge, logs: list[Any]
) -> None:
    broker.stop()
    async with keeping(broker.url, bridge.peer):
        broker.start()
        await here(watch, broker)
    assert logs[0]["error"].endswith("it cannot be reached: Connection refused")


@pytest.mark.parametrize("login", ["", "me:wrong@", "other:right@"])
async def test_it_does_not_let_us_in(
    broker: Mosquitto, bridge: Bridge, login: str
) -> None:
    broker.stop()
    broker.need("me", "right")
    broker.start()
    with pytest.raises(ConfigError) as error:
        async with keeping(broker.url.replace("://", f"://{login}"), bridge.peer):
            pytest.fail("it was let in")
    words = f"the MQTT broker {broker.url}: it does not let us in (Not authorized)"
    assert str(error.value).startswith(words)
    assert "\n" not in str(error.value)


async def test_a_user_and_a_password_let_us_in(
    broker: Mosquitto, watch: Watch, bridge: Bridge
) -> None:
    broker.stop()
    broker.need("me", "p@ss word")
    broker.start()
    url = broker.url.replace("://", "://me:p%40ss%20word@")
    async with keeping(url, bridge.peer):
        await here(watch, broker, user=("me", "p@ss word"))


# paho leaves the socket of a handshake that failed to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_through_tls(
    broker: Mosquitto, bridge: Bridge, monkeypatch: pytest.MonkeyPatch, logs: list[Any]
) -> None:
    broker.stop()
    broker.encrypt(monkeypatch)
    broker.start()
    url = broker.url.replace("mqtt://127.0.0.1", "mqtts://localhost")
    async with keeping(url, bridge.peer):
        await until(lambda: "bzredis" in broker.log)
        assert not logs
    monkeypatch.delenv("SSL_CERT_FILE")
    async with keeping(url, bridge.peer):
        assert "its certificate is not trusted: " in logs[0]["error"]
    gc.collect()


async def test_an_error_of_the_body_stays_what_it_is(
    broker: Mosquitto, bridge: Bridge
) -> None:
    with pytest.raises(ConfigError, match=r"^another$"):
        async with keeping(broker.url, bridge.peer):
            raise ConfigError("another")
