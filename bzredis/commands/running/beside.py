"""Something that runs beside a body, whose own exceptions stay what they are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NoReturn

import trio


@asynccontextmanager
async def beside(run: Callable[[], Awaitable[NoReturn]]) -> AsyncIterator[None]:
    """Run it until the body ends. A nursery alone would put errors into groups."""
    raised: BaseException | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - it is raised below
            raised = error
        nursery.cancel_scope.cancel()
    if raised is not None:
        raise raised
