"""The direction of an analyst's action, in one word."""

from __future__ import annotations

from functools import lru_cache

_DIRECTIONS = {
    "upgrades": "up",
    "downgrades": "down",
    **dict.fromkeys(("maintains", "reiterates"), "same"),
    **dict.fromkeys(("initiates", "reinstates", "assumes"), "new"),  # also "… On"
    **dict.fromkeys(("terminates", "removes", "suspends"), "end"),  # likewise
    "firm": "end",  # "Firm Dissolved"
}


@lru_cache(maxsize=1_024)
def direction(action: str) -> str:
    """Return ``up``, ``down``, ``same``, ``new`` or ``end``, or "" for other words."""
    words = action.lower().split()
    if not words or (words[0] == "firm" and words[1:2] != ["dissolved"]):
        return ""
    return _DIRECTIONS.get(words[0], "")
