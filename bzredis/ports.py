"""The seams between the engine and its edges, each declared once."""

from __future__ import annotations

from typing import Literal

import attrs

# How a bridge stands to a stream: what `latest` says is fresh; connected, though it may
# be stale; not connected; gone for good.
Presence = Literal["fresh", "connected", "apart", "gone"]


@attrs.frozen
class Removal:
    """A record that is there no longer, as REST tells."""

    record: str  # "" where the row does not say: only good to be rejected
    updated: int | None  # unix s; None where upstream does not know
    raw: str  # the row as sent
