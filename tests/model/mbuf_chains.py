"""What the model of mbufs knows of packets, and how it looks at a call: its bytes came, or it failed as it may."""

from collections.abc import Callable

from shmalloc import M_PKTHDR, Mbuf, NoBuffers, OutOfMemory

FAILED = (NoBuffers, OutOfMemory)


class Chain:
    """What the model knows of one packet."""

    def __init__(self, side: int, data: bytes, header: bool) -> None:
        self.side = side
        self.data = data
        self.header = header
        self.tags: list[bytes] = []


class ChainBook:
    """The packets that live, each with its chain. Part of the state machine, whose ``get`` makes new ones."""

    live: dict[Chain, Mbuf]
    fails: bool

    def get(self, side: int, kind: str) -> None:
        """A new packet from one of the getters, unless it fails."""
        raise NotImplementedError

    def one(self, pick: int) -> Chain:
        """One of the live chains, a new one if there is none; a chain without packet when even that fails."""
        if not self.live:
            self.get(pick % 2, "m_getcl")
        return list(self.live)[pick % len(self.live)] if self.live else Chain(0, b"", False)

    def born(self, packet: Mbuf, chain: Chain) -> None:
        self.live[chain] = packet
        assert bytes(packet) == chain.data

    def died(self, chain: Chain) -> None:
        del self.live[chain]

    def shaped(self, chain: Chain, call: Callable[[], object], data: bytes, *, frees: bool) -> bool:
        """Runs a call that gives the packet these bytes, or fails as it may. Returns: whether it did not fail."""
        packet = self.live[chain]
        try:
            call()
        except FAILED:
            assert self.fails, "nothing was to fail"
            assert packet.freed == frees
            if frees:
                self.died(chain)
            else:
                assert bytes(packet) == chain.data
            return False
        chain.data = data
        assert bytes(packet) == data
        return True

    def copied(self, chain: Chain, call: Callable[[], Mbuf], data: bytes) -> None:
        packet = self.live[chain]
        try:
            made = call()
        except FAILED:
            assert self.fails
            assert bytes(packet) == chain.data
            return
        self.born(made, Chain(chain.side, data, bool(made.flags & M_PKTHDR)))
