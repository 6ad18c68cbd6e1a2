"""The way in: text comes, over WebSockets and REST."""

from bzredis.undecorated import undecorated

with undecorated():
    import httpx as httpx
