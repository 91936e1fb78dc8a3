"""Sockbufs: socket buffers between processes. Owns the Python type; every call is native.

A sockbuf holds records, which are chains of mbufs: datagrams with their addresses, or one record that is a stream.
Senders append packets (their Mbufs are closed, nothing is copied), receivers take packets out; limits are in bytes of
data (hiwat) and of storage (mbmax). What is in a sockbuf belongs to nobody and survives the death of both ends.
"""

from shmalloc import _native

__all__ = ["Sockbuf"]


class Sockbuf(_native.Sockbuf):
    """A named socket buffer; made by ``arena.mbufs().sockbuf(name, hiwat=...)``.

    Concurrency: many senders and many receivers, in any process and thread.   Source: FreeBSD uipc_sockbuf.c.

    >>> with shmalloc.Arena.create(name) as arena:
    ...     mb = arena.mbufs()
    ...     with mb.sockbuf("tcp", hiwat=8192) as sb:
    ...         m = mb.m_getcl()
    ...         m.m_append(b"hello, world")
    ...         sb.sbappendstream(m)
    ...         len(sb), bytes(sb.receive(5)), bytes(sb.receive())
    (12, b'hello', b', world')
    """

    __slots__ = ()
