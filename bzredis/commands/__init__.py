"""What a person runs, and what that needs."""

from bzredis.undecorated import undecorated

with undecorated():
    import structlog as structlog
