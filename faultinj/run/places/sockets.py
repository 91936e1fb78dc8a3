"""Sockets: made, named, connected, sent through; the resolving of names."""

import errno
from typing import Any

from faultinj.run.places.place import Place

__all__ = ["SOCKETS", "gaierror"]

_FULL = (errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_GONE = (errno.EPIPE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM)


def _given_descriptor(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """socket.socket(..., fileno=fd), as accept() calls it, asks the system for no descriptor. args: with self."""
    return (args[4] if len(args) > 4 else kwargs.get("fileno")) is not None


def gaierror() -> OSError:
    """The error of a name that is not resolved just now."""
    import socket  # whoever asks has it; a program that does not is not to be given it

    return socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


def _methods(*names: str) -> tuple[str, ...]:
    return tuple(f"socket:socket.{name}" for name in names)


SOCKETS = (
    Place("socket.create", _methods("__init__"), errno.EMFILE, "no descriptor is left for a socket",
          (errno.EACCES, errno.EAFNOSUPPORT, *_FULL), spared=_given_descriptor),
    Place("socket.pair", ("socket:socketpair",), errno.EMFILE, "no descriptors are left for a pair", _FULL),
    Place("socket.connect", _methods("connect", "connect_ex"), errno.ECONNREFUSED, "nobody listens there",
          (errno.ETIMEDOUT, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL), about=1),
    Place("socket.bind", _methods("bind"), errno.EADDRINUSE, "the address is taken",
          (errno.EACCES, errno.EADDRNOTAVAIL), about=1),
    Place("socket.listen", _methods("listen"), errno.EADDRINUSE, "another one listens there", (errno.EOPNOTSUPP,)),
    Place("socket.accept", _methods("accept"), errno.ECONNABORTED, "the connection is gone before it is accepted",
          (errno.EMFILE, errno.EPERM, errno.EAGAIN, *_FULL)),
    Place("socket.send", _methods("send"), errno.ECONNRESET, "the other end is gone", _GONE, moves=1),
    Place("socket.sendall", _methods("sendall"), errno.ECONNRESET, "the other end is gone", _GONE),
    Place("socket.sendto", _methods("sendto", "sendmsg"), errno.ENETUNREACH, "a datagram cannot be sent",
          (errno.EPERM, errno.EMSGSIZE, errno.EHOSTUNREACH, *_GONE)),
    Place("socket.recv", _methods("recv", "recv_into"), errno.ECONNRESET, "the other end is gone", _GONE, moves=1,
          least=0),
    Place("socket.recvfrom", _methods("recvfrom", "recvfrom_into", "recvmsg"), errno.ECONNREFUSED,
          "an error of a datagram that was sent before is told", _GONE),
    Place("socket.getaddrinfo", ("socket:getaddrinfo",),
          gaierror, "a name is not resolved", about=0),
)  # fmt: skip
