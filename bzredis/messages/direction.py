"""The direction of an analyst's action, in one word."""

from __future__ import annotations

from functools import lru_cache

_DIRECTIONS = {
    "upgrades": "up",
    "downgrades": "down",
    "maintains": "same",
    "reiterates": "same",
    "initiates": "new",  # also "Initiates Coverage On"
    "reinstates": "new",
    "assumes": "new",
    "terminates": "end",  # also "Terminates Coverage On"
    "removes": "end",
    "suspends": "end",
    "firm": "end",  # "Firm Dissolved"
}


@lru_cache(maxsize=1_024)
def direction(action: str) -> str:
    """Return ``up``, ``down``, ``same``, ``new`` or ``end``, or "" for other words."""
    words = action.lower().split()
    if not words or (words[0] == "firm" and words[1:2] != ["dissolved"]):
        return ""
    return _DIRECTIONS.get(words[0], "")
