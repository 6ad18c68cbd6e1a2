"""Which broker, out of a URL; a mistake is told without the URL. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlsplit

import attrs

FORM: Final = "mqtt://HOST, mqtts://HOST:PORT, or mqtt://USER:PASSWORD@HOST/TOPIC"
PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
BASE: Final = "bzredis"
# What topics begin with. In names a `/` of it becomes `_`, so there is none yet.
A_BASE: Final = re.compile(r"[A-Za-z0-9-]+(?:/[A-Za-z0-9-]+)*")
LONGEST: Final = 60  # characters of it
ENCODE: Final = "special characters in a password have to be percent-encoded"


@attrs.frozen
class Broker:
    """Where a broker is, and who we are there."""

    host: str
    port: int
    tls: bool
    user: str = attrs.field(default="", repr=False)
    password: str = attrs.field(default="", repr=False)
    base: str = BASE

    @property
    def shown(self) -> str:
        """Return it without a secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def broker(url: str) -> Broker:
    """Read a URL. Raises ValueError, whose words repeat none of it."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise ValueError(f"its host or port cannot be read; {ENCODE}") from None
    if parts.scheme not in PORTS:
        raise ValueError(f"it is not of the form {FORM}")
    if {"?", "#"} & {*url} or parts.netloc.count("@") > 1:
        raise ValueError(f"there is a ?, a # or a second @ in it; {ENCODE}")
    if not parts.hostname:
        raise ValueError(f"it names no host: write {FORM}")
    if parts.password is not None and not parts.username:
        raise ValueError("there is a password in it and no user")
    base = parts.path.strip("/") or BASE
    if not A_BASE.fullmatch(base) or len(base) > LONGEST:
        told = "letters, digits and -, with / between"
        raise ValueError(f"what stands behind its host is no topic: take {told}")
    return Broker(
        host=parts.hostname,
        port=port or PORTS[parts.scheme],
        tls=parts.scheme == "mqtts",
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        base=base,
    )
