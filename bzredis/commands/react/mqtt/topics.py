"""The topics, and the names that Home Assistant knows things by. Pure.

No two symbols share a topic or a name, whatever is in them.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote

import attrs

HOME: Final = "homeassistant"  # where Home Assistant looks, unless it is told otherwise
BIRTH: Final = f"{HOME}/status"  # … and what it says when it starts
BORN: Final = b"online"
BRIDGE: Final = "bridge"  # in small letters: no symbol's name
# What a topic takes as it is. Of the rest `/`, `+` and `#` mean something there.
PLAIN: Final = ":.^=$&@!~,;'()"
_ODD: Final = re.compile(r"[^A-Z0-9-]")  # in a name; small letters are those of `_2e`
_CODED: Final = re.compile(r"(?:_[0-9a-f]{2})+")


def level(symbol: str) -> str:
    """Return a symbol as one level of a topic: as it is, but for a few letters.

    >>> level("TSX:SHOP"), level("BTC/USD")
    ('TSX:SHOP', 'BTC%2FUSD')
    """
    return quote(symbol, safe=PLAIN)


def name(text: str) -> str:
    """Return text in the letters that Home Assistant takes in a name.

    >>> name("BRK.A")
    'BRK_2eA'
    """
    return _ODD.sub(lambda odd: "".join(f"_{b:02x}" for b in odd[0].encode()), text)


def symbol(named: str) -> str | None:
    """Return the symbol that has this name; None where it is none of ours."""
    text = _CODED.sub(lambda found: _decoded(found[0]), named)
    return text if name(text) == named else None


def _decoded(coded: str) -> str:
    return unquote(coded.replace("_", "%"), errors="replace")


@attrs.frozen
class Topics:
    """All topics below one, which is `bzredis` unless the URL says otherwise."""

    base: str

    @property
    def availability(self) -> str:
        return f"{self.base}/availability"

    def stream(self, stream: str) -> str:
        """Return where it stands whether a stream is fresh."""
        return f"{self.base}/{stream}"

    def state(self, stream: str, symbol: str) -> str:
        return f"{self.base}/{stream}/{level(symbol)}"

    # ---- Home Assistant's

    @property
    def node(self) -> str:
        """Return what all our names begin with."""
        return self.base.replace("/", "_")

    def device(self, which: str) -> str:
        """Return the name of a device: of a symbol's name, or of BRIDGE."""
        return f"{self.node}_{which}"

    def config(self, which: str) -> str:
        """Return where Home Assistant is told of a device; `+` is any."""
        return f"{HOME}/device/{self.node}/{which}/config"

    def which(self, config: str) -> str | None:
        """Return whose such a topic is."""
        before, after = self.config("+").split("+")
        found = config.removeprefix(before).removesuffix(after)
        return found if self.config(found) == config else None
