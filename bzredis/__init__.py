"""Keeps Redis current with Benzinga's analyst ratings, insights and consensus streams.

feed      reads frames from a WebSocket
message   tells what a frame is; its stream's definition makes a Change of it
backlog   holds changes until Redis has them: in memory, then on disk
store     applies a batch of changes, each atomically
bridge    holds these together; cli wires them
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("bzredis")
except PackageNotFoundError:  # run from a checkout that nobody installed
    __version__ = "0+checkout"
