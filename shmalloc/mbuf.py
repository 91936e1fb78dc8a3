"""Mbufs: packets as chains of small buffers with clusters behind them. Owns the way into them from an arena; getting,
freeing and shaping are native.

    mb = arena.mbufs()
    m = mb.m_getcl()                 # 2 KiB, one allocation
    m.m_append(b"payload")
    m.m_prepend(14)                  # room for a header, in place where there is some
    memoryview(m)[:14] = header
    os.writev(fd, m.iovec())         # every mbuf of the chain
    arena.queue("tx").put(m)         # zero copy; the receiver gets an Mbuf
"""

import os

from shmalloc import _native
from shmalloc._native import Mbuf, Mbufq, MbufView, MTag, Pkthdr
from shmalloc.callbacks import Callback
from shmalloc.errors import InvalidArgument
from shmalloc.flags import M_WAITOK
from shmalloc.mac import Mac
from shmalloc.mbuf_flags import EXT_EXTREF
from shmalloc.sockbuf import Sockbuf
from shmalloc.stats import MbufStatistics

__all__ = ["MTag", "Mbuf", "MbufTable", "MbufView", "Mbufq", "Mbufs", "Pkthdr", "maxusers"]

# Places of the limits in the core's table of zones.
_CLUSTER, _JUMBOP, _JUMBO9, _JUMBO16 = 1, 3, 4, 5
LIMITS = {"nmbclusters": _CLUSTER, "nmbjumbop": _JUMBOP, "nmbjumbo9": _JUMBO9, "nmbjumbo16": _JUMBO16}


class Mbufs(_native.Mbufs):
    """The mbufs of one arena, through one attachment; made by ``arena.mbufs()``.

    Concurrency: any process and thread.   Source: FreeBSD kern_mbuf.c.

    >>> with shmalloc.Arena.create(name) as arena:
    ...     mb = arena.mbufs(nmbclusters=100)
    ...     m = mb.m_getcl()
    ...     mb.nmbclusters, mb.statistics().packets.current, len(m)
    (100, 1, 0)
    """

    __slots__ = ()

    def m_extadd(
        self,
        item: _native.Item,
        how: int = M_WAITOK,
        *,
        offset: int = 0,
        size: int | None = None,
        free: Callback | None = None,
        arg1: int = 0,
        arg2: int = 0,
        type: int = EXT_EXTREF,  # noqa: A002
        readonly: bool = False,
    ) -> Mbuf:
        """A packet of the bytes of an Item, which is closed: zero copy. See Mbuf.m_extadd for the parameters.

        Returns: Mbuf with a packet header, whose data is that part of the item. On failure the item is still yours.
        """
        packet = self.m_gethdr(how)
        packet.m_extadd(
            item, offset=offset, size=size, free=free, arg1=arg1, arg2=arg2, type=type, readonly=readonly, filled=True
        )
        return packet

    def limit(self, name: str) -> int:
        """The effective limit in clusters, 0 for none; name: "nmbclusters", "nmbjumbop", "nmbjumbo9", "nmbjumbo16"."""
        return self._limit(_place(name))

    def set_limit(self, name: str, clusters: int) -> int:
        """Change a limit; 0 lifts it. Below what is in use no new cluster is given out until use has fallen.

        Returns: the effective limit, rounded up to whole slabs. The jumbo limits follow nmbclusters in their proportion
        until they are set themselves. Concurrency: every process at once; raising it wakes who sleeps.
        """
        return self._set_limit(_place(name), clusters)

    @property
    def nmbclusters(self) -> int:
        """The limit of 2 KiB clusters, 0 for none; may be set at any time, both ways."""
        return self._limit(_CLUSTER)

    @nmbclusters.setter
    def nmbclusters(self, clusters: int) -> None:
        self._set_limit(_CLUSTER, clusters)

    @property
    def nmbjumbop(self) -> int:
        """The limit of page-sized clusters."""
        return self._limit(_JUMBOP)

    @nmbjumbop.setter
    def nmbjumbop(self, clusters: int) -> None:
        self._set_limit(_JUMBOP, clusters)

    @property
    def nmbjumbo9(self) -> int:
        """The limit of 9 KiB clusters."""
        return self._limit(_JUMBO9)

    @nmbjumbo9.setter
    def nmbjumbo9(self, clusters: int) -> None:
        self._set_limit(_JUMBO9, clusters)

    @property
    def nmbjumbo16(self) -> int:
        """The limit of 16 KiB clusters."""
        return self._limit(_JUMBO16)

    @nmbjumbo16.setter
    def nmbjumbo16(self, clusters: int) -> None:
        self._set_limit(_JUMBO16, clusters)

    def statistics(self) -> MbufStatistics:
        """Figures as netstat -m shows them; the same as Arena.mbuf_statistics()."""
        figures = _native.mbuf_statistics(self.arena)
        assert figures is not None
        return figures

    def mbufq(self, maxlen: int = 0) -> Mbufq:
        """A private queue for packets of this process; maxlen: how many it may hold, 0 for no bound."""
        if isinstance(maxlen, bool) or not isinstance(maxlen, int):
            raise TypeError(f"maxlen is an int, not {type(maxlen).__name__}")
        if not 0 <= maxlen < 1 << 32:
            raise InvalidArgument(argument="maxlen", value=maxlen, allowed="0 .. 2**32 - 1, 0 for no bound")
        return _native.mbufq_make(self, maxlen)

    def sockbuf(self, name: str, *, hiwat: int | None = None, mbmax: int | None = None) -> Sockbuf:
        """Open a sockbuf, creating it if there is none of this name.

        Parameters, which count only when it is created: hiwat: most bytes of data, None for 64 KiB; mbmax: most bytes
        of storage, None for eight times hiwat.
        Raises: NameTooLong, TableFull (256 are there), InvalidArgument.
        """
        opened = _native.sockbuf_open(self, name, hiwat, mbmax)
        assert isinstance(opened, Sockbuf)
        return opened

    @property
    def mac(self) -> Mac:
        """Policies and labels of packet headers."""
        return Mac(self)


class MbufTable(_native.Attachment):
    """The part of Arena that opens its mbufs."""

    __slots__ = ()

    def mbufs(
        self,
        nmbclusters: int | None = None,
        *,
        maxusers: int | None = None,
        nmbjumbop: int | None = None,
        nmbjumbo9: int | None = None,
        nmbjumbo16: int | None = None,
    ) -> Mbufs:
        """The arena's mbufs, made by the first process that asks; the same object as long as one is alive here.

        Parameters, which count only when they are made: nmbclusters and so on: limits in clusters, 0 for none, None
        computes 1024 + maxusers * 64, and of that a half, a quarter and an eighth; maxusers: None computes physical
        memory / 2 MiB, in 32 .. 384. Later changes: Mbufs.set_limit, or arena.sysctl["kern.ipc.nmbclusters"].
        Raises: NoMbufs: read-only, and nobody made any. OutOfMemory, TableFull: no room for eight zones.
        Concurrency: any process, several at once.   Source: FreeBSD kern_mbuf.c, tunable_mbinit.
        """
        if maxusers is not None and not 1 <= maxusers <= 1 << 20:
            raise InvalidArgument(argument="maxusers", value=maxusers, allowed=f"1 .. {1 << 20}")
        limits = {"nmbclusters": nmbclusters, "nmbjumbop": nmbjumbop, "nmbjumbo9": nmbjumbo9, "nmbjumbo16": nmbjumbo16}
        for argument, value in limits.items():
            if isinstance(value, bool) or not isinstance(value, int | None):
                raise TypeError(f"{argument} is an int or None, not {type(value).__name__}")
            if value is not None and not 0 <= value <= 1 << 32:
                raise InvalidArgument(argument=argument, value=value, allowed="0 .. 2**32, 0 for no limit")
        wanted = [0 if value is None else -1 if value == 0 else value for value in limits.values()]
        opened = _native.mbufs_open(self, maxusers or 0, *wanted)
        assert isinstance(opened, Mbufs)
        return opened


def maxusers(physical_bytes: int | None = None) -> tuple[int, int]:
    """(maxusers, nmbclusters) that a machine with this much memory gets; None: this machine.

    >>> maxusers(512 * 2**20)
    (256, 17408)
    """
    if physical_bytes is None:
        physical_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return _native.mbuf_defaults(physical_bytes)


def _place(name: str) -> int:
    try:
        return LIMITS[name]
    except KeyError:
        raise InvalidArgument(argument="name", value=name, allowed=", ".join(LIMITS)) from None
