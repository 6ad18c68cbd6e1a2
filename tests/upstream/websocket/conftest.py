"""Every test ends with the question whether the token shows anywhere."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock
from upstream.websocket.peers import PATIENCE, SECRET, Said

from bzredis.errors import BridgeError, FeedLost

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Said]:
    """Collect what was raised; in the end look for the token in it, and in the log."""
    caplog.set_level(logging.DEBUG)
    raised: Said = []
    yield raised
    for record in caplog.get_records("call"):
        assert SECRET not in f"{record.getMessage()} {record.args!r} {record.exc_text}"
    for error in raised:
        assert SECRET not in "".join(shown(error))


def shown(error: BaseException | None) -> Iterator[str]:
    """Yield all that a log might tell of an exception, suppressed contexts too."""
    while error is not None:
        yield f"{error} {error!r} {error.__dict__}"
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        for line in told.stack:
            if Path(line.filename).parent == HERE:
                line.locals = None  # what servers here say is no leak of ours
        yield from told.format()
        error = error.__cause__ or error.__context__


@pytest.fixture
def losing(said: Said) -> Callable[..., Any]:
    """Expect to lose the feed, in these words, within 5 s of virtual time."""

    @contextmanager
    def losing(
        words: str, kind: type[BridgeError] = FeedLost
    ) -> Iterator[pytest.ExceptionInfo[BridgeError]]:
        is_virtual = isinstance(trio.lowlevel.current_clock(), MockClock)
        patience = 5 if is_virtual else PATIENCE
        with trio.fail_after(patience), pytest.raises(kind, match=words) as caught:
            yield caught
        assert type(caught.value) is kind
        assert caught.value.__context__ is None
        said.append(caught.value)

    return losing
