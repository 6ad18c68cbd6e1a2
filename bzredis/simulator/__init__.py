"""A stand-in for upstream on a loopback port: its streams, its REST, its faults.

    catalogue -> market -> server -> clients

``market`` is pure and seeded; ``server`` gives it real sockets.
"""

from __future__ import annotations

from bzredis.simulator.faults import Faults, Refusal, RestFaults
from bzredis.simulator.further import Further
from bzredis.simulator.market.market import Market
from bzredis.simulator.server.server import Simulator
from bzredis.simulator.settings import Settings

__all__ = [
    "Faults",
    "Further",
    "Market",
    "Refusal",
    "RestFaults",
    "Settings",
    "Simulator",
]
