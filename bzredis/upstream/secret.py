"""The token, blacked out of what upstream says: that may repeat it. Pure."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Final, TypeVar
from urllib.parse import quote, quote_plus

CALLED: Final = (
    r"(?:(?<=token=)|(?<=token%3d))[^&\s\"'<>]+"  # also where it was cut short
)
SHORTEST: Final = 8  # characters of a real key; a shorter one would stand in words too

T = TypeVar("T", str, bytes)


@lru_cache(maxsize=4)  # one bridge has one
def _forms(token: str) -> tuple[str, ...]:
    """Return the token as it may be written, the longest first; mostly there is one."""
    plain = {token, quote(token, safe=""), quote_plus(token)}
    as_json = {json.dumps(one)[1:-1] for one in plain}
    as_utf8 = {json.dumps(one, ensure_ascii=False)[1:-1] for one in plain}
    written = plain | as_json | as_utf8 | set(map(str.lower, plain))
    slashed = {one.replace("/", r"\/") for one in written}  # some write JSON so
    return tuple(sorted(written | slashed, key=len, reverse=True))


def redacted(text: str, token: str) -> str:
    """Black out the token, however written, and all that is called a token."""
    secrets = "|".join([CALLED, *(re.escape(form) for form in _forms(token) if form)])
    return re.sub(secrets, "[token]", text, flags=re.IGNORECASE)


def cleaned(message: T, token: str) -> T:
    """Black out the token in a message that holds it: it goes to Redis as it is."""
    if len(token) < SHORTEST:
        return message
    if isinstance(message, str):
        is_there = any(form in message for form in _forms(token))
        return redacted(message, token) if is_there else message
    if not any(form.encode() in message for form in _forms(token)):
        return message
    text = message.decode(errors="surrogateescape")
    return redacted(text, token).encode(errors="surrogateescape")
