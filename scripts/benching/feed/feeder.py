"""Upstream as a process of its own, so that to measure does not disturb the sending."""

from __future__ import annotations

import multiprocessing
import signal
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Self

import attrs
import trio

from benching.feed.upstream import Upstream


def _serve(pipe: Connection) -> None:
    """Do what is asked until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started us ends us
    upstream = Upstream()
    with suppress(EOFError, OSError):
        while True:
            name, given = pipe.recv()
            try:
                pipe.send((True, getattr(upstream, name)(*given)))
            except OSError as error:  # the side is gone
                pipe.send((False, str(error)))


class Gone(Exception):
    """A side did not take what was written to it, or did not come."""


@attrs.define(eq=False)
class Feeder:
    """The process, as a context, and its calls: `await feeder("flood", …)`."""

    _pipe: Connection = attrs.field(init=False)
    _process: BaseProcess = attrs.field(init=False)

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=[theirs], daemon=True)
        self._process.start()
        theirs.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.kill()
        self._process.join()

    async def __call__(self, name: str, *given: object) -> Any:
        self._pipe.send((name, given))
        fine, answer = await trio.to_thread.run_sync(
            self._pipe.recv, abandon_on_cancel=True
        )
        if not fine:
            raise Gone(f"its connection broke ({answer})")
        return answer
