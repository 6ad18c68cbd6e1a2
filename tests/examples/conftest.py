"""A server with a week of a market in it, and the examples."""

from __future__ import annotations

from commands.looks.conftest import bridge, look, peer, server

__all__ = ["bridge", "look", "peer", "server"]
