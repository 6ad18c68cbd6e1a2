"""`bzredis react --mqtt` as a process, and what is left when it is killed."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import attrs
from commands.looks.conftest import LIMIT, Look
from commands.react.mqtt.conftest import Mosquitto, Watcher, until
from commands.react.test_react import reacting
from consumers.week import LAST, Bridge
from store.servers import Peer

from bzredis.streams import RATINGS

Watch = Callable[..., Watcher]
STATE = "bzredis/ratings/XOM"
AVAILABILITY = "bzredis/availability"


def test_a_rating_is_there_within_a_second_and_the_last_will_after_a_kill(
    look: Look, bridge: Bridge, broker: Mosquitto, watch: Watch
) -> None:
    seen = watch(broker.url)
    words = ("home", "--mqtt", broker.url, "--watch", "AAPL,XOM")
    with reacting(look, *words):
        until(lambda: seen.last(AVAILABILITY) == b"online")
        # A busy machine may take a while: the best counts.
        wait, minute = LIMIT, -1
        while wait >= 1 and minute < 8:
            minute += 1
            began = time.monotonic()
            call = attrs.evolve(LAST, clock=f"13:5{minute}", pt=f"{150 + minute}.00")
            bridge.apply(RATINGS, bridge.week.rating(call))
            until(lambda: pt(seen) == 150 + minute)  # noqa: B023 - it is asked now
            wait = time.monotonic() - began
        assert wait < 1
        bridge.say("gone")
        until(lambda: seen.last("bzredis/ratings") == b"stale")
    # A stop in good order says so itself.
    until(lambda: seen.last(AVAILABILITY) == b"offline")
    process = subprocess.Popen(
        look.command("react", *words),
        env=look.surroundings(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: seen.last(AVAILABILITY) == b"online")
    process.kill()
    process.wait(LIMIT)
    until(lambda: seen.last(AVAILABILITY) == b"offline")
    assert pt(seen) == 150 + minute


def pt(seen: Watcher) -> float | None:
    found = seen.last(STATE)
    return json.loads(found).get("pt_current") if found else None


def test_a_bridge_that_follows_all_has_to_be_told_what_to_keep(
    look: Look, bridge: Bridge, broker: Mosquitto
) -> None:
    done = look.run("react", "home", "--mqtt", broker.url)
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == (
        "bzredis: the bridge follows all symbols, some 6,000: name those that are to"
        " stand there with --watch AAPL,MSFT"
    )


def test_a_wrong_password_is_one_line_without_it(
    look: Look, peer: Peer, broker: Mosquitto, tmp_path: Path
) -> None:
    broker.stop()
    broker.need("me", "right")
    broker.start()
    file = tmp_path / "url"
    file.write_text(broker.url.replace("://", "://me:wr0ngword@") + "\n")
    words = ("react", "home", "--mqtt-file", str(file), "--watch", "AAPL")
    done = look.process(*words)
    assert done.returncode == 2
    told = f"bzredis: the MQTT broker {broker.url}: it does not let us in"
    assert done.stderr.decode().splitlines()[-1].startswith(told)
    assert b"wr0ngword" not in done.stderr
