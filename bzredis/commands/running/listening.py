"""A socket that listens, for pages that we serve."""

from __future__ import annotations

import errno
import socket

from bzredis.errors import ConfigError
from bzredis.settings.addresses import Listener


class Taken(ConfigError):
    """Somebody has that port: another may be free."""


def listening(at: Listener, option: str, waiting: int) -> socket.socket:
    """Return a socket that listens there.

    Raises ConfigError, which names the option; Taken, where the port is another's.
    `waiting`: connections that the kernel may hold until they are taken.
    """
    family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((at.host, at.port))
        listener.listen(waiting)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        kind = Taken if error.errno == errno.EADDRINUSE else ConfigError
        raise kind(
            f"{option}: nobody can listen at {at}: {error.strerror}; name another"
            " address or port"
        ) from None
    return listener
