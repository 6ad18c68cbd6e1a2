"""What follows from what is heard of the broker."""

from __future__ import annotations

from typing import Any, cast

import pytest

from bzredis.commands.react.mqtt.board import Board
from bzredis.commands.react.mqtt.link import Heard
from bzredis.commands.react.mqtt.topics import BIRTH, Topics
from bzredis.streams import STREAMS

CONFIG = "homeassistant/device/bzredis/{}/config"


@pytest.mark.parametrize(
    ("found", "is_answered"),
    [
        (Heard(BIRTH, b"online", retained=False), True),
        # It stood there before we told all: that was told already.
        (Heard(BIRTH, b"online", retained=True), False),
        (Heard(BIRTH, b"offline", retained=False), False),
        (Heard(CONFIG.format("MSFT"), b"{}", retained=True), True),
        (Heard(CONFIG.format("AAPL"), b"{}", retained=True), False),
        (Heard(CONFIG.format("bridge"), b"{}", retained=True), False),
        (Heard(CONFIG.format("MSFT"), b"", retained=True), False),
        # What another process of this topic tells now is not ours to take away.
        (Heard(CONFIG.format("MSFT"), b"{}", retained=False), False),
        (Heard("homeassistant/device/x/MSFT/config", b"{}", retained=True), False),
    ],
)
async def test_what_is_heard_is_answered_where_it_has_to_be(
    found: Heard, *, is_answered: bool
) -> None:
    board = Board(Topics("bzredis"), ("AAPL",), STREAMS, cast("Any", None))
    board.hear(found)
    assert board.heard.is_set() is is_answered
