"""What is counted on disk is what lies there, also after a call was left to itself."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from threading import Event

import pytest
import trio

from bzredis.backlog.disk import Disk
from bzredis.backlog.spool import opened
from bzredis.ports import Item, Log

LOG = Log("own", "*", 0, "upstream")
ITEMS = [Item(LOG, number, b"x") for number in range(3)]


async def test_what_a_call_did_that_was_left_to_itself_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As we leave a disk may take longer than there is time."""
    spool, _ = opened(tmp_path, "target", 10**9)
    begun, goes_on, is_done = Event(), Event(), Event()
    append = type(spool).append

    def slow(*args: object) -> None:
        begun.set()
        assert goes_on.wait(10)
        append(*args)  # type: ignore[arg-type]
        is_done.set()

    with closing(spool):
        disk = Disk("ratings", spool)
        await disk.append(ITEMS[:1])
        monkeypatch.setattr(type(spool), "append", slow)
        disk.leave()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(disk.append, ITEMS[1:])
            assert await trio.to_thread.run_sync(begun.wait, 10)
            nursery.cancel_scope.cancel()
        goes_on.set()
        assert await trio.to_thread.run_sync(is_done.wait, 10)
        await disk.remove("own", 1)
        assert disk.count == 1
        await disk.remove("own", 2)
        assert disk.count == 0
