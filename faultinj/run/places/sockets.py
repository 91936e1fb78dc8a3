"""Sockets: made, connected, sent through."""

import errno
from typing import Any

from faultinj.run.places.place import Place

__all__ = ["SOCKETS"]


def _given_descriptor(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """socket.socket(..., fileno=fd), as accept() calls it, asks the system for no descriptor. args: with self."""
    return (args[4] if len(args) > 4 else kwargs.get("fileno")) is not None


SOCKETS = (
    Place(
        "socket.create",
        "socket:socket.__init__",
        errno.EMFILE,
        "no descriptor is left for a socket",
        spared=_given_descriptor,
    ),
    Place("socket.connect", "socket:socket.connect", errno.ECONNREFUSED, "nobody listens there"),
    Place("socket.bind", "socket:socket.bind", errno.EADDRINUSE, "the address is taken"),
    Place("socket.accept", "socket:socket.accept", errno.ECONNABORTED, "the connection is gone before it is accepted"),
    Place("socket.send", "socket:socket.send", errno.ECONNRESET, "the other end is gone"),
    Place("socket.sendall", "socket:socket.sendall", errno.ECONNRESET, "the other end is gone"),
    Place("socket.recv", "socket:socket.recv", errno.ECONNRESET, "the other end is gone"),
)
