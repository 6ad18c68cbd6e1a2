"""What sets one upstream stream apart from another: a value and a pure function.

A new stream is one new file that ends in a `Stream` value, and its entry in `OPTIONAL`;
or it comes with a package that somebody installed (installed.py).
"""

from __future__ import annotations

from bzredis.streams.consensus import CONSENSUS
from bzredis.streams.insights import INSIGHTS
from bzredis.streams.ratings import RATINGS
from bzredis.streams.stream import Stream

__all__ = ["CONSENSUS", "INSIGHTS", "RATINGS", "STREAMS", "Stream"]

STREAMS = (RATINGS, INSIGHTS, CONSENSUS)  # those that are followed unless others are
