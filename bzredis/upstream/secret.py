"""The token, blacked out of what upstream says: that may repeat it. Pure."""

from __future__ import annotations

import re
from typing import Final, TypeVar
from urllib.parse import quote, quote_plus

CALLED: Final = (
    r"(?:(?<=token=)|(?<=token%3d))[^&\s\"'<>]+"  # also where it was cut short
)
SHORTEST: Final = 8  # characters of a real key; a shorter one would stand in words too

T = TypeVar("T", str, bytes)


def redacted(text: str, token: str) -> str:
    """Black out the token, however written, and all that is called a token."""
    forms = {token, quote(token, safe=""), quote_plus(token)}
    longest_first = sorted(map(re.escape, forms - {""}), key=len, reverse=True)
    secrets = re.compile("|".join([CALLED, *longest_first]), re.IGNORECASE)
    return secrets.sub("[token]", text)


def cleaned(message: T, token: str) -> T:
    """Black out the token in a message that holds it: it goes to Redis as it is."""
    if len(token) < SHORTEST:
        return message
    if isinstance(message, str):
        return redacted(message, token) if token in message else message
    if token.encode() not in message:
        return message
    text = message.decode(errors="surrogateescape")
    return redacted(text, token).encode(errors="surrogateescape")
